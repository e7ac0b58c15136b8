"""Mistral's API under `/mistral`: OpenAI's shapes, with usage in each stream and whole tool calls.

Written after docs.mistral.ai/api. `reasoning` models answer with content in pieces, of which those
that think have a list of their own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider.openai_wire.common import CREATED, asks
from tests.provider.openai_wire.texts import inputs, vector
from tests.provider.scenario import with_whole_calls
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Piece, Reply, Scenario, ToolCall

DIMENSIONS = 1024
_FINISH = {"content_filter": "error"}
_CATEGORIES = ("sexual", "hate_and_discrimination", "violence_and_threats", "pii")


def finish(reason: str) -> str:
    """Why a reply ended, as this API says it."""
    return _FINISH.get(reason, reason)


def identity(ask: Ask, scenario: Scenario) -> tuple[str | None, str | None]:
    return f"cmpl-{ask.model}", scenario.model or f"{ask.model}-2411"


def _ask(request: Request, match: re.Match[str]) -> Ask:
    """The scenario is the model, or the agent."""
    told = asks("mistral")(request, match)
    return replace(told, model=str(told.body.get("agent_id") or told.model))


def _usage(scenario: Scenario) -> Json:
    usage = scenario.usage
    told = {"prompt_tokens": usage.input, "completion_tokens": usage.output}
    return {**told, "total_tokens": usage.input + usage.output}


def _head(ask: Ask, scenario: Scenario, kind: str, choices: list[Json]) -> Json:
    response_id, model = identity(ask, scenario)
    told = {"id": response_id, "object": kind, "model": model, "created": CREATED}
    return {**told, "choices": choices}


def _call(index: int, call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "index": index, "function": function}


def _thinking(words: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": words}]}


def _message(reply: Reply) -> Json:
    content: Any = reply.text
    if reply.reasoning:
        content = [_thinking(reply.reasoning), {"type": "text", "text": reply.text}]
    calls = [_call(index, call) for index, call in enumerate(reply.calls)]
    message: Json = {"role": "assistant", "content": content, "tool_calls": calls or None}
    return message


def _whole(ask: Ask, scenario: Scenario) -> Json:
    choices = [
        {"index": index, "message": _message(reply), "finish_reason": finish(reply.finish)}
        for index, reply in enumerate(scenario.replies)
    ]
    body = _head(ask, scenario, "chat.completion", choices)
    body["usage"] = _usage(scenario)
    return {**body, "hologram": {"depth": 3}} if scenario.flavour == "future" else body


def _said(piece: Piece) -> Json:
    if piece.call:
        return {"tool_calls": [_call(piece.slot, piece.call)]}
    return {"content": [_thinking(piece.value)] if piece.kind == "reasoning" else piece.value}


def _frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    def frame(index: int, delta: Json, reason: str | None = None, **facts: Any) -> Frame:
        choice = {"index": index, "delta": delta, "finish_reason": reason and finish(reason)}
        body = _head(ask, scenario, "chat.completion.chunk", [choice])
        if "usage" in facts:
            body["usage"] = _usage(scenario)
        return Frame(body, finish=(index, reason) if reason else None, **facts)

    yield frame(0, {"role": "assistant", "content": ""})
    for piece in with_whole_calls(scenario.pieces()):
        if piece.kind != "refusal":
            yield frame(piece.choice, _said(piece), piece=piece)
    for index, reply in enumerate(scenario.replies):
        last = index == len(scenario.replies) - 1 and scenario.report != "never"
        told = {"usage": scenario.usage.plain()} if last else {}
        yield frame(index, {"content": ""}, reply.finish, **told)


def _embeddings(ask: Ask, scenario: Scenario) -> Json:
    response_id, model = identity(ask, scenario)
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text, DIMENSIONS)}
        for index, text in enumerate(inputs(ask.body.get("input", "")))
    ]
    told = {"id": response_id, "object": "list", "model": model, "data": data}
    sent = scenario.usage.input
    usage = {"prompt_tokens": sent, "completion_tokens": 0, "total_tokens": sent}
    return {**told, "usage": usage}


def _moderations(ask: Ask, scenario: Scenario) -> Json:
    response_id, model = identity(ask, scenario)
    flagged = scenario.flavour == "filtered"
    result = {
        "categories": {name: flagged and name == _CATEGORIES[2] for name in _CATEGORIES},
        "category_scores": {
            name: 0.93 if flagged and name == _CATEGORIES[2] else 0.0001 for name in _CATEGORIES
        },
    }
    return {"id": response_id, "model": model, "results": [result]}


def _error(failure: Failure, ask: Ask) -> Json:
    told = {"object": "error", "message": failure.told(ask.prompt, ask.key)}
    return {**told, "type": failure.type, "param": None, "code": failure.code}


_CHAT = Endpoint(
    name="mistral",
    path=re.compile("/mistral/v1/(?:chat|agents|fim)/completions"),
    ask=_ask,
    error=_error,
    whole=_whole,
    frames=_frames,
    identity=identity,
    counts="plain",
    tells=frozenset({"text", "reasoning", "call", "arguments"}),
    many_choices=True,
    says_why=True,
    reasons=finish,
    end=b"data: [DONE]\n\n",
)
_PLAIN = replace(_CHAT, frames=None, counts="input", tells=frozenset(), says_why=False)
ENDPOINTS = (
    _CHAT,
    replace(
        _PLAIN, name="mistral-embed", path=re.compile("/mistral/v1/embeddings"), whole=_embeddings
    ),
    replace(
        _PLAIN,
        name="mistral-moderations",
        path=re.compile("/mistral/v1/(?:chat/)?moderations"),
        whole=_moderations,
        counts="none",
    ),
)
