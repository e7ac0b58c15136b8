"""The wire shape of OpenAI's responses: requests, replies and events.

Read from platform.openai.com/docs/api-reference/responses and -streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.read import Json, fields, mapping, mappings, parsed, string
from genai_otel.record import Message, Pieces, media, reasoning, text, tool_call, tool_result

from . import _charges as charges
from ._openai_usage import count
from ._openai_wire import OUTPUT_TYPES, answer, ask, definitions, detail, message_parts, plain

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
        op.input = [_item_turn(item) for item in mappings(body, "input")]
    op.tools = definitions(body)


def _item_turn(item: Json) -> Message:
    kind = string(item, "type") or "message"
    if kind.endswith("_call_output"):
        answered = tool_result(string(item, "call_id"), plain(item.get("output")))
        return {"role": "tool", "parts": [answered]}
    default = "user" if kind == "message" else "assistant"
    return {"role": string(item, "role") or default, "parts": _item_parts(item)}


def _item_parts(item: Json) -> list[Part]:
    """The parts of one item of a response's input or output."""
    kind = string(item, "type") or "message"
    if kind == "message":
        return message_parts(item)
    if kind == "reasoning":
        pieces = [*mappings(item, "summary"), *mappings(item, "content")]
        return [reasoning(string(piece, "text") or "") for piece in pieces]
    if kind in ("function_call", "custom_tool_call"):
        arguments = parsed(item.get("arguments", item.get("input")))
        return [tool_call(string(item, "call_id"), string(item, "name") or "", arguments)]
    if kind == "image_generation_call":
        return [media("image", string(item, "result") or "")]
    return [{"type": "media", "modality": kind}]


def answer_response(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    answer(reply, op)
    items = mappings(reply, "output")
    op.finish_reasons = _response_reasons(reply, items)
    count(mapping(reply, "usage"), op)
    charges.response(reply, items, op)
    if op.capture:
        parts = [part for item in items for part in _item_parts(item)]
        turn: Message = {"role": "assistant", "parts": parts}
        if op.finish_reasons:
            turn["finish_reason"] = op.finish_reasons[0]
        op.output = [turn]


def _response_reasons(reply: Json, items: list[Json]) -> list[str]:
    """A response has a status instead of a finish reason; in the words of chat completions."""
    status = string(reply, "status")
    if status == "incomplete":
        reason = string(mapping(reply, "incomplete_details"), "reason") or "length"
        return ["length" if reason == "max_output_tokens" else reason]
    if status == "failed":
        return ["error"]
    if any(string(item, "type") == "function_call" for item in items):
        return ["tool_calls"]
    return ["stop"] if status == "completed" else []


_WORDS = ("text", "refusal", "transcript")


class ResponseEvents(Accumulator):
    """Keeps the newest whole response of the events, and what was made until it comes."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._pieces: dict[str, Pieces] = {}
        self._calls: dict[Any, tuple[Json, Pieces]] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        piece = event.delta
        if type(piece) is not str:
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
            return self._opens_call(event)
        if kind == "error":
            self._reply = {**self._reply, "error": event}
        elif "response" in event:
            self._reply = mapping(event, "response")
        return False

    def _pieces_of(self, kind: str, event: Json) -> Pieces | None:
        """Where a piece belongs: to a tool call, or to the text of its kind; audio is not kept."""
        if "_call" in kind:
            return self._calls.get(event.get("output_index"), (None, None))[1]
        if kind not in self._pieces and any(word in kind for word in _WORDS):
            self._pieces[kind] = Pieces(self._op)
        return self._pieces.get(kind)

    def _opens_call(self, event: Json) -> bool:
        item = mapping(event, "item")
        if "call" not in (string(item, "type") or ""):
            return False
        self._calls[event.get("output_index")] = (item, Pieces(self._op))
        return True

    def close(self) -> None:
        answer_response(self._reply, self._op)
        if self._op.output and not self._op.output[0]["parts"]:
            self._op.output[0]["parts"] = self._so_far()

    def _so_far(self) -> list[Part]:
        parts: list[Part] = []
        for kind, pieces in self._pieces.items():
            words = pieces.whole()
            if words:
                parts.append(reasoning(words) if "reasoning" in kind else text(words))
        for item, pieces in self._calls.values():
            given = pieces.whole()
            parts.extend(_item_parts({**item, "arguments": given, "input": given}))
        return parts
