"""Our OTLP-JSON against the official encoder's protobuf, printed as JSON by protobuf itself."""

from __future__ import annotations

import base64
import collections
import enum
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from genai_otel.store.otlp_json import (
    any_value,
    logs_request,
    metrics_request,
    spans_request,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)
SCALARS = st.one_of(TEXT, st.booleans(), INT64, st.floats(), st.binary(max_size=20), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=5)
NANOS = st.integers(1, 2**63 - 1)
STATES = st.sampled_from([None, TraceState([("vendor", "one"), ("other", "two")])])
CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    trace_state=STATES,
)
SCOPES = st.one_of(
    st.none(),
    st.builds(
        InstrumentationScope,
        name=TEXT,
        version=st.none() | TEXT,
        schema_url=st.none() | TEXT,
        attributes=st.dictionaries(KEYS, TEXT, max_size=2),
    ),
)
STATUSES = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "no ✓")]
)
RESOURCES = [
    Resource({}),
    Resource({"service.name": "one", "ports": (1, 2)}, "https://example.org/schema"),
]
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES,
    events=st.lists(
        st.builds(Event, name=TEXT, attributes=ATTRIBUTES, timestamp=NANOS), max_size=2
    ),
    links=st.lists(st.builds(Link, context=CONTEXTS, attributes=ATTRIBUTES), max_size=2),
    kind=st.sampled_from(list(SpanKind)),
    status=STATUSES,
    start_time=NANOS,
    end_time=NANOS,
    instrumentation_scope=SCOPES,
)
RECORDS = st.builds(
    ReadableLogRecord,
    log_record=st.builds(
        LogRecord,
        timestamp=st.none() | NANOS,
        observed_timestamp=NANOS,
        context=st.one_of(
            st.none(), CONTEXTS.map(lambda c: set_span_in_context(NonRecordingSpan(c)))
        ),
        severity_text=st.none() | TEXT,
        severity_number=st.none() | st.sampled_from(list(SeverityNumber)),
        body=VALUES,
        attributes=ATTRIBUTES,
        event_name=st.none() | TEXT,
    ),
    resource=st.sampled_from(RESOURCES),
    instrumentation_scope=SCOPES,
)


def official(message: Any) -> Any:
    return hex_ids(MessageToDict(message, use_integers_for_enums=True))


def hex_ids(value: Any) -> Any:
    """Protobuf's JSON has bytes in base64; OTLP's has ids in hex."""
    if isinstance(value, list):
        return [hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex()
        if key in ("traceId", "spanId", "parentSpanId")
        else hex_ids(item)
        for key, item in value.items()
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_spans_are_what_the_official_encoder_makes(spans: list[ReadableSpan]) -> None:
    ours = spans_request(spans)
    assert ours == official(encode_spans(spans))
    json.dumps(ours, allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=100, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_log_records_are_what_the_official_encoder_makes(records: list[ReadableLogRecord]) -> None:
    assert logs_request(records) == official(encode_logs(records))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e9), ATTRIBUTES), max_size=5), st.booleans(), st.booleans())
def test_metrics_are_what_the_official_encoder_makes(
    measured: list[tuple[float, dict[str, Any]]], exponential: bool, traced: bool
) -> None:
    reader = InMemoryMetricReader()
    views = [View(instrument_name="times", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider(
        [reader], RESOURCES[1], views=views if exponential else (), shutdown_on_exit=False
    )
    meter = provider.get_meter("m", "1", "https://example.org/m", {"scope": "attribute"})
    span = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1)))
    context = set_span_in_context(span) if traced else None
    for value, attributes in measured:
        meter.create_counter("calls", "1", "how often").add(int(value), attributes, context)
        meter.create_up_down_counter("open").add(-value, attributes, context)
        meter.create_gauge("now").set(value, attributes, context)
        meter.create_histogram("times", "s").record(value, attributes, context)
        meter.create_histogram("empty", "s")
    data = reader.get_metrics_data()
    if data is not None:
        assert metrics_request(data) == official(encode_metrics(data))


class Reluctant:
    def __repr__(self) -> str:
        raise AssertionError("asked")

    __str__ = __bool__ = __iter__ = __len__ = __repr__


class Colour(enum.StrEnum):
    RED = "red"


class BadText(str):
    __slots__ = ()

    def isascii(self) -> bool:
        raise AssertionError("asked")


class BadMap(collections.UserDict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items today")


CYCLE: dict[str, Any] = {}
CYCLE["again"] = (CYCLE, CYCLE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800b", {"stringValue": "a\ufffdb"}),
        ("\ud83d\ude00", {"stringValue": "😀"}),
        (BadText("x"), {"stringValue": "x"}),
        (Colour.RED, {"stringValue": "red"}),
        (True, {"boolValue": True}),
        (2**63 - 1, {"intValue": "9223372036854775807"}),
        (2**63, {"stringValue": "9223372036854775808"}),
        (10**5000, {"stringValue": "[integer of 16610 bits]"}),
        (float("nan"), {"doubleValue": "NaN"}),
        (float("-inf"), {"doubleValue": "-Infinity"}),
        (b"\xff", {"bytesValue": "/w=="}),
        (bytearray(b"ab"), {"bytesValue": "YWI="}),
        (None, {}),
        ([], {"arrayValue": {}}),
        ({}, {"kvlistValue": {}}),
        ({1: 2}, {"kvlistValue": {"values": [{"key": "1", "value": {"intValue": "2"}}]}}),
        ({1, 2}, {"stringValue": "<builtins.set>"}),
        (Reluctant(), {"stringValue": f"<{__name__}.Reluctant>"}),
        (BadMap(), {"stringValue": f"<{__name__}.BadMap>"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_values_become_the_nearest_thing_that_otlp_can_say(value: Any, expected: Any) -> None:
    assert any_value(value) == expected


def test_cycles_and_depth_are_cut() -> None:
    nested: Any = "core"
    for _ in range(5000):
        nested = (nested,)
    for value in (CYCLE, nested):
        assert "deeper values left out" in json.dumps(any_value(value))


def test_a_span_without_context_or_times_is_encoded() -> None:
    (resource,) = spans_request([ReadableSpan("bare", resource=Resource({}))])["resourceSpans"]
    assert resource == {
        "resource": {},
        "scopeSpans": [
            {"scope": {}, "spans": [{"flags": 256, "name": "bare", "kind": 1, "status": {}}]}
        ],
    }


def test_a_new_kind_of_metric_loses_its_points_only() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], RESOURCES[0], shutdown_on_exit=False)
    provider.get_meter("m").create_counter("calls").add(1)
    data = reader.get_metrics_data()
    assert data is not None
    metric = data.resource_metrics[0].scope_metrics[0].metrics[0]
    object.__setattr__(metric, "data", object())
    (encoded,) = metrics_request(data)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert encoded == {"name": "calls"}
