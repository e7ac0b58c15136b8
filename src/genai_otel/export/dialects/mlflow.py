"""MLflow: its own attributes where its translation of canonical spans falls short.

Read in its source (3.17, mlflow/tracing/otel/translation): retrievals, workflows, guardrails and
steps have no type there, only messages and tool calls become inputs and outputs, and costs are its
own, and a call without output tokens is missing from the total. Values of these attributes are
JSON. Model, provider, session and user it reads from the canonical attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span

from ._chat import chat_messages, chat_tools, input_value, output_value
from ._span_view import SpanView, to_json

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ._span_view import Json

TYPE = "mlflow.spanType"
TYPES = {
    "chat": "CHAT_MODEL",
    "generate_content": "CHAT_MODEL",
    "text_completion": "LLM",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
    "rerank": "RERANKER",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "plan": "AGENT",
    "invoke_workflow": "WORKFLOW",
    "task": "TASK",
    "apply_guardrail": "GUARDRAIL",
    "evaluate": "EVALUATOR",
    "search_memory": "MEMORY",
    "create_memory": "MEMORY",
    "update_memory": "MEMORY",
    "upsert_memory": "MEMORY",
    "delete_memory": "MEMORY",
}
INPUTS, OUTPUTS = "mlflow.spanInputs", "mlflow.spanOutputs"
TOOLS, FORMAT = "mlflow.chat.tools", "mlflow.message.format"
USAGE, COST = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
# Count -> its key in the JSON object of usage.
COUNTS = {
    names.GEN_AI_USAGE_INPUT_TOKENS: "input_tokens",
    names.GEN_AI_USAGE_OUTPUT_TOKENS: "output_tokens",
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "cache_read_input_tokens",
    names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: "cache_creation_input_tokens",
    names.GENAI_OTEL_USAGE_CACHE_CREATION_1H_INPUT_TOKENS: "cache_creation_input_tokens_above_1hr",
}

# Written as inputs, outputs and tools instead.
_TWICE = (
    names.GEN_AI_SYSTEM_INSTRUCTIONS,
    names.GEN_AI_INPUT_MESSAGES,
    names.GEN_AI_OUTPUT_MESSAGES,
    names.GEN_AI_TOOL_DEFINITIONS,
)


def project(span: ReadableSpan) -> ReadableSpan:
    """The span with MLflow's attributes; spans that are no operation stay as they are."""
    view = SpanView(span)
    if view.operation is None or TYPE in view.attributes:
        return span
    found: dict[str, Any] = {TYPE: TYPES.get(view.operation, "UNKNOWN")}
    _set_input_output(view, found)
    _usage(view, found)
    cost = view.cost_usd()
    if cost is not None:
        found[COST] = to_json({"total_cost": cost})
    kept = {n: v for n, v in view.attributes.items() if n not in _TWICE}
    return copy_span(span, {**found, **kept})


def _set_input_output(view: SpanView, found: Json) -> None:
    """A conversation in the shape of OpenAI's requests and replies, which its pages draw."""
    given, result = input_value(view), output_value(view)
    if view.input_messages():
        given = {"messages": given}
        found[FORMAT] = "openai"
    if view.output_messages():
        result = {"choices": [_choice(i, m) for i, m in enumerate(view.output_messages())]}
        found[FORMAT] = "openai"
    if view.operation == "retrieval":
        result = [_document(each) for each in view.objects(names.GEN_AI_RETRIEVAL_DOCUMENTS)]
    known = chat_tools(view)
    if known:
        found[TOOLS] = to_json(known)
    if given is not None:
        found[INPUTS] = to_json(given)
    if result:
        found[OUTPUTS] = to_json(result)


def _usage(view: SpanView, found: Json) -> None:
    usage = {key: count for name, key in COUNTS.items() if (count := view.count(name)) is not None}
    if usage:
        total = view.total_tokens()
        found[USAGE] = to_json(usage if total is None else {**usage, "total_tokens": total})


def _choice(index: int, message: Json) -> Json:
    reason = message.get("finish_reason")
    chat = chat_messages([message])
    return {"index": index, "message": chat[0], "finish_reason": _REASONS.get(reason, reason)}


_REASONS: dict[Any, Any] = {"tool_call": "tool_calls"}


def _document(document: Json) -> Json:
    """In the shape of ``mlflow.entities.Document``."""
    metadata = document.get("metadata")
    known: Json = dict(metadata) if isinstance(metadata, dict) else {}
    if "score" in document:
        known["score"] = document["score"]
    return {
        "page_content": document.get("content") or "",
        "metadata": known,
        "id": document.get("id"),
    }
