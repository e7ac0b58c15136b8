"""Copies of ended spans with something changed: nobody's span is changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


SCOPE = "genai_otel"
"""The instrumentation scope of our own spans."""


class Recorded(ReadableSpan):
    """An ended span that nobody but the recorder has written on."""

    size: int | None = None
    """Bytes of its attributes' values, about, if they were counted as they were written."""


def is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of an ended span, past two layers of proxies: all of them are read here."""
    attributes = getattr(span, "_attributes", None)
    if type(attributes) is dict:
        return attributes
    inner = getattr(attributes, "_dict", None)
    return inner if type(inner) is dict else span.attributes or {}


def among_ours(span: ReadableSpan) -> ReadableSpan:
    """The span in the tree of ours alone: where another library's is its parent, as told, our own.

    Whoever is not sent those others would show a part of the tree, or nothing, as the root is away.
    """
    told = attributes_of(span).get(names.GENAI_OTEL_PARENT_ID)
    context = span.context
    if type(told) is not str or context is None:
        return span
    try:
        number = int(told, 16)
    except ValueError:
        number = 0  # no parent
    parent = SpanContext(context.trace_id, number, is_remote=False, trace_flags=context.trace_flags)
    return changed(span, attributes_of(span), parent=parent if parent.is_valid else None)


def priced(span: ReadableSpan, price: Callable[[Any], Mapping[str, Any]]) -> ReadableSpan:
    """The span of a call that ended before prices were there, with its cost now."""
    found = attributes_of(span)
    pending = found.get(names.GENAI_OTEL_COST_PENDING)
    if pending is None:
        return span
    rest = {k: v for k, v in found.items() if k not in _OF_COST}
    return changed(span, {**rest, **price(pending)})


_OF_COST = frozenset(
    (names.GENAI_OTEL_COST_PENDING, names.GENAI_OTEL_COST_STATUS, names.GENAI_OTEL_COST_UNPRICED)
)


def changed(
    span: ReadableSpan, attributes: Mapping[str, Any], *, counts: bool = False, **more: Any
) -> ReadableSpan:
    """A copy with these attributes, and with other ``events``, ``name``, ``status`` where given.

    The rest is shared with the original; the SDK's checks of values are not repeated. What the
    original says it has dropped is said by the copy too; with ``counts`` also what it has less of.
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
    made = {**same, **more}
    missing = [span.dropped_attributes, span.dropped_events, span.dropped_links]
    if counts:
        missing[0] += len(attributes_of(span)) - len(attributes)
        missing[1] += len(span.events) - len(made["events"])
        missing[2] += len(span.links) - len(made["links"])
    for name, dropped in zip(("events", "links"), missing[1:], strict=True):
        if dropped:
            made[name] = _lacking(made[name], dropped)
    return ReadableSpan(**made, attributes=_held_by(attributes, missing[0]))


def changed_event(event: Event, attributes: Mapping[str, Any], name: str | None = None) -> Event:
    """A copy with these attributes, likewise; and with another name, if given."""
    dropped = getattr(event, "dropped_attributes", 0)  # absent on subclasses that hosts may pass
    return Event(name or event.name, _held_by(attributes, dropped), event.timestamp)


def changed_link(link: Link, attributes: Mapping[str, Any]) -> Link:
    return Link(link.context, _held_by(attributes, getattr(link, "dropped_attributes", 0)))


def _held_by(attributes: Mapping[str, Any], dropped: int) -> Mapping[str, Any]:
    """Only the SDK's own class can say that some are missing."""
    if not dropped:
        return dict(attributes)
    held = BoundedAttributes(None, dict(attributes))
    held.dropped = dropped
    return held


def _lacking(items: Sequence[Any], dropped: int) -> Sequence[Any]:
    held = BoundedList.from_seq(None, items)
    held.dropped = dropped
    return held


def weight(span: ReadableSpan) -> int:
    """About how many bytes a span holds in memory; cheap, as it is asked where spans end."""
    attributes = attributes_of(span)
    size = span.size if type(span) is Recorded else None
    total = _BARE + (_held(attributes) if size is None else _EACH * len(attributes) + size)
    for event in span.events:
        total += _BARE + _held(event.attributes or {})
    return total


_BARE = 600
_EACH = 60
SHORT = 64
"""Characters of a text that is not worth asking whether each is one byte."""
_LISTS = frozenset({list, tuple})


def _held(attributes: Mapping[str, Any]) -> int:
    total = _EACH * len(attributes)
    for value in attributes.values():  # almost all are plain, and a call for each would cost
        if type(value) is str:
            size = len(value)
            total += size if size < SHORT or value.isascii() else 3 * size
        elif type(value) in _LISTS:
            total += weight_of_list(value)
    return total


def weight_of_list(items: Any) -> int:
    """Of no list or tuple it is nothing."""
    if type(items) not in _LISTS:
        return 0
    return sum(_EACH + 3 * len(item) for item in items if type(item) is str)
