"""The wire shapes of Bedrock's Converse API, which Nova's own bodies speak too.

Read from docs.aws.amazon.com/bedrock/latest/APIReference: Converse, ConverseStream, ContentBlock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.read import Json, fields, integer, mapping, mappings, parsed, pick, string
from genai_otel.record import (
    Message,
    Pieces,
    media,
    media_bytes,
    reasoning,
    text,
    tool_call,
    tool_result,
)
from genai_otel.record.usage import BEDROCK_CONVERSE, read_usage

from . import _charges as charges

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part

_PARAMS = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
}
_MEDIA = {"image": "image", "document": "document", "video": "video", "audio": "audio"}


def ask(params: Json, op: Operation) -> None:
    more = mapping(params, "additionalModelRequestFields")
    op.params = {
        **pick(more, {"top_k": "top_k"}),
        **pick(mapping(params, "inferenceConfig"), _PARAMS),
    }


def content(params: Json, op: Operation) -> None:
    op.system = _parts(params, "system") or None
    op.input = [_turn(message) for message in mappings(params, "messages")]
    if "toolConfig" in params:
        tools = mappings(mapping(params, "toolConfig"), "tools")
        op.tools = [_definition(mapping(tool, "toolSpec")) for tool in tools if "toolSpec" in tool]


def _definition(tool: Json) -> Json:
    told = {
        "type": "function",
        "name": string(tool, "name") or "",
        "description": string(tool, "description"),
        "parameters": mapping(tool, "inputSchema").get("json"),
    }
    return {key: value for key, value in told.items() if value is not None}


def _turn(message: Json) -> Message:
    """One message; what answers tools is the tools' turn, whoever the API makes say it."""
    parts = _parts(message, "content")
    answers = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answers else string(message, "role") or "user", "parts": parts}


def _parts(source: Json, key: str) -> list[Part]:
    """Of each block what it holds; a cache point holds nothing."""
    return [_part(block) for block in mappings(source, key) if "cachePoint" not in block]


def _part(block: Json) -> Part:
    words = string(block, "text") or string(mapping(mapping(block, "guardContent"), "text"), "text")
    if words is not None:
        return text(words)
    called, result = mapping(block, "toolUse"), mapping(block, "toolResult")
    if called:
        name = string(called, "name") or ""
        return tool_call(string(called, "toolUseId"), name, called.get("input"))
    if result:
        return tool_result(string(result, "toolUseId"), _plain(mappings(result, "content")))
    if "reasoningContent" in block:
        thought = mapping(mapping(block, "reasoningContent"), "reasoningText")
        return reasoning(string(thought, "text") or "")
    cited = mappings(mapping(block, "citationsContent"), "content")
    if cited:
        return text("".join(string(piece, "text") or "" for piece in cited))
    kind = next(iter(block), "")
    return _media(mapping(block, kind), kind)


def _media(block: Json, kind: str) -> Part:
    source, form = mapping(block, "source"), string(block, "format")
    modality, data = _MEDIA.get(kind, kind), source.get("bytes")
    if type(data) is bytes:
        return media_bytes(modality, data, f"{modality}/{form}" if form else None)
    address = string(mapping(source, "s3Location"), "uri")
    if address is not None:
        return media(modality, address)
    return {"type": "media", "modality": modality}


def _plain(blocks: list[Json]) -> Any:
    """A tool's answer: its JSON, or its text, or what it is where it is neither."""
    if len(blocks) == 1 and "json" in blocks[0]:
        return blocks[0]["json"]
    if all(type(block.get("text")) is str for block in blocks):
        return "".join(block["text"] for block in blocks)
    return [block["json"] if "json" in block else _part(block) for block in blocks]


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
        turn: Message = {"role": role, "parts": _parts(message, "content")}
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [turn]


class Events(Accumulator):
    """Folds events into the shape of the whole reply, which ``answer`` reads."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._blocks: dict[int, tuple[Json, Pieces]] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        told = event["contentBlockDelta"]
        words = told["delta"]["text"]
        if type(words) is not str:
            return None
        self._blocks[told["contentBlockIndex"]][1].add(words)
        return bool(words)

    def add(self, event: Any) -> bool:
        event = fields(event)
        if "contentBlockStart" in event:
            told = mapping(event, "contentBlockStart")
            opened = mapping(told, "start")
            self._block(told, {"toolUse": opened.get("toolUse")} if "toolUse" in opened else {})
            return "toolUse" in opened
        if "contentBlockDelta" in event:
            return self._piece(mapping(event, "contentBlockDelta"))
        if "messageStop" in event:
            self._reply["stopReason"] = mapping(event, "messageStop").get("stopReason")
        self._reply.update(mapping(event, "metadata"))
        return False

    def _block(self, told: Json, kind: Json) -> Pieces:
        """The pieces of the block that ``told`` speaks of; text and thoughts open unannounced."""
        index = integer(told, "contentBlockIndex") or 0
        if index not in self._blocks:
            self._blocks[index] = (kind, Pieces(self._op))
        return self._blocks[index][1]

    def _piece(self, told: Json) -> bool:
        delta = mapping(told, "delta")
        thought = string(mapping(delta, "reasoningContent"), "text")
        words = string(delta, "text") or thought or string(mapping(delta, "toolUse"), "input")
        pieces = self._block(told, {} if thought is None else {"reasoningContent": {}})
        if words:
            pieces.add(words)
        return bool(words)

    def close(self) -> None:
        blocks = [
            _whole(kind, pieces.whole()) for _, (kind, pieces) in sorted(self._blocks.items())
        ]
        message = {"role": "assistant", "content": blocks}
        answer({**self._reply, "output": {"message": message}}, self._op)


def _whole(kind: Json, given: str) -> Json:
    if "toolUse" in kind:
        return {"toolUse": {**mapping(kind, "toolUse"), "input": parsed(given) if given else {}}}
    if "reasoningContent" in kind:
        return {"reasoningContent": {"reasoningText": {"text": given}}}
    return {"text": given}
