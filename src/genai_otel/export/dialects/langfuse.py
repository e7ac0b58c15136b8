"""Langfuse: attributes that its OTLP intake reads first, so nothing is guessed or counted twice.

Read in its source (OtelIngestionProcessor.ts, ObservationTypeMapper.ts, attributes.ts): every
``gen_ai.usage.*`` key that it does not know becomes a bucket of tokens which is added to the total,
input and output are only taken from one place both, and workflows, retrievals and guardrails are
plain spans unless the type is set.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span

from ._chat import chat_tools, input_value, output_value
from ._span_view import SpanView, as_text, to_json

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ._span_view import Json

_OBSERVATION = "langfuse.observation"
TYPE = f"{_OBSERVATION}.type"
TYPES = {
    "chat": "generation",
    "generate_content": "generation",
    "text_completion": "generation",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "rerank": "retriever",
    "search_memory": "retriever",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "plan": "agent",
    "invoke_workflow": "chain",
    "task": "span",
    "apply_guardrail": "guardrail",
    "evaluate": "evaluator",
}

# Langfuse's bucket -> the count in it, and the bucket which it is taken out of.
BUCKETS = {
    "input_cached_tokens": (names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "input"),
    "input_cache_creation": (names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, "input"),
    "output_reasoning_tokens": (names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "output"),
}

COPIES = {
    names.GEN_AI_PROMPT_NAME: f"{_OBSERVATION}.prompt.name",
    names.GENAI_OTEL_TAGS: "langfuse.trace.tags",
}
_STEMS = ("gen_ai.usage.",)
# Written as input and output instead; otherwise they would also become metadata.
_CONTENT = frozenset(
    (
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_OUTPUT_MESSAGES,
        names.GEN_AI_TOOL_DEFINITIONS,
        names.GEN_AI_TOOL_CALL_ARGUMENTS,
        names.GEN_AI_TOOL_CALL_RESULT,
        names.GEN_AI_RETRIEVAL_QUERY_TEXT,
        names.GEN_AI_RETRIEVAL_DOCUMENTS,
        names.GENAI_OTEL_INPUT,
        names.GENAI_OTEL_OUTPUT,
    )
)


def project(span: ReadableSpan) -> ReadableSpan:
    """The span with Langfuse's attributes; spans that are no operation stay as they are."""
    view = SpanView(span)
    if view.operation is None or TYPE in view.attributes:
        return span
    found: dict[str, Any] = {TYPE: TYPES.get(view.operation, "span")}
    found.update((COPIES[n], v) for n, v in view.attributes.items() if n in COPIES)
    for key, value in view.below(names.GENAI_OTEL_METADATA).items():
        found[f"langfuse.trace.metadata.{key}"] = value
    _set_input_output(view, found)
    _token_counts(view, found)
    _prompt(view, found)
    _first_token_time(span, view, found)
    _level(view, found)
    kept = {n: v for n, v in view.attributes.items() if not _is_written_elsewhere(n)}
    return copy_span(span, {**found, **kept})


def _is_written_elsewhere(name: str) -> bool:
    return name in _CONTENT or name.startswith(_STEMS)


def _set_input_output(view: SpanView, found: Json) -> None:
    given, result = input_value(view), output_value(view)
    known = chat_tools(view)
    if known and isinstance(given, list):
        given = {"messages": given, "tools": known}
    if given is not None:
        found[f"{_OBSERVATION}.input"] = as_text(given)
    if isinstance(result, list) and len(result) == 1 and view.output_messages():
        result = result[0]
    if result is not None:
        found[f"{_OBSERVATION}.output"] = as_text(result)


def _token_counts(view: SpanView, found: Json) -> None:
    """Token counts in buckets that do not overlap, and their total."""
    buckets = {
        "input": view.count(names.GEN_AI_USAGE_INPUT_TOKENS),
        "output": view.count(names.GEN_AI_USAGE_OUTPUT_TOKENS),
    }
    usage = {key: count for key, count in buckets.items() if count is not None}
    total = view.total_tokens()
    for bucket, (name, whole) in BUCKETS.items():
        count = view.count(name)
        if count is not None and 0 < count <= usage.get(whole, 0):
            usage[bucket] = count
            usage[whole] -= count
    if usage:
        found[f"{_OBSERVATION}.usage_details"] = to_json(
            usage if total is None else {**usage, "total": total}
        )
    cost = view.cost_usd()
    if cost is not None:
        found[f"{_OBSERVATION}.cost_details"] = to_json({"total": cost})


def _prompt(view: SpanView, found: Json) -> None:
    """Langfuse's prompt versions are integers."""
    version = view.text(names.GEN_AI_PROMPT_VERSION)
    if version is not None and version.isdecimal():
        found[f"{_OBSERVATION}.prompt.version"] = int(version)


def _first_token_time(span: ReadableSpan, view: SpanView, found: Json) -> None:
    """The time of the first token."""
    seconds = view.number(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN)
    if seconds is None:
        seconds = view.number(names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)
    if seconds is None or span.start_time is None or span.end_time is None:
        return
    if 0 <= seconds <= (span.end_time - span.start_time) / 1e9:
        moment = datetime.fromtimestamp(span.start_time / 1e9 + seconds, UTC)
        found[f"{_OBSERVATION}.completion_start_time"] = moment.isoformat(timespec="microseconds")


def _level(view: SpanView, found: Json) -> None:
    """Warning level for a denial, which is no error but must be found."""
    verdict = view.verdict()
    if verdict.get("verdict") in ("deny", "modify", "flag"):
        found[f"{_OBSERVATION}.level"] = "WARNING"
        found[f"{_OBSERVATION}.status_message"] = as_text(verdict.get("reason", verdict["verdict"]))
