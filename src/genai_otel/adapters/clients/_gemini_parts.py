"""The parts of Gemini's messages: ai.google.dev/api/caching#Part and #Content.

The same parts come from Vertex AI, from live sessions and from the classic Vertex client. JSON has
them in camel case and the client's own models in snake case; both spellings are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    snake_case,
)
from genai_otel.record import (
    TextBuffer,
    bounded,
    generic_part,
    media,
    media_bytes,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
    tool_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Operation, Part


def camel(name: str) -> str:
    """A field's name as JSON has it."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def either(source: Json, name: str, snake_name: str) -> str | None:
    """A text under either spelling of its name."""
    return get_str(source, name) or get_str(source, snake_name)


# ---------------------------------------------------------------------------------- one part


def parts(content: Json) -> list[Part]:
    """Of each part what it holds."""
    return [part(each) for each in get_dicts(content, "parts")]


def part(given: Json) -> Part:
    """Text, a thought, or the one field with data; of an unknown part its name and its value."""
    words = get_str(given, "text")
    if words:
        said: Part = reasoning(words) if given.get("thought") is True else text(words)
        return said if len(given) == 1 else _with_metadata(said, given)
    for name, value in given.items():
        read = _READERS.get(name)
        if read is not None and value is not None:
            return read(as_dict(value), given)
    if words is None:
        return _unknown_part(given)
    # A signature alone is the state of the model's reasoning, sealed.
    return text("") if _SIGNATURES.isdisjoint(given) else reasoning("")


def _unknown_part(given: Json) -> Part:
    held = [(name, value) for name, value in given.items() if value is not None]
    for name, value in held:
        if name not in _BESIDE:
            return generic_part(snake_case(name), as_dict(value) or value)
    return reasoning("") if any(name in _SIGNATURES for name, _ in held) else generic_part("empty")


def _function_call(call: Json, _given: Json) -> Part:
    return tool_call(get_str(call, "id"), get_str(call, "name") or "", call.get("args"))


def _function_response(answer: Json, _given: Json) -> Part:
    """The function's answer, and the images and files that it came with."""
    response: Any = answer.get("response")
    files = parts(answer)
    if files:
        response = [*([] if response is None else [response]), *files]
    return tool_result(get_str(answer, "id"), response)


def _code(code: Json, _given: Json) -> Part:
    return server_tool_call(get_str(code, "id"), "code_execution", _set_fields(code, "id"))


def _code_result(result: Json, _given: Json) -> Part:
    return server_tool_result(get_str(result, "id"), "code_execution", _set_fields(result, "id"))


def _server_call(call: Json, _given: Json) -> Part:
    name = _tool_type(call)
    return server_tool_call(
        get_str(call, "id"), name, _set_fields(call, "id", "toolType", "tool_type")
    )


def _server_result(result: Json, _given: Json) -> Part:
    told = _set_fields(result, "id", "toolType", "tool_type")
    return server_tool_result(get_str(result, "id"), _tool_type(result), told)


def _tool_type(tool: Json) -> str:
    return (either(tool, "toolType", "tool_type") or "unknown").lower()


def _set_fields(source: Json, *besides: str) -> Json:
    """What there is, except for what the part says elsewhere."""
    return {k: v for k, v in source.items() if v is not None and k not in besides}


_MODALITIES = frozenset({"image", "audio", "video"})


def _media(blob: Json, given: Json) -> Part:
    kind = either(blob, "mimeType", "mime_type") or ""
    modality = kind.partition("/")[0]
    modality = modality if modality in _MODALITIES else "document"
    data = blob.get("data")
    if type(data) is bytes:  # as gRPC has it, and the client's models
        return _with_metadata(media_bytes(modality, data, kind or None), given)
    source = get_str(blob, "data") or either(blob, "fileUri", "file_uri") or ""
    return _with_metadata(media(modality, source, kind), given)


def _with_metadata(found: Part, given: Json) -> Part:
    """What is said of a part beside it: which scenes of a film, how finely they are looked at."""
    more: dict[str, Any] = {}
    transcript = get_dict(given, "audioTranscription") or get_dict(given, "audio_transcription")
    words = get_str(transcript, "text")
    if words:
        more["transcript"] = words
    beside = {
        snake_case(name): bounded(value)
        for name, value in given.items()
        if name in _METADATA and value is not None
    }
    if beside:
        more["metadata"] = beside
    return cast("Part", {**found, **more}) if more else found


def _camel_and_snake(names: dict[str, Any]) -> dict[str, Any]:
    return {**names, **{snake_case(name): value for name, value in names.items()}}


_READERS: dict[str, Callable[[Json, Json], Part]] = _camel_and_snake(
    {
        "functionCall": _function_call,
        "functionResponse": _function_response,
        "inlineData": _media,
        "fileData": _media,
        "executableCode": _code,
        "codeExecutionResult": _code_result,
        "toolCall": _server_call,
        "toolResponse": _server_result,
    }
)
_SIGNATURES = frozenset(("thoughtSignature", "thought_signature"))
_METADATA = frozenset(
    _camel_and_snake(
        dict.fromkeys(
            (
                *("videoMetadata", "mediaResolution", "mediaProcessing", "partMetadata"),
                *("documentMetadata", "spreadsheetMetadata", "audioMetadata", "speechMetadata"),
            )
        )
    )
)
# Fields that describe a part, and are no parts themselves.
_BESIDE = _METADATA | _SIGNATURES | {"thought", "text"}


# ------------------------------------------------------------------- calls that come in pieces


class PartialCall:
    """A function call whose arguments are streamed, each under its JSON path, as Vertex AI can."""

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._id: str | None = None
        self._name = ""
        self._args: Json = {}

    def add(self, call: Json) -> bool:
        """Takes a piece of the call; whether more of it will come."""
        self._id = self._id or get_str(call, "id")
        self._name = self._name or get_str(call, "name") or ""
        self._args.update(get_dict(call, "args"))
        for piece in get_dicts(call, "partialArgs"):
            self._argument((get_str(piece, "jsonPath") or "").removeprefix("$."), piece)
        return call.get("willContinue") is True

    def _argument(self, path: str, piece: Json) -> None:
        words = get_str(piece, "stringValue")
        if words is None:
            self._args[path] = piece.get("numberValue", piece.get("boolValue"))
            return
        so_far = self._args.get(path)
        if not isinstance(so_far, TextBuffer):
            so_far = self._args[path] = TextBuffer(self._op)
        so_far.add(words)

    def text(self) -> Part:
        """The call; what lies deeper in its arguments is under its whole path."""
        args = {
            path: value.text() if isinstance(value, TextBuffer) else value
            for path, value in self._args.items()
        }
        return tool_call(self._id, self._name, args)


def in_pieces(call: Json) -> bool:
    """Whether this is a piece of a call."""
    return "partialArgs" in call or "willContinue" in call


# --------------------------------------------------------------------------------- definitions


def definitions(tool: Json) -> list[Json]:
    """Functions of the caller's, and tools that Google runs, each known by its key."""
    functions = [
        {
            "type": "function",
            "name": get_str(function, "name") or "",
            "description": get_str(function, "description") or "",
            "parameters": function.get("parameters") or function.get("parameters_json_schema"),
        }
        for function in get_dicts(tool, "functionDeclarations")
    ]
    served = [name for name in tool if name != "functionDeclarations"]
    return [*functions, *({"type": name, "name": name} for name in served)]
