"""Spans of our own provider: what the SDK's span would have come to, whoever writes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

import genai_otel
from genai_otel import operation, step
from genai_otel.export.readable import RecorderSpan, estimated_size
from genai_otel.store.otlp_json import spans_request
from genai_otel.testing import Capture
from genai_otel.tracing.fast_span import OwnTracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

    Writing = Callable[[Span], object]

LINKED = SpanContext(7, 8, is_remote=True)


class _Counting(IdGenerator):
    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    def generate_trace_id(self) -> int:
        return self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return True


class _Keeping(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _told(*, own: bool, write: Writing, context: Context | None = None, **options: Any) -> Any:
    """OTLP of one span, the SDK's or ours, to which ``write`` has written; its ids if unsampled."""
    kept = _Keeping()
    provider = TracerProvider(
        resource=Resource({"service.name": "shop"}),
        id_generator=_Counting(),
        shutdown_on_exit=False,
        **options,
    )
    provider.add_span_processor(kept)
    start: Any = provider.get_tracer("ours", "1").start_span
    if own:
        start = OwnTracer(provider, InstrumentationScope("ours", "1"), kept.on_end).start_span
    span = start("chat", context or Context(), SpanKind.CLIENT, {"at": "start"}, start_time=5)
    write(span)
    span.end(9)
    write(span)
    span.end(10)
    if kept.spans:
        return spans_request(kept.spans)
    return span.is_recording(), span.get_span_context()


def _attributes(span: Span) -> None:
    span.set_attributes({"text": "a", "many": ["a", "b"], "pair": (1, 2), "none": None})
    span.set_attribute("number", 1.5)
    span.set_attribute("odd", object)  # type: ignore[arg-type]
    span.set_attribute("nested", {"a": {"b": [1, True]}})
    span.set_attribute("bytes", b"abc")
    span.set_attributes({f"n{i}": i for i in range(6)})


def _events(span: Span) -> None:
    for number in range(4):
        span.add_event(f"event {number}", {f"key{i}": "x" * 20 for i in range(4)}, number)
        span.add_link(LINKED, {f"key{i}": "y" * 20 for i in range(4)})
    span.add_link(trace.INVALID_SPAN_CONTEXT)
    span.update_name("another")


def _status(*told: Status | StatusCode) -> Writing:
    return lambda span: [span.set_status(each) for each in told]


def _raised(span: Span) -> None:
    try:
        {}["lost"]
    except KeyError as error:
        span.record_exception(error, {"more": 1}, timestamp=6)


WRITINGS: dict[str, Writing] = {
    "nothing": lambda _: None,
    "attributes": _attributes,
    "events and links": _events,
    "exception": _raised,
    "status": _status(Status(StatusCode.ERROR, "bad"), StatusCode.UNSET),
    "status ok stays": _status(StatusCode.OK, Status(StatusCode.ERROR, "bad")),
}
LIMITS = {
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "5",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "2",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "2",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "3",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "3",
}


@pytest.mark.parametrize("limits", [{}, LIMITS], ids=["no limits", "limits"])
@pytest.mark.parametrize("writing", WRITINGS)
def test_what_is_sent_is_what_the_sdk_would_send(
    writing: str, limits: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    write = WRITINGS[writing]

    assert _told(own=True, write=write) == _told(own=False, write=write)


class _Noting(Sampler):
    """Notes on the span what it was asked."""

    def should_sample(  # noqa: PLR0917 - the SDK's
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        asked = {**(attributes or {}), "asked": f"{trace_id} {name} {kind} {links} {trace_state}"}
        state = TraceState([("noting", "1")])
        return SamplingResult(Decision.RECORD_AND_SAMPLE, asked, state)

    def get_description(self) -> str:
        return "noting"


def _under(*, remote: bool, flags: int, stated: bool = True) -> Context:
    state = TraceState([("theirs", "1")] if stated else ())
    parent = SpanContext(70, 80, is_remote=remote, trace_flags=TraceFlags(flags), trace_state=state)
    return set_span_in_context(NonRecordingSpan(parent), Context())


@pytest.mark.parametrize("sampler", ["", "always_off", "traceidratio", "parentbased_always_off"])
@pytest.mark.parametrize("flags", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("stated", [True, False])
def test_the_environments_sampler_and_the_parent_decide(
    sampler: str, flags: int | None, stated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    context = Context()
    if flags is not None:
        context = _under(remote=True, flags=flags, stated=stated)

    mine, theirs = (_told(own=own, write=_attributes, context=context) for own in (True, False))
    assert mine == theirs


@pytest.mark.parametrize("sampler", ["", "always_off", "traceidratio", "parentbased_always_off"])
@pytest.mark.parametrize("flags", [None, 0, 1])
def test_what_is_dropped_for_certain_is_told_before_anything_is_read(
    sampler: str, flags: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    context = Context() if flags is None else _under(remote=True, flags=flags, stated=False)
    provider = TracerProvider(id_generator=_Counting(), shutdown_on_exit=False)
    own = OwnTracer(provider, InstrumentationScope("genai_otel"), lambda _: None)
    certain = own.dropped(context)
    theirs = provider.get_tracer("genai_otel").start_span("chat m", context)

    if certain is not None:
        assert not theirs.is_recording()
        mine, asked = certain.get_span_context(), theirs.get_span_context()
        assert (mine.trace_flags, mine.trace_state) == (asked.trace_flags, asked.trace_state)
        assert flags is None or mine.trace_id == asked.trace_id
    elif sampler != "traceidratio" and flags != 0:
        assert theirs.is_recording() or sampler == "always_off"


def test_a_sampler_of_ones_own_is_asked_the_same() -> None:
    context = _under(remote=False, flags=1)
    mine, theirs = (
        _told(own=own, write=_attributes, context=context, sampler=_Noting())
        for own in (True, False)
    )
    assert mine == theirs


def test_the_application_writes_to_the_span_that_it_runs_in(genai_otel_capture: Capture) -> None:
    with operation("step", "own"):
        trace.get_current_span().set_attribute("mine", "no")
        trace.get_current_span().set_attribute("mine", "yes")
        trace.get_current_span().set_attribute(1, "no name")  # type: ignore[arg-type]
        with operation("step", "inner"):
            pass

    inner, outer = genai_otel_capture.spans
    assert (outer.attributes or {})["mine"] == "yes"
    assert 1 not in (outer.attributes or {})
    assert inner.parent is not None
    assert inner.parent == outer.context


def test_the_hosts_own_spans_are_children(genai_otel_capture: Capture) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("host")
    with operation("step", "own"):
        theirs = tracer.start_span("theirs")

    (ours,) = genai_otel_capture.spans
    parent = theirs.parent  # type: ignore[attr-defined]
    assert parent == ours.context


def test_a_disabled_sdk_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    capture = Capture()
    genai_otel.shutdown()
    genai_otel.instrument(destinations=capture.exporter)
    try:
        step(lambda: None)()
        assert not capture.spans
    finally:
        genai_otel.shutdown()


def test_a_recorded_span_weighs_what_its_attributes_weigh() -> None:
    """The recorder's writing weighs as it goes; the queue's bound in bytes depends on it."""
    kept: list[ReadableSpan] = []
    provider = TracerProvider(id_generator=_Counting(), shutdown_on_exit=False)
    spans = OwnTracer(provider, InstrumentationScope("ours", "1"), kept.append)
    span: Any = spans.start_span("chat", Context(), SpanKind.CLIENT, None, start_time=5)
    span.put({"short": "é", "long": "é" * 100, "ascii": "a" * 100, "count": 1, "share": 0.5})
    span.put({"list": ["a", "é" * 100], "tuple": ("b",), "numbers": [1, 2], "flag": True})
    span.end(9)
    (ended,) = kept
    copied = ReadableSpan("chat", attributes=dict(ended.attributes or {}))
    assert type(ended) is RecorderSpan
    assert estimated_size(ended) == estimated_size(copied) > 400


class _Adding(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        odd: Any = {"rate": 0.5, 1: "no name"}
        return SamplingResult(Decision.RECORD_AND_SAMPLE, odd)

    def get_description(self) -> str:
        return "adding"


def test_what_a_sampler_adds_makes_a_span_nobody_elses() -> None:
    """It is not judged once more: a user that was hashed would be hashed twice."""
    kept: list[ReadableSpan] = []
    provider = TracerProvider(sampler=_Adding(), shutdown_on_exit=False)
    spans = OwnTracer(provider, InstrumentationScope("ours", "1"), kept.append)
    spans.start_span("chat", Context(), SpanKind.CLIENT, None, start_time=5).end(9)
    (ended,) = kept
    assert type(ended) is RecorderSpan
    assert dict(ended.attributes or {}) == {"rate": 0.5}
