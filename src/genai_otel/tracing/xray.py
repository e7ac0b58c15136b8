"""X-Ray's trace ids, which begin with the time, and its propagation header.

Its OTLP endpoint takes ordinary ids and W3C's ``traceparent`` as well. Both are options for
services that share traces with older instrumentation: ``Destination("xray", options={"ids": "xray",
"propagation": "xray"})``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from .ids import OsEntropyIds

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import CarrierT, Getter, Setter

HEADER = "X-Amzn-Trace-Id"
_VERSION, _HEX_TIME, _HEX_TRACE, _HEX_SPAN = "1", 8, 24, 16
_MAX_HEADER_CHARS = 512


class XRayIds(OsEntropyIds):
    """The first 4 bytes of a trace id are the time in seconds, the other 12 random.

    docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html
    """

    def generate_trace_id(self) -> int:
        random = super().generate_trace_id() & ((1 << 96) - 1)
        return (int(time.time()) & 0xFFFFFFFF) << 96 | random


class XRayHeader(TextMapPropagator):
    """``Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1``.

    docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html
    """

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        base = context if context is not None else _empty()
        given = getter.get(carrier, HEADER) or getter.get(carrier, HEADER.lower())
        found = _parse(given[0]) if given else None
        return base if found is None else trace.set_span_in_context(NonRecordingSpan(found), base)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        span = trace.get_current_span(context).get_span_context()
        if span.is_valid:
            root = f"{span.trace_id:032x}"
            value = f"Root={_VERSION}-{root[:_HEX_TIME]}-{root[_HEX_TIME:]}"
            sampled = int(span.trace_flags.sampled)
            setter.set(carrier, HEADER, f"{value};Parent={span.span_id:016x};Sampled={sampled}")

    @property
    def fields(self) -> set[str]:
        return {HEADER}


def _empty() -> Context:
    from opentelemetry.context import get_current

    return get_current()


def _parse(header: str) -> SpanContext | None:
    """``None`` for what is no header of X-Ray's, or has no parent to continue."""
    pairs = dict(
        pair.strip().split("=", 1) for pair in header[:_MAX_HEADER_CHARS].split(";") if "=" in pair
    )
    version, _, rest = pairs.get("Root", "").partition("-")
    seconds, _, random = rest.partition("-")
    parent = pairs.get("Parent", "")
    lengths = (len(seconds), len(random), len(parent))
    if version != _VERSION or lengths != (_HEX_TIME, _HEX_TRACE, _HEX_SPAN):
        return None
    try:
        flags = TraceFlags(TraceFlags.SAMPLED if pairs.get("Sampled") == "1" else 0)
        found = SpanContext(
            int(seconds + random, 16), int(parent, 16), is_remote=True, trace_flags=flags
        )
    except ValueError:
        return None
    return found if found.is_valid else None


def propagate_header() -> Callable[[], None]:
    """Add the header to the global propagator; return a function that removes it."""
    from opentelemetry.propagators.composite import CompositePropagator

    before = propagate.get_global_textmap()
    if HEADER in before.fields:  # OTEL_PROPAGATORS has asked for it
        return lambda: None
    ours = CompositePropagator([before, XRayHeader()])
    propagate.set_global_textmap(ours)

    def undo() -> None:
        if propagate.get_global_textmap() is ours:  # another one stays
            propagate.set_global_textmap(before)

    return undo
