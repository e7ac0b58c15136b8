"""Amazon Bedrock: Converse and its stream, agents; InvokeModel is in `bedrock_invoke_wire`.

Written after docs.aws.amazon.com: the API reference of Bedrock Runtime and Agents Runtime,
and "Event stream encoding". The scenario is the model's id, for agents the agent's id.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zlib import crc32

from tests.provider import anthropic_wire
from tests.provider.wire import Ask, Endpoint, Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Piece, Reply, Scenario, Usage

FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}
"""Why a reply ended, as Converse says it."""
ERRORS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    500: "InternalServerException",
}
EVENT_STREAM = "application/vnd.amazon.eventstream"
EVERYTHING = frozenset({"text", "reasoning", "refusal", "call", "arguments"})


# ------------------------------------------------------------------------------------ requests


def asks(endpoint: str) -> Callable[[Request, re.Match[str]], Ask]:
    def ask(request: Request, match: re.Match[str]) -> Ask:
        body: Json = request.json if isinstance(request.json, dict) else {}
        return Ask(
            model=unquote(match["model"]),
            endpoint=endpoint,
            stream=match.groupdict().get("stream") is not None or endpoint == "agent",
            include_usage=True,
            prompt=_last_words(body),
            tools_done="toolResult" in str(body.get("messages")),
            body=body,
        )

    return ask


def _last_words(body: Json) -> str:
    turns = body.get("messages") or [{}]
    content = turns[-1].get("content") or body.get("prompt") or ""
    if isinstance(content, list):
        return " ".join(str(block.get("text") or "") for block in content)
    return str(content)


def error(failure: Failure, ask: Ask) -> Json:
    kind = ERRORS.get(failure.status, "InternalServerException")
    return {"__type": kind, "message": failure.told(ask.prompt, ask.key)}


# ------------------------------------------------------------------------------------- framing


def _header(name: str, value: str) -> bytes:
    key, word = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", 7, len(word)) + word


def encode(frame: Frame) -> bytes:
    """A frame as a message of the event stream encoding."""
    kind = "exception" if frame.event.endswith("Exception") else "event"
    headers = b"".join(
        _header(f":{name}", value)
        for name, value in {
            f"{kind}-type": frame.event,
            "content-type": "application/json",
            "message-type": kind,
        }.items()
    )
    payload = to_json(frame.data)
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def error_frame(asks: Ask, _scenario: Scenario, _sequence: int) -> Frame:
    told = {"message": "The system encountered an unexpected error.", "error": True}
    return Frame(told, event="internalServerException", handed=False)


# ------------------------------------------------------------------------------------ Converse


def spell_usage(usage: Usage) -> Json:
    read, written = usage.cached or 0, usage.cache_written or 0
    return {
        "inputTokens": usage.input - read - written,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


def _blocks(reply: Reply) -> list[Json]:
    blocks: list[Json] = []
    if reply.reasoning:
        thought = {"text": reply.reasoning, "signature": anthropic_wire.SIGNATURE}
        blocks.append({"reasoningContent": {"reasoningText": thought}})
    if reply.text or reply.refusal or not reply.calls:
        blocks.append({"text": reply.text + reply.refusal})
    for call in reply.calls:
        made = json.loads(call.arguments)
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": made}})
    return blocks


def finish(reason: str) -> str:
    return FINISH.get(reason, reason)


def converse(_: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body: Json = {
        "output": {"message": {"role": "assistant", "content": _blocks(reply)}},
        "stopReason": finish(reply.finish),
        "usage": spell_usage(scenario.usage),
        "metrics": {"latencyMs": 7},
    }
    if scenario.report == "never":
        del body["usage"]
    elif scenario.report == "null":
        body["usage"] = None
    if scenario.flavour == "null-choices":
        body |= {"output": None, "stopReason": None}
    elif scenario.flavour == "null-message":
        body["output"]["message"]["content"] = None
    elif scenario.flavour == "future":
        body["output"]["message"]["content"].append(_UNKNOWN)
        body["hologram"] = {"depth": 3}
    return body


_UNKNOWN = {"quantum": {"qubits": [0, 1]}}


class _Events:
    """Spells one stream: text and thoughts open unannounced, a tool's use with its name."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, int], int] = {}

    def piece(self, piece: Piece) -> Iterator[Frame]:
        kind = "call" if piece.kind == "arguments" else piece.kind
        key = ("text" if kind == "refusal" else kind, piece.slot)
        others = sum(kind != "call" for kind, _ in self._blocks)
        index = self._blocks.setdefault(key, others + piece.slot)
        if piece.call is not None:
            opened = {"toolUse": {"toolUseId": piece.call.id, "name": piece.call.name}}
            yield Frame(
                {"contentBlockIndex": index, "start": opened}, "contentBlockStart", piece=piece
            )
        else:
            told = {"contentBlockIndex": index, "delta": _DELTAS[piece.kind](piece.value)}
            yield Frame(told, "contentBlockDelta", piece=piece)

    def stop(self) -> Iterator[Frame]:
        for index in self._blocks.values():
            yield Frame({"contentBlockIndex": index}, "contentBlockStop")


_DELTAS: dict[str, Callable[[str], Json]] = {
    "text": lambda words: {"text": words},
    "refusal": lambda words: {"text": words},
    "reasoning": lambda words: {"reasoningContent": {"text": words}},
    "arguments": lambda words: {"toolUse": {"input": words}},
}


def converse_frames(_: Ask, scenario: Scenario) -> Iterator[Frame]:
    events, reply = _Events(), scenario.replies[0]
    yield Frame({"role": "assistant"}, "messageStart")
    if scenario.flavour == "future":
        yield Frame({"depth": 3}, "hologram", handed=False)
    if scenario.flavour == "null-delta":
        yield Frame({"contentBlockIndex": 0, "delta": None}, "contentBlockDelta")
    for piece in scenario.pieces():
        if piece.choice == 0:
            yield from events.piece(piece)
    yield from events.stop()
    told_why = {"stopReason": finish(reply.finish)}
    yield Frame(told_why, "messageStop", finish=(0, reply.finish))
    told: Json = {"metrics": {"latencyMs": 7}}
    usage = None if scenario.report in {"never", "null"} else scenario.usage
    if usage is not None:
        told["usage"] = spell_usage(usage)
    yield Frame(told, "metadata", usage=usage)


# -------------------------------------------------------------------------------------- agents


def _agent_frames(_: Ask, scenario: Scenario) -> Iterator[Frame]:
    usage = {"inputTokens": scenario.usage.input, "outputTokens": scenario.usage.output}
    used: Any = {"modelInvocationOutput": {"metadata": {"usage": usage}}}
    told = {"agentId": "A", "trace": {"orchestrationTrace": used}}
    yield Frame(told, "trace", usage=scenario.usage.plain())
    for piece in scenario.pieces():
        if piece.kind == "text":
            coded = base64.b64encode(piece.value.encode()).decode()
            yield Frame({"bytes": coded}, "chunk", piece=piece)


ENDPOINTS = (
    Endpoint(
        name="converse",
        path=re.compile(r"/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?"),
        ask=asks("converse"),
        error=error,
        whole=converse,
        frames=converse_frames,
        error_frame=error_frame,
        tells=EVERYTHING,
        says_why=True,
        reasons=finish,
        messages=True,
        encode=encode,
        stream_type=EVENT_STREAM,
    ),
    Endpoint(
        name="agent",
        path=re.compile(r"/agents/(?P<model>[^/]+)/agentAliases/[^/]+/sessions/[^/]+/text"),
        ask=asks("agent"),
        error=error,
        whole=converse,
        frames=_agent_frames,
        error_frame=error_frame,
        tells=frozenset({"text"}),
        encode=encode,
        stream_type=EVENT_STREAM,
    ),
)
