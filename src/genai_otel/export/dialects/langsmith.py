"""LangSmith: the keys of its documentation (docs.langchain.com/langsmith/trace-with-opentelemetry).

Its intake is not public, so that what its pages make of them was not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span

from ._chat import chat_tools, input_value, output_value
from ._span_view import SpanView, as_text, to_json

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ._span_view import Json

KIND = "langsmith.span.kind"
# LangSmith's run types; everything else is a chain.
KINDS = {
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "embeddings": "embedding",
    "retrieval": "retriever",
    "rerank": "retriever",
    "search_memory": "retriever",
    "execute_tool": "tool",
}

_METADATA = "langsmith.metadata"
METADATA = {
    names.GEN_AI_CONVERSATION_ID: "thread_id",
    names.SESSION_ID: "session_id",
    names.USER_ID: "user_id",
    names.GEN_AI_PROVIDER_NAME: "ls_provider",
    names.GEN_AI_PROMPT_NAME: "prompt_name",
    names.GEN_AI_PROMPT_VERSION: "prompt_version",
    names.GEN_AI_GUARDRAIL_RESULT_TYPE: "guardrail_verdict",
    names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN: "time_to_first_token",
}

# Count -> its place in the JSON object of usage; each is a part of the count it belongs to.
USAGE = {
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: ("input_token_details", "cache_read"),
    names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: ("input_token_details", "cache_creation"),
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: ("output_token_details", "reasoning"),
    names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS: ("input_token_details", "audio"),
    names.GENAI_OTEL_USAGE_AUDIO_OUTPUT_TOKENS: ("output_token_details", "audio"),
}

# Written as inputs and outputs instead.
_TWICE = (
    names.GEN_AI_SYSTEM_INSTRUCTIONS,
    names.GEN_AI_INPUT_MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES,
    names.GEN_AI_TOOL_DEFINITIONS,
)


def project(span: ReadableSpan) -> ReadableSpan:
    """The span with LangSmith's attributes; spans that are no operation stay as they are."""
    view = SpanView(span)
    if view.operation is None or KIND in view.attributes:
        return span
    kind = KINDS.get(view.operation, "chain")
    found: dict[str, Any] = {KIND: kind}
    _metadata(view, found)
    _set_input_output(view, kind, found)
    _usage(view, found)
    kept = {n: v for n, v in view.attributes.items() if n not in _TWICE}
    return copy_span(span, {**found, **kept})


def _metadata(view: SpanView, found: Json) -> None:
    known = {key: view.attributes[n] for n, key in METADATA.items() if n in view.attributes}
    model = view.text(names.GEN_AI_RESPONSE_MODEL) or view.text(names.GEN_AI_REQUEST_MODEL)
    if model is not None:
        known["ls_model_name"] = model
    known.update(view.below(names.GENAI_OTEL_METADATA))
    found.update((f"{_METADATA}.{key}", value) for key, value in known.items())
    tags = view.sequence(names.GENAI_OTEL_TAGS)
    if tags:
        found["langsmith.span.tags"] = ",".join(str(tag).replace(",", " ") for tag in tags)


def _set_input_output(view: SpanView, kind: str, found: Json) -> None:
    """Inputs and outputs are objects there; a conversation is one with messages."""
    given, result = input_value(view), output_value(view)
    if view.input_messages():
        known = chat_tools(view)
        given = {"messages": given, **({"tools": known} if known else {})}
    if view.output_messages():
        result = {"messages": result}
    names_of_values = ("query", "documents") if kind == "retriever" else ("input", "output")
    for place, key, value in (
        ("gen_ai.prompt", names_of_values[0], given),
        ("gen_ai.completion", names_of_values[1], result),
    ):
        if value is not None:
            found[place] = as_text(value if isinstance(value, dict) else {key: value})


def _usage(view: SpanView, found: Json) -> None:
    given = view.count(names.GEN_AI_USAGE_INPUT_TOKENS)
    made = view.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
    if given is None and made is None:
        return
    known = {"input_tokens": given, "output_tokens": made, "total_tokens": view.total_tokens()}
    usage: Json = {key: count for key, count in known.items() if count is not None}
    for name, (group, key) in USAGE.items():
        count = view.count(name)
        if count:
            usage.setdefault(group, {})[key] = count
    cost = view.cost_usd()
    if cost is not None:
        usage["total_cost"] = cost
    found["langsmith.usage_metadata"] = to_json(usage)
