"""Cohere: chat, embeddings and reranking; both versions of its API.

Read below the clients that applications hold, because those keep some of their own methods from the
day they were made. Shapes: docs.cohere.com/reference.
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
    integer,
    mapping,
    mappings,
    parsed,
    pick,
    string,
)
from genai_otel.record import Kind, Pieces, reasoning, text, tool_call, tool_result
from genai_otel.record.usage import COHERE, read_usage

from . import _openai_wire as wire
from ._openai_parts import message_parts
from ._said import Said, spoken

if TYPE_CHECKING:
    from genai_otel.record import Document, Message, Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "p": "top_p",
    "k": "top_k",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "embedding_types": "encoding_formats",
    "top_n": "retrieved",
}
_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


def _origin(given: Json, op: Operation) -> None:
    wrapper: Any = given["self"]._client_wrapper  # noqa: SLF001 - nowhere else
    service = _aws_service(wrapper)
    if service is None:
        op.provider = "cohere"
        op.host, op.port = address(wrapper.get_base_url())
    else:  # which only addresses what it sends
        op.provider = f"aws.{service}"


def _aws_service(wrapper: Any) -> str | None:
    """Clients of Bedrock and SageMaker are Cohere's own, with a hook that rewrites each request."""
    sending = getattr(wrapper.httpx_client.httpx_client, "event_hooks", {})
    for hook in sending.get("request", ()):
        if hook.__module__ == "cohere.aws_client":
            held = dict(zip(hook.__code__.co_freevars, hook.__closure__ or (), strict=False))
            return str(held["service"].cell_contents)
    return None


def _ask(given: Json, op: Operation) -> None:
    op.params = pick(given, _PARAMS)
    if string(mapping(given, "response_format"), "type") == "json_object":
        op.output_type = "json"


def _data(reply: Any) -> Json:
    """What the client decoded, without the HTTP response around it."""
    found = fields(reply)
    return fields(found["_data"]) if "_data" in found else found


def _told(reply: Json, usage: Json, op: Operation) -> None:
    op.response_id = string(reply, "id") or string(reply, "generation_id")
    reason = string(reply, "finish_reason")
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(usage, op.usage, COHERE)


# ----------------------------------------------------------------------------- version 2


def _answer(reply: Any, op: Operation) -> None:
    reply = _data(reply)
    _told(reply, mapping(reply, "usage"), op)
    if op.capture:
        message = mapping(reply, "message")
        plan = string(message, "tool_plan")
        planned: list[Part] = [reasoning(plan)] if plan else []
        parts = [*planned, *message_parts(message)]
        op.output = [spoken(parts, string(reply, "finish_reason"))]


class _Events(Accumulator):
    """Typed events: text, thoughts and plans in pieces, tool calls by index, usage at the end."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Said(op)
        self._head: Json = {}
        self._calls: dict[int, Json] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        return self._said.words(event.delta.message.content.text) or None

    def add(self, event: Any) -> bool:
        event = fields(event)
        kind, delta = string(event, "type") or "", mapping(event, "delta")
        message = mapping(delta, "message")
        if kind.startswith("tool-call"):
            called = mapping(message, "tool_calls")
            return self._call(integer(event, "index") or 0, called) if called else False
        if kind == "message-end":
            self._head |= {key: delta.get(key) for key in ("finish_reason", "usage")}
        elif kind == "message-start":
            self._head["id"] = event.get("id")
        content = mapping(message, "content")
        thought = string(content, "thinking") or string(message, "tool_plan")
        words = self._said.words(thought, "reasoning")
        return self._said.words(string(content, "text")) or words

    def _call(self, index: int, called: Json) -> bool:
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = {"pieces": Pieces(self._op)}
        function = mapping(called, "function")
        call["id"] = string(called, "id") or call.get("id")
        call["name"] = string(function, "name") or call.get("name", "")
        call["pieces"].add(string(function, "arguments") or "")
        return True

    def close(self) -> None:
        _told(self._head, mapping(self._head, "usage"), self._op)
        if self._op.capture:
            for _, call in sorted(self._calls.items()):
                given = parsed(call["pieces"].whole())
                self._said.part(tool_call(call["id"], call["name"], given))
            reason = string(self._head, "finish_reason")
            self._op.output = [spoken(self._said.parts(), reason)]


# ----------------------------------------------------------------------------- version 1


def old_content(given: Json, op: Operation) -> None:
    told = string(given, "preamble")
    op.system = [text(told)] if told else None
    turns = [_old_turn(turn) for turn in mappings(given, "chat_history")]
    answers = [tool_result(None, each.get("outputs")) for each in mappings(given, "tool_results")]
    if answers:
        turns.append({"role": "tool", "parts": [*answers]})
    message = string(given, "message")
    op.input = [*turns, {"role": "user", "parts": [text(message)]}] if message else turns
    op.tools = [
        {"type": "function", "name": string(tool, "name") or "",
         "description": string(tool, "description") or "",
         "parameters": tool.get("parameter_definitions")}
        for tool in mappings(given, "tools")
    ]  # fmt: skip


def _old_turn(turn: Json) -> Message:
    role = string(turn, "role") or "USER"
    return {"role": _ROLES.get(role, role), "parts": old_parts(turn, "message")}


def old_parts(reply: Json, words: str) -> list[Part]:
    said = string(reply, words)
    told: list[Part] = [text(said)] if said else []
    calls = mappings(reply, "tool_calls")
    called = (tool_call(None, string(c, "name") or "", c.get("parameters")) for c in calls)
    return [*told, *called]


def _old_answer(reply: Any, op: Operation) -> None:
    reply = _data(reply)
    _told(reply, mapping(reply, "meta"), op)
    if op.capture:
        op.output = [spoken(old_parts(reply, "text"), string(reply, "finish_reason"))]


class OldEvents(Accumulator):
    """Text in pieces; the last event holds the whole reply."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Said(op)
        self._reply: Json = {}

    def add(self, event: Any) -> bool:
        event = fields(event)
        kind = string(event, "event_type")
        if kind == "stream-end":
            self._reply = {
                **mapping(event, "response"),
                "finish_reason": event.get("finish_reason"),
            }
        elif kind == "stream-start":
            self._reply = {"generation_id": event.get("generation_id")}
        if kind == "text-generation":
            return self._said.words(string(event, "text"))
        return kind in {"tool-calls-chunk", "tool-calls-generation"}

    def close(self) -> None:
        _old_answer(self._reply, self._op)
        if self._op.output and not self._op.output[0]["parts"]:
            self._op.output[0]["parts"] = self._said.parts()


# ---------------------------------------------------------------- embeddings and reranking


def _texts(given: Json, op: Operation) -> None:
    texts = given.get("texts")
    op.arguments = texts if type(texts) is list else None


def _vectors(reply: Any, op: Operation) -> None:
    reply = _data(reply)
    _told(reply, mapping(reply, "meta"), op)
    found = reply.get("embeddings")
    by_type = next((v for v in fields(found).values() if type(v) is list and v), None)
    vectors = found if type(found) is list else by_type
    if vectors and type(vectors[0]) is list:
        op.dimensions = len(vectors[0])


def question(given: Json, op: Operation) -> None:
    op.query = string(given, "query")


def ranks(reply: Any, op: Operation) -> None:
    reply = _data(reply)
    _told(reply, mapping(reply, "meta"), op)
    op.documents = [_rank(result) for result in mappings(reply, "results")]


def _rank(result: Json) -> Document:
    score = result.get("relevance_score")
    found: Document = {"id": str(integer(result, "index"))}
    return {**found, "score": score} if type(score) is float else found


_reader = partial(Reader, model=wire.model)
_CHAT = _reader(Kind.CHAT, _ask, _answer, wire.chat_content, _Events)
_OLD_CHAT = _reader(Kind.CHAT, _ask, _old_answer, old_content, OldEvents)
_EMBED = _reader(Kind.EMBEDDINGS, _ask, _vectors, _texts)
_RERANK = _reader(Kind.RERANK, _ask, ranks, question)

_method = partial(function, origin=_origin)
_stream = partial(_method, stream=True, lazy=True, inner="_data")

ADAPTER = Adapter(
    name="cohere",
    distribution="cohere",
    oldest="5.17",
    untested="8",
    patches=tuple(
        patch
        for colour in ("", "Async")
        for patch in (
            _method(f"cohere.v2.raw_client:{colour}RawV2Client.chat", _CHAT),
            _stream(f"cohere.v2.raw_client:{colour}RawV2Client.chat_stream", _CHAT),
            _method(f"cohere.v2.raw_client:{colour}RawV2Client.embed", _EMBED),
            _method(f"cohere.v2.raw_client:{colour}RawV2Client.rerank", _RERANK),
            _method(f"cohere.raw_base_client:{colour}RawBaseCohere.chat", _OLD_CHAT),
            _stream(f"cohere.raw_base_client:{colour}RawBaseCohere.chat_stream", _OLD_CHAT),
            _method(f"cohere.raw_base_client:{colour}RawBaseCohere.rerank", _RERANK),
            # Here for all of its requests, which it makes in threads of its own.
            _method(f"cohere.client:{colour}Client.embed", _EMBED),
        )
    ),
)
