"""The wire shapes of Bedrock's Converse API, which Nova's own bodies speak too.

Read from docs.aws.amazon.com/bedrock/latest/APIReference: Converse, ConverseStream, ContentBlock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    parse_json,
    pick,
    snake_case,
)
from genai_otel.record import Message, TextBuffer
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


def read_request(params: Json, op: Operation) -> None:
    charges.guarded(params, op)
    more = get_dict(params, "additionalModelRequestFields")
    op.params = {
        **pick(more, {"top_k": "top_k"}),
        **pick(get_dict(params, "inferenceConfig"), _PARAMS),
    }


def read_content(params: Json, op: Operation) -> None:
    op.system = parts(params, "system") or None
    op.input = [_message(message) for message in get_dicts(params, "messages")]
    if "toolConfig" in params:
        tools = get_dicts(get_dict(params, "toolConfig"), "tools")
        op.tools = [_definition(tool) for tool in tools if "cachePoint" not in tool]


def _definition(tool: Json) -> Json:
    """A function of the caller's, or a tool that Bedrock runs, which has a name and no more."""
    if "toolSpec" not in tool:
        kind = next(iter(tool), "")
        return {
            "type": snake_case(kind),
            "name": get_str(get_dict(tool, kind), "name") or snake_case(kind),
        }
    tool = get_dict(tool, "toolSpec")
    told = {
        "type": "function",
        "name": get_str(tool, "name") or "",
        "description": get_str(tool, "description"),
        "parameters": get_dict(tool, "inputSchema").get("json"),
    }
    return {key: value for key, value in told.items() if value is not None}


def _message(message: Json) -> Message:
    """One message; what answers tools is the tools' turn, whoever the API makes say it."""
    held = parts(message, "content")
    answers = bool(held) and all(part["type"] == "tool_call_response" for part in held)
    return {"role": "tool" if answers else get_str(message, "role") or "user", "parts": held}


def read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    reason = get_str(reply, "stopReason")
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(get_dict(reply, "usage"), op.usage, BEDROCK_CONVERSE)
    charges.converse(get_dicts(get_dict(get_dict(reply, "output"), "message"), "content"), op)
    optimized = get_str(get_dict(reply, "performanceConfig"), "latency") == "optimized"
    op.tier = "optimized" if optimized else get_str(get_dict(reply, "serviceTier"), "type")
    took = get_int(get_dict(reply, "metrics"), "latencyMs")
    if took is not None:
        op.timing.server = took / 1000
    if op.capture:
        message = get_dict(get_dict(reply, "output"), "message")
        role = get_str(message, "role") or "assistant"
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

    def add_fast(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        told = event["contentBlockDelta"]
        delta, index = told["delta"], told["contentBlockIndex"]
        words = delta["text"]
        if type(words) is not str or not words or len(delta) != 1 or type(index) is not int:
            return None
        self._blocks[index].pieces.add(words)
        return True

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        if "contentBlockDelta" in event:
            told = get_dict(event, "contentBlockDelta")
            return self._block(told).add(get_dict(told, "delta"))
        if "contentBlockStart" in event:
            told = get_dict(event, "contentBlockStart")
            self._block(told).head = {**get_dict(told, "start")}
            return bool(told.get("start"))
        if "messageStop" in event:
            self._reply["stopReason"] = get_dict(event, "messageStop").get("stopReason")
        self._reply.update(get_dict(event, "metadata"))
        return False

    def _block(self, told: Json) -> _Block:
        """The block that ``told`` speaks of; text and thoughts open unannounced."""
        index = get_int(told, "contentBlockIndex") or 0
        found = self._blocks.get(index)
        if found is None:
            found = self._blocks[index] = _Block(self._op)
        return found

    def finish(self) -> None:
        blocks = [block.text() for _, block in sorted(self._blocks.items())]
        message = {"role": "assistant", "content": blocks if self._op.capture else []}
        read_response({**self._reply, "output": {"message": message}}, self._op)


# Results, citations and pieces of an image that are kept of one block.
_MOST = 1_000


class _Block:
    """One block of a stream: what it began as, its text in pieces, and what came with them."""

    __slots__ = ("_capture", "head", "more", "pieces")

    def __init__(self, op: Operation) -> None:
        self.head: Json = {}
        self.pieces = TextBuffer(op)
        self._capture = op.capture
        self.more: dict[str, list[Any]] = {}

    def add(self, delta: Json) -> bool:
        """Takes one delta; whether it held anything generated."""
        generated = False
        for name, value in delta.items():
            words = value if name == "text" else self._take(name, as_dict(value) or value)
            if type(words) is str:
                self.pieces.add(words)
            generated = generated or bool(words) or name in _GENERATED
        return generated

    def _take(self, name: str, value: Any) -> str | None:
        """The text of a thought or of a tool's input; all else is kept until the end."""
        kept = self.more.setdefault(name, [])
        if name in _PIECE_OF:
            return get_str(as_dict(value), _PIECE_OF[name])
        if self._capture and len(kept) < _MOST:
            kept.extend(value if type(value) is list else [value])
        return None

    def text(self) -> Json:
        """The block as a whole reply has it."""
        words = self.pieces.text()
        for name, make in _WHOLE.items():
            if name in self.head or name in self.more:
                return make(get_dict(self.head, name), self.more.get(name, []), words)
        return {**self.head, **self.more} or {"text": words}


def _whole_call(head: Json, _more: list[Any], words: str) -> Json:
    return {"toolUse": {**head, "input": parse_json(words) if words else {}}}


def _whole_result(head: Json, more: list[Any], _words: str) -> Json:
    """A tool's answer, its texts in one."""
    pieces = [as_dict(each) for each in more]
    said = "".join(get_str(piece, "text") or "" for piece in pieces)
    rest = [piece for piece in pieces if "text" not in piece]
    return {"toolResult": {**head, "content": [{"text": said}, *rest] if said else rest}}


def _whole_image(head: Json, more: list[Any], _words: str) -> Json:
    sources = (get_dict(piece, "source").get("bytes") for piece in more)
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
