"""Cohere's API under `/cohere`: version 2, and chat of version 1.

Written after docs.cohere.com/reference: "Chat", "Chat with Streaming", "Embed", "Rerank" and the
same of version 1.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider.openai_wire.common import asks
from tests.provider.openai_wire.texts import vector
from tests.provider.scenario import with_whole_calls
from tests.provider.wire import Ask, Endpoint, Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.scenario import Failure, Piece, Reply, Scenario, ToolCall

DIMENSIONS = 256
_FINISH = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
    "paused": "PAUSED",
}


def finish(reason: str) -> str:
    """Why a reply ended, as this API says it."""
    return _FINISH[reason]


def old_finish(reason: str) -> str:
    """The same in version 1, where tools are a usual end."""
    return "COMPLETE" if reason == "tool_calls" else _FINISH[reason]


def identity(ask: Ask, _scenario: Scenario) -> tuple[str | None, str | None]:
    return f"reply-{ask.model}", None


def _usage(scenario: Scenario) -> Json:
    counts = {
        "input_tokens": float(scenario.usage.input),
        "output_tokens": float(scenario.usage.output),
    }
    return {"billed_units": counts, "tokens": counts}


def _put_usage(body: Json, scenario: Scenario, key: str) -> Json:
    if scenario.report in {"never", "null"}:
        return body
    return {**body, key: _usage(scenario)}


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _message(reply: Reply) -> Json:
    content = [{"type": "thinking", "thinking": reply.reasoning}] if reply.reasoning else []
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    message: Json = {"role": "assistant", "content": content}
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    return message


def _whole(ask: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body: Json = {"id": identity(ask, scenario)[0], "finish_reason": finish(reply.finish)}
    body = _put_usage({**body, "message": _message(reply)}, scenario, "usage")
    return {**body, "hologram": {"depth": 3}} if scenario.flavour == "future" else body


# ---------------------------------------------------------------------------------- version 2


def _event(kind: str, index: int | None, message: Json | None, **facts: Any) -> Frame:
    data: Json = {"type": kind}
    if index is not None:
        data["index"] = index
    if message is not None:
        data["delta"] = {"message": message}
    return Frame(data, event=kind, **facts)


_KINDS = {"text": "text", "reasoning": "thinking"}


def _pieces(scenario: Scenario) -> Iterator[Frame]:
    for piece in scenario.pieces():
        if piece.call:
            call = {**_call(piece.call), "function": {"name": piece.call.name, "arguments": ""}}
            yield _event("tool-call-start", piece.slot, {"tool_calls": call}, piece=piece)
        elif piece.kind == "arguments":
            told = {"tool_calls": {"function": {"arguments": piece.value}}}
            yield _event("tool-call-delta", piece.slot, told, piece=piece)
        elif piece.kind in _KINDS:
            told = {"content": {_KINDS[piece.kind]: piece.value}}
            yield _event("content-delta", 0, told, piece=piece)


def _frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    start = _event("message-start", None, {"role": "assistant", "content": []})
    start.data["id"] = identity(ask, scenario)[0]
    yield start
    opened = {"content": {"type": "text", "text": ""}}
    yield _event("content-start", 0, opened)
    yield from _pieces(scenario)
    yield _event("content-end", 0, None)
    reason = scenario.replies[0].finish
    delta = _put_usage({"finish_reason": finish(reason)}, scenario, "usage")
    told = scenario.usage.plain() if "usage" in delta else None
    end = {"type": "message-end", "delta": delta}
    yield Frame(end, event="message-end", usage=told, finish=(0, reason))


# ---------------------------------------------------------------------------------- version 1


def _old_call(call: ToolCall) -> Json:
    return {"name": call.name, "parameters": json.loads(call.arguments)}


def _old_whole(ask: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body: Json = {
        "text": reply.text,
        "generation_id": identity(ask, scenario)[0],
        "finish_reason": old_finish(reply.finish),
        "tool_calls": [_old_call(call) for call in reply.calls] or None,
    }
    return _put_usage(body, scenario, "meta")


def _old_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    yield Frame({"event_type": "stream-start", "generation_id": identity(ask, scenario)[0]})
    for piece in with_whole_calls(scenario.pieces()):
        if piece.kind in {"text", "call"}:
            yield Frame({**_old_said(piece), "is_finished": False}, piece=piece)
    reason = scenario.replies[0].finish
    end = {"event_type": "stream-end", "finish_reason": old_finish(reason), "is_finished": True}
    response = _old_whole(ask, scenario)
    told = scenario.usage.plain() if "meta" in response else None
    yield Frame({**end, "response": response}, usage=told, finish=(0, reason))


def _old_said(piece: Piece) -> Json:
    if piece.call:
        return {"event_type": "tool-calls-generation", "tool_calls": [_old_call(piece.call)]}
    return {"event_type": "text-generation", "text": piece.value}


def _line(frame: Frame) -> bytes:
    return to_json(frame.data) + b"\n"


# ----------------------------------------------------------------------- embeddings, reranking


def _embeddings(ask: Ask, scenario: Scenario) -> Json:
    texts = ask.body.get("texts") or []
    vectors: Any = [vector(text, DIMENSIONS) for text in texts]
    units = {"input_tokens": float(scenario.usage.input)}
    told = {"id": "emb", "texts": texts, "meta": {"billed_units": units}}
    if "embedding_types" in ask.body:
        return {**told, "response_type": "embeddings_by_type", "embeddings": {"float": vectors}}
    return {**told, "response_type": "embeddings_floats", "embeddings": vectors}


def _ranks(ask: Ask, _scenario: Scenario) -> Json:
    documents = ask.body.get("documents") or []
    best = ask.body.get("top_n") or len(documents)
    order = list(range(len(documents)))[::-1][:best]
    results = [{"index": index, "relevance_score": 0.9 - at / 10} for at, index in enumerate(order)]
    return {"id": "rank", "results": results, "meta": {"billed_units": {"search_units": 1.0}}}


def _error(failure: Failure, ask: Ask) -> Json:
    return {"message": failure.told(ask.prompt, ask.key)}


_CHAT = Endpoint(
    name="cohere",
    path=re.compile("/cohere/v2/chat"),
    ask=asks("cohere"),
    error=_error,
    whole=_whole,
    frames=_frames,
    identity=identity,
    counts="plain",
    tells=frozenset({"text", "reasoning", "call", "arguments"}),
    says_why=True,
    reasons=finish,
)
_PLAIN = replace(_CHAT, frames=None, counts="none", tells=frozenset(), says_why=False)
ENDPOINTS = (
    _CHAT,
    replace(
        _CHAT,
        name="cohere-v1",
        path=re.compile("/cohere/v1/chat"),
        ask=asks("cohere-v1"),
        whole=_old_whole,
        frames=_old_frames,
        tells=frozenset({"text", "call", "arguments"}),
        reasons=old_finish,
        encode=_line,
        stream_type="application/stream+json",
    ),
    replace(
        _PLAIN,
        name="cohere-embed",
        path=re.compile("/cohere/v[12]/embed"),
        whole=_embeddings,
        identity=lambda _a, _s: ("emb", None),
        counts="input",
    ),
    replace(
        _PLAIN,
        name="cohere-rerank",
        path=re.compile("/cohere/v[12]/rerank"),
        whole=_ranks,
        identity=lambda _a, _s: ("rank", None),
    ),
)
