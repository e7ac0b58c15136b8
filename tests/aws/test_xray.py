"""X-Ray's ids and header, beside the ordinary ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from genai_otel.tracing.xray import HEADER, XRayHeader, XRayIds, propagate_header

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, SPAN = 0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8
TOLD = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def context(trace_id: int = TRACE, *, sampled: bool = True) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else 0)
    span = NonRecordingSpan(SpanContext(trace_id, SPAN, is_remote=False, trace_flags=flags))
    return trace.set_span_in_context(span, Context())


def test_ids_begin_with_the_time() -> None:
    ids, began = XRayIds(), int(time.time())
    made = [ids.generate_trace_id() for _ in range(100)]
    assert all(began <= each >> 96 <= time.time() for each in made)
    assert len({each & ((1 << 96) - 1) for each in made}) == 100


def test_the_header_is_written_and_read() -> None:
    carrier: dict[str, str] = {}
    XRayHeader().inject(carrier, context())
    assert carrier == {HEADER: TOLD}
    found = trace.get_current_span(XRayHeader().extract(carrier, Context())).get_span_context()
    assert (found.trace_id, found.span_id, found.is_remote) == (TRACE, SPAN, True)
    assert found.trace_flags.sampled
    XRayHeader().inject(carrier, context(sampled=False))
    assert carrier[HEADER].endswith("Sampled=0")


def test_the_order_of_its_fields_and_the_case_of_its_name_do_not_matter() -> None:
    carrier = {HEADER.lower(): "Self=1-x; " + "; ".join(reversed(TOLD.split(";")))}
    found = trace.get_current_span(XRayHeader().extract(carrier, Context())).get_span_context()
    assert found.trace_id == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Root=1-5759e988-bd862e3fe1be46a994272793",  # nobody's child
        TOLD.replace("Root=1", "Root=2"),
        TOLD.replace("5759e988", "5759e98"),
        TOLD.replace("53995c3f42cd8ad8", "0" * 16),
        TOLD.replace("53995c3f42cd8ad8", "z" * 16),
        ";=;" * 1_000_000,
    ],
)
def test_what_is_no_such_header_is_left_alone(header: str) -> None:
    outer = context(trace_id=7)
    assert XRayHeader().extract({HEADER: header}, outer) is outer


def test_awss_own_propagator_reads_and_writes_the_same() -> None:
    theirs = pytest.importorskip("opentelemetry.propagators.aws").AwsXRayPropagator()
    carrier: dict[str, str] = {}
    theirs.inject(carrier, context())
    assert carrier == {HEADER: TOLD}
    found = trace.get_current_span(theirs.extract({HEADER: TOLD}, Context())).get_span_context()
    assert (found.trace_id, found.span_id) == (TRACE, SPAN)


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.usefixtures("_as_before")
def test_it_goes_beside_traceparent_and_away_again() -> None:
    before = propagate.get_global_textmap()
    undo = propagate_header()
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context())
    assert set(carrier) == {"traceparent", HEADER}
    again = propagate_header()
    again()
    assert HEADER in propagate.get_global_textmap().fields
    undo()
    assert propagate.get_global_textmap() is before


@pytest.mark.usefixtures("_as_before")
def test_a_propagator_that_the_host_set_since_stays() -> None:
    undo = propagate_header()
    theirs = XRayHeader()
    propagate.set_global_textmap(theirs)
    undo()
    assert propagate.get_global_textmap() is theirs
