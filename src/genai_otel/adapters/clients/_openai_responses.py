"""The wire shape of OpenAI's Responses API: requests, responses and events.

Read from platform.openai.com/docs/api-reference/responses and -streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str
from genai_otel.record import Message, TextBuffer, reasoning, text

from . import _charges as charges
from . import _openai_wire as wire
from ._openai_items import awaited, item_messages, items_parts
from ._openai_parts import definitions
from ._openai_usage import count

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part


def read_request(body: Json, op: Operation) -> None:
    wire.read_request(body, op)
    wire.set_detail(op, "api_type", "responses")
    form = get_dict(get_dict(body, "text"), "format")
    op.output_type = wire.OUTPUT_TYPES.get(get_str(form, "type") or "")
    more = {
        "reasoning_level": get_str(get_dict(body, "reasoning"), "effort"),
        "conversation": get_str(body, "conversation")
        or get_str(get_dict(body, "conversation"), "id"),
    }
    op.params = {**(op.params or {}), **{k: v for k, v in more.items() if v is not None}}


def read_content(body: Json, op: Operation) -> None:
    instructions = get_str(body, "instructions")
    if instructions is not None:
        op.system = [text(instructions)]
    given = body.get("input")
    if type(given) is str:
        op.input = [{"role": "user", "parts": [text(given)]}]
    else:
        op.input = item_messages(get_dicts(body, "input"))
    op.tools = definitions(body)


def read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    wire.read_response(reply, op)
    items = get_dicts(reply, "output")
    op.finish_reasons = _finish_reasons(reply, items)
    count(get_dict(reply, "usage"), op)
    charges.response(reply, items, op)
    if op.capture:
        turn: Message = {"role": "assistant", "parts": items_parts(items)}
        if op.finish_reasons:
            turn["finish_reason"] = op.finish_reasons[0]
        op.output = [turn]


def read_compaction(reply: Any, op: Operation) -> None:
    """Read ``responses.compact``: the kept messages, and the item that replaces the others."""
    reply = as_dict(reply)
    wire.read_response(reply, op)
    count(get_dict(reply, "usage"), op)
    op.finish_reasons = ["compaction"] if "output" in reply else []
    if op.capture:
        op.output = item_messages(get_dicts(reply, "output"))
        for turn in op.output:
            turn["finish_reason"] = "compaction"


def _finish_reasons(reply: Json, items: list[Json]) -> list[str]:
    """Convert the status of a response to the finish reasons of chat completions."""
    status = get_str(reply, "status")
    if status == "incomplete":
        reason = get_str(get_dict(reply, "incomplete_details"), "reason") or "length"
        return ["length" if reason == "max_output_tokens" else reason]
    if status == "failed":
        return ["error"]
    if awaited(items):
        return ["tool_calls"]
    return ["stop"] if status == "completed" else []


_WORDS = ("text", "refusal", "transcript")


class ResponseEvents(Accumulator):
    """Keeps the newest whole response in the events, and the output before it comes."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._pieces: dict[str, TextBuffer] = {}
        self._items: dict[Any, tuple[Json, TextBuffer]] = {}

    def add_fast(self, event: Any) -> bool | None:
        """Add a text delta, the most common event; raise for any other, which ``add`` gets then."""
        piece = event.delta
        if type(piece) is not str or not piece:
            return None
        self._pieces[event.type].add(piece)
        return True

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind = get_str(event, "type") or ""
        if kind.endswith(".delta"):
            piece = get_str(event, "delta") or ""
            pieces = self._pieces_of(kind, event)
            if pieces is not None:
                pieces.add(piece)
            return bool(piece)
        if kind == "response.output_item.added":
            return self._keep_item(event)
        if kind == "response.output_item.done":
            self._keep_item(event)
            self._keep_words(get_dict(event, "item"))
        if kind == "error":
            self._reply = {**self._reply, "error": event}
        elif "response" in event:
            self._reply = get_dict(event, "response")
        return False

    def _pieces_of(self, kind: str, event: Json) -> TextBuffer | None:
        """Append a delta to its item, or to the text of its kind; audio is not kept."""
        if "_call" in kind:
            return self._items.get(event.get("output_index"), (None, None))[1]
        if kind not in self._pieces and any(word in kind for word in _WORDS):
            self._pieces[kind] = TextBuffer(self._op)
        return self._pieces.get(kind)

    def _keep_item(self, event: Json) -> bool:
        """Keep an item that does not come in deltas; return whether it is a call."""
        item = get_dict(event, "item")
        kind = get_str(item, "type") or ""
        if kind not in _IN_PIECES:
            kept = item if self._op.capture else {k: v for k, v in item.items() if k in _FACTS}
            self._items[event.get("output_index")] = (kept, TextBuffer(self._op))
        return "call" in kind

    def _keep_words(self, item: Json) -> None:
        """Keep the parts of a message that did not come in deltas."""
        if get_str(item, "type") != "message" or "response.output_text.delta" in self._pieces:
            return
        pieces = self._pieces.setdefault("response.output_text.done", TextBuffer(self._op))
        for part in get_dicts(item, "content"):
            pieces.add(get_str(part, "text") or "")

    def finish(self) -> None:
        """Write the response; some servers end with one that leaves out its output."""
        reply = self._reply
        left_out = get_str(reply, "status") in _ENDED and not reply.get("output")
        items = self._whole_items() if left_out else []
        read_response({**reply, "output": items} if items else reply, self._op)
        if self._op.output and (items or not self._op.output[0]["parts"]):
            self._op.output[0]["parts"] = self._so_far()

    def _so_far(self) -> list[Part]:
        parts: list[Part] = []
        for kind, pieces in self._pieces.items():
            words = pieces.text()
            if words:
                parts.append(reasoning(words) if "reasoning" in kind else text(words))
        return [*parts, *items_parts(self._whole_items())]

    def _whole_items(self) -> list[Json]:
        return [_filled(item, pieces.text()) for item, pieces in self._items.values()]


_IN_PIECES = ("message", "reasoning")
_ENDED = ("completed", "incomplete")
# Fields of an item that are needed for finish reason and cost, where content is not recorded.
_FACTS = frozenset({"type", "id", "call_id", "action", "container_id", "environment", "execution"})
_GROWING = {"custom_tool_call": "input", "code_interpreter_call": "code"}


def _filled(item: Json, given: str) -> Json:
    """Fill an item with its deltas, where the stream was cut."""
    if not given:
        return item
    kind = get_str(item, "type") or ""
    if kind == "shell_call":
        return {**item, "action": {**get_dict(item, "action"), "commands": [given]}}
    if kind == "apply_patch_call":
        return {**item, "operation": {**get_dict(item, "operation"), "diff": given}}
    return {**item, _GROWING.get(kind, "arguments"): given}
