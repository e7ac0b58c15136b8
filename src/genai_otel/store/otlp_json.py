"""Encode SDK spans, metrics and log records as dicts of OTLP-JSON.

The encoding is https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding as the Collector's
file exporter writes it: lowerCamelCase names, hex ids, 64-bit integers as strings, enums as
numbers, and default values omitted. The contents of a request (flags, grouping by resource and
scope) are those of the official Python OTLP exporter.

No value makes these functions raise: a value that OTLP cannot represent becomes the nearest one
that it can.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

Json = dict[str, Any]

_INT64 = 2**63
_MAX_DEPTH = 32
_MAX_INTEGER_BITS = 4096  # str() of longer ones is slow, and raises beyond 4,300 digits
_CONTEXT_HAS_IS_REMOTE = 0x100
_CONTEXT_IS_REMOTE = 0x200


def spans_request(spans: Iterable[ReadableSpan]) -> Json:
    """Return an ExportTraceServiceRequest."""
    return {"resourceSpans": _grouped(spans, _span, "scopeSpans", "spans")}


def logs_request(records: Iterable[Any]) -> Json:
    """Return an ExportLogsServiceRequest of ``ReadableLogRecord``s or (SDK < 1.36) ``LogData``."""
    return {"resourceLogs": _grouped(records, _log, "scopeLogs", "logRecords")}


def metrics_request(data: MetricsData) -> Json:
    """Return an ExportMetricsServiceRequest."""
    return {
        "resourceMetrics": [
            {
                "resource": _attributed(item.resource),
                "scopeMetrics": [
                    {
                        "scope": _scope(each.scope),
                        "metrics": [_metric(metric) for metric in each.metrics],
                        **_sparse(schemaUrl=text(each.scope.schema_url)),
                    }
                    for each in item.scope_metrics
                ],
                **_sparse(schemaUrl=text(item.resource.schema_url)),
            }
            for item in data.resource_metrics
        ]
    }


# ------------------------------------------------------------------------------------- grouping


def _grouped(
    items: Iterable[Any], encode: Callable[[Any], Json], middle: str, leaf: str
) -> list[Json]:
    """Group encoded items by scope within their resource."""
    resources: dict[int, tuple[Any, dict[Any, list[Json]]]] = {}
    for item in items:
        resource = _resource_of(item)
        # By identity: hashing a Resource serializes it, and a provider has only one.
        _, scopes = resources.setdefault(id(resource), (resource, {}))
        scopes.setdefault(item.instrumentation_scope, []).append(encode(item))
    return [
        {
            "resource": _attributed(resource),
            middle: [
                {"scope": _scope(scope), leaf: encoded, **_sparse(schemaUrl=_schema_url(scope))}
                for scope, encoded in scopes.items()
            ],
            **_sparse(schemaUrl=_schema_url(resource)),
        }
        for resource, scopes in resources.values()
    ]


def _resource_of(item: Any) -> Any:
    """Return the resource; before SDK 1.36 a log's resource was on the inner record."""
    return item.resource if hasattr(item, "resource") else item.log_record.resource


def _schema_url(holder: Any) -> str:
    return text(holder.schema_url) if holder is not None else ""


def _attributed(holder: Any) -> Json:
    return _sparse(attributes=_attributes(holder.attributes))


def _scope(scope: Any) -> Json:
    if scope is None:
        return {}
    return _sparse(
        name=text(scope.name),
        version=text(scope.version),
        attributes=_attributes(scope.attributes),
    )


# ---------------------------------------------------------------------------------------- spans


def _span(span: ReadableSpan) -> Json:
    context = span.get_span_context()
    state = context.trace_state if context else None
    return _sparse(
        traceId=_hex(context.trace_id, 32) if context else "",
        spanId=_hex(context.span_id, 16) if context else "",
        traceState=text(state.to_header()) if state else "",
        parentSpanId=_hex(span.parent.span_id, 16) if span.parent else "",
        flags=_flags(span.parent),
        name=text(span.name),
        kind=span.kind.value + 1,  # OTLP has 0 for "unspecified"
        startTimeUnixNano=_int64(span.start_time),
        endTimeUnixNano=_int64(span.end_time),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=span.dropped_attributes,
        events=[_event(event) for event in span.events],
        droppedEventsCount=span.dropped_events,
        links=[_link(link) for link in span.links],
        droppedLinksCount=span.dropped_links,
    ) | {"status": _status(span.status)}


def _flags(context: Any) -> int:
    remote = context is not None and context.is_remote
    return _CONTEXT_HAS_IS_REMOTE | (_CONTEXT_IS_REMOTE if remote else 0)


def _event(event: Any) -> Json:
    return _sparse(
        timeUnixNano=_int64(event.timestamp),
        name=text(event.name),
        attributes=_attributes(event.attributes),
        droppedAttributesCount=_dropped(event),
    )


def _link(link: Any) -> Json:
    return _sparse(
        traceId=_hex(link.context.trace_id, 32),
        spanId=_hex(link.context.span_id, 16),
        attributes=_attributes(link.attributes),
        droppedAttributesCount=_dropped(link),
        flags=_flags(link.context),
    )


def _dropped(holder: Any) -> int:
    """Return the dropped count, absent on subclasses of Event and Link in applications."""
    return getattr(holder, "dropped_attributes", 0) or 0


def _status(status: Any) -> Json:
    return _sparse(message=text(status.description), code=status.status_code.value)


# ----------------------------------------------------------------------------------------- logs


def _log(item: Any) -> Json:
    record = item.log_record
    return _sparse(
        timeUnixNano=_int64(record.timestamp),
        observedTimeUnixNano=_int64(record.observed_timestamp),
        severityNumber=getattr(record.severity_number, "value", 0),
        severityText=text(record.severity_text),
        attributes=_attributes(record.attributes),
        droppedAttributesCount=_dropped(item) or _dropped(record),
        flags=int(record.trace_flags or 0),
        traceId=_hex(record.trace_id, 32) if record.trace_id else "",
        spanId=_hex(record.span_id, 16) if record.span_id else "",
        eventName=text(getattr(record, "event_name", None)),
    ) | {"body": any_value(record.body)}


# -------------------------------------------------------------------------------------- metrics


def _metric(metric: Any) -> Json:
    form, encode = _FORMS.get(type(metric.data).__name__, (None, None))
    head = _sparse(
        name=text(metric.name), description=text(metric.description), unit=text(metric.unit)
    )
    if form is None or encode is None:  # an aggregation newer than this code
        return head
    body: Json = {"dataPoints": [encode(point) for point in metric.data.data_points]}
    if form != "gauge":
        body["aggregationTemporality"] = int(metric.data.aggregation_temporality)
    if form == "sum" and metric.data.is_monotonic:
        body["isMonotonic"] = True
    return head | {form: body}


def _point(point: Any, **fields: Any) -> Json:
    return _sparse(
        attributes=_attributes(point.attributes),
        startTimeUnixNano=_int64(point.start_time_unix_nano),
        timeUnixNano=_int64(point.time_unix_nano),
        exemplars=[_exemplar(exemplar) for exemplar in point.exemplars or ()],
        **fields,
    )


def _number_point(point: Any) -> Json:
    return _point(point) | _number(point.value)


def _gauge_point(point: Any) -> Json:
    encoded = _number_point(point)
    encoded.pop("startTimeUnixNano", None)  # a gauge has no start
    return encoded


def _histogram_point(point: Any) -> Json:
    return _point(
        point,
        count=_int64(point.count),
        bucketCounts=[str(int(count)) for count in point.bucket_counts],
        explicitBounds=[_double(bound) for bound in point.explicit_bounds],
    ) | _extent(point)


def _exponential_point(point: Any) -> Json:
    buckets = {"positive": _buckets(point.positive), "negative": _buckets(point.negative)}
    return _point(
        point,
        count=_int64(point.count),
        scale=point.scale,
        zeroCount=_int64(point.zero_count),
        flags=point.flags,
        **buckets,
    ) | _extent(point)


def _extent(point: Any) -> Json:
    """Encode sum, minimum and maximum: OTLP distinguishes 0 from absent for these."""
    known = {"sum": point.sum, "min": point.min, "max": point.max}
    return {name: _double(value) for name, value in known.items() if value is not None}


def _buckets(buckets: Any) -> Json | None:
    if not buckets.bucket_counts:
        return None
    return {
        **_sparse(offset=buckets.offset),
        "bucketCounts": [str(int(count)) for count in buckets.bucket_counts],
    }


def _exemplar(exemplar: Any) -> Json:
    known = exemplar.trace_id is not None and exemplar.span_id is not None
    return _sparse(
        filteredAttributes=_attributes(exemplar.filtered_attributes),
        timeUnixNano=_int64(exemplar.time_unix_nano),
        spanId=_hex(exemplar.span_id, 16) if known else "",
        traceId=_hex(exemplar.trace_id, 32) if known else "",
    ) | _number(exemplar.value)


def _number(value: float) -> Json:
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return {"asInt": str(int(value))}
    return {"asDouble": _double(value)}


_FORMS: Mapping[str, tuple[str, Callable[[Any], Json]]] = {
    "Gauge": ("gauge", _gauge_point),
    "Sum": ("sum", _number_point),
    "Histogram": ("histogram", _histogram_point),
    "ExponentialHistogram": ("exponentialHistogram", _exponential_point),
}


# --------------------------------------------------------------------------------------- values


def any_value(value: Any) -> Json:
    """Return an OTLP AnyValue."""
    try:
        return _any_value(value, ())
    except Exception:  # noqa: BLE001 - a subclass of a builtin may raise anything
        return {"stringValue": _type_name(value)}


def _any_value(value: Any, path: tuple[int, ...]) -> Json:  # noqa: PLR0911 - one return per type
    if isinstance(value, str):
        return {"stringValue": text(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if value is None:
        return {}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytesValue": binascii.b2a_base64(value, newline=False).decode("ascii")}
    if isinstance(value, Mapping | Sequence):
        return _container(value, path)
    return {"stringValue": _type_name(value)}


def _container(value: Mapping[Any, Any] | Sequence[Any], path: tuple[int, ...]) -> Json:
    if len(path) >= _MAX_DEPTH or id(value) in path:
        return {"stringValue": "[deeper values left out]"}
    path = (*path, id(value))
    if isinstance(value, Mapping):
        pairs = [{"key": key_text(k), "value": _any_value(v, path)} for k, v in value.items()]
        return {"kvlistValue": {"values": pairs} if pairs else {}}
    values = [_any_value(item, path) for item in value]
    return {"arrayValue": {"values": values} if values else {}}


def _integer(value: int) -> Json:
    if -_INT64 <= value < _INT64:
        return {"intValue": str(value)}
    bits = value.bit_length()
    known = str(value) if bits <= _MAX_INTEGER_BITS else f"[integer of {bits} bits]"
    return {"stringValue": known}


def _attributes(attributes: Mapping[str, Any] | None) -> list[Json]:
    if not attributes:
        return []
    return [{"key": key_text(key), "value": any_value(value)} for key, value in attributes.items()]


def key_text(key: Any) -> str:
    if isinstance(key, str):
        return text(key)
    if type(key) in (float, bool, type(None)) or (type(key) is int and abs(key) < _INT64):
        return str(key)
    return _type_name(key)


def _type_name(value: Any) -> str:
    """Return the type's name: an unknown object is described without running its code."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def text(value: Any) -> str:
    """Return ``value`` as text that UTF-8 can encode; other types become empty."""
    if not isinstance(value, str):
        return ""
    text = str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Through UTF-16, which joins the two surrogates of one character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _double(value: float) -> float | str:
    """Encode a double, non-finite ones as in https://protobuf.dev/programming-guides/json/."""
    try:
        number = float(value)
    except OverflowError:  # an integer out of the range of a double
        number = math.inf if value > 0 else -math.inf
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _int64(value: int | None) -> str:
    return str(int(value)) if value else ""


def _hex(value: int, width: int) -> str:
    return f"{value:0{width}x}"


def _sparse(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value}
