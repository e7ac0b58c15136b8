"""AWS: no content on spans, but in one log event a span, which CloudWatch's GenAI pages join to it.

The shapes are those of AWS's own distribution (aws-opentelemetry-distro, llo_handler.py): the event
is named for the scope, its body has ``input.messages`` and ``output.messages`` of ``{role,
content}``. Agents are found by the resource attribute ``aws.service.type``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.resources import Resource

from genai_otel import _semconv as names
from genai_otel.export.readable import copy_span
from genai_otel.privacy import shorten

from ._chat import input_value, output_value
from ._span_view import SpanView, as_text, message_text, to_json, visible_parts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from ._span_view import Json

# As JSON. CloudWatch takes 1 MB an event, and many short texts take more in protobuf.
EVENT_BYTES = 750_000
SERVICE_TYPE = "aws.service.type"
# Removed from spans. An exception's message stays: X-Ray shows it as the cause of the fault.
CONTENT = frozenset(
    (
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_OUTPUT_MESSAGES,
        names.GEN_AI_TOOL_DEFINITIONS,
        names.GEN_AI_TOOL_CALL_ARGUMENTS,
        names.GEN_AI_TOOL_CALL_RESULT,
        names.GEN_AI_RETRIEVAL_QUERY_TEXT,
        names.GEN_AI_RETRIEVAL_DOCUMENTS,
        names.GEN_AI_GUARDRAIL_RESULT_REASON,
        names.GEN_AI_MEMORY_QUERY_TEXT,
        names.GEN_AI_MEMORY_RECORDS,
        names.GENAI_OTEL_INPUT,
        names.GENAI_OTEL_OUTPUT,
    )
)


class ContentEvent(NamedTuple):
    """A log record with the content of a span; ``time_ns`` is the end of the span."""

    time_ns: int
    body: dict[str, Any]
    attributes: dict[str, Any]
    resource: Resource
    instrumentation_scope: InstrumentationScope | None
    event_name: str
    trace_id: int
    span_id: int


def project(span: ReadableSpan) -> ReadableSpan:
    """The span without content, with the resource of an agent."""
    view = SpanView(span)
    if view.operation is None:
        return span
    kept = {n: v for n, v in view.attributes.items() if n not in CONTENT}
    session = view.text(names.GEN_AI_CONVERSATION_ID)
    if session is not None:
        kept.setdefault(names.SESSION_ID, session)
    return copy_span(span, kept, resource=_agent_resource(span.resource))


def log_records(span: ReadableSpan) -> list[ContentEvent]:
    """The one log event with the span's content; none if it has none."""
    view, context = SpanView(span), span.context
    body = _body(view) if view.operation is not None else {}
    if not body or context is None or span.end_time is None:
        return []
    scope = span.instrumentation_scope
    name = scope.name if scope is not None else "genai_otel"
    attributes: dict[str, Any] = {"event.name": name}
    session = view.text(names.SESSION_ID) or view.text(names.GEN_AI_CONVERSATION_ID)
    if session is not None:
        attributes[names.SESSION_ID] = session
    event = ContentEvent(
        time_ns=span.end_time,
        body=body,
        attributes=attributes,
        resource=_agent_resource(span.resource),
        instrumentation_scope=scope,
        event_name=name,
        trace_id=context.trace_id,
        span_id=context.span_id,
    )
    return [event]


_agents: dict[int, tuple[Resource, Resource]] = {}
_MAX_AGENTS = 16


def _agent_resource(resource: Resource) -> Resource:
    """The resource of an agent: the same one each time, since spans are grouped by it."""
    known = _agents.get(id(resource))
    if known is not None and known[0] is resource:
        return known[1]
    tagged = resource
    if SERVICE_TYPE not in resource.attributes:
        attributes = {**resource.attributes, SERVICE_TYPE: "gen_ai_agent"}
        tagged = Resource(attributes, resource.schema_url)
    if len(_agents) >= _MAX_AGENTS:
        _agents.clear()
    _agents[id(resource)] = resource, tagged
    return tagged


def _body(view: SpanView) -> Json:
    sides = {
        "input": _messages(view.input_messages(), "user", input_value(view)),
        "output": _messages(view.output_messages(), "assistant", output_value(view)),
    }
    body = {side: {"messages": messages} for side, messages in sides.items() if messages}
    shorter = shorten(body, EVENT_BYTES)
    return shorter if type(shorter) is dict else {}


def _messages(messages: list[Json], role: str, value: Any) -> list[Json]:
    """The messages; a value that is no conversation becomes one message."""
    if messages:
        return [{"role": m.get("role") or role, "content": _content(m)} for m in messages]
    return [] if value is None else [{"role": role, "content": as_text(value)}]


def _content(message: Json) -> str:
    """Text as text; with tool calls or media in it, all parts as JSON."""
    shown = visible_parts(message)
    plain = all(part.get("type") == "text" for part in shown)
    return message_text(message) if plain else to_json(shown)
