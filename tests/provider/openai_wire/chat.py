"""POST /v1/chat/completions.

Shapes: OpenAI's API reference, "chat completion object" and "chat completion chunk object"; the
filter results as in Azure's "content filtering"; `reasoning_content` as DeepSeek and vLLM add it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.provider.openai_wire import common
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider.scenario import Piece, Reply, Scenario, ToolCall, Usage

_SAFE = {"filtered": False, "severity": "safe"}
_FILTERED = {"filtered": True, "severity": "high"}
_SAFE_RESULTS = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_CHOICE_FILTER: dict[str, Json] = {
    "azure": _SAFE_RESULTS,
    "filtered": {**_SAFE_RESULTS, "violence": _FILTERED},
}
_PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": _SAFE_RESULTS}]
_CLOSED: Json = {"logprobs": None, "finish_reason": None}


def spell_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(ask: Ask, scenario: Scenario, kind: str) -> Json:
    response_id, model = common.identity(ask, scenario)
    return {
        "id": response_id,
        "object": kind,
        "created": common.CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_loopback",
    }


# ---------------------------------------------------------------------------------- whole replies


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _reasoning_key(scenario: Scenario) -> str:
    return "reasoning" if scenario.flavour == "reasoning-field" else "reasoning_content"


def _message(reply: Reply, scenario: Scenario) -> Json:
    said = reply.text or not (reply.calls or reply.refusal)
    message: Json = {
        "role": "assistant",
        "content": reply.text if said else None,
        "refusal": reply.refusal or None,
        "annotations": [],
    }
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    if reply.reasoning:
        message[_reasoning_key(scenario)] = reply.reasoning
    return message


def _choice(index: int, reply: Reply, scenario: Scenario) -> Json:
    choice: Json = {
        "index": index,
        "message": _message(reply, scenario),
        "logprobs": None,
        "finish_reason": reply.finish,
    }
    if results := _CHOICE_FILTER.get(scenario.flavour):
        choice["content_filter_results"] = results
    return choice


def whole(ask: Ask, scenario: Scenario) -> Json:
    body = _head(ask, scenario, "chat.completion")
    body["choices"] = [_choice(at, reply, scenario) for at, reply in enumerate(scenario.replies)]
    common.put_usage(body, scenario, spell_usage)
    if alter := _WHOLE_FLAVOURS.get(scenario.flavour):
        alter(body)
    return common.damage(body, scenario, "choices")


def _without_message(body: Json) -> None:
    body["choices"][0]["message"] = None


def _with_prompt_filter(body: Json) -> None:
    body["prompt_filter_results"] = _PROMPT_FILTER


def _from_the_future(body: Json) -> None:
    body["service_tier"] = "hyper"
    body["usage"]["completion_tokens_details"]["photon_tokens"] = 3
    body["usage"]["wormholes"] = {"left": 1, "right": [2, 3]}
    message = body["choices"][0]["message"]
    message["mood"] = "calm"
    message["tool_calls"] = [{"id": "q1", "type": "quantum", "quantum": {"qubits": [0, 1]}}]


_WHOLE_FLAVOURS: dict[str, Callable[[Json], None]] = {
    "null-message": _without_message,
    "azure": _with_prompt_filter,
    "filtered": _with_prompt_filter,
    "future": _from_the_future,
}


# -------------------------------------------------------------------------------------- streaming


def _opening_call(piece: Piece) -> Json:
    call = piece.call
    assert call is not None
    function = {"name": call.name, "arguments": ""}
    return {"index": piece.slot, "id": call.id, "type": "function", "function": function}


_DELTAS: dict[str, Callable[[Piece], Json]] = {
    "text": lambda piece: {"content": piece.value},
    "refusal": lambda piece: {"refusal": piece.value},
    "call": lambda piece: {"tool_calls": [_opening_call(piece)]},
    "arguments": lambda piece: {
        "tool_calls": [{"index": piece.slot, "function": {"arguments": piece.value}}]
    },
}

# Chunks that come where none is expected: Azure's before the first, the others before the text.
_EXTRA_FIRST: dict[str, Json] = {
    "azure": {
        "id": "",
        "object": "",
        "created": 0,
        "model": "",
        "choices": [],
        "prompt_filter_results": _PROMPT_FILTER,
    },
}
_EXTRA_SECOND: dict[str, Json] = {
    "groq-usage": {
        "choices": [],
        "x_groq": {"id": "req_1", "usage": {"prompt_tokens": 500, "completion_tokens": 40}},
    },
    "null-choices": {"choices": None},
    "null-delta": {"choices": [{"index": 0, "delta": None, **_CLOSED}]},
    "future": {
        "choices": [{"index": 0, "delta": {"mood": "calm"}, **_CLOSED}],
        "hologram": {"depth": 3},
        "service_tier": "hyper",
        "obfuscation": "mK2x",
    },
}


def _delta(piece: Piece, scenario: Scenario) -> Json:
    if piece.kind == "reasoning":
        return {_reasoning_key(scenario): piece.value}
    return _DELTAS[piece.kind](piece)


def _role(reply: Reply, scenario: Scenario) -> Json:
    if reply.reasoning:
        return {"role": "assistant", "content": None, _reasoning_key(scenario): ""}
    return {"role": "assistant", "content": None if reply.calls else "", "refusal": None}


class _Chunks:
    """Spells the chunks of one stream, and the usage so far where each chunk carries it."""

    def __init__(self, ask: Ask, scenario: Scenario) -> None:
        self._head = _head(ask, scenario, "chat.completion.chunk")
        self._scenario = scenario
        self._total = sum(1 for _ in scenario.pieces())
        self._made = 0
        if ask.include_usage and scenario.report not in {"always", "never"}:
            self._head["usage"] = None

    def extra(self, table: dict[str, Json]) -> Iterator[Frame]:
        if extra := table.get(self._scenario.flavour):
            yield Frame({**self._head, **extra})

    def choice(
        self, index: int, delta: Json, finish: str | None = None, piece: Piece | None = None
    ) -> Frame:
        self._made += piece is not None
        choice: Json = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        if results := _CHOICE_FILTER.get(self._scenario.flavour):
            choice["content_filter_results"] = results
        usage = self._so_far()
        counted = {"usage": spell_usage(usage)} if usage else {}
        data = {**self._head, "choices": [choice], **counted}
        return Frame(data, piece=piece, usage=usage, finish=(index, finish) if finish else None)

    def last(self) -> Frame:
        data = common.put_usage({**self._head, "choices": []}, self._scenario, spell_usage)
        return Frame(data, usage=self._scenario.usage if data.get("usage") else None)

    def _so_far(self) -> Usage | None:
        usage = self._scenario.usage
        if self._scenario.report != "always":
            return None
        share = usage.output * self._made // max(self._total, 1)
        return type(usage)(usage.input, share, usage.cached, usage.cache_written, usage.reasoning)


def frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    chunks = _Chunks(ask, scenario)
    yield from chunks.extra(_EXTRA_FIRST)
    for index, reply in enumerate(scenario.replies):
        yield chunks.choice(index, _role(reply, scenario))
    yield from chunks.extra(_EXTRA_SECOND)
    for piece in scenario.pieces():
        yield chunks.choice(piece.choice, _delta(piece, scenario), piece=piece)
    for index, reply in enumerate(scenario.replies):
        yield chunks.choice(index, {}, reply.finish)
    if ask.include_usage and scenario.report != "never":
        yield chunks.last()


ENDPOINTS = (
    Endpoint(
        name="chat",
        path=common.path("/chat/completions"),
        ask=common.asks("chat"),
        error=common.error,
        whole=whole,
        frames=frames,
        error_frame=common.error_frame,
        identity=common.identity,
        end=b"data: [DONE]\n\n",
        tells=frozenset({"text", "reasoning", "refusal", "call", "arguments"}),
        many_choices=True,
        says_why=True,
        fault=common.STREAM_ERROR,
        messages=True,
    ),
)
