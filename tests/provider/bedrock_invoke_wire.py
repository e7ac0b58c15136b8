"""Amazon Bedrock's InvokeModel and its stream, in the words of each family of models.

Written after docs.aws.amazon.com: "Inference request parameters and response fields". The model's
id is the family and the scenario: ``meta.ok``.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider import anthropic_wire
from tests.provider.answer import marking_last
from tests.provider.bedrock_wire import (
    EVENT_STREAM,
    EVERYTHING,
    asks,
    converse,
    converse_frames,
    encode,
    error,
    error_frame,
    finish,
)
from tests.provider.openai_wire import chat
from tests.provider.openai_wire.common import identity
from tests.provider.wire import Endpoint, Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider.scenario import Scenario, Usage
    from tests.provider.wire import Ask


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


_TEXTS: dict[str, Callable[[str, str, Usage], Json]] = {
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
"""Families that say one text -> their reply."""


def _spelling(family: str) -> Callable[[Ask, Scenario], Json]:
    def whole(_: Ask, scenario: Scenario) -> Json:
        reply = scenario.replies[0]
        body = _TEXTS[family](reply.text, reply.finish, scenario.usage)
        return {**body, "hologram": {"depth": 3}} if scenario.flavour == "future" else body

    return whole


def _streaming(family: str) -> Callable[[Ask, Scenario], Iterator[Frame]]:
    def frames(_: Ask, scenario: Scenario) -> Iterator[Frame]:
        for piece in scenario.pieces():
            if piece.kind == "text" and piece.choice == 0:
                data = _TEXTS[family](piece.value, "", scenario.usage)
                usage = scenario.usage.plain() if family == "meta" else None
                yield Frame(_chunk(data, None), piece=piece, usage=usage)
        reason = scenario.replies[0].finish
        data = _TEXTS[family]("", reason, scenario.usage)
        yield Frame(_chunk(data, reason), finish=(0, reason))

    return frames


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


def _nova_frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    for frame in converse_frames(ask, scenario):
        yield replace(frame, data={frame.event: frame.data}, handed=True)


def _in_chunks(
    frames: Callable[[Ask, Scenario], Iterator[Frame]],
) -> Callable[[Ask, Scenario], Iterator[Frame]]:
    """The events of a model as Bedrock wraps them up; the last one has what they were worth."""

    def chunks(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
        told: Usage | None = None
        for frame, last in marking_last(frames(ask, scenario)):
            told, metrics, usage = frame.usage or told, {}, frame.usage
            if last:
                metrics = {_METRICS: _metrics(scenario.usage)}
                usage = replace(scenario.usage, reasoning=told and told.reasoning)
            yield replace(frame, data={**frame.data, **metrics}, event="chunk", usage=usage)

    return chunks


_METRICS = "amazon-bedrock-invocationMetrics"


def _metrics(usage: Usage) -> Json:
    read, written = usage.cached or 0, usage.cache_written or 0
    return {
        "inputTokenCount": usage.input - read - written,
        "outputTokenCount": usage.output,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokenCount": written,
        "invocationLatency": 7,
    }


def _vector(_: Ask, scenario: Scenario) -> Json:
    return {"embedding": [0.5] * DIMENSIONS, "inputTextTokenCount": scenario.usage.input}


DIMENSIONS = 256


def _wrapped(frame: Frame) -> bytes:
    if frame.event == "chunk":
        frame = replace(frame, data={"bytes": base64.b64encode(to_json(frame.data)).decode()})
    return encode(frame)


def _invoke(family: str, **spelled: Any) -> Endpoint:
    """One family: what the ids of its models begin with, and how they spell things."""
    model = rf"/model/{re.escape(family)}\.(?P<model>[^/]+)"
    if "frames" in spelled:
        spelled["frames"] = _in_chunks(spelled["frames"])
    return Endpoint(
        name=f"invoke-{family}",
        path=re.compile(rf"{model}/invoke(?P<stream>-with-response-stream)?"),
        ask=asks(f"invoke-{family}"),
        error=error,
        error_frame=error_frame,
        encode=_wrapped,
        stream_type=EVENT_STREAM,
        **spelled,
    )


_COUNTED = {"amazon.titan", "meta"}
ENDPOINTS = (
    _invoke(
        "anthropic",
        whole=anthropic_wire.whole,
        frames=anthropic_wire.frames,
        identity=anthropic_wire.identity,
        tells=EVERYTHING,
        says_why=True,
        reasons=lambda reason: anthropic_wire.FINISH.get(reason, reason),
        messages=True,
    ),
    _invoke(
        "amazon.nova",
        whole=converse,
        frames=_nova_frames,
        tells=EVERYTHING,
        says_why=True,
        reasons=finish,
        messages=True,
    ),
    _invoke(
        "ai21",
        whole=lambda ask, scenario: chat.whole(replace(ask, endpoint="chat"), scenario),
        frames=lambda ask, scenario: chat.frames(replace(ask, endpoint="chat"), scenario),
        identity=lambda ask, scenario: identity(replace(ask, endpoint="chat"), scenario),
        tells=EVERYTHING,
        many_choices=True,
        says_why=True,
        messages=True,
    ),
    *(
        _invoke(
            family,
            whole=_spelling(family),
            frames=_streaming(family),
            identity=lambda _a, _s, told=("g" if family == "cohere" else None): (told, None),
            tells=frozenset({"text"}),
            counts="plain" if family in _COUNTED else "none",
            says_why=True,
        )
        for family in _TEXTS
    ),
    _invoke("amazon.titan-embed", whole=_vector, counts="input"),
)
