"""OpenInference, for Phoenix and Arize.

Phoenix (20.26) translates canonical spans itself, but leaves the input and output columns of its
list empty, knows no workflows, guardrails or reranks, loses reasoning tokens and agents' names, and
drops all documents if one has no score. So the span carries both: OpenInference's attributes beside
the canonical ones, except that messages and documents which were written out are not repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span

from ._chat import chat_tools, input_value, output_value
from ._span_view import (
    SpanView,
    as_text,
    message_text,
    split_tool_responses,
    to_json,
    visible_parts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from ._span_view import Json

# The usual limit of attributes of a span; a list that would exceed it stays canonical.
MAX_ATTRIBUTES = 128

KIND = "openinference.span.kind"
KINDS = {
    "chat": "LLM",
    "generate_content": "LLM",
    "text_completion": "LLM",
    "fetch_response": "LLM",
    "embeddings": "EMBEDDING",
    "retrieval": "RETRIEVER",
    "rerank": "RERANKER",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "plan": "AGENT",
    "invoke_workflow": "CHAIN",
    "task": "CHAIN",
    "apply_guardrail": "GUARDRAIL",
    "evaluate": "EVALUATOR",
    "search_memory": "RETRIEVER",
    "create_memory": "TOOL",
    "update_memory": "TOOL",
    "upsert_memory": "TOOL",
    "delete_memory": "TOOL",
}

# Provider -> llm.provider and llm.system; others are passed on as they are.
PROVIDERS: dict[str, tuple[str, str | None]] = {
    "openai": ("openai", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "cohere": ("cohere", "cohere"),
    "mistral_ai": ("mistralai", "mistralai"),
    "deepseek": ("deepseek", None),
    "groq": ("groq", None),
    "perplexity": ("perplexity", None),
    "x_ai": ("xai", None),
    "azure.ai.openai": ("azure", "openai"),
    "azure.ai.inference": ("azure", None),
    "aws.bedrock": ("aws", None),
    "gcp.vertex_ai": ("google", "vertexai"),
    "gcp.gen_ai": ("google", None),
    "gcp.gemini": ("google", None),
    "moonshot_ai": ("moonshot", None),
}

COPIES = {
    names.GEN_AI_USAGE_INPUT_TOKENS: "llm.token_count.prompt",
    names.GEN_AI_USAGE_OUTPUT_TOKENS: "llm.token_count.completion",
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "llm.token_count.prompt_details.cache_read",
    names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: "llm.token_count.prompt_details.cache_write",
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: "llm.token_count.prompt_details.cache_write",
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "llm.token_count.completion_details.reasoning",
    names.GEN_AI_USAGE_AUDIO_INPUT_TOKENS: "llm.token_count.prompt_details.audio",
    names.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: "llm.token_count.completion_details.audio",
    names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS: "llm.token_count.prompt_details.audio",
    names.GENAI_OTEL_USAGE_AUDIO_OUTPUT_TOKENS: "llm.token_count.completion_details.audio",
    names.GEN_AI_RESPONSE_MODEL: "llm.response.model_name",
    names.GEN_AI_AGENT_NAME: "agent.name",
    names.GEN_AI_CONVERSATION_ID: "session.id",
    names.GEN_AI_PROMPT_NAME: "prompt.id",
    names.GEN_AI_PROMPT_VERSION: "llm.prompt_template.version",
    names.GENAI_OTEL_TAGS: "tag.tags",
}
TOOL_COPIES = {
    names.GEN_AI_TOOL_NAME: "tool.name",
    names.GEN_AI_TOOL_DESCRIPTION: "tool.description",
    names.GEN_AI_TOOL_CALL_ID: "tool.id",
    names.GEN_AI_TOOL_CALL_ARGUMENTS: "tool.parameters",
}

# Request parameter -> its key in the JSON object of all parameters.
PARAMETERS = {
    names.GEN_AI_REQUEST_TEMPERATURE: "temperature",
    names.GEN_AI_REQUEST_TOP_P: "top_p",
    names.GEN_AI_REQUEST_TOP_K: "top_k",
    names.GEN_AI_REQUEST_MAX_TOKENS: "max_tokens",
    names.GEN_AI_REQUEST_FREQUENCY_PENALTY: "frequency_penalty",
    names.GEN_AI_REQUEST_PRESENCE_PENALTY: "presence_penalty",
    names.GEN_AI_REQUEST_SEED: "seed",
    names.GEN_AI_REQUEST_STREAM: "stream",
    names.GEN_AI_REQUEST_CHOICE_COUNT: "n",
    names.GEN_AI_REQUEST_STOP_SEQUENCES: "stop",
    names.GEN_AI_REQUEST_REASONING_LEVEL: "reasoning_effort",
}
_RESPONSE_FORMATS = {"json": "json_object", "text": "text"}

# Attributes without a counterpart -> their key in the JSON object of metadata, which is searchable.
METADATA = {
    names.GEN_AI_AGENT_ID: "agent_id",
    names.GEN_AI_AGENT_DESCRIPTION: "agent_description",
    names.GEN_AI_AGENT_VERSION: "agent_version",
    names.GEN_AI_WORKFLOW_NAME: "workflow_name",
    names.GEN_AI_RETRIEVAL_TOP_K: "top_k",
    names.GEN_AI_DATA_SOURCE_ID: "data_source_id",
    names.GEN_AI_RESPONSE_ID: "response_id",
    names.GEN_AI_RESPONSE_STATUS: "response_status",
    names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: "request_previous_response_id",
    names.GEN_AI_REQUEST_STREAM_CURSOR: "request_stream_cursor",
    names.GEN_AI_CONVERSATION_COMPACTED: "conversation_compacted",
    names.GEN_AI_MEMORY_STORE_ID: "memory_store_id",
    names.GEN_AI_MEMORY_RECORD_ID: "memory_record_id",
    names.GEN_AI_MEMORY_RECORD_COUNT: "memory_record_count",
    names.GEN_AI_SKILL_NAME: "skill_name",
    names.GEN_AI_SKILL_DESCRIPTION: "skill_description",
    names.GEN_AI_SKILL_SOURCE_URI: "skill_source_uri",
    names.GEN_AI_SKILL_RESOURCE_NAME: "skill_resource_name",
    names.GEN_AI_GUARDRAIL_COMPONENT_NAME: "guardrail",
    names.GEN_AI_GUARDRAIL_POLICY_ID: "guardrail_policy_id",
    names.GEN_AI_GUARDRAIL_POLICY_VERSION: "guardrail_policy_version",
    names.GEN_AI_GUARDRAIL_RESULT_TYPE: "guardrail_verdict",
    names.GEN_AI_GUARDRAIL_RESULT_VALUE: "guardrail_score",
    names.GEN_AI_GUARDRAIL_RISK_CATEGORY: "guardrail_category",
    names.MCP_METHOD_NAME: "mcp_method_name",
    names.MCP_SESSION_ID: "mcp_session_id",
    names.MCP_RESOURCE_URI: "mcp_resource_uri",
    names.MCP_PROTOCOL_VERSION: "mcp_protocol_version",
    names.GENAI_OTEL_USAGE_ESTIMATED: "usage_estimated",
    names.GENAI_OTEL_COST_STATUS: "cost_status",
    names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN: "time_to_first_token",
}


def project(span: ReadableSpan) -> ReadableSpan:
    """The span with OpenInference's attributes; spans that are no operation stay as they are."""
    view = SpanView(span)
    kind = _kind(view)
    if kind is None or KIND in view.attributes:
        return span
    found: dict[str, Any] = {KIND: kind}
    for write in (_copies, _model, _parameters, _metadata, _values):
        write(view, kind, found)
    found = {**found, **view.attributes}
    for lists in _LISTS:
        lists(view, kind, found)
    return copy_span(span, found)


def _kind(view: SpanView) -> str | None:
    if view.operation is None and view.text(names.MCP_METHOD_NAME) == "tools/call":
        return "TOOL"
    if view.operation is None and _is_store(view):
        return "CHAIN"
    return None if view.operation is None else KINDS.get(view.operation, "CHAIN")


def _is_store(view: SpanView) -> bool:
    """Work of a vector store that we have recorded; other libraries' databases stay as they are."""
    ours = view.scope == "genai_otel"
    return ours and view.text(names.DB_OPERATION_NAME) is not None


def _copies(view: SpanView, kind: str, found: Json) -> None:
    known = COPIES | TOOL_COPIES if kind == "TOOL" else COPIES
    found.update((known[n], v) for n, v in view.attributes.items() if n in known)
    if (cost := view.cost_usd()) is not None:
        found["llm.cost.total"] = cost
    given = view.count(names.GEN_AI_USAGE_INPUT_TOKENS)
    made = view.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
    if given is not None and made is not None:
        found["llm.token_count.total"] = given + made
    reasons = view.sequence(names.GEN_AI_RESPONSE_FINISH_REASONS)
    if reasons:
        found["llm.finish_reason"] = reasons[0] if len(reasons) == 1 else reasons
    if kind == "AGENT" and "agent.name" in found:
        found["graph.node.id"] = found["agent.name"]
    if variables := view.below(names.GEN_AI_PROMPT_VARIABLE):
        found["llm.prompt_template.variables"] = to_json(variables)


def _model(view: SpanView, kind: str, found: Json) -> None:
    """Backends price by one model name: that of the response, if it is known."""
    requested = view.text(names.GEN_AI_REQUEST_MODEL)
    model = view.text(names.GEN_AI_RESPONSE_MODEL) or requested
    if kind in _MODEL_NAMES and model is not None:
        found[_MODEL_NAMES[kind]] = model
    if kind == "LLM" and requested is not None:
        found["llm.request.model_name"] = requested
    provider = view.text(names.GEN_AI_PROVIDER_NAME)
    if provider is not None:
        known, system = PROVIDERS.get(provider, (provider, None))
        found["llm.provider"] = known
        if system is not None:
            found["llm.system"] = system


_MODEL_NAMES = {
    "LLM": "llm.model_name",
    "EMBEDDING": "embedding.model_name",
    "RERANKER": "reranker.model_name",
}


def _parameters(view: SpanView, kind: str, found: Json) -> None:
    known = {key: view.attributes[n] for n, key in PARAMETERS.items() if n in view.attributes}
    known.update(_formats(view))
    if known:
        place = "embedding" if kind == "EMBEDDING" else "llm"
        found[f"{place}.invocation_parameters"] = to_json(known)


def _formats(view: SpanView) -> Iterator[tuple[str, Any]]:
    encodings = view.sequence(names.GEN_AI_REQUEST_ENCODING_FORMATS)
    if encodings:
        one = len(encodings) == 1
        yield ("encoding_format", encodings[0]) if one else ("encoding_formats", encodings)
    output = _RESPONSE_FORMATS.get(view.text(names.GEN_AI_OUTPUT_TYPE) or "")
    if output is not None:
        yield "response_format", {"type": output}


def _metadata(view: SpanView, _kind: str, found: Json) -> None:
    known = {key: view.attributes[n] for n, key in METADATA.items() if n in view.attributes}
    known.update(view.below(names.GENAI_OTEL_METADATA))
    if known:
        found["metadata"] = to_json(known)


def _values(view: SpanView, kind: str, found: Json) -> None:
    """Input and output columns: of a conversation the last message each way, else everything."""
    messages, replies = view.input_messages(), view.output_messages()
    user_texts = [text for m in messages if m.get("role") == "user" and (text := message_text(m))]
    output_text = message_text(replies[0]) if replies else ""
    given = user_texts[-1] if user_texts else input_value(view)
    if given is None and view.operation is None:
        given = _store_query(view) or None
    _value(found, "input", given if kind == "TOOL" else _only_text(given))
    _value(found, "output", output_text or output_value(view) or _store_counts(view))
    if kind == "RERANKER" and (query := view.text(names.GEN_AI_RETRIEVAL_QUERY_TEXT)):
        found["reranker.query"] = query


def _store_query(view: SpanView) -> Json:
    """Operation and collection of a store's query, which are no content."""
    query = {
        "operation": view.text(names.DB_OPERATION_NAME),
        "collection": view.text(names.DB_COLLECTION_NAME),
        "records": view.count(names.GENAI_OTEL_STORE_RECORDS),
    }
    return {key: value for key, value in query.items() if value is not None}


def _store_counts(view: SpanView) -> Json | None:
    """How many records a store has written, or returned."""
    if view.operation is not None:
        return None
    counts = {
        "records": view.count(names.GENAI_OTEL_STORE_RECORDS),
        "rows": view.count(names.DB_RESPONSE_RETURNED_ROWS),
    }
    return {key: value for key, value in counts.items() if value is not None} or None


def _only_text(value: Any) -> Any:
    """The text itself where it is the only argument: sessions show it as a message."""
    if isinstance(value, dict) and len(value) == 1:
        (only,) = value.values()
        return only if isinstance(only, str) else value
    return value


def _value(found: Json, side: str, value: Any) -> None:
    if value is not None:
        found[f"{side}.value"] = as_text(value)
        found[f"{side}.mime_type"] = "text/plain" if isinstance(value, str) else "application/json"


# ------------------------------------------------------------------------------------ long lists


def _messages(view: SpanView, kind: str, found: Json) -> None:
    """Responses first: they are short, and most looked for."""
    if kind == "EMBEDDING":
        texts = [
            text for message in view.input_messages() if (text := message_text(message))
        ] or _embedded(view)
        flat = {f"embedding.embeddings.{i}.embedding.text": text for i, text in enumerate(texts)}
        _replace(found, flat, names.GEN_AI_INPUT_MESSAGES, names.GENAI_OTEL_INPUT)
        return
    replies = _flat("llm.output_messages", split_tool_responses(view.output_messages()), _message)
    _replace(found, replies, names.GEN_AI_OUTPUT_MESSAGES)
    inputs = _flat("llm.input_messages", split_tool_responses(view.input_messages()), _message)
    _replace(found, inputs, names.GEN_AI_SYSTEM_INSTRUCTIONS, names.GEN_AI_INPUT_MESSAGES)


def _embedded(view: SpanView) -> list[str]:
    """The texts that were embedded: one, or each of a list."""
    given = view.parsed(names.GENAI_OTEL_INPUT)
    texts = given if isinstance(given, list) else [given]
    return [text for text in texts if isinstance(text, str) and text]


def _documents(view: SpanView, kind: str, found: Json) -> None:
    place = "reranker.output_documents" if kind == "RERANKER" else "retrieval.documents"
    documents = view.objects(names.GEN_AI_RETRIEVAL_DOCUMENTS)
    _replace(found, _flat(place, documents, _document), names.GEN_AI_RETRIEVAL_DOCUMENTS)


def _tools(view: SpanView, _kind: str, found: Json) -> None:
    flat = {
        f"llm.tools.{i}.tool.json_schema": to_json(each) for i, each in enumerate(chat_tools(view))
    }
    _replace(found, flat, names.GEN_AI_TOOL_DEFINITIONS)


_LISTS = (_documents, _messages, _tools)


def _replace(found: Json, flat: Json, *canonical: str) -> None:
    """Replace the canonical form of a list, unless the attributes would become too many."""
    kept = len(found) - sum(name in found for name in canonical)
    if flat and kept + len(flat) <= MAX_ATTRIBUTES:
        for name in canonical:
            found.pop(name, None)
        found.update(flat)


def _flat(
    place: str, items: list[Json], write: Callable[[Json], Iterator[tuple[str, Any]]]
) -> Json:
    return {
        f"{place}.{i}.{name}": value
        for i, item in enumerate(items)
        for name, value in write(item)
        if value is not None
    }


def _message(message: Json) -> Iterator[tuple[str, Any]]:
    message_parts = visible_parts(message)
    yield "message.role", message.get("role") or "user"
    yield "message.name", message.get("name")
    yield "message.finish_reason", message.get("finish_reason")
    calls = [part for part in message_parts if part.get("type") == "tool_call"]
    for i, call in enumerate(calls):
        for name, value in _call(call):
            yield f"message.tool_calls.{i}.tool_call.{name}", value
    if message_parts and message_parts[0].get("type") == "tool_call_response":
        yield "message.tool_call_id", message_parts[0].get("id")
        yield "message.content", as_text(message_parts[0].get("response"))
        return
    rest = [part for part in message_parts if part.get("type") != "tool_call"]
    if all(part.get("type") == "text" for part in rest):
        yield "message.content", message_text(message) or None
        return
    for i, part in enumerate(rest):
        for name, value in _content(part):
            yield f"message.contents.{i}.message_content.{name}", value


def _call(part: Json) -> Iterator[tuple[str, Any]]:
    arguments = part.get("arguments")
    yield "id", part.get("id")
    yield "function.name", part.get("name")
    yield "function.arguments", None if arguments is None else as_text(arguments)


def _content(part: Json) -> Iterator[tuple[str, Any]]:
    form, uri = part.get("type"), part.get("uri")
    if form in ("text", "reasoning"):
        yield "type", form
        yield "text", as_text(part.get("content", ""))
    elif part.get("modality") == "image" and isinstance(uri, str):
        yield "type", "image"
        yield "image.image.url", uri
    else:
        yield "type", "text"
        yield "text", to_json(part)


def _document(document: Json) -> Iterator[tuple[str, Any]]:
    score, metadata = document.get("score"), document.get("metadata")
    yield "document.id", as_text(document["id"]) if "id" in document else None
    yield "document.score", float(score) if isinstance(score, int | float) else None
    yield "document.content", as_text(document["content"]) if "content" in document else None
    yield "document.metadata", to_json(metadata) if isinstance(metadata, dict) else None
