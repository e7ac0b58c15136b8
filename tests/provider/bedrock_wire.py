"""Amazon Bedrock: Converse and its stream, InvokeModel in each model family's words, agents.

Written after docs.aws.amazon.com: the API reference of Bedrock Runtime and Agents Runtime,
"Inference request parameters and response fields", and "Event stream encoding". The scenario is the
model's id, for InvokeModel behind its family (``meta.ok``), for agents the agent's id.
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
from tests.provider.openai_wire import chat
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


# ------------------------------------------------------------------------------------ requests


def _ask(endpoint: str) -> Callable[[Request, re.Match[str]], Ask]:
    def ask(request: Request, match: re.Match[str]) -> Ask:
        family, _, model = unquote(match["model"]).rpartition(".")
        body: Json = request.json if isinstance(request.json, dict) else {}
        return Ask(
            model=model,
            endpoint=endpoint,
            stream=match.groupdict().get("stream") is not None or endpoint == "agent",
            include_usage=True,
            prompt=_last_words(body),
            tools_done="toolResult" in str(body.get("messages")),
            body={**body, "family": family},
        )

    return ask


def _last_words(body: Json) -> str:
    turns = body.get("messages") or [{}]
    content = turns[-1].get("content") or body.get("prompt") or ""
    if isinstance(content, list):
        return " ".join(str(block.get("text") or "") for block in content)
    return str(content)


def _error(failure: Failure, ask: Ask) -> Json:
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


def _error_frame(_ask: Ask, _scenario: Scenario, _sequence: int) -> Frame:
    told = {"message": "The system encountered an unexpected error.", "error": True}
    return Frame(told, event="internalServerException")


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


def _converse(_: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body: Json = {
        "output": {"message": {"role": "assistant", "content": _blocks(reply)}},
        "stopReason": FINISH.get(reply.finish, reply.finish),
        "usage": spell_usage(scenario.usage),
        "metrics": {"latencyMs": 7},
    }
    if scenario.report in {"never", "null"}:
        del body["usage"]
    return body


class _Events:
    """Spells one stream: text and thoughts open unannounced, a tool's use with its name."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, int], int] = {}

    def piece(self, piece: Piece) -> Iterator[Frame]:
        kind = "call" if piece.kind == "arguments" else piece.kind
        key = ("text" if kind == "refusal" else kind, piece.slot)
        index = self._blocks.setdefault(key, len(self._blocks))
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


def _converse_frames(_: Ask, scenario: Scenario) -> Iterator[Frame]:
    events, reply = _Events(), scenario.replies[0]
    yield Frame({"role": "assistant"}, "messageStart")
    for piece in scenario.pieces():
        if piece.choice == 0:
            yield from events.piece(piece)
    yield from events.stop()
    reason = FINISH.get(reply.finish, reply.finish)
    yield Frame({"stopReason": reason}, "messageStop", finish=(0, reply.finish))
    told: Json = {"metrics": {"latencyMs": 7}}
    usage = None if scenario.report in {"never", "null"} else scenario.usage
    if usage is not None:
        told["usage"] = spell_usage(usage)
    yield Frame(told, "metadata", usage=usage)


# --------------------------------------------------------------------------------- InvokeModel


def _titan(words: str, finish: str, usage: Usage) -> Json:
    result = {"tokenCount": usage.output, "outputText": words, "completionReason": finish}
    return {"inputTextTokenCount": usage.input, "results": [result]}


def _llama(words: str, finish: str, usage: Usage) -> Json:
    return {
        "generation": words,
        "prompt_token_count": usage.input,
        "generation_token_count": usage.output,
        "stop_reason": finish,
    }


_WHOLE: dict[str, Callable[[str, str, Usage], Json]] = {
    "amazon.titan": _titan,
    "meta": _llama,
    "mistral": lambda words, finish, _: {"outputs": [{"text": words, "stop_reason": finish}]},
    "cohere": lambda words, finish, _: {
        "generation_id": "g",
        "text": words,
        "finish_reason": finish,
    },
    "deepseek": lambda words, finish, _: {"choices": [{"text": words, "stop_reason": finish}]},
}
"""Families that say one text -> their reply; of the others' shapes, see ``_invoke``."""


def _invoke(ask: Ask, scenario: Scenario) -> Json:
    family, reply = ask.body["family"], scenario.replies[0]
    if family == "anthropic":
        return anthropic_wire.whole(ask, scenario)
    if family == "amazon.nova":
        return _converse(ask, scenario)
    if family == "ai21":
        return chat.whole(Ask(ask.model, "chat"), scenario)
    if family == "amazon.titan-embed":
        return {"embedding": [0.5] * 256, "inputTextTokenCount": scenario.usage.input}
    return _WHOLE[family](reply.text, reply.finish, scenario.usage)


def _invoke_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    frames = list(_family_frames(ask, scenario))
    read, written = scenario.usage.cached or 0, scenario.usage.cache_written or 0
    metrics = {
        "inputTokenCount": scenario.usage.input - read - written,
        "outputTokenCount": scenario.usage.output,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokenCount": written,
        "invocationLatency": 7,
    }
    for at, frame in enumerate(frames):
        last = at == len(frames) - 1
        data = {**frame.data, **({"amazon-bedrock-invocationMetrics": metrics} if last else {})}
        coded = base64.b64encode(to_json(data)).decode()
        usage = scenario.usage if last else frame.usage
        yield Frame({"bytes": coded}, "chunk", frame.piece, usage, frame.finish)


def _family_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    family = ask.body["family"]
    if family == "anthropic":
        yield from anthropic_wire.frames(ask, scenario)
    elif family == "amazon.nova":
        for frame in _converse_frames(ask, scenario):
            yield Frame({frame.event: frame.data}, "", frame.piece, frame.usage, frame.finish)
    elif family == "ai21":
        yield from chat.frames(Ask(ask.model, "chat"), scenario)
    else:
        yield from _text_frames(family, scenario)


def _text_frames(family: str, scenario: Scenario) -> Iterator[Frame]:
    for piece in scenario.pieces():
        data = _WHOLE[family](piece.value, "", scenario.usage)
        yield Frame(_chunk(data, None), piece=piece)
    reason = scenario.replies[0].finish
    yield Frame(_chunk(_WHOLE[family]("", reason, scenario.usage), reason), finish=(0, reason))


def _chunk(data: Json, reason: str | None) -> Json:
    """A whole reply as a chunk has it: Titan's is flat, and nobody has ended before the end."""
    if "results" in data:
        words = data["results"][0]["outputText"]
        return {"outputText": words, "index": 0, "completionReason": reason}
    inner = next((value[0] for value in data.values() if isinstance(value, list)), data)
    for key in ("stop_reason", "finish_reason"):
        if key in inner:
            inner[key] = reason
    return data


# -------------------------------------------------------------------------------------- agents


def _agent_frames(_: Ask, scenario: Scenario) -> Iterator[Frame]:
    usage = {"inputTokens": scenario.usage.input, "outputTokens": scenario.usage.output}
    used: Any = {"modelInvocationOutput": {"metadata": {"usage": usage}}}
    yield Frame({"agentId": "A", "trace": {"orchestrationTrace": used}}, "trace")
    for piece in scenario.pieces():
        if piece.kind == "text":
            coded = base64.b64encode(piece.value.encode()).decode()
            yield Frame({"bytes": coded}, "chunk", piece=piece)


ENDPOINTS = (
    Endpoint(
        name="converse",
        path=re.compile(r"/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?"),
        ask=_ask("converse"),
        error=_error,
        whole=_converse,
        frames=_converse_frames,
        error_frame=_error_frame,
        tells=frozenset({"text", "reasoning", "refusal", "call", "arguments"}),
        says_why=True,
        encode=encode,
        stream_type=EVENT_STREAM,
    ),
    Endpoint(
        name="invoke",
        path=re.compile(r"/model/(?P<model>[^/]+)/invoke(?P<stream>-with-response-stream)?"),
        ask=_ask("invoke"),
        error=_error,
        whole=_invoke,
        frames=_invoke_frames,
        error_frame=_error_frame,
        tells=frozenset({"text", "reasoning", "refusal", "call", "arguments"}),
        says_why=True,
        encode=encode,
        stream_type=EVENT_STREAM,
    ),
    Endpoint(
        name="agent",
        path=re.compile(r"/agents/(?P<model>[^/]+)/agentAliases/[^/]+/sessions/[^/]+/text"),
        ask=_ask("agent"),
        error=_error,
        whole=_converse,
        frames=_agent_frames,
        error_frame=_error_frame,
        tells=frozenset({"text"}),
        encode=encode,
        stream_type=EVENT_STREAM,
    ),
)
