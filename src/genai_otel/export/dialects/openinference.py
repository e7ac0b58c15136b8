"""OpenInference, for Phoenix and Arize.

Phoenix (20.26) translates canonical spans itself, but leaves the input and output columns of its
list empty, knows no workflows, guardrails or reranks, loses reasoning tokens and agents' names, and
drops all documents if one has no score. So the span carries both: OpenInference's words beside the
canonical ones, except that messages and documents which were written out are not told twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span

from ._chat import asked, replied, tools
from ._facts import Facts, apart, as_text, parts, to_json, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from ._facts import Json

MOST = 128
"""As many attributes as spans may have in most places: what would be the next is left canonical."""

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
"""Provider -> llm.provider and llm.system; others are told as they are."""

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
"""Request parameter -> its key in the JSON object of all parameters."""
_RESPONSE_FORMATS = {"json": "json_object", "text": "text"}

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
"""What has no place of its own -> its key in the JSON object of metadata, which can be searched."""


def project(span: ReadableSpan) -> ReadableSpan:
    """The span with OpenInference's attributes; spans that are no operation stay as they are."""
    facts = Facts(span)
    kind = _kind(facts)
    if kind is None or KIND in facts.attributes:
        return span
    found: dict[str, Any] = {KIND: kind}
    for write in (_copies, _model, _parameters, _metadata, _values):
        write(facts, kind, found)
    found = {**found, **facts.attributes}
    for lists in _LISTS:
        lists(facts, kind, found)
    return copy_span(span, found)


def _kind(facts: Facts) -> str | None:
    if facts.operation is None and facts.text(names.MCP_METHOD_NAME) == "tools/call":
        return "TOOL"
    if facts.operation is None and _is_store(facts):
        return "CHAIN"
    return None if facts.operation is None else KINDS.get(facts.operation, "CHAIN")


def _is_store(facts: Facts) -> bool:
    """Work of a vector store that we have recorded; other libraries' databases stay as they are."""
    ours = facts.scope == "genai_otel"
    return ours and facts.text(names.DB_OPERATION_NAME) is not None


def _copies(facts: Facts, kind: str, found: Json) -> None:
    known = COPIES | TOOL_COPIES if kind == "TOOL" else COPIES
    found.update((known[n], v) for n, v in facts.attributes.items() if n in known)
    if (cost := facts.dollars()) is not None:
        found["llm.cost.total"] = cost
    given = facts.count(names.GEN_AI_USAGE_INPUT_TOKENS)
    made = facts.count(names.GEN_AI_USAGE_OUTPUT_TOKENS)
    if given is not None and made is not None:
        found["llm.token_count.total"] = given + made
    reasons = facts.several(names.GEN_AI_RESPONSE_FINISH_REASONS)
    if reasons:
        found["llm.finish_reason"] = reasons[0] if len(reasons) == 1 else reasons
    if kind == "AGENT" and "agent.name" in found:
        found["graph.node.id"] = found["agent.name"]
    if variables := facts.under(names.GEN_AI_PROMPT_VARIABLE):
        found["llm.prompt_template.variables"] = to_json(variables)


def _model(facts: Facts, kind: str, found: Json) -> None:
    """Readers price by the one model name: that of the model which answered, if it is known."""
    asked_for = facts.text(names.GEN_AI_REQUEST_MODEL)
    answered = facts.text(names.GEN_AI_RESPONSE_MODEL) or asked_for
    if kind in _MODEL_NAMES and answered is not None:
        found[_MODEL_NAMES[kind]] = answered
    if kind == "LLM" and asked_for is not None:
        found["llm.request.model_name"] = asked_for
    provider = facts.text(names.GEN_AI_PROVIDER_NAME)
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


def _parameters(facts: Facts, kind: str, found: Json) -> None:
    known = {key: facts.attributes[n] for n, key in PARAMETERS.items() if n in facts.attributes}
    known.update(_formats(facts))
    if known:
        place = "embedding" if kind == "EMBEDDING" else "llm"
        found[f"{place}.invocation_parameters"] = to_json(known)


def _formats(facts: Facts) -> Iterator[tuple[str, Any]]:
    encodings = facts.several(names.GEN_AI_REQUEST_ENCODING_FORMATS)
    if encodings:
        one = len(encodings) == 1
        yield ("encoding_format", encodings[0]) if one else ("encoding_formats", encodings)
    output = _RESPONSE_FORMATS.get(facts.text(names.GEN_AI_OUTPUT_TYPE) or "")
    if output is not None:
        yield "response_format", {"type": output}


def _metadata(facts: Facts, _kind: str, found: Json) -> None:
    known = {key: facts.attributes[n] for n, key in METADATA.items() if n in facts.attributes}
    known.update(facts.under(names.GENAI_OTEL_METADATA))
    if known:
        found["metadata"] = to_json(known)


def _values(facts: Facts, kind: str, found: Json) -> None:
    """The columns of the list: of a conversation the last words each way, else all of it."""
    messages, replies = facts.said(), facts.answered()
    spoken = [text for m in messages if m.get("role") == "user" and (text := words(m))]
    answered = words(replies[0]) if replies else ""
    given = spoken[-1] if spoken else asked(facts)
    if given is None and facts.operation is None:
        given = _collection(facts) or None
    _value(found, "input", given if kind == "TOOL" else _alone(given))
    _value(found, "output", answered or replied(facts) or _counted(facts))
    if kind == "RERANKER" and (query := facts.text(names.GEN_AI_RETRIEVAL_QUERY_TEXT)):
        found["reranker.query"] = query


def _collection(facts: Facts) -> Json:
    """Where a store was asked for what, which is no content."""
    told = {
        "operation": facts.text(names.DB_OPERATION_NAME),
        "collection": facts.text(names.DB_COLLECTION_NAME),
        "records": facts.count(names.GENAI_OTEL_STORE_RECORDS),
    }
    return {key: value for key, value in told.items() if value is not None}


def _counted(facts: Facts) -> Json | None:
    """What a store says of its work: how many it wrote, or gave back."""
    if facts.operation is not None:
        return None
    told = {
        "records": facts.count(names.GENAI_OTEL_STORE_RECORDS),
        "rows": facts.count(names.DB_RESPONSE_RETURNED_ROWS),
    }
    return {key: value for key, value in told.items() if value is not None} or None


def _alone(given: Any) -> Any:
    """The text itself where it is the only argument: sessions are shown as what was said."""
    if isinstance(given, dict) and len(given) == 1:
        (only,) = given.values()
        return only if isinstance(only, str) else given
    return given


def _value(found: Json, side: str, value: Any) -> None:
    if value is not None:
        found[f"{side}.value"] = as_text(value)
        found[f"{side}.mime_type"] = "text/plain" if isinstance(value, str) else "application/json"


# ------------------------------------------------------------------------------------ long lists


def _messages(facts: Facts, kind: str, found: Json) -> None:
    """Replies first: they are short, and what a reader looks for."""
    if kind == "EMBEDDING":
        texts = [text for message in facts.said() if (text := words(message))] or _embedded(facts)
        flat = {f"embedding.embeddings.{i}.embedding.text": text for i, text in enumerate(texts)}
        _instead(found, flat, names.GEN_AI_INPUT_MESSAGES, names.GENAI_OTEL_INPUT)
        return
    replies = _flat("llm.output_messages", apart(facts.answered()), _message)
    _instead(found, replies, names.GEN_AI_OUTPUT_MESSAGES)
    said = _flat("llm.input_messages", apart(facts.said()), _message)
    _instead(found, said, names.GEN_AI_SYSTEM_INSTRUCTIONS, names.GEN_AI_INPUT_MESSAGES)


def _embedded(facts: Facts) -> list[str]:
    """The texts that were embedded: one, or each of a list."""
    given = facts.parsed(names.GENAI_OTEL_INPUT)
    texts = given if isinstance(given, list) else [given]
    return [text for text in texts if isinstance(text, str) and text]


def _documents(facts: Facts, kind: str, found: Json) -> None:
    place = "reranker.output_documents" if kind == "RERANKER" else "retrieval.documents"
    documents = facts.objects(names.GEN_AI_RETRIEVAL_DOCUMENTS)
    _instead(found, _flat(place, documents, _document), names.GEN_AI_RETRIEVAL_DOCUMENTS)


def _tools(facts: Facts, _kind: str, found: Json) -> None:
    flat = {f"llm.tools.{i}.tool.json_schema": to_json(each) for i, each in enumerate(tools(facts))}
    _instead(found, flat, names.GEN_AI_TOOL_DEFINITIONS)


_LISTS = (_documents, _messages, _tools)


def _instead(found: Json, flat: Json, *canonical: str) -> None:
    """Writes a list out in place of its canonical form, or not at all if it is too long."""
    kept = len(found) - sum(name in found for name in canonical)
    if flat and kept + len(flat) <= MOST:
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
    said = parts(message)
    yield "message.role", message.get("role") or "user"
    yield "message.name", message.get("name")
    yield "message.finish_reason", message.get("finish_reason")
    calls = [part for part in said if part.get("type") == "tool_call"]
    for i, call in enumerate(calls):
        for name, value in _call(call):
            yield f"message.tool_calls.{i}.tool_call.{name}", value
    if said and said[0].get("type") == "tool_call_response":
        yield "message.tool_call_id", said[0].get("id")
        yield "message.content", as_text(said[0].get("response"))
        return
    rest = [part for part in said if part.get("type") != "tool_call"]
    if all(part.get("type") == "text" for part in rest):
        yield "message.content", words(message) or None
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
