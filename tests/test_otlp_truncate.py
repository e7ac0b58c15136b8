"""Spans within what a receiver takes: shortened inside, nothing lost that is not counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags

import genai_otel
from genai_otel import ContentPolicy
from genai_otel.export import dialects
from genai_otel.export.otlp import encoder
from genai_otel.export.otlp.truncate import truncate_attributes, truncate_span
from genai_otel.export.pipeline.redaction import SpanRedactor
from genai_otel.export.readable import copy_span

CONTEXT = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
SAID = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 90_000}]}])


def span(attributes: dict[str, Any], events: Any = (), links: Any = ()) -> ReadableSpan:
    return ReadableSpan(
        "s",
        CONTEXT,
        resource=Resource({}),
        attributes=attributes,
        events=events,
        links=links,
        instrumentation_scope=InstrumentationScope("genai_otel"),
        start_time=1,
        end_time=2,
    )


def dropping() -> ReadableSpan:
    """A span of the SDK's that was given more than it may hold, of everything."""
    limits = SpanLimits(max_span_attributes=3, max_events=2, max_links=1, max_event_attributes=1,
                        max_link_attributes=1)  # fmt: skip
    found = InMemorySpanExporter()
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    with provider.get_tracer("host").start_as_current_span("s") as one:
        one.set_attributes({f"k{n}": "v" * 500 for n in range(8)})
        for _ in range(5):
            one.add_event("e", {"a": "1" * 500, "b": "2" * 500})
            one.add_link(CONTEXT, {"a": 1, "b": 2})
    (ended,) = found.get_finished_spans()
    return ended


def dropped(one: ReadableSpan) -> tuple[Any, ...]:
    inner = [each.dropped_attributes for each in (*one.events, *one.links)]
    return one.dropped_attributes, one.dropped_events, one.dropped_links, inner


def test_copies_say_what_the_original_had_dropped() -> None:
    one = dropping()
    assert dropped(one) == (5, 3, 4, [1, 1, 1])
    assert dropped(copy_span(one, {"k": "v"})) == (5, 3, 4, [1, 1, 1])
    assert dropped(truncate_attributes(one, 200)) == (5, 3, 4, [1, 1, 1])
    assert dropped(SpanRedactor(ContentPolicy(), None).redact(one)) == (5, 3, 4, [1, 1, 1])
    copied = copy_span(one, {"k": "v"})
    assert (copied.attributes or {})["k"] == "v"
    assert (len(copied.events), len(copied.links)) == (2, 1)


def test_what_is_given_up_is_counted() -> None:
    events = [Event("e", {"n": n}, 1) for n in range(200)]
    one = span({f"k{n}": n for n in range(500)}, events, [Link(CONTEXT)])
    smaller = truncate_span(one, 3_000, encoder.span)
    assert smaller is not None
    assert len(encoder.span(smaller)) <= 3_000
    assert smaller.dropped_attributes == 500 - len(smaller.attributes or {})
    assert (smaller.dropped_events, smaller.dropped_links) == (200, 1)


def test_texts_of_attributes_and_events_are_shortened_together() -> None:
    event = Event("exception", {"exception.stacktrace": "y" * 90_000}, 1)
    one = span({"gen_ai.input.messages": SAID, "gen_ai.response.id": "r" * 300}, [event])
    smaller = truncate_span(one, 20_000, encoder.span)
    assert smaller is not None
    assert 18_000 < len(encoder.span(smaller)) <= 20_000
    told: Any = smaller.attributes
    assert told["gen_ai.response.id"] == "r" * 300
    (message,) = json.loads(told["gen_ai.input.messages"])
    assert message["parts"][0]["content"].startswith("xxx")
    stack = str((smaller.events[0].attributes or {})["exception.stacktrace"])
    assert abs(len(stack) - len(told["gen_ai.input.messages"])) < 200
    assert smaller.dropped_attributes == smaller.dropped_events == 0


def test_what_fits_is_the_very_same() -> None:
    one = span({"k": "v" * 100}, [Event("e", {"k": "v"}, 1)])
    assert truncate_attributes(one, 65_536) is one


_TEXTS = st.builds(lambda text, n: text * n, st.text(max_size=4), st.integers(0, 800))
_VALUES = st.one_of(_TEXTS, st.integers(-5, 5), st.lists(_TEXTS, max_size=4).map(tuple))


@given(
    st.dictionaries(st.text(min_size=1, max_size=12), _VALUES, max_size=40),
    st.lists(st.dictionaries(st.text(max_size=8), _VALUES, max_size=3), max_size=5),
    st.integers(400, 20_000),
)
def test_any_span_fits(own: dict[str, Any], others: list[dict[str, Any]], limit: int) -> None:
    one = span(own, [Event("e", each, 1) for each in others])
    smaller = truncate_span(one, limit, encoder.span)
    assert smaller is not None
    assert len(encoder.span(smaller)) <= limit
    assert len(own) == len(smaller.attributes or {}) + smaller.dropped_attributes


# ------------------------------------------------------------------------------ many attributes


@pytest.fixture
def host() -> Any:
    found = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    genai_otel.instrument(tracer_provider=provider)
    yield found
    genai_otel.shutdown()


def test_much_metadata_displaces_nothing(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK would drop the oldest of 129, and log a line for each that comes after."""
    many = {f"k{n}": n for n in range(200)}
    with (
        genai_otel.scope(metadata=many),
        genai_otel.scope(session_id="s-1", user_id="ada", tags=["t"], metadata={"inner": 1}),
        genai_otel.operation("step", "s"),
    ):
        pass
    (one,) = host.get_finished_spans()
    assert one.dropped_attributes == 0
    assert (one.attributes["session.id"], one.attributes["user.id"]) == ("s-1", "ada")
    kept = [name for name in one.attributes if name.startswith("genai_otel.metadata.")]
    assert 50 < len(kept) <= 64
    assert caplog.records == []


@pytest.mark.parametrize("dialect", dialects.NAMES)
def test_dialects_on_a_span_that_is_full(dialect: str) -> None:
    """They add to it; no receiver of the table says that it counts attributes, and OTLP does not.

    What the span had is still there, and nothing is counted as dropped.
    """
    full: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    full |= {f"genai_otel.metadata.k{n}": "v" for n in range(60)}
    full |= {f"app.k{n}": n for n in range(66)}
    told = dialects.load(dialect).project(span(dict(full)))
    kept = dict(told.attributes or {})
    assert {name: value for name, value in full.items() if name.startswith("app.")}.items() <= (
        kept.items()
    )
    assert str(kept).count("k59") >= 1
    assert told.dropped_attributes == 0
    assert len(kept) <= 128 + 60 + 20
