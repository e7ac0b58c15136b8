"""Ended spans: reading, estimated sizes, and copies with changes. No span is changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


# The instrumentation scope of our own spans.
SCOPE = "genai_otel"


class RecorderSpan(ReadableSpan):
    """An ended span that only the recorder has written on."""

    # About the bytes of its attributes' values, if they were counted when they were written.
    size: int | None = None


def is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of an ended span, without the SDK's two layers of proxies."""
    attributes = getattr(span, "_attributes", None)
    if type(attributes) is dict:
        return attributes
    inner = getattr(attributes, "_dict", None)
    return inner if type(inner) is dict else span.attributes or {}


def with_own_parent(span: ReadableSpan) -> ReadableSpan:
    """The span with our own nearest span as its parent, where that is another library's.

    A backend that is not sent the spans of other libraries would miss the parent, and often the
    root of the trace.
    """
    parent_id = attributes_of(span).get(names.GENAI_OTEL_PARENT_ID)
    context = span.context
    if type(parent_id) is not str or context is None:
        return span
    try:
        number = int(parent_id, 16)
    except ValueError:
        number = 0  # no parent
    parent = SpanContext(context.trace_id, number, is_remote=False, trace_flags=context.trace_flags)
    return copy_span(span, attributes_of(span), parent=parent if parent.is_valid else None)


def with_cost(span: ReadableSpan, price: Callable[[Any], Mapping[str, Any]]) -> ReadableSpan:
    """The span with its cost, if the call ended before prices were loaded."""
    found = attributes_of(span)
    pending = found.get(names.GENAI_OTEL_COST_PENDING)
    if pending is None:
        return span
    rest = {k: v for k, v in found.items() if k not in _COST_ATTRIBUTES}
    return copy_span(span, {**rest, **price(pending)})


_COST_ATTRIBUTES = frozenset(
    (names.GENAI_OTEL_COST_PENDING, names.GENAI_OTEL_COST_STATUS, names.GENAI_OTEL_COST_UNPRICED)
)


def copy_span(
    span: ReadableSpan,
    attributes: Mapping[str, Any],
    *,
    count_dropped: bool = False,
    **changes: Any,
) -> ReadableSpan:
    """A copy with these attributes, and with other ``events``, ``name``, ``status`` if given.

    The rest is shared with the original; values are not checked again. The copy has the dropped
    counts of the original; with ``count_dropped`` also what it has less than the original.
    """
    same = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    made = {**same, **changes}
    missing = [span.dropped_attributes, span.dropped_events, span.dropped_links]
    if count_dropped:
        missing[0] += len(attributes_of(span)) - len(attributes)
        missing[1] += len(span.events) - len(made["events"])
        missing[2] += len(span.links) - len(made["links"])
    for name, dropped in zip(("events", "links"), missing[1:], strict=True):
        if dropped:
            made[name] = _bounded_list(made[name], dropped)
    return ReadableSpan(**made, attributes=_attributes(attributes, missing[0]))


def copy_event(event: Event, attributes: Mapping[str, Any], name: str | None = None) -> Event:
    """A copy with these attributes, and with another name if given."""
    dropped = getattr(event, "dropped_attributes", 0)  # absent on subclasses that hosts may pass
    return Event(name or event.name, _attributes(attributes, dropped), event.timestamp)


def copy_link(link: Link, attributes: Mapping[str, Any]) -> Link:
    return Link(link.context, _attributes(attributes, getattr(link, "dropped_attributes", 0)))


def _attributes(attributes: Mapping[str, Any], dropped: int) -> Mapping[str, Any]:
    """Only the SDK's own class has a dropped count."""
    if not dropped:
        return dict(attributes)
    held = BoundedAttributes(None, dict(attributes))
    held.dropped = dropped
    return held


def _bounded_list(items: Sequence[Any], dropped: int) -> Sequence[Any]:
    held = BoundedList.from_seq(None, items)
    held.dropped = dropped
    return held


def estimated_size(span: ReadableSpan) -> int:
    """About the bytes of a span in memory; cheap, as it is computed when spans end."""
    attributes = attributes_of(span)
    size = span.size if type(span) is RecorderSpan else None
    total = _SPAN_BYTES + (
        _estimated_attributes_size(attributes)
        if size is None
        else _ITEM_BYTES * len(attributes) + size
    )
    for event in span.events:
        total += _SPAN_BYTES + _estimated_attributes_size(event.attributes or {})
    return total


_SPAN_BYTES = 600
_ITEM_BYTES = 60
# Characters; shorter texts are not checked for being ASCII.
SHORT_TEXT = 64
_LISTS = frozenset({list, tuple})


def _estimated_attributes_size(attributes: Mapping[str, Any]) -> int:
    total = _ITEM_BYTES * len(attributes)
    for value in attributes.values():  # inline: a call for each would cost too much
        if type(value) is str:
            size = len(value)
            total += size if size < SHORT_TEXT or value.isascii() else 3 * size
        elif type(value) in _LISTS:
            total += estimated_list_size(value)
    return total


def estimated_list_size(items: Any) -> int:
    """Zero for anything but a list or tuple."""
    if type(items) not in _LISTS:
        return 0
    return sum(_ITEM_BYTES + 3 * len(item) for item in items if type(item) is str)
