"""The wire shapes of Bedrock's Converse API, which Nova's own bodies speak too.

Read from docs.aws.amazon.com/bedrock/latest/APIReference: Converse, ConverseStream, ContentBlock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import (
    Json,
    fields,
    integer,
    mapping,
    mappings,
    parsed,
    pick,
    snake,
    string,
)
from genai_otel.record import Message, Pieces
from genai_otel.record.usage import BEDROCK_CONVERSE, read_usage

from . import _charges as charges
from ._converse_parts import parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Operation

_PARAMS = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
}


def ask(params: Json, op: Operation) -> None:
    charges.guarded(params, op)
    more = mapping(params, "additionalModelRequestFields")
    op.params = {
        **pick(more, {"top_k": "top_k"}),
        **pick(mapping(params, "inferenceConfig"), _PARAMS),
    }


def content(params: Json, op: Operation) -> None:
    op.system = parts(params, "system") or None
    op.input = [_turn(message) for message in mappings(params, "messages")]
    if "toolConfig" in params:
        tools = mappings(mapping(params, "toolConfig"), "tools")
        op.tools = [_definition(tool) for tool in tools if "cachePoint" not in tool]


def _definition(tool: Json) -> Json:
    """A function of the caller's, or a tool that Bedrock runs, which has a name and no more."""
    if "toolSpec" not in tool:
        kind = next(iter(tool), "")
        return {"type": snake(kind), "name": string(mapping(tool, kind), "name") or snake(kind)}
    tool = mapping(tool, "toolSpec")
    told = {
        "type": "function",
        "name": string(tool, "name") or "",
        "description": string(tool, "description"),
        "parameters": mapping(tool, "inputSchema").get("json"),
    }
    return {key: value for key, value in told.items() if value is not None}


def _turn(message: Json) -> Message:
    """One message; what answers tools is the tools' turn, whoever the API makes say it."""
    held = parts(message, "content")
    answers = bool(held) and all(part["type"] == "tool_call_response" for part in held)
    return {"role": "tool" if answers else string(message, "role") or "user", "parts": held}


def answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    reason = string(reply, "stopReason")
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(mapping(reply, "usage"), op.usage, BEDROCK_CONVERSE)
    charges.converse(mappings(mapping(mapping(reply, "output"), "message"), "content"), op)
    optimized = string(mapping(reply, "performanceConfig"), "latency") == "optimized"
    op.tier = "optimized" if optimized else string(mapping(reply, "serviceTier"), "type")
    took = integer(mapping(reply, "metrics"), "latencyMs")
    if took is not None:
        op.timing.server = took / 1000
    if op.capture:
        message = mapping(mapping(reply, "output"), "message")
        role = string(message, "role") or "assistant"
        turn: Message = {"role": role, "parts": parts(message, "content")}
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [turn]


class Events(Accumulator):
    """Folds events into the shape of the whole reply, which ``answer`` reads."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._blocks: dict[int, _Block] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        told = event["contentBlockDelta"]
        delta, index = told["delta"], told["contentBlockIndex"]
        words = delta["text"]
        if type(words) is not str or not words or len(delta) != 1 or type(index) is not int:
            return None
        self._blocks[index].pieces.add(words)
        return True

    def add(self, event: Any) -> bool:
        event = fields(event)
        if "contentBlockDelta" in event:
            told = mapping(event, "contentBlockDelta")
            return self._block(told).add(mapping(told, "delta"))
        if "contentBlockStart" in event:
            told = mapping(event, "contentBlockStart")
            self._block(told).head = {**mapping(told, "start")}
            return bool(told.get("start"))
        if "messageStop" in event:
            self._reply["stopReason"] = mapping(event, "messageStop").get("stopReason")
        self._reply.update(mapping(event, "metadata"))
        return False

    def _block(self, told: Json) -> _Block:
        """The block that ``told`` speaks of; text and thoughts open unannounced."""
        index = integer(told, "contentBlockIndex") or 0
        found = self._blocks.get(index)
        if found is None:
            found = self._blocks[index] = _Block(self._op)
        return found

    def close(self) -> None:
        blocks = [block.whole() for _, block in sorted(self._blocks.items())]
        message = {"role": "assistant", "content": blocks if self._op.capture else []}
        answer({**self._reply, "output": {"message": message}}, self._op)


_MOST = 1_000
"""Results, citations and pieces of an image that are kept of one block."""


class _Block:
    """One block of a stream: what it began as, its text in pieces, and what came with them."""

    __slots__ = ("_capture", "head", "more", "pieces")

    def __init__(self, op: Operation) -> None:
        self.head: Json = {}
        self.pieces = Pieces(op)
        self._capture = op.capture
        self.more: dict[str, list[Any]] = {}

    def add(self, delta: Json) -> bool:
        """Takes one delta; whether it held anything generated."""
        generated = False
        for name, value in delta.items():
            words = value if name == "text" else self._take(name, fields(value) or value)
            if type(words) is str:
                self.pieces.add(words)
            generated = generated or bool(words) or name in _GENERATED
        return generated

    def _take(self, name: str, value: Any) -> str | None:
        """The text of a thought or of a tool's input; all else is kept until the end."""
        kept = self.more.setdefault(name, [])
        if name in _PIECE_OF:
            return string(fields(value), _PIECE_OF[name])
        if self._capture and len(kept) < _MOST:
            kept.extend(value if type(value) is list else [value])
        return None

    def whole(self) -> Json:
        """The block as a whole reply has it."""
        words = self.pieces.whole()
        for name, make in _WHOLE.items():
            if name in self.head or name in self.more:
                return make(mapping(self.head, name), self.more.get(name, []), words)
        return {**self.head, **self.more} or {"text": words}


def _whole_call(head: Json, _more: list[Any], words: str) -> Json:
    return {"toolUse": {**head, "input": parsed(words) if words else {}}}


def _whole_result(head: Json, more: list[Any], _words: str) -> Json:
    """A tool's answer, its texts in one."""
    pieces = [fields(each) for each in more]
    said = "".join(string(piece, "text") or "" for piece in pieces)
    rest = [piece for piece in pieces if "text" not in piece]
    return {"toolResult": {**head, "content": [{"text": said}, *rest] if said else rest}}


def _whole_image(head: Json, more: list[Any], _words: str) -> Json:
    sources = (mapping(piece, "source").get("bytes") for piece in more)
    data = b"".join(each for each in sources if type(each) is bytes)
    errors = (piece["error"] for piece in more if "error" in piece)
    source = {"source": {"bytes": data}} if data else {}
    return {"image": {**head, **source, "error": next(errors, None)}}


def _whole_thought(_head: Json, _more: list[Any], words: str) -> Json:
    return {"reasoningContent": {"reasoningText": {"text": words}}}


def _whole_citations(_head: Json, more: list[Any], words: str) -> Json:
    return {"citationsContent": {"content": [{"text": words}], "citations": more}}


_WHOLE: dict[str, Callable[[Json, list[Any], str], Json]] = {
    "toolUse": _whole_call,
    "toolResult": _whole_result,
    "image": _whole_image,
    "reasoningContent": _whole_thought,
    "citation": _whole_citations,
}
_GENERATED = frozenset({"toolResult", "image"})
_PIECE_OF = {"reasoningContent": "text", "toolUse": "input"}
