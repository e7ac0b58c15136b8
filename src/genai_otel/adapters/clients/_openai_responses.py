"""The wire shape of OpenAI's responses: requests, replies and events.

Read from platform.openai.com/docs/api-reference/responses and -streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, fields, mapping, mappings, string
from genai_otel.record import Message, Pieces, reasoning, text

from . import _charges as charges
from ._openai_items import awaited, item_turns, items_parts
from ._openai_parts import definitions
from ._openai_usage import count
from ._openai_wire import OUTPUT_TYPES, answer, ask, detail

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part


def ask_response(body: Json, op: Operation) -> None:
    ask(body, op)
    detail(op, "api_type", "responses")
    form = mapping(mapping(body, "text"), "format")
    op.output_type = OUTPUT_TYPES.get(string(form, "type") or "")
    more = {
        "reasoning_level": string(mapping(body, "reasoning"), "effort"),
        "conversation": string(body, "conversation") or string(mapping(body, "conversation"), "id"),
    }
    op.params = {**(op.params or {}), **{k: v for k, v in more.items() if v is not None}}


def response_content(body: Json, op: Operation) -> None:
    instructions = string(body, "instructions")
    if instructions is not None:
        op.system = [text(instructions)]
    given = body.get("input")
    if type(given) is str:
        op.input = [{"role": "user", "parts": [text(given)]}]
    else:
        op.input = item_turns(mappings(body, "input"))
    op.tools = definitions(body)


def answer_response(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    answer(reply, op)
    items = mappings(reply, "output")
    op.finish_reasons = _response_reasons(reply, items)
    count(mapping(reply, "usage"), op)
    charges.response(reply, items, op)
    if op.capture:
        turn: Message = {"role": "assistant", "parts": items_parts(items)}
        if op.finish_reasons:
            turn["finish_reason"] = op.finish_reasons[0]
        op.output = [turn]


def answer_compaction(reply: Any, op: Operation) -> None:
    """``responses.compact``: the messages that are kept, and the item that replaces the others."""
    reply = fields(reply)
    answer(reply, op)
    count(mapping(reply, "usage"), op)
    op.finish_reasons = ["compaction"] if "output" in reply else []
    if op.capture:
        op.output = item_turns(mappings(reply, "output"))
        for turn in op.output:
            turn["finish_reason"] = "compaction"


def _response_reasons(reply: Json, items: list[Json]) -> list[str]:
    """A response has a status instead of a finish reason; in the words of chat completions."""
    status = string(reply, "status")
    if status == "incomplete":
        reason = string(mapping(reply, "incomplete_details"), "reason") or "length"
        return ["length" if reason == "max_output_tokens" else reason]
    if status == "failed":
        return ["error"]
    if awaited(items):
        return ["tool_calls"]
    return ["stop"] if status == "completed" else []


_WORDS = ("text", "refusal", "transcript")


class ResponseEvents(Accumulator):
    """Keeps the newest whole response of the events, and what was made until it comes."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._pieces: dict[str, Pieces] = {}
        self._items: dict[Any, tuple[Json, Pieces]] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        piece = event.delta
        if type(piece) is not str or not piece:
            return None
        self._pieces[event.type].add(piece)
        return True

    def add(self, event: Any) -> bool:
        event = fields(event)
        kind = string(event, "type") or ""
        if kind.endswith(".delta"):
            piece = string(event, "delta") or ""
            pieces = self._pieces_of(kind, event)
            if pieces is not None:
                pieces.add(piece)
            return bool(piece)
        if kind == "response.output_item.added":
            return self._keep_item(event)
        if kind == "response.output_item.done":
            self._keep_item(event)
            self._keep_words(mapping(event, "item"))
        if kind == "error":
            self._reply = {**self._reply, "error": event}
        elif "response" in event:
            self._reply = mapping(event, "response")
        return False

    def _pieces_of(self, kind: str, event: Json) -> Pieces | None:
        """Where a piece belongs: to an item, or to the text of its kind; audio is not kept."""
        if "_call" in kind:
            return self._items.get(event.get("output_index"), (None, None))[1]
        if kind not in self._pieces and any(word in kind for word in _WORDS):
            self._pieces[kind] = Pieces(self._op)
        return self._pieces.get(kind)

    def _keep_item(self, event: Json) -> bool:
        """Keeps what is not said in pieces; whether it is a call."""
        item = mapping(event, "item")
        kind = string(item, "type") or ""
        if kind not in _IN_PIECES:
            kept = item if self._op.capture else {k: v for k, v in item.items() if k in _FACTS}
            self._items[event.get("output_index")] = (kept, Pieces(self._op))
        return "call" in kind

    def _keep_words(self, item: Json) -> None:
        """Of a message that did not come in pieces."""
        if string(item, "type") != "message" or "response.output_text.delta" in self._pieces:
            return
        pieces = self._pieces.setdefault("response.output_text.done", Pieces(self._op))
        for part in mappings(item, "content"):
            pieces.add(string(part, "text") or "")

    def close(self) -> None:
        """Some servers end with a response that leaves out what it made."""
        reply = self._reply
        left_out = string(reply, "status") in _ENDED and not reply.get("output")
        items = self._whole_items() if left_out else []
        answer_response({**reply, "output": items} if items else reply, self._op)
        if self._op.output and (items or not self._op.output[0]["parts"]):
            self._op.output[0]["parts"] = self._so_far()

    def _so_far(self) -> list[Part]:
        parts: list[Part] = []
        for kind, pieces in self._pieces.items():
            words = pieces.whole()
            if words:
                parts.append(reasoning(words) if "reasoning" in kind else text(words))
        return [*parts, *items_parts(self._whole_items())]

    def _whole_items(self) -> list[Json]:
        return [_filled(item, pieces.whole()) for item, pieces in self._items.values()]


_IN_PIECES = ("message", "reasoning")
_ENDED = ("completed", "incomplete")
_FACTS = frozenset({"type", "id", "call_id", "action", "container_id", "environment", "execution"})
"""Of an item, what tells whom it waits for and what it costs, where content is not recorded."""
_GROWING = {"custom_tool_call": "input", "code_interpreter_call": "code"}


def _filled(item: Json, given: str) -> Json:
    """An item with what came of it in pieces before the stream broke off."""
    if not given:
        return item
    kind = string(item, "type") or ""
    if kind == "shell_call":
        return {**item, "action": {**mapping(item, "action"), "commands": [given]}}
    if kind == "apply_patch_call":
        return {**item, "operation": {**mapping(item, "operation"), "diff": given}}
    return {**item, _GROWING.get(kind, "arguments"): given}
