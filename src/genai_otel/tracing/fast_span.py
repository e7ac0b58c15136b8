"""A fast span, for a provider that only we use.

The SDK's span validates each attribute and takes locks, which costs as much as everything else of
a recorded call. Here only the recorder writes, once. Ids, sampler, limits and resource are
those of the SDK's provider, and an ended span is its ``ReadableSpan``.
"""

from __future__ import annotations

import traceback
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    Sampler,
    SamplingResult,
)
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)

from genai_otel.export.readable import SHORT_TEXT, RecorderSpan, estimated_list_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanKind

_SCALARS = frozenset({str, bool, int, float})
_LISTS = frozenset({list, tuple})
_SAMPLED, _RANDOM = 1, 2
_FLAGS = tuple(TraceFlags(bits) for bits in range(4))
_UNSET = Status(StatusCode.UNSET)
_KEPT, _DROPPED = SamplingResult(Decision.RECORD_AND_SAMPLE), SamplingResult(Decision.DROP)
# Results of the SDK's samplers without a ratio for a span without a parent.
_ROOT_RESULTS: dict[Sampler, SamplingResult] = {
    DEFAULT_ON: _KEPT,
    ALWAYS_ON: _KEPT,
    DEFAULT_OFF: _DROPPED,
    ALWAYS_OFF: _DROPPED,
}


class OwnTracer:
    """Starts spans as a tracer of ``provider`` does; ended spans are passed to ``on_end``."""

    def __init__(
        self,
        provider: TracerProvider,
        scope: InstrumentationScope,
        on_end: Callable[[ReadableSpan], None],
        limits: SpanLimits | None = None,
    ) -> None:
        self.provider, self.scope, self.on_end = provider, scope, on_end
        self.limits = limits or SpanLimits()  # those of the environment, as the provider's

    def start_span(
        self,
        name: str,
        context: Context,
        kind: SpanKind,
        attributes: Mapping[str, Any] | None,
        *,
        start_time: int,
    ) -> Span:
        """A span that records, or one that only has ids if the sampler drops it."""
        parent = _parent(context)
        generator, sampler = self.provider.id_generator, self.provider.sampler
        trace_id = generator.generate_trace_id() if parent is None else parent.trace_id
        result = None if attributes else _known_result(sampler, parent)
        if result is None:
            result = sampler.should_sample(context, trace_id, name, kind, attributes, ())
        ids = self._new_context(parent, trace_id, result)
        if result.decision is Decision.DROP:
            return NonRecordingSpan(ids)
        span = OwnSpan(self, name, ids, parent, kind, start_time)
        if result.attributes:
            span.put({k: v for k, v in result.attributes.items() if type(k) is str})
        return span

    def dropped(self, context: Context) -> Span | None:
        """A non-recording span if the sampler drops it for certain, whatever its name."""
        parent = _parent(context)
        if _known_result(self.provider.sampler, parent) is not _DROPPED:
            return None
        new = self.provider.id_generator.generate_trace_id
        trace_id = new() if parent is None else parent.trace_id
        return NonRecordingSpan(self._new_context(parent, trace_id, _DROPPED))

    def _new_context(
        self, parent: SpanContext | None, trace_id: int, result: SamplingResult
    ) -> SpanContext:
        bits = _RANDOM if parent is None else parent.trace_flags & _RANDOM
        if result.decision is Decision.RECORD_AND_SAMPLE:
            bits |= _SAMPLED
        span_id = self.provider.id_generator.generate_span_id()
        return SpanContext(trace_id, span_id, False, _FLAGS[bits], result.trace_state)  # noqa: FBT003


def _parent(context: Context) -> SpanContext | None:
    parent = get_current_span(context).get_span_context() if context else None
    return parent if parent is not None and parent.is_valid else None


def _known_result(sampler: Sampler, parent: SpanContext | None) -> SamplingResult | None:
    """The result of a sampler if it is certain: a call costs more than the span's ids."""
    if parent is None:
        return _ROOT_RESULTS.get(sampler)
    if parent.trace_state or (sampler is not DEFAULT_ON and sampler is not DEFAULT_OFF):
        return None
    return _KEPT if parent.trace_flags & _SAMPLED else _DROPPED


def _normalize(found: dict[str, Any], key: str) -> None:
    """Convert a value that is not a scalar to the SDK's form, or remove it."""
    value = found[key]
    if type(value) in _LISTS and all(type(item) in _SCALARS for item in value):
        found[key] = tuple(value)
        return
    cleaned = BoundedAttributes(None, {key: value})
    if key in cleaned:
        found[key] = cleaned[key]
    else:
        del found[key]


class OwnSpan(Span):
    """A span that records. The host can reach it, as the current span, and after its end.

    The recorder writes by ``put``, after the content policy. Whatever is written by methods of the
    API may be the host's, and destinations redact it.
    """

    def __init__(
        self,
        spans: OwnTracer,
        name: str,
        ids: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        started: int,
    ) -> None:
        self._tracer, self._name, self._ids, self._parent = spans, name, ids, parent
        self._kind, self._started, self._ended = kind, started, False
        self._attributes: dict[str, Any] = {}
        self._events: Sequence[Event] = ()
        self._links: Sequence[Link] = ()
        self._status = _UNSET
        self._written_by_host = False
        self._size = 0

    def get_span_context(self) -> SpanContext:
        return self._ids

    def is_recording(self) -> bool:
        return not self._ended

    def update_name(self, name: str) -> None:
        if not self._ended:
            self._name, self._written_by_host = name, True

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._written_by_host = True
        self.put(attributes)
        for key in [key for key in attributes if type(key) is not str]:
            self._attributes.pop(key, None)

    def put(self, attributes: Mapping[str, Any]) -> None:
        """Set the recorder's attributes, whose keys are strings, and add up their size."""
        if self._ended:
            return
        found, size = self._attributes, 0
        found.update(attributes)
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                length = len(value)
                size += length if length < SHORT_TEXT or value.isascii() else 3 * length
            elif kind not in _SCALARS:
                size += estimated_list_size(value)
                _normalize(found, key)
        self._size += size

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self._ended:
            return
        self._written_by_host = True
        limits = self._tracer.limits
        kept = BoundedAttributes(
            limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length
        )
        self._events = self._events or BoundedList(limits.max_events)
        self._events.append(Event(name, kept, timestamp))  # type: ignore[attr-defined]

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self._ended or not (context.is_valid or attributes or context.trace_state):
            return
        self._written_by_host = True
        limits = self._tracer.limits
        kept = BoundedAttributes(
            limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length
        )
        self._links = self._links or BoundedList(limits.max_links)
        self._links.append(Link(context, kept))  # type: ignore[attr-defined]

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """As in the SDK: OK is final, and a status is never unset."""
        new = Status(status, description) if isinstance(status, StatusCode) else status
        final = self._ended or self._status.status_code is StatusCode.OK
        if not final and new.status_code is not StatusCode.UNSET:
            self._status, self._written_by_host = new, True

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the API's
    ) -> None:
        """Called by the host only, so the text of the exception may be recorded."""
        cls = type(exception)
        exception_attributes = {
            "exception.type": f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins."),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
            **(attributes or {}),
        }
        self.add_event("exception", exception_attributes, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span; a second call has no effect."""
        if self._ended:
            return
        self._ended = True
        spans = self._tracer
        ended = (ReadableSpan if self._written_by_host else RecorderSpan)(
            self._name,
            self._ids,
            self._parent,
            spans.provider.resource,
            self._limited_attributes(spans.limits),
            self._events,
            self._links,
            self._kind,
            None,
            self._status,
            self._started,
            time_ns() if end_time is None else end_time,
            spans.scope,
        )
        if type(ended) is RecorderSpan:
            ended.size = self._size
        spans.on_end(ended)

    def _limited_attributes(self, limits: SpanLimits) -> Mapping[str, Any]:
        """The attributes within the limits of the environment."""
        max_attributes, max_length = limits.max_span_attributes, limits.max_span_attribute_length
        if max_length is None and (
            max_attributes is None or len(self._attributes) <= max_attributes
        ):
            return self._attributes
        return BoundedAttributes(max_attributes, self._attributes, max_value_len=max_length)
