"""Our OTLP protobuf means what the official encoder's means, for any span."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from genai_otel.export.otlp import encoder
from genai_otel.store.otlp_json import any_value
from tests.test_otlp_json import KEYS, SPANS, VALUES

SAME = st.sampled_from(
    [
        "",
        "a",
        "b" * 125,
        "b" * 126,
        "c" * 600,
        0,
        1,
        True,
        False,
        0.0,
        -0.0,
        1.0,
        -1,
        ("a",),
        (1,),
        (True,),
        (0.0,),
        (-0.0,),
    ]
)


def encoded(spans: list[Any]) -> Any:
    items = [(s.resource, s.instrumentation_scope, encoder.span(s)) for s in spans]
    return ExportTraceServiceRequest.FromString(encoder.request(items))


def flat(request: Any) -> list[tuple[str, ...]]:
    """Each span beside its resource and scope: how they are grouped has no meaning.

    As text, in which one NaN is as good as another.
    """
    return sorted(
        (str(r.resource), r.schema_url, str(s.scope), s.schema_url, str(one))
        for r in request.resource_spans
        for s in r.scope_spans
        for one in s.spans
    )


@settings(max_examples=250, deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_any_span(spans: list[ReadableSpan]) -> None:
    assert flat(encoded(spans)) == flat(encode_spans(spans))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["k", "l" * 200]), SAME), min_size=2, max_size=6))
def test_values_that_repeat(batch: list[dict[str, Any]]) -> None:
    """What is remembered of a key is never taken for another value that is equal to it."""
    spans = [_span(attributes) for attributes in batch]
    assert flat(encoded(spans)) == flat(encode_spans(spans))


def _span(attributes: Any) -> ReadableSpan:
    return ReadableSpan(
        "s",
        SpanContext(1, 2, is_remote=False),
        resource=Resource({}),
        attributes=attributes,
        start_time=1,
        end_time=2,
    )


def test_spans_of_the_sdk() -> None:
    """With its bounded containers, and what they have dropped."""
    ended: list[Any] = []

    class Keeper(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Keeper())
    with provider.get_tracer("t", "1", attributes={"x": 1}).start_as_current_span("s") as span:
        span.set_attributes({f"a{n}": n for n in range(200)})
        for n in range(200):
            span.add_event(f"e{n}", {"é": "ü" * 5000, "tuple": (1.5, 2.5)})
        span.set_status(span.status.status_code.ERROR, "no")
    (one,) = ended
    assert one.dropped_attributes
    assert one.dropped_events
    assert flat(encoded(ended)) == flat(encode_spans(ended))


class Odd(str):
    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise RuntimeError


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
ODD = [2**70, -(2**70), "\ud800x", object(), Odd("x"), CIRCLE, {1: object()}, [[]], float("inf")]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_what_otlp_cannot_say_is_said_as_in_json(value: Any) -> None:
    parsed = encoded([_span({"k": value})]).resource_spans[0].scope_spans[0].spans[0]
    assert MessageToDict(parsed.attributes[0].value) == as_protobuf_has_it(any_value(value))


def as_protobuf_has_it(value: Any) -> Any:
    """Ours leaves out a list of nothing likewise."""
    return json.loads(json.dumps(value))


@settings(max_examples=100, deadline=None)
@given(KEYS, VALUES)
def test_log_records(key: str, body: Any) -> None:
    record = SimpleNamespace(
        time_ns=5,
        body={"input": body},
        attributes={key: body},
        event_name="genai_otel",
        trace_id=1,
        span_id=2,
    )
    scope = InstrumentationScope("genai_otel", "1")
    item = (Resource({"service.name": "s"}), scope, encoder.log_record(record))
    parsed = ExportLogsServiceRequest.FromString(encoder.request([item]))
    (found,) = parsed.resource_logs[0].scope_logs[0].log_records
    assert (found.time_unix_nano, found.severity_number, found.severity_text) == (5, 9, "INFO")
    assert (found.trace_id, found.span_id) == (bytes(15) + b"\x01", bytes(7) + b"\x02")
    assert MessageToDict(found.body) == as_protobuf_has_it(any_value({"input": body}))
    assert found.attributes[0].key == key


def test_what_is_kept_is_bounded() -> None:
    for n in range(10_000):
        encoder.span(_span({f"key-{n}": "v"}))
    assert len(encoder._key_cache) <= 4096
    for n in range(200):
        encoder.request([(Resource({"n": n}), None, b"")])
    assert len(encoder._head_cache) <= 64
