"""The wire shapes of the Anthropic Messages API, which Bedrock's bodies and others speak too.

Read from docs.claude.com/en/api/messages and .../build-with-claude/streaming.
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
)
from genai_otel.record import Message, TextBuffer, text
from genai_otel.record.usage import ANTHROPIC, read_usage

from . import _charges as charges
from ._anthropic_blocks import block_parts
from ._message_builder import read_error

if TYPE_CHECKING:
    from genai_otel.record import Operation

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
}


# ------------------------------------------------------------------------------- the request


def read_model(body: Json) -> str | None:
    """Return the requested model."""
    return get_str(body, "model")


def read_request(body: Json, op: Operation) -> None:
    op.params = pick(body, _PARAMS)
    form = get_dict(body, "output_config")
    effort = get_str(form, "effort")
    if effort is not None:
        op.params = {**op.params, "reasoning_level": effort}
    if form.get("format") or body.get("output_format"):  # the client's "not given" is false
        op.output_type = "json"
    charges.messages_request(body, op)


def read_content(body: Json, op: Operation) -> None:
    told = body.get("system")
    if type(told) is str:
        op.system = [text(told)]
    elif type(told) is list:
        op.system = block_parts(body, "system")
    op.input = [_message(message) for message in get_dicts(body, "messages")]
    if type(body.get("tools")) is list:
        op.tools = [_definition(tool) for tool in get_dicts(body, "tools")]


def _message(message: Json) -> Message:
    """Convert one message; tool results get the role ``tool``, whatever role the API has."""
    role = get_str(message, "role") or "user"
    said = message.get("content")
    if type(said) is str:
        return {"role": role, "parts": [text(said)]}
    parts = block_parts(message, "content")
    answers = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answers else role, "parts": parts}


def _definition(tool: Json) -> Json:
    """Convert a tool of the caller's, or a server tool, which has only a type."""
    kind = get_str(tool, "type") or "custom"
    name = get_str(tool, "name") or get_str(tool, "mcp_server_name") or kind
    if kind != "custom":
        told = {"type": kind, "name": name, **tool, "cache_control": None}
    else:
        told = {
            "type": "function",
            "name": name,
            "description": get_str(tool, "description"),
            "parameters": tool.get("input_schema"),
        }
    return {key: value for key, value in told.items() if value is not None}


# --------------------------------------------------------------------------------- the reply


def read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    op.response_id = get_str(reply, "id")
    op.response_model = get_str(reply, "model")
    reason = get_str(reply, "stop_reason")
    op.finish_reasons = [] if reason is None else [reason]
    usage = get_dict(reply, "usage")
    read_usage(usage, op.usage, ANTHROPIC)
    if usage.get("iterations"):
        charges.iterations(usage, op)
    charges.message(reply, op)
    container = get_str(get_dict(reply, "container"), "id")
    if container is not None:
        op.details = {**(op.details or {}), "container": container}
    if get_str(reply, "type") == "error":
        read_error(get_dict(reply, "error"), op)
    op.region = charges.inference_geo(usage)
    fast = get_str(usage, "speed") == "fast"  # which has a price of its own
    op.tier = "fast" if fast else get_str(usage, "service_tier")
    if op.capture:
        turn: Message = {"role": "assistant", "parts": block_parts(reply, "content")}
        if reason is not None:
            turn["finish_reason"] = reason
        op.output = [turn]


_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_NO_INPUT = (*_INPUT, "cache_creation")
_OUTPUT = ("output_tokens", "output_tokens_details")


class Events(Accumulator):
    """Builds the whole response from events; ``read_response`` reads it."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._reply: Json = {}
        self._usage: Json = {}
        self._blocks: dict[int, tuple[Json, TextBuffer]] = {}

    def add_fast(self, event: Any) -> bool | None:
        """Add a text delta, the most common event; raise for any other, which ``add`` gets then."""
        found = event.__dict__
        words, index = found["delta"].__dict__["text"], found["index"]
        if found["type"] != "content_block_delta" or type(words) is not str or not words:
            return None
        if type(index) is not int:
            return None
        self._blocks[index][1].add(words)
        return True

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind = get_str(event, "type")
        if kind == "message_start":
            self._reply = {**get_dict(event, "message")}
            begun = get_dict(self._reply, "usage")  # of the output a number that means nothing yet
            self._count({key: value for key, value in begun.items() if key not in _OUTPUT})
        elif kind == "content_block_start":
            return self._open(event)
        elif kind == "content_block_delta":
            return self._piece(event)
        elif kind == "message_delta":
            told = get_dict(event, "delta")
            for key in ("stop_reason", "container"):
                self._reply[key] = told.get(key) or self._reply.get(key)
            self._count(get_dict(event, "usage"))
        return False

    def _count(self, usage: Json) -> None:
        """Counters are running totals: a later one replaces the one before.

        No request has an input of nothing: where all of it is 0, the count before is meant.
        """
        if self._usage and not any(map(usage.get, _INPUT)):
            usage = {key: value for key, value in usage.items() if key not in _NO_INPUT}
        self._usage.update((key, value) for key, value in usage.items() if value is not None)

    def _open(self, event: Json) -> bool:
        block = get_dict(event, "content_block")
        self._blocks[get_int(event, "index") or 0] = (block, TextBuffer(self._op))
        return "tool_use" in (get_str(block, "type") or "")

    def _piece(self, event: Json) -> bool:
        delta = get_dict(event, "delta")
        words = next(filter(None, (get_str(delta, key) for key in _PIECES)), None)
        index = get_int(event, "index") or 0
        block, pieces = self._blocks.get(index, ({}, None))
        if words and pieces is not None:
            pieces.add(words)
        elif "citation" in delta and pieces is not None and self._op.capture:
            self._blocks[index] = (_citing(block, delta["citation"]), pieces)
        return bool(words)

    def finish(self) -> None:
        blocks = [_whole(block, pieces) for _, (block, pieces) in sorted(self._blocks.items())]
        read_response({**self._reply, "usage": self._usage, "content": blocks}, self._op)


_PIECES = ("text", "thinking", "partial_json", "content")
_GROWING = {"text": "text", "thinking": "thinking", "compaction": "content"}
# Sources of one text that are kept.
_CITATIONS = 100


def _citing(block: Json, citation: Any) -> Json:
    cited = block.get("citations")
    known = cited if type(cited) is list else []
    return {**block, "citations": [*known, citation][:_CITATIONS]}


def _whole(block: Json, pieces: TextBuffer) -> Json:
    """Return a block as a whole response has it; cut tool arguments stay text."""
    given = pieces.text()
    if not given:
        return block
    kind = get_str(block, "type") or ""
    if kind in _GROWING:
        key = _GROWING[kind]
        return {**block, key: (get_str(block, key) or "") + given}
    return {**block, "input": parse_json(given)}
