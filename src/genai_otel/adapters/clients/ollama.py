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
from genai_otel.instrumentation.patchers.function import leading, patch_function
from genai_otel.instrumentation.unreturned import local_in_error, local_where_raised
from genai_otel.record import Kind, media, reasoning, text, tool_call, tool_result
from genai_otel.record.usage import OLLAMA, read_usage

from ._openai_parts import definitions
from ._openai_wire import model
from ._said import Said, spoken

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


def _ask(body: Json, op: Operation) -> None:
    op.params = pick({**get_dict(body, "options"), "think": get_str(body, "think")}, _PARAMS)
    if body.get("format"):
        op.output_type = "json"


def _chat_content(body: Json, op: Operation) -> None:
    op.input = [_turn(message) for message in get_dicts(body, "messages")]
    op.tools = definitions(body)


def _turn(message: Json) -> Message:
    role = get_str(message, "role") or "user"
    if role == "tool":
        return {"role": role, "parts": [_answered(message), *_images(message)]}
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


def _answered(message: Json) -> Part:
    """Ollama knows a call by its tool's name only."""
    answer, name = tool_result(None, message.get("content")), get_str(message, "tool_name")
    if name is not None:
        answer["name"] = name
    return answer


def _call(called: Json) -> Part:
    return tool_call(None, get_str(called, "name") or "", called.get("arguments"))


def _prompt_content(body: Json, op: Operation) -> None:
    told = get_str(body, "system")
    if told:
        op.system = [text(told)]
    prompt = {"content": get_str(body, "prompt"), "images": body.get("images")}
    op.input = [{"role": "user", "parts": _parts(prompt)}]


def answer(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    _told(reply, op)
    if op.capture:
        op.output = [spoken(_parts(_message(reply)), get_str(reply, "done_reason"))]


def _told(reply: Json, op: Operation) -> None:
    op.response_model = get_str(reply, "model")
    reason, took = get_str(reply, "done_reason"), get_int(reply, "total_duration")
    op.finish_reasons = [] if reason is None else [reason]
    op.timing.server = None if took is None else took / _NANOSECONDS
    read_usage(reply, op.usage, OLLAMA)


def _message(reply: Json) -> Json:
    """What was said: a message of chat, or the fields of a generation."""
    if "message" in reply:
        return get_dict(reply, "message")
    image = reply.get("image")
    made = {"content": reply.get("response"), "thinking": reply.get("thinking")}
    return {**made, "images": None if image is None else [image]}


class _Chunks(Accumulator):
    """TextBuffer of one message; the last chunk has everything else."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Said(op)
        self._last: Json = {}

    def add(self, chunk: Any) -> bool:
        found = as_dict(chunk)
        self._last = {**self._last, **found} if "error" in found else found
        message = _message(found)
        said = self._said.words(get_str(message, "thinking"), "reasoning")
        said = self._said.words(get_str(message, "content")) or said
        for call in get_dicts(message, "tool_calls"):
            said = self._said.part(_call(get_dict(call, "function")))
        return said

    def close(self) -> None:
        _told(self._last, self._op)
        if self._op.capture:
            reason = get_str(self._last, "done_reason")
            self._op.output = [spoken(self._said.parts(), reason)]


def _embed_content(body: Json, op: Operation) -> None:
    op.arguments = body.get("input", body.get("prompt"))


def _vectors(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    _told(reply, op)
    many = reply.get("embeddings")
    vector = many[0] if type(many) is list and many else reply.get("embedding")
    op.dimensions = len(vector) if type(vector) is list else None


def _refused_by_model(error: BaseException) -> Any:
    """The client hands the decoded reply to its pydantic model and keeps no other reference."""
    return local_in_error(error, "__init__", "data")


def _refused_part(error: BaseException) -> Any:
    """One that says what has failed is raised where it is read."""
    return _refused_by_model(error) or local_where_raised(error, "inner", "part")


_extractor = partial(
    Extractor,
    read_model=model,
    response_from_error=_refused_by_model,
    chunk_from_error=_refused_part,
)
_ROUTES = {
    "/api/chat": _extractor(Kind.CHAT, _ask, answer, _chat_content, _Chunks),
    "/api/generate": _extractor(Kind.COMPLETION, _ask, answer, _prompt_content, _Chunks),
    "/api/embed": _extractor(Kind.EMBEDDINGS, _ask, _vectors, _embed_content),
    "/api/embeddings": _extractor(Kind.EMBEDDINGS, _ask, _vectors, _embed_content),
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
        *leading("ollama._client:AsyncClient", "chat", "generate", "embed", "embeddings"),
    ),
)
