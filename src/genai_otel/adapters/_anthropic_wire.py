"""The wire shapes of the Anthropic Messages API, which Bedrock's bodies and others speak too.

Read from docs.claude.com/en/api/messages and .../build-with-claude/streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.read import Json, fields, integer, mapping, mappings, parsed, pick, string
from genai_otel.record import (
    Message,
    Pieces,
    media,
    media_id,
    reasoning,
    text,
    tool_call,
    tool_result,
)
from genai_otel.record.usage import ANTHROPIC, read_usage

from . import _charges as charges
from ._said import refused

if TYPE_CHECKING:
    from genai_otel.record import Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
}
_MODALITIES = {"image": "image", "document": "document", "container_upload": "document"}


# ------------------------------------------------------------------------------- the request


def model(body: Json) -> str | None:
    """The model asked for."""
    return string(body, "model")


def ask(body: Json, op: Operation) -> None:
    op.params = pick(body, _PARAMS)
    form = mapping(body, "output_config")
    effort = string(form, "effort")
    if effort is not None:
        op.params = {**op.params, "reasoning_level": effort}
    if form.get("format") or body.get("output_format"):  # the client's "not given" is false
        op.output_type = "json"
    charges.messages_request(body, op)


def content(body: Json, op: Operation) -> None:
    told = body.get("system")
    if type(told) is str:
        op.system = [text(told)]
    elif type(told) is list:
        op.system = _parts(body, "system")
    op.input = [_turn(message) for message in mappings(body, "messages")]
    if type(body.get("tools")) is list:
        op.tools = [_definition(tool) for tool in mappings(body, "tools")]


def _turn(message: Json) -> Message:
    """One message; what answers tools is the tools' turn, whoever the API makes say it."""
    role = string(message, "role") or "user"
    said = message.get("content")
    if type(said) is str:
        return {"role": role, "parts": [text(said)]}
    parts = _parts(message, "content")
    answers = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answers else role, "parts": parts}


def _definition(tool: Json) -> Json:
    """A tool of the caller's, or one that the provider runs, which has a type and few words."""
    told = {
        "type": "function",
        "name": string(tool, "name") or string(tool, "type") or "",
        "description": string(tool, "description"),
        "parameters": tool.get("input_schema"),
    }
    return {key: value for key, value in told.items() if value is not None}


def _parts(source: Json, key: str) -> list[Part]:
    return [_part(block) for block in mappings(source, key)]


def _part(block: Json) -> Part:
    kind = string(block, "type") or ""
    if kind == "text":
        return text(string(block, "text") or "")
    if kind == "thinking":
        return reasoning(string(block, "thinking") or "")
    if kind.endswith("tool_use"):
        called = block.get("input")
        return tool_call(string(block, "id"), string(block, "name") or "", called)
    if kind.endswith("tool_result"):
        return tool_result(string(block, "tool_use_id"), _plain(block.get("content")))
    return _media(block, kind)


def _media(block: Json, kind: str) -> Part:
    """An image or a document by its source; of redacted thinking and the unknown, their kind."""
    source = mapping(block, "source")
    modality = _MODALITIES.get(kind, kind)
    file_id = string(source, "file_id") or string(block, "file_id")
    if file_id is not None:
        return media_id(modality, file_id)
    given = string(source, "data") or string(source, "url")
    if given is None:
        return {"type": "media", "modality": modality}
    if string(source, "type") == "text":
        return text(given)
    return media(modality, given, string(source, "media_type"))


def _plain(answer: Any) -> Any:
    """A tool's answer: text, or its blocks' texts, or what only the provider's tools have."""
    if type(answer) is not list:
        return fields(answer) or answer
    blocks = [fields(block) for block in answer]
    if all(string(block, "type") == "text" for block in blocks):
        return "".join(string(block, "text") or "" for block in blocks)
    return [_part(block) for block in blocks]


# --------------------------------------------------------------------------------- the reply


def answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    op.response_id = string(reply, "id")
    op.response_model = string(reply, "model")
    reason = string(reply, "stop_reason")
    op.finish_reasons = [] if reason is None else [reason]
    usage = mapping(reply, "usage")
    read_usage(usage, op.usage, ANTHROPIC)
    charges.message(reply, op)
    if string(reply, "type") == "error":
        refused(mapping(reply, "error"), op)
    fast = string(usage, "speed") == "fast"  # which has a price of its own
    op.tier = "fast" if fast else string(usage, "service_tier")
    if op.capture:
        turn: Message = {"role": "assistant", "parts": _parts(reply, "content")}
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [turn]


_OUTPUT = ("output_tokens", "output_tokens_details")


class Events(Accumulator):
    """Folds events into the shape of the whole reply, which ``answer`` reads."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._usage: Json = {}
        self._blocks: dict[int, tuple[Json, Pieces]] = {}

    def quick(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        words = event.delta.text
        if type(words) is not str:
            return None
        self._blocks[event.index][1].add(words)
        return bool(words)

    def add(self, event: Any) -> bool:
        event = fields(event)
        kind = string(event, "type")
        if kind == "message_start":
            self._reply = {**mapping(event, "message")}
            begun = mapping(self._reply, "usage")  # of the output a number that means nothing yet
            self._count({key: value for key, value in begun.items() if key not in _OUTPUT})
        elif kind == "content_block_start":
            return self._open(event)
        elif kind == "content_block_delta":
            return self._piece(event)
        elif kind == "message_delta":
            told = mapping(event, "delta")
            self._reply["stop_reason"] = told.get("stop_reason") or self._reply.get("stop_reason")
            self._count(mapping(event, "usage"))
        return False

    def _count(self, usage: Json) -> None:
        """The counters are running totals: a later one replaces the one before."""
        self._usage.update((key, value) for key, value in usage.items() if value is not None)

    def _open(self, event: Json) -> bool:
        block = mapping(event, "content_block")
        self._blocks[integer(event, "index") or 0] = (block, Pieces(self._op))
        return "tool_use" in (string(block, "type") or "")

    def _piece(self, event: Json) -> bool:
        delta = mapping(event, "delta")
        words = string(delta, "text") or string(delta, "thinking") or string(delta, "partial_json")
        _, pieces = self._blocks.get(integer(event, "index") or 0, ({}, None))
        if words and pieces is not None:
            pieces.add(words)
        return bool(words)

    def close(self) -> None:
        blocks = [_whole(block, pieces) for _, (block, pieces) in sorted(self._blocks.items())]
        answer({**self._reply, "usage": self._usage, "content": blocks}, self._op)


_GROWING = {"text": "text", "thinking": "thinking"}


def _whole(block: Json, pieces: Pieces) -> Json:
    """A block as a whole reply has it; a tool's arguments as text where they were cut."""
    given = pieces.whole()
    if not given:
        return block
    kind = string(block, "type") or ""
    if kind in _GROWING:
        key = _GROWING[kind]
        return {**block, key: (string(block, key) or "") + given}
    return {**block, "input": parsed(given)}
