"""Google Gen AI: Gemini and Vertex AI, whole or streamed, and embeddings.

Read where the client sends what it has serialised, so that each request is one operation: automatic
function calling makes several of them. Shapes: ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator, Adapter, Reader
from genai_otel.engine.families.function import function
from genai_otel.engine.read import (
    Json,
    address,
    fields,
    first,
    integer,
    mapping,
    mappings,
    parsed,
    pick,
    string,
)
from genai_otel.record import (
    Failure,
    Kind,
    media,
    media_bytes,
    reasoning,
    text,
    tool_call,
    tool_result,
)
from genai_otel.record.usage import GEMINI, read_usage

from . import _charges as charges
from . import _google_interactions, _google_live
from ._said import Said, spoken

if TYPE_CHECKING:
    from genai_otel.record import Message, Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "candidateCount": "choices",
}
_ROLES = {"model": "assistant"}


def _origin(given: Json, op: Operation) -> None:
    client: Any = given["self"]
    client = getattr(client, "_api_client", client)
    op.provider = "gcp.vertex_ai" if client.vertexai else "gcp.gemini"
    op.host, op.port = address(str(client._http_options.base_url))  # noqa: SLF001 - nowhere else


def _body(given: Json) -> Json:
    path = string(given, "path") or ""
    name = path.rpartition(":")[0]
    return {**fields(given.get("request_dict")), "model": name.rpartition("models/")[2] or None}


def model(body: Json) -> str | None:
    return string(body, "model")


def ask(body: Json, op: Operation) -> None:
    config = mapping(body, "generationConfig")
    thinking = mapping(config, "thinkingConfig")
    more = {"top_k": integer(config, "topK"), "reasoning_level": _level(thinking)}
    op.params = {
        **pick(config, _PARAMS),
        **{name: value for name, value in more.items() if value is not None},
    }
    if string(config, "responseMimeType") == "application/json":
        op.output_type = "json"
    charges.gemini_request(body, op)


def _level(thinking: Json) -> str | None:
    level = _either(thinking, "thinkingLevel", "thinking_level")
    return None if level is None else level.lower()


def _either(source: Json, wire: str, snake: str) -> str | None:
    """Fields that the client writes itself are spelled as in Python, some of them."""
    return string(source, wire) or string(source, snake)


def content(body: Json, op: Operation) -> None:
    op.system = _parts(mapping(body, "systemInstruction")) or None
    op.input = [_turn(each) for each in mappings(body, "contents")]
    tools = mappings(body, "tools")
    if tools:
        op.tools = [told for tool in tools for told in _definitions(tool)]


def _definitions(tool: Json) -> list[Json]:
    """Functions of the caller's, or one tool that Google runs, known by its only key."""
    functions = mappings(tool, "functionDeclarations")
    if not functions:
        return [{"type": name, "name": name} for name in tool]
    return [
        {
            "type": "function",
            "name": string(function, "name") or "",
            "description": string(function, "description") or "",
            "parameters": function.get("parameters") or function.get("parameters_json_schema"),
        }
        for function in functions
    ]


def _turn(said: Json) -> Message:
    role, parts = string(said, "role") or "user", _parts(said)
    answers = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answers else _ROLES.get(role, role), "parts": parts}


def _parts(said: Json) -> list[Part]:
    return [_part(part) for part in mappings(said, "parts")]


def _part(part: Json) -> Part:
    words = string(part, "text")
    if words is not None:
        return reasoning(words) if part.get("thought") is True else text(words)
    call, answered = mapping(part, "functionCall"), mapping(part, "functionResponse")
    if call:
        return tool_call(string(call, "id"), string(call, "name") or "", call.get("args"))
    if answered:
        return tool_result(string(answered, "id"), answered.get("response"))
    if "executableCode" in part:
        return tool_call(None, "code_execution", mapping(part, "executableCode"))
    if "codeExecutionResult" in part:
        return tool_result(None, mapping(part, "codeExecutionResult"))
    return _media(part)


def _media(part: Json) -> Part:
    found = mapping(part, "inlineData") or mapping(part, "fileData")
    if not found:
        return {"type": "media", "modality": next(iter(part), "unknown")}
    kind = _either(found, "mimeType", "mime_type") or ""
    modality = kind.partition("/")[0]
    modality = modality if modality in {"image", "audio", "video"} else "document"
    data = found.get("data")
    if type(data) is bytes:  # as gRPC has it
        return media_bytes(modality, data, kind)
    return media(
        modality, string(found, "data") or _either(found, "fileUri", "file_uri") or "", kind
    )


# --------------------------------------------------------------------------------- the reply


def _read(reply: Any) -> Json:
    """The body of an HTTP response; the first versions of 1.x have decoded it already."""
    found = fields(reply)
    return fields(parsed(found["body"])) if "body" in found else found


def answer(reply: Any, op: Operation) -> None:
    reply = _read(reply)
    candidates = mappings(reply, "candidates")
    _told(reply, candidates, op)
    charges.candidates(candidates, op)
    if op.capture:
        op.output = [
            spoken(_parts(mapping(candidate, "content")), string(candidate, "finishReason"))
            for candidate in candidates
        ]


def _told(reply: Json, candidates: list[Json], op: Operation) -> None:
    op.response_id = string(reply, "responseId")
    op.response_model = string(reply, "modelVersion")
    reasons = (string(candidate, "finishReason") for candidate in candidates)
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    read_usage(mapping(reply, "usageMetadata"), op.usage, GEMINI)
    blocked = string(mapping(reply, "promptFeedback"), "blockReason")
    if blocked is not None:
        op.finish_reasons = [blocked]
    told = mapping(reply, "usageMetadata")
    op.tier = string(told, "serviceTier") or string(told, "trafficType")  # the latter is Vertex's
    if reply.get("error"):
        code = mapping(reply, "error").get("code")
        op.failure = Failure(str(code) if type(code) is int else "error")


class Chunks(Accumulator):
    """Each chunk is a reply of its own with further parts; what it counts are running totals."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._head: Json = {}
        self._said: dict[int, Said] = {}
        self._reasons: dict[int, Json] = {}
        self._grounding = charges.Grounding()

    def add(self, chunk: Any) -> bool:
        reply = _read(chunk)
        self._head.update((key, value) for key, value in reply.items() if value is not None)
        said = [self._candidate(candidate) for candidate in mappings(reply, "candidates")]
        return any(said)

    def _candidate(self, candidate: Json) -> bool:
        index = integer(candidate, "index") or 0
        said = self._said.get(index)
        if said is None:
            said = self._said[index] = Said(self._op)
        if string(candidate, "finishReason"):
            self._reasons[index] = {"finishReason": candidate["finishReason"]}
        metadata = mapping(candidate, "groundingMetadata")
        if metadata:
            self._grounding.add(metadata)
        added = [said.take(part) for part in _parts(mapping(candidate, "content"))]
        return any(added)

    def close(self) -> None:
        order = sorted(self._said)
        _told(self._head, [self._reasons.get(index, {}) for index in order], self._op)
        self._grounding.note(self._op.usage)
        if self._op.capture:
            self._op.output = [
                spoken(self._said[index].parts(), self._reasons.get(index, {}).get("finishReason"))
                for index in order
            ]


# -------------------------------------------------------------------------------- embeddings


def _embed(given: Json, op: Operation) -> None:
    size = integer(fields(given.get("config")), "output_dimensionality")
    op.params = {} if size is None else {"dimensions": size}


def _embed_content(given: Json, op: Operation) -> None:
    contents = given.get("contents")
    if type(contents) is str or (
        type(contents) is list and all(type(each) is str for each in contents)
    ):
        op.arguments = contents


def _vectors(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    vector = first(reply, "embeddings").get("values")
    op.dimensions = len(vector) if type(vector) is list else None
    read_usage(mapping(reply, "usage_metadata"), op.usage, GEMINI)
    counts = [
        integer(mapping(embedding, "statistics"), "token_count")
        for embedding in mappings(reply, "embeddings")
    ]
    told = [count for count in counts if count is not None]
    if told and op.usage.input is None:
        op.usage.input = sum(told)


_GENERATE = Reader(Kind.CHAT, ask, answer, content, Chunks, model)
_EMBED = Reader(Kind.EMBEDDINGS, _embed, _vectors, _embed_content, model=model)


def _generates(given: Json) -> Reader | None:
    path = string(given, "path") or ""
    return _GENERATE if "enerateContent" in path.rpartition(":")[2] else None


_send = partial(function, reader=_generates, origin=_origin, body=_body)
_CLIENT = "google.genai._api_client:BaseApiClient"

ADAPTER = Adapter(
    name="google_genai",
    distribution="google-genai",
    oldest="1.10",
    untested="4",
    patches=(
        _send(f"{_CLIENT}.request"),
        _send(f"{_CLIENT}.async_request"),
        _send(f"{_CLIENT}.request_streamed"),
        _send(f"{_CLIENT}.async_request_streamed", stream=True),
        function("google.genai.models:Models.embed_content", _EMBED, origin=_origin),
        function("google.genai.models:AsyncModels.embed_content", _EMBED, origin=_origin),
        *_google_interactions.patches(_origin),
        *_google_live.patches(_origin),
    ),
)
