"""Version 1 of Cohere's API, which Bedrock has too, and what both versions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str
from genai_otel.record import cited_text, generic_part, text, tool_call, tool_result
from genai_otel.record.usage import COHERE, read_usage

from ._message_builder import MessageBuilder, assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Message, Operation, Part

_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}

# Citations of one answer that are recorded.
MOST = 1_000


def decoded(reply: Any) -> Json:
    """What the client decoded, without the HTTP response around it."""
    found = as_dict(reply)
    return as_dict(found["_data"]) if "_data" in found else found


def read_head(reply: Json, usage: Json, op: Operation) -> None:
    op.response_id = get_str(reply, "id") or get_str(reply, "generation_id")
    reason = get_str(reply, "finish_reason")
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(usage, op.usage, COHERE)


def with_documents(given: Json, op: Operation) -> None:
    """The documents that the answer shall be made of, before the last thing that was said."""
    documents = given.get("documents")
    if op.input and type(documents) is list:
        last = op.input[-1]
        shown = [generic_part("document", each) for each in documents[:MOST]]
        op.input = [*op.input[:-1], {**last, "parts": [*shown, *last["parts"]]}]


def read_v1_content(given: Json, op: Operation) -> None:
    preamble = get_str(given, "preamble")
    op.system = [text(preamble)] if preamble else None
    turns = [_v1_message(turn) for turn in get_dicts(given, "chat_history")]
    answers = [tool_result(None, each.get("outputs")) for each in get_dicts(given, "tool_results")]
    if answers:
        turns.append({"role": "tool", "parts": [*answers]})
    message = get_str(given, "message")
    op.input = [*turns, {"role": "user", "parts": [text(message)]}] if message else turns
    with_documents(given, op)
    op.tools = [
        {"type": "function", "name": get_str(tool, "name") or "",
         "description": get_str(tool, "description") or "",
         "parameters": tool.get("parameter_definitions")}
        for tool in get_dicts(given, "tools")
    ]  # fmt: skip


def _v1_message(turn: Json) -> Message:
    role = get_str(turn, "role") or "USER"
    return {"role": _ROLES.get(role, role), "parts": v1_parts(turn, "message")}


def v1_parts(reply: Json, words: str) -> list[Part]:
    said = get_str(reply, words)
    citations = get_dicts(reply, "citations")[:MOST]
    parts: list[Part] = [cited_text(said, citations)] if said else []
    calls = get_dicts(reply, "tool_calls")
    called = (tool_call(None, get_str(c, "name") or "", c.get("parameters")) for c in calls)
    return [*parts, *called]


def read_v1_response(reply: Any, op: Operation) -> None:
    reply = decoded(reply)
    read_head(reply, get_dict(reply, "meta"), op)
    if op.capture:
        op.output = [assistant_message(v1_parts(reply, "text"), get_str(reply, "finish_reason"))]


class V1Events(Accumulator):
    """Text in pieces; the last event holds the whole reply."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._reply: Json = {}

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind = get_str(event, "event_type")
        if kind == "stream-end":
            self._reply = {
                **get_dict(event, "response"),
                "finish_reason": event.get("finish_reason"),
            }
        elif kind == "stream-start":
            self._reply = {"generation_id": event.get("generation_id")}
        if kind == "text-generation":
            return self._message.add_text(get_str(event, "text"))
        return kind in {"tool-calls-chunk", "tool-calls-generation"}

    def finish(self) -> None:
        read_v1_response(self._reply, self._op)
        if self._op.output and not self._op.output[0]["parts"]:
            self._op.output[0]["parts"] = self._message.parts()
