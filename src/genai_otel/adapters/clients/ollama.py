"""Ollama: chat, generation and embeddings; the functions of the module are those of a client.

Read from docs.ollama.com/api. Streams send nothing before their first step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    host_and_port,
    pick,
)
from genai_otel.instrumentation.patchers.function import patch_function, patch_leading
from genai_otel.instrumentation.unreturned import local_in_error, local_where_raised
from genai_otel.record import Kind, media, reasoning, text, tool_call, tool_result
from genai_otel.record.usage import OLLAMA, read_usage

from ._message_builder import MessageBuilder, assistant_message
from ._openai_parts import definitions
from ._openai_wire import read_model

if TYPE_CHECKING:
    from genai_otel.record import Message, Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "num_predict": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "think": "reasoning_level",
}
_NANOSECONDS = 1e9


def _origin(given: Json, op: Operation) -> None:
    op.provider = "ollama"
    op.host, op.port = host_and_port(str(given["self"]._client.base_url))  # noqa: SLF001 - nowhere else


def _read_request(body: Json, op: Operation) -> None:
    op.params = pick({**get_dict(body, "options"), "think": get_str(body, "think")}, _PARAMS)
    if body.get("format"):
        op.output_type = "json"


def _read_chat_content(body: Json, op: Operation) -> None:
    op.input = [_input_message(message) for message in get_dicts(body, "messages")]
    op.tools = definitions(body)


def _input_message(message: Json) -> Message:
    role = get_str(message, "role") or "user"
    if role == "tool":
        return {"role": role, "parts": [_tool_result_part(message), *_images(message)]}
    return {"role": role, "parts": _parts(message)}


def _parts(message: Json) -> list[Part]:
    thought, words = get_str(message, "thinking"), get_str(message, "content")
    parts: list[Part] = [reasoning(thought)] if thought else []
    if words:
        parts.append(text(words))
    parts.extend(_images(message))
    parts.extend(_call(get_dict(call, "function")) for call in get_dicts(message, "tool_calls"))
    return parts


def _images(message: Json) -> list[Part]:
    images = message.get("images")
    given = images if type(images) is list else []
    return [media("image", image) for image in given if type(image) is str]


def _tool_result_part(message: Json) -> Part:
    """Convert a tool result; Ollama identifies the call only by the tool's name."""
    answer, name = tool_result(None, message.get("content")), get_str(message, "tool_name")
    if name is not None:
        answer["name"] = name
    return answer


def _call(called: Json) -> Part:
    return tool_call(None, get_str(called, "name") or "", called.get("arguments"))


def _read_prompt_content(body: Json, op: Operation) -> None:
    told = get_str(body, "system")
    if told:
        op.system = [text(told)]
    prompt = {"content": get_str(body, "prompt"), "images": body.get("images")}
    op.input = [{"role": "user", "parts": _parts(prompt)}]


def read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    _read_metadata(reply, op)
    if op.capture:
        op.output = [
            assistant_message(_parts(_output_fields(reply)), get_str(reply, "done_reason"))
        ]


def _read_metadata(reply: Json, op: Operation) -> None:
    op.response_model = get_str(reply, "model")
    reason, took = get_str(reply, "done_reason"), get_int(reply, "total_duration")
    op.finish_reasons = [] if reason is None else [reason]
    op.timing.server = None if took is None else took / _NANOSECONDS
    read_usage(reply, op.usage, OLLAMA)


def _output_fields(reply: Json) -> Json:
    """Return the message of a chat, or the equivalent fields of a generation."""
    if "message" in reply:
        return get_dict(reply, "message")
    image = reply.get("image")
    made = {"content": reply.get("response"), "thinking": reply.get("thinking")}
    return {**made, "images": None if image is None else [image]}


class _Chunks(Accumulator):
    """Builds one message; the last chunk has everything else."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._last: Json = {}

    def add(self, chunk: Any) -> bool:
        found = as_dict(chunk)
        self._last = {**self._last, **found} if "error" in found else found
        message = _output_fields(found)
        said = self._message.add_text(get_str(message, "thinking"), "reasoning")
        said = self._message.add_text(get_str(message, "content")) or said
        for call in get_dicts(message, "tool_calls"):
            said = self._message.add_part(_call(get_dict(call, "function")))
        return said

    def finish(self) -> None:
        _read_metadata(self._last, self._op)
        if self._op.capture:
            reason = get_str(self._last, "done_reason")
            self._op.output = [assistant_message(self._message.parts(), reason)]


def _read_embedding_content(body: Json, op: Operation) -> None:
    op.arguments = body.get("input", body.get("prompt"))


def _read_embeddings(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    _read_metadata(reply, op)
    many = reply.get("embeddings")
    vector = many[0] if type(many) is list and many else reply.get("embedding")
    op.dimensions = len(vector) if type(vector) is list else None


def _response_from_error(error: BaseException) -> Any:
    """The client hands the decoded reply to its pydantic model and keeps no other reference."""
    return local_in_error(error, "__init__", "data")


def _chunk_from_error(error: BaseException) -> Any:
    """Find a chunk with an error, which the client raises where it reads it."""
    return _response_from_error(error) or local_where_raised(error, "inner", "part")


_extractor = partial(
    Extractor,
    read_model=read_model,
    response_from_error=_response_from_error,
    chunk_from_error=_chunk_from_error,
)
_ROUTES = {
    "/api/chat": _extractor(Kind.CHAT, _read_request, read_response, _read_chat_content, _Chunks),
    "/api/generate": _extractor(
        Kind.COMPLETION, _read_request, read_response, _read_prompt_content, _Chunks
    ),
    "/api/embed": _extractor(
        Kind.EMBEDDINGS, _read_request, _read_embeddings, _read_embedding_content
    ),
    "/api/embeddings": _extractor(
        Kind.EMBEDDINGS, _read_request, _read_embeddings, _read_embedding_content
    ),
}


def _route(given: Json) -> Extractor | None:
    return _ROUTES.get(given.get("path", ""))


_request = partial(
    patch_function,
    extractor=_route,
    origin=_origin,
    body=lambda given: get_dict(given, "json"),
    arguments=("self", "cls", "method", "path"),
    lazy=True,
)

ADAPTER = declare(
    "ollama",
    patches=(
        _request("ollama._client:Client._request"),
        _request("ollama._client:AsyncClient._request"),
        *patch_leading("ollama._client:AsyncClient", "chat", "generate", "embed", "embeddings"),
    ),
)
