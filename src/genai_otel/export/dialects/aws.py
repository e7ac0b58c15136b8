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

from ._chat import asked, replied
from ._facts import Facts, as_text, parts, to_json, words

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from ._facts import Json

EVENT_BYTES = 750_000
"""As JSON. CloudWatch takes 1 MB an event, and many short texts take more in protobuf."""
SERVICE_TYPE = "aws.service.type"
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
"""What is taken off a span. An exception's message stays: X-Ray shows it as the fault's cause."""


class ContentEvent(NamedTuple):
    """A log record that has what a span said; ``time_ns`` is the span's end."""

    time_ns: int
    body: dict[str, Any]
    attributes: dict[str, Any]
    resource: Resource
    instrumentation_scope: InstrumentationScope | None
    event_name: str
    trace_id: int
    span_id: int


def project(span: ReadableSpan) -> ReadableSpan:
    """The span without content, of a service that CloudWatch takes for an agent's."""
    facts = Facts(span)
    if facts.operation is None:
        return span
    kept = {n: v for n, v in facts.attributes.items() if n not in CONTENT}
    session = facts.text(names.GEN_AI_CONVERSATION_ID)
    if session is not None:
        kept.setdefault(names.SESSION_ID, session)
    return copy_span(span, kept, resource=_of_an_agent(span.resource))


def log_records(span: ReadableSpan) -> list[ContentEvent]:
    """The one log event with the span's content; none if it has none."""
    facts, context = Facts(span), span.context
    body = _body(facts) if facts.operation is not None else {}
    if not body or context is None or span.end_time is None:
        return []
    scope = span.instrumentation_scope
    name = scope.name if scope is not None else "genai_otel"
    attributes: dict[str, Any] = {"event.name": name}
    session = facts.text(names.SESSION_ID) or facts.text(names.GEN_AI_CONVERSATION_ID)
    if session is not None:
        attributes[names.SESSION_ID] = session
    event = ContentEvent(
        time_ns=span.end_time,
        body=body,
        attributes=attributes,
        resource=_of_an_agent(span.resource),
        instrumentation_scope=scope,
        event_name=name,
        trace_id=context.trace_id,
        span_id=context.span_id,
    )
    return [event]


_agents: dict[int, tuple[Resource, Resource]] = {}
_KEPT = 16


def _of_an_agent(resource: Resource) -> Resource:
    """The resource of an agent: the same one each time, since spans are grouped by it."""
    known = _agents.get(id(resource))
    if known is not None and known[0] is resource:
        return known[1]
    told = resource
    if SERVICE_TYPE not in resource.attributes:
        attributes = {**resource.attributes, SERVICE_TYPE: "gen_ai_agent"}
        told = Resource(attributes, resource.schema_url)
    if len(_agents) >= _KEPT:
        _agents.clear()
    _agents[id(resource)] = resource, told
    return told


def _body(facts: Facts) -> Json:
    sides = {
        "input": _messages(facts.said(), "user", asked(facts)),
        "output": _messages(facts.answered(), "assistant", replied(facts)),
    }
    body = {side: {"messages": said} for side, said in sides.items() if said}
    shorter = shorten(body, EVENT_BYTES)
    return shorter if type(shorter) is dict else {}


def _messages(messages: list[Json], role: str, value: Any) -> list[Json]:
    """What was said as messages; a value that is no conversation is one."""
    if messages:
        return [{"role": m.get("role") or role, "content": _content(m)} for m in messages]
    return [] if value is None else [{"role": role, "content": as_text(value)}]


def _content(message: Json) -> str:
    """Text as text; with tool calls or media in it, all parts as JSON."""
    said = parts(message)
    plain = all(part.get("type") == "text" for part in said)
    return words(message) if plain else to_json(said)
