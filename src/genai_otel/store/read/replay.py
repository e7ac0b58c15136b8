"""Convert stored spans to SDK spans for another export: same ids, times and resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from .decoder import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Raw = Mapping[str, Any]

_REMOTE = 0x200
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {kind.value + 1: kind for kind in SpanKind}


def revive(request: Raw) -> tuple[list[ReadableSpan], int]:
    """Return the spans of an OTLP-JSON trace request, and the number of malformed ones.

    Raises ``TypeError``, ``AttributeError`` or ``ValueError`` if it is not OTLP-JSON at all.
    """
    spans: list[ReadableSpan] = []
    bad = 0
    for raw, resource, scope in _raw_spans(request):
        try:
            spans.append(_Revived(raw, resource, scope))
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            bad += 1
    return spans, bad


def _raw_spans(request: Raw) -> Iterator[tuple[Raw, Resource, InstrumentationScope | None]]:
    for group in request.get("resourceSpans") or ():
        told = group.get("resource") or {}
        resource = Resource(_attributes(told), group.get("schemaUrl"))  # shared by all of its spans
        for part in group.get("scopeSpans") or ():
            scope = _scope(part)
            for raw in part.get("spans") or ():
                yield raw, resource, scope


def _scope(part: Raw) -> InstrumentationScope | None:
    told = part.get("scope") or {}
    if not told:
        return None
    return InstrumentationScope(
        told.get("name") or "",
        told.get("version"),
        part.get("schemaUrl"),
        _attributes(told) or None,
    )


class _Revived(ReadableSpan):
    """A span from a file, with its counts of dropped attributes, events and links."""

    def __init__(self, raw: Raw, resource: Resource, scope: InstrumentationScope | None) -> None:
        trace_id, parent = int(raw["traceId"], 16), raw.get("parentSpanId")
        status, flags = raw.get("status") or {}, int(raw.get("flags") or 0)
        super().__init__(
            name=raw.get("name") or "",
            context=_context(trace_id, raw["spanId"], raw.get("traceState")),
            parent=_context(trace_id, parent, None, flags) if parent else None,
            resource=resource,
            attributes=_attributes(raw),
            events=[_event(event) for event in raw.get("events") or ()],
            links=[_link(link) for link in raw.get("links") or ()],
            kind=_KINDS.get(raw.get("kind", 0), SpanKind.INTERNAL),
            status=_status(status),
            start_time=int(raw.get("startTimeUnixNano") or 0),
            end_time=int(raw.get("endTimeUnixNano") or 0),
            instrumentation_scope=scope,
        )
        self._lost = {
            what: int(raw.get(f"dropped{what}Count") or 0)
            for what in ("Attributes", "Events", "Links")
        }

    @property
    def dropped_attributes(self) -> int:
        return self._lost["Attributes"]

    @property
    def dropped_events(self) -> int:
        return self._lost["Events"]

    @property
    def dropped_links(self) -> int:
        return self._lost["Links"]


def _context(trace_id: int, span_id: str, state: str | None, flags: int = 0) -> SpanContext:
    known = TraceState.from_header([state]) if state else None
    number = int(span_id, 16)
    context = SpanContext(trace_id, number, bool(flags & _REMOTE), _SAMPLED, known)
    if not context.is_valid:
        raise ValueError("not an id")
    return context


def _event(raw: Raw) -> Event:
    return Event(raw.get("name") or "", _attributes(raw), int(raw.get("timeUnixNano") or 0))


def _link(raw: Raw) -> Link:
    flags = int(raw.get("flags") or 0)
    return Link(_context(int(raw["traceId"], 16), raw["spanId"], None, flags), _attributes(raw))


def _status(raw: Raw) -> Status:
    code = StatusCode(int(raw.get("code") or 0))
    return Status(code, raw.get("message") if code is StatusCode.ERROR else None)


def _attributes(raw: Raw) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in attributes(raw.get("attributes")).items()
        if value is not None
    }
