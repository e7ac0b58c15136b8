"""Ollama's API: one JSON object a line.

Written after docs.ollama.com/api: "Generate a chat completion", "Generate a completion",
"Generate embeddings", "Errors".
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.provider.openai_wire.common import asks
from tests.provider.openai_wire.texts import inputs, vector
from tests.provider.scenario import with_whole_calls
from tests.provider.wire import Ask, Endpoint, Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.scenario import Failure, Piece, Reply, Scenario, ToolCall

CREATED = "2026-11-01T09:00:00.000000Z"
TOTAL_SECONDS = 1.25
DIMENSIONS = 384
_FINISH = {"tool_calls": "stop", "content_filter": "stop"}


def finish(reason: str) -> str:
    """Why a reply ended, as this API says it."""
    return _FINISH.get(reason, reason)


def identity(ask: Ask, scenario: Scenario) -> tuple[str | None, str | None]:
    return None, scenario.model or ask.model


def _head(ask: Ask, scenario: Scenario) -> Json:
    return {"model": identity(ask, scenario)[1], "created_at": CREATED}


def _end(scenario: Scenario) -> Json:
    told: Json = {
        "done": True,
        "done_reason": finish(scenario.replies[0].finish),
        "total_duration": int(TOTAL_SECONDS * 1e9),
        "load_duration": 1_000_000,
    }
    if scenario.report in {"never", "null"}:
        return told
    counts = {"prompt_eval_count": scenario.usage.input, "eval_count": scenario.usage.output}
    return {**told, **counts}


def _call(call: ToolCall) -> Json:
    return {"function": {"name": call.name, "arguments": json.loads(call.arguments)}}


def _message(reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["thinking"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    return message


def _whole_chat(ask: Ask, scenario: Scenario) -> Json:
    body = {**_head(ask, scenario), "message": _message(scenario.replies[0]), **_end(scenario)}
    return {**body, "hologram": {"depth": 3}} if scenario.flavour == "future" else body


def _whole_generation(ask: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body = {**_head(ask, scenario), "response": reply.text, **_end(scenario)}
    return {**body, "thinking": reply.reasoning} if reply.reasoning else body


# -------------------------------------------------------------------------------------- streaming


def _said(piece: Piece) -> Json:
    if piece.call:
        return {"content": "", "tool_calls": [_call(piece.call)]}
    if piece.kind == "reasoning":
        return {"content": "", "thinking": piece.value}
    return {"content": piece.value}


def _chat_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    for piece in with_whole_calls(scenario.pieces()):
        if piece.choice == 0 and piece.kind != "refusal":
            message = {"role": "assistant", **_said(piece)}
            yield Frame({**_head(ask, scenario), "message": message, "done": False}, piece=piece)
    message = {"role": "assistant", "content": ""}
    yield _last_frame({**_head(ask, scenario), "message": message}, scenario)


def _generation_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    for piece in scenario.pieces():
        if piece.choice == 0 and piece.kind in {"text", "reasoning"}:
            said = {"response": ""} if piece.kind == "reasoning" else {"response": piece.value}
            thought = {"thinking": piece.value} if piece.kind == "reasoning" else {}
            body = {**_head(ask, scenario), **said, **thought, "done": False}
            yield Frame(body, piece=piece)
    yield _last_frame({**_head(ask, scenario), "response": ""}, scenario)


def _last_frame(body: Json, scenario: Scenario) -> Frame:
    usage = None if scenario.report in {"never", "null"} else scenario.usage.plain()
    reason = scenario.replies[0].finish
    return Frame({**body, **_end(scenario)}, usage=usage, finish=(0, reason))


def _line(frame: Frame) -> bytes:
    return to_json(frame.data) + b"\n"


# -------------------------------------------------------------------------- embeddings and errors


def _embeddings(ask: Ask, scenario: Scenario) -> Json:
    vectors = [vector(text, DIMENSIONS) for text in inputs(ask.body.get("input", ""))]
    end = {"total_duration": int(TOTAL_SECONDS * 1e9), "prompt_eval_count": scenario.usage.input}
    return {"model": identity(ask, scenario)[1], "embeddings": vectors, **end}


def error(failure: Failure, ask: Ask) -> Json:
    return {"error": failure.told(ask.prompt, ask.key)}


def _error_frame(_ask: Ask, _scenario: Scenario, _sequence: int) -> Frame:
    return Frame({"error": "an error was encountered while running the model"}, handed=False)


_CHAT = Endpoint(
    name="ollama-chat",
    path=re.compile("/api/chat"),
    ask=asks("ollama-chat"),
    error=error,
    whole=_whole_chat,
    frames=_chat_frames,
    error_frame=_error_frame,
    identity=identity,
    counts="plain",
    tells=frozenset({"text", "reasoning", "call", "arguments"}),
    says_why=True,
    reasons=finish,
    encode=_line,
    stream_type="application/x-ndjson",
)
ENDPOINTS = (
    _CHAT,
    replace(
        _CHAT,
        name="ollama-generate",
        path=re.compile("/api/generate"),
        whole=_whole_generation,
        frames=_generation_frames,
        tells=frozenset({"text", "reasoning"}),
    ),
    replace(
        _CHAT,
        name="ollama-embed",
        path=re.compile("/api/embed"),
        whole=_embeddings,
        frames=None,
        counts="input",
        tells=frozenset(),
        says_why=False,
    ),
)
