"""What a span tells, and what it should tell: both as plain dicts of the same keys."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from tests.provider import SCENARIOS, Truth, truth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.table import Library
    from tests.conformance.visits import Visit

Facts = dict[str, Any]

ATTRIBUTES = {
    "operation": names.GEN_AI_OPERATION_NAME,
    "provider": names.GEN_AI_PROVIDER_NAME,
    "model": names.GEN_AI_REQUEST_MODEL,
    "host": names.SERVER_ADDRESS,
    "port": names.SERVER_PORT,
    "stream": names.GEN_AI_REQUEST_STREAM,
    "temperature": names.GEN_AI_REQUEST_TEMPERATURE,
    "max tokens": names.GEN_AI_REQUEST_MAX_TOKENS,
    "top k": names.GEN_AI_REQUEST_TOP_K,
    "seed": names.GEN_AI_REQUEST_SEED,
    "response id": names.GEN_AI_RESPONSE_ID,
    "response model": names.GEN_AI_RESPONSE_MODEL,
    "finish reasons": names.GEN_AI_RESPONSE_FINISH_REASONS,
    "input tokens": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output tokens": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cached tokens": names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache-written tokens": names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "reasoning tokens": names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "chunks": names.GENAI_OTEL_RESPONSE_CHUNKS,
    "completed": names.GENAI_OTEL_RESPONSE_COMPLETED,
    "output type": names.GEN_AI_OUTPUT_TYPE,
    "dimensions": names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT,
    "verdict": names.GEN_AI_GUARDRAIL_RESULT_TYPE,
    "error": names.ERROR_TYPE,
}
"""Facts that are an attribute as it is."""
DERIVED = (
    *("name", "kind", "status"),
    *("asked", "texts", "reasoning", "tool calls", "first token"),
)
"""Facts that are made from the span: `found` tells how."""
USAGE = (
    *("input tokens", "output tokens", "cached tokens", "cache-written tokens"),
    "reasoning tokens",
)
ANSWERS = (
    *("response id", "response model", "finish reasons", *USAGE),
    *("texts", "reasoning", "tool calls", "chunks", "first token"),
)
"""Facts that come with the answer, all of which lack where nobody read it."""
NOTHING: Facts = dict.fromkeys(ANSWERS) | {"texts": (), "reasoning": "", "tool calls": ()}
"""Their values there."""


def found(span: ReadableSpan) -> Facts:
    """What the span tells."""
    told = span.attributes or {}
    facts = {fact: told.get(name) for fact, name in ATTRIBUTES.items()}
    reasons = facts["finish reasons"]
    output = _messages(told.get(names.GEN_AI_OUTPUT_MESSAGES))
    first = output[0]["parts"] if output else []
    return facts | {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "finish reasons": None if reasons is None else tuple(reasons),
        "asked": tuple(map(_text, _messages(told.get(names.GEN_AI_INPUT_MESSAGES)))),
        "texts": said(tuple(map(_text, output))),
        "reasoning": "".join(part["content"] for part in first if part["type"] == "reasoning"),
        "tool calls": tuple(
            (part["id"], part["name"], part["arguments"])
            for part in first
            if part["type"] == "tool_call"
        ),
        "first token": _first_token(told),
    }


def _messages(text: Any) -> list[Any]:
    return json.loads(text) if text is not None else []


def _text(message: Any) -> str:
    return "".join(part["content"] for part in message["parts"] if part["type"] == "text")


def said(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts of all choices; nothing where all are empty."""
    told = tuple(text.encode("utf-8", "replace").decode() for text in texts)  # as OTLP has it
    return told if any(told) else ()


def _first_token(told: Any) -> str | None:
    token = told.get(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN)
    if token is None:
        return None
    chunk = told[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK]
    return "in the first chunk" if token == chunk else "in a later chunk"


# ---------------------------------------------------------------------------------- what is true


def truth_of(visit: Visit) -> Truth:
    """What the provider told this visitor, who may have left early; nothing where there is none."""
    cell, endpoint, mode = visit.cell, visit.endpoint, visit.mode
    if endpoint.served is None:
        return Truth()
    row: Any = cell.scenario
    if mode.stream and visit.ending.early:
        stop = endpoint.early if visit.ending.take else ("frames", 0)
        row = replace(SCENARIOS[cell.scenario], ending="cut", stop=stop)
    return truth(
        row,
        endpoint.served.name,
        model=cell.scenario,
        stream=mode.stream,
        include_usage=mode.usage,
        prompt=PROMPT,
        key=KEY,
        body=visit.arguments,
    )


PROMPT = "Good morning?"
KEY = "sk-loopback"


def expected(library: Library, visit: Visit, port: int) -> Facts:
    """What the span should tell: the provider's truth, in our words."""
    known = truth_of(visit)
    error = _error(visit, known)
    model = visit.endpoint.spelled(visit.cell.scenario) if visit.endpoint.model else None
    facts = {
        **dict.fromkeys(ATTRIBUTES),
        "name": f"{visit.endpoint.operation} {model}",
        "kind": "CLIENT",
        "operation": visit.endpoint.operation,
        "provider": library.providers.get(visit.cell.client, library.providers["plain"]),
        "model": model,
        "host": "127.0.0.1" if visit.endpoint.served else None,
        "port": port if visit.endpoint.served else None,
        "stream": visit.mode.stream or None,
        "error": error,
        "status": "ERROR" if error else "UNSET",
        "completed": None if error else _completed(visit),
        **_answer(known),
    }
    if visit.unread and not error:
        facts |= NOTHING
    elif not error and known.http_status == HTTPStatus.OK:
        facts |= visit.endpoint.told(visit.cell)
    for fact, value in {**visit.endpoint.facts, **visit.mode.facts}.items():
        facts[fact] = value(facts[fact]) if callable(value) else value
    return {key: value for key, value in facts.items() if key not in visit.endpoint.untold}


def _error(visit: Visit, known: Truth) -> str | None:
    """The host's exception, or what the answer itself says went wrong."""
    if visit.error is None:
        return known.error_code if visit.ending.take is None else None
    return None if visit.ending.leave == "cancel" else visit.error


def _completed(visit: Visit) -> bool | None:
    early = visit.ending.early or visit.unread
    return False if visit.mode.stream and early else None


def _answer(known: Truth) -> Facts:
    usage = asdict(known.usage) if known.usage else {}
    texts = tuple(known.texts)
    if known.refusal:
        texts = (texts[0] + known.refusal, *texts[1:])
    return {
        "response id": known.response_id,
        "response model": known.response_model,
        "finish reasons": known.finish_reasons or None,
        "input tokens": usage.get("input"),
        "output tokens": usage.get("output"),
        "cached tokens": usage.get("cached"),
        "cache-written tokens": usage.get("cache_written"),
        "reasoning tokens": usage.get("reasoning"),
        "texts": said(texts),
        "reasoning": known.reasoning,
        "tool calls": tuple(
            (call.id, call.name, _parsed(call.arguments)) for call in known.tool_calls
        ),
        "chunks": known.chunks or None,
        "first token": _place(known.first_token),
    }


def _place(first_token: int | None) -> str | None:
    if first_token is None:
        return None
    return "in the first chunk" if first_token == 0 else "in a later chunk"


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
