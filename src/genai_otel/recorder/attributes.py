"""The canonical form: encode an Operation as attributes of OpenTelemetry's GenAI conventions.

Where version 1.41 and the newer head of the conventions differ, names are those of 1.41, unless
``head`` is selected; see ``semconv/README.md``.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import SpanKind

from genai_otel import _semconv as names
from genai_otel.record import Kind, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.budgets.budget import Spending
    from genai_otel.pricing.book import Cost
    from genai_otel.record import Failure, Operation, Timing, Turn, Usage, Verdict

    Attributes = dict[str, Any]


class _Form(NamedTuple):
    """The encoding of one kind: operation name, span kind, and the attribute of the subject's name.

    Database operations have no operation name in the GenAI conventions; they use ``db.`` names.
    """

    operation: str | None
    span_kind: SpanKind
    subject: str | None


_FORMS: dict[Kind, _Form] = {
    Kind.CHAT: _Form("chat", SpanKind.CLIENT, None),
    Kind.COMPLETION: _Form("text_completion", SpanKind.CLIENT, None),
    Kind.GENERATION: _Form("generate_content", SpanKind.CLIENT, None),
    Kind.EMBEDDINGS: _Form("embeddings", SpanKind.CLIENT, None),
    Kind.RERANK: _Form("rerank", SpanKind.CLIENT, None),
    Kind.RETRIEVAL: _Form("retrieval", SpanKind.INTERNAL, names.GEN_AI_DATA_SOURCE_ID),
    Kind.TOOL: _Form("execute_tool", SpanKind.INTERNAL, names.GEN_AI_TOOL_NAME),
    Kind.AGENT: _Form("invoke_agent", SpanKind.INTERNAL, names.GEN_AI_AGENT_NAME),
    Kind.WORKFLOW: _Form("invoke_workflow", SpanKind.INTERNAL, names.GEN_AI_WORKFLOW_NAME),
    Kind.STEP: _Form("task", SpanKind.INTERNAL, None),
    Kind.GUARDRAIL: _Form(
        "apply_guardrail", SpanKind.INTERNAL, names.GEN_AI_GUARDRAIL_COMPONENT_NAME
    ),
    Kind.EVALUATION: _Form("evaluate", SpanKind.INTERNAL, names.GEN_AI_EVALUATION_NAME),
    Kind.STORE: _Form(None, SpanKind.INTERNAL, names.DB_COLLECTION_NAME),
}

# Finish reason of a provider, in lower case -> finish reason of the message schema.
_FINISH_REASONS = {
    "stop": "stop",
    "end_turn": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "tool_call": "tool_call",
    "complete": "stop",
    "stop_sequence": "stop",
    "eos_token": "stop",
    "model_length": "length",
    "error_limit": "length",
    "max_len": "length",
    "max_context": "length",
    "refusal": "content_filter",
    "safety": "content_filter",
    "image_safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    "error_toxic": "content_filter",
    "error": "error",
    "malformed_function_call": "error",
    "model_context_window_exceeded": "length",
}


def span_name(op: Operation) -> str:
    """Return ``{operation} {subject}``, or the operation alone if the subject is unknown."""
    subject = op.model if op.name is None else op.name
    operation = _FORMS[op.kind].operation or op.action or "store"
    return operation if subject is None else utf8(f"{operation} {subject}")


def span_kind(op: Operation) -> SpanKind:
    """Return CLIENT if a remote host is called; in the conventions workflows are INTERNAL."""
    outside = op.host is not None and op.kind is not Kind.WORKFLOW
    return SpanKind.CLIENT if outside else _FORMS[op.kind].span_kind


def opening(op: Operation) -> Attributes:
    """Return the attributes at span start, for samplers: known before the call, no content."""
    form = _FORMS[op.kind]
    found: Attributes = {}
    if form.operation is not None:
        found[names.GEN_AI_OPERATION_NAME] = form.operation
    if op.action is not None:
        _database(op, found)
    elif op.provider is not None:
        found[names.GEN_AI_PROVIDER_NAME] = op.provider
    if op.model is not None:
        found[names.GEN_AI_REQUEST_MODEL] = utf8(op.model)
    if op.host is not None:
        found[names.SERVER_ADDRESS] = op.host
        if op.port is not None:
            found[names.SERVER_PORT] = op.port
    if op.name is not None and form.subject is not None:
        found[form.subject] = utf8(op.name)
    if op.kind is Kind.TOOL:
        found[names.GEN_AI_TOOL_TYPE] = "function"
    return found


def _counted(op: Operation, found: Attributes) -> None:
    """Add the numbers of records in a database request and rows in its response."""
    if op.records is not None:
        found[names.GENAI_OTEL_STORE_RECORDS] = op.records
        if op.records > 1:  # the convention's rule: one record is not a batch
            found[names.DB_OPERATION_BATCH_SIZE] = op.records
    if op.rows is not None:
        found[names.DB_RESPONSE_RETURNED_ROWS] = op.rows


def _database(op: Operation, found: Attributes) -> None:
    found[names.DB_OPERATION_NAME] = op.action
    if op.provider is not None:
        found[names.DB_SYSTEM_NAME] = op.provider
    if op.name is not None:
        found[names.DB_COLLECTION_NAME] = utf8(op.name)


# ------------------------------------------------------------------------------ the request


def request(op: Operation, found: Attributes) -> None:
    """Add the request's parameters and, if captured, its content."""
    if op.stream:
        found[names.GEN_AI_REQUEST_STREAM] = True
    if op.output_type is not None:
        found[names.GEN_AI_OUTPUT_TYPE] = op.output_type
    if op.params:
        _params(op.params, found)
    if op.capture:
        _said(op, found)


def _said(op: Operation, found: Attributes) -> None:
    if op.system:
        found[names.GEN_AI_SYSTEM_INSTRUCTIONS] = to_json(op.system)
    if op.input:
        found[names.GEN_AI_INPUT_MESSAGES] = to_json(op.input)
    if op.tools:
        found[names.GEN_AI_TOOL_DEFINITIONS] = to_json(op.tools)
    if op.query is not None:
        found[names.GEN_AI_RETRIEVAL_QUERY_TEXT] = utf8(op.query)
    if op.arguments is not None:
        tool = op.kind is Kind.TOOL
        name = names.GEN_AI_TOOL_CALL_ARGUMENTS if tool else names.GENAI_OTEL_INPUT
        found[name] = to_json(op.arguments)


def _real(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None


def _word(value: Any) -> str | None:
    return utf8(value) if type(value) is str else None


def _words(value: Any) -> list[str] | None:
    if type(value) is str:
        return [utf8(value)]
    if type(value) is list and all(type(item) is str for item in value):
        return [utf8(item) for item in value]
    return None


def _several(value: Any) -> int | None:
    return value if type(value) is int and value != 1 else None


# Neutral parameter -> attribute and conversion; values of another type are omitted.
_PARAMS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "temperature": (names.GEN_AI_REQUEST_TEMPERATURE, _real),
    "top_p": (names.GEN_AI_REQUEST_TOP_P, _real),
    "top_k": (names.GEN_AI_REQUEST_TOP_K, _whole),
    "max_tokens": (names.GEN_AI_REQUEST_MAX_TOKENS, _whole),
    "seed": (names.GEN_AI_REQUEST_SEED, _whole),
    "stop": (names.GEN_AI_REQUEST_STOP_SEQUENCES, _words),
    "frequency_penalty": (names.GEN_AI_REQUEST_FREQUENCY_PENALTY, _real),
    "presence_penalty": (names.GEN_AI_REQUEST_PRESENCE_PENALTY, _real),
    "choices": (names.GEN_AI_REQUEST_CHOICE_COUNT, _several),
    "reasoning_level": (names.GEN_AI_REQUEST_REASONING_LEVEL, _word),
    "previous_response": (names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID, _word),
    "conversation": (names.GEN_AI_CONVERSATION_ID, _word),
    "encoding_formats": (names.GEN_AI_REQUEST_ENCODING_FORMATS, _words),
    "retrieved": (names.GEN_AI_RETRIEVAL_TOP_K, _whole),
    "description": (names.GEN_AI_TOOL_DESCRIPTION, _word),
    "call_id": (names.GEN_AI_TOOL_CALL_ID, _word),
}


def _params(params: Any, found: Attributes) -> None:
    for name, value in params.items():
        row = _PARAMS.get(name)
        if row is not None:
            fitting = row[1](value)
            if fitting is not None:
                found[row[0]] = fitting


# ------------------------------------------------------------------------------- the outcome


def outcome(op: Operation, found: Attributes) -> None:
    """Add the response, usage, timing and error, and captured content of the response."""
    _response(op, found)
    if op.action is not None:
        _counted(op, found)
    _usage(op.usage, found)
    _attempts(op.timing, found)
    if op.stream:
        _timing(op.timing, op.usage.output, found)
    if op.completed is False:
        found[names.GENAI_OTEL_RESPONSE_COMPLETED] = False
    if op.expired:
        found[names.GENAI_OTEL_EXPIRED] = True
    if op.verdict is not None:
        _verdict(op.verdict, found)
    if op.failure is not None:
        _failure(op.failure, found)
    if op.category is not None:
        found[names.GENAI_OTEL_ERROR_CATEGORY] = op.category
    if op.capture:
        _answered(op, found)


def _failure(told: Failure, found: Attributes) -> None:
    """Add the fields of an error that are not content and recorded under every content policy."""
    found[names.ERROR_TYPE] = told.type
    if told.code is not None:
        found[names.GENAI_OTEL_ERROR_CODE] = told.code
    if told.status is not None:
        found[names.HTTP_RESPONSE_STATUS_CODE] = told.status
    if told.request_id is not None:
        found[names.GENAI_OTEL_ERROR_REQUEST_ID] = told.request_id


def _response(op: Operation, found: Attributes) -> None:
    if op.response_id is not None:
        found[names.GEN_AI_RESPONSE_ID] = utf8(op.response_id)
    if op.response_model is not None:
        found[names.GEN_AI_RESPONSE_MODEL] = utf8(op.response_model)
    if op.finish_reasons:
        found[names.GEN_AI_RESPONSE_FINISH_REASONS] = [utf8(r) for r in op.finish_reasons]
    if op.dimensions is not None:
        found[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] = op.dimensions
    if op.tier is not None and "service_tier" not in (op.details or ()):
        found[names.GENAI_OTEL_RESPONSE_TIER] = utf8(op.tier)
    if op.region is not None:
        found[names.GENAI_OTEL_RESPONSE_REGION] = utf8(op.region)
    if op.details:
        _details(op.details, found)


# Usage field -> attribute; a 0 that the provider reports is recorded.
_USAGE = {
    "input": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "cache_read": names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write": names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    "reasoning": names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
}

# Recorded only if not 0: clients set these to 0 on every call.
_RARE_USAGE = {
    "cache_write_1h": names.GENAI_OTEL_USAGE_CACHE_CREATION_1H_INPUT_TOKENS,
    "audio_input": names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS,
    "audio_output": names.GENAI_OTEL_USAGE_AUDIO_OUTPUT_TOKENS,
    "image_input": names.GENAI_OTEL_USAGE_IMAGE_INPUT_TOKENS,
    "image_output": names.GENAI_OTEL_USAGE_IMAGE_OUTPUT_TOKENS,
    "web_searches": names.GENAI_OTEL_USAGE_WEB_SEARCHES,
    "file_searches": names.GENAI_OTEL_USAGE_FILE_SEARCHES,
    "map_searches": names.GENAI_OTEL_USAGE_MAP_SEARCHES,
    "containers": names.GENAI_OTEL_USAGE_CONTAINERS,
    "tool_images": names.GENAI_OTEL_USAGE_TOOL_IMAGES,
    "other_charges": names.GENAI_OTEL_USAGE_OTHER_CHARGES,
    "estimated": names.GENAI_OTEL_USAGE_ESTIMATED,
}


def _usage(usage: Usage, found: Attributes) -> None:
    for name, value in vars(usage).items():
        if value is not None:
            attribute = _USAGE.get(name)
            if attribute is None and value:
                attribute = _RARE_USAGE.get(name)
            if attribute is not None:
                found[attribute] = value
    if usage.cache_write_1h:
        found[names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS] = usage.cache_written


def cost_facts(cost: Cost, found: Attributes) -> None:
    """Add the cost and, if it is missing or incomplete, the cost status; never 0 for unknown."""
    if cost.amount is not None:
        found[names.GEN_AI_USAGE_COST] = cost.amount
        found[names.GENAI_OTEL_PRICES_VERSION] = cost.version or "none"
        if cost.currency != "USD":
            found[names.GENAI_OTEL_COST_CURRENCY] = cost.currency
    if cost.status != "priced":
        found[names.GENAI_OTEL_COST_STATUS] = cost.status
    if cost.missing:
        found[names.GENAI_OTEL_COST_UNPRICED] = list(cost.missing)
    if cost.pending:
        found[names.GENAI_OTEL_COST_PENDING] = list(cost.pending)


def budget_facts(spending: Spending) -> Attributes:
    """Return the attributes of a budget-breached event, without session, user and tags."""
    budget = spending.budget
    return {
        names.GENAI_OTEL_BUDGET_NAME: budget.name,
        names.GENAI_OTEL_BUDGET_PER: budget.per,
        names.GENAI_OTEL_BUDGET_UNIT: budget.unit,
        names.GENAI_OTEL_BUDGET_SPENT: float(spending.spent),
        names.GENAI_OTEL_BUDGET_LIMIT: float(budget.limit),
    }


# Fact of a session's turn -> attribute.
_TURN = {
    "response_id": names.GEN_AI_RESPONSE_ID,
    "finish_reasons": names.GEN_AI_RESPONSE_FINISH_REASONS,
    "input": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output": names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "tool": names.GEN_AI_TOOL_NAME,
    "call_id": names.GEN_AI_TOOL_CALL_ID,
    "audio_size": names.GENAI_OTEL_SESSION_TURN_AUDIO_SIZE,
    "error": names.ERROR_TYPE,
    "code": names.GENAI_OTEL_ERROR_CODE,
}


def turn_facts(turn: Turn) -> Attributes:
    """Return the attributes of a session-turn event; unknown facts are omitted."""
    found: Attributes = {names.GENAI_OTEL_SESSION_TURN_KIND: turn.kind}
    for name, value in turn.facts.items():
        attribute = _TURN.get(name)
        if attribute is not None and value is not None:
            found[attribute] = utf8(value) if type(value) is str else value
    return found


def _attempts(timing: Timing, found: Attributes) -> None:
    if timing.attempts > 1:
        found[names.GENAI_OTEL_RESPONSE_ATTEMPTS] = timing.attempts
        found[names.GENAI_OTEL_RESPONSE_BACKOFF] = timing.backoff
    if timing.server is not None:
        found[names.GENAI_OTEL_RESPONSE_SERVER_TIME] = timing.server
    if timing.queued is not None:
        found[names.GENAI_OTEL_RESPONSE_QUEUE_TIME] = timing.queued


def _timing(timing: Timing, output_tokens: int | None, found: Attributes) -> None:
    if timing.first_chunk is not None:
        found[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = timing.time_to_first_chunk
        found[names.GENAI_OTEL_RESPONSE_CHUNKS] = timing.chunks
    if timing.first_token is not None:
        found[names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN] = timing.time_to_first_token
    pace = timing.time_per_output_token(output_tokens)
    if pace is not None:
        found[names.GENAI_OTEL_RESPONSE_TIME_PER_OUTPUT_TOKEN] = pace
    if timing.consumer_time is not None:
        found[names.GENAI_OTEL_RESPONSE_CONSUMER_TIME] = timing.consumer_time
    gaps = timing.gaps()
    if gaps is not None:
        found[names.GENAI_OTEL_RESPONSE_CHUNK_GAP_P50] = gaps.p50
        found[names.GENAI_OTEL_RESPONSE_CHUNK_GAP_P95] = gaps.p95
        found[names.GENAI_OTEL_RESPONSE_CHUNK_GAP_MAX] = gaps.max
        found[names.GENAI_OTEL_RESPONSE_STALLS] = gaps.stalls


# Detail that only some libraries report -> attribute.
_DETAILS = {
    "api_type": names.OPENAI_API_TYPE,
    "requested_tier": names.OPENAI_REQUEST_SERVICE_TIER,
    "service_tier": names.OPENAI_RESPONSE_SERVICE_TIER,
    "system_fingerprint": names.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
    "guardrail_layer": names.GENAI_OTEL_GUARDRAIL_LAYER,
    "guardrail_phase": names.GENAI_OTEL_GUARDRAIL_PHASE,
    "conversation": names.GEN_AI_CONVERSATION_ID,
    "agent_id": names.GEN_AI_AGENT_ID,
    "turns": names.GENAI_OTEL_SESSION_TURNS,
    "container": names.GENAI_OTEL_RESPONSE_CONTAINER_ID,
    "policy_id": names.GEN_AI_GUARDRAIL_POLICY_ID,
    "policy_version": names.GEN_AI_GUARDRAIL_POLICY_VERSION,
}


def _details(details: Attributes, found: Attributes) -> None:
    for name, value in details.items():
        attribute = _DETAILS.get(name)
        if attribute is not None:
            found[attribute] = utf8(value) if type(value) is str else value


def _verdict(verdict: Verdict, found: Attributes) -> None:
    if verdict.action is not None:
        found[names.GEN_AI_GUARDRAIL_RESULT_TYPE] = verdict.action
    if verdict.score is not None:
        found[names.GEN_AI_GUARDRAIL_RESULT_VALUE] = float(verdict.score)
    if verdict.category is not None:
        found[names.GEN_AI_GUARDRAIL_RISK_CATEGORY] = utf8(verdict.category)


def _answered(op: Operation, found: Attributes) -> None:
    if op.verdict is not None and op.verdict.reason is not None:
        found[names.GEN_AI_GUARDRAIL_RESULT_REASON] = utf8(op.verdict.reason)
    if op.output:
        for message in op.output:
            reason = message.get("finish_reason") or _unfinished(op)
            message["finish_reason"] = _FINISH_REASONS.get(reason.lower(), reason)
        found[names.GEN_AI_OUTPUT_MESSAGES] = to_json(op.output)
    if op.documents:
        found[names.GEN_AI_RETRIEVAL_DOCUMENTS] = to_json(op.documents)
    if op.result is not None:
        if op.kind is Kind.TOOL:
            result = op.result if type(op.result) is dict else {"result": op.result}
            found[names.GEN_AI_TOOL_CALL_RESULT] = to_json(result)
        else:
            found[names.GENAI_OTEL_OUTPUT] = to_json(op.result)


def _unfinished(op: Operation) -> str:
    """Return the observed finish reason, which the schema requires, if the provider has none."""
    if op.failure is not None:
        return "error"
    return "incomplete" if op.completed is False else "unknown"


# --------------------------------------------------------------------------------- text, JSON


def utf8(text: str) -> str:
    """Return ``text`` as valid UTF-8: replace lone surrogates by question marks."""
    if type(text) is not str:  # set by the application
        text = str(snapshot(text))
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def to_json(value: Any) -> str:
    """Return JSON of a record's value; values that are not JSON types are converted first."""
    try:
        return _dump()(value, inf_nan_mode="strings").decode()
    except (ValueError, RecursionError):  # pydantic_core's own error is a ValueError
        return utf8(json.dumps(snapshot(value, depth=64), ensure_ascii=False))


@cache
def _dump() -> Callable[..., bytes]:
    """Return pydantic's JSON serializer: many times faster than ``json``, imported at first use."""
    from pydantic_core import to_json as dump

    return dump
