"""An OTLP request as JSON, for the protocol ``http/json``.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: protobuf's own JSON, but for ids,
which are hexadecimal, and enumerations, which are numbers.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
# Attributes are lists of keys and values, so that no name of theirs is a name here.
_ID_FIELDS = frozenset(("traceId", "spanId", "parentSpanId"))


def as_json(signal: str, body: bytes) -> bytes:
    """From the protobuf of the same request."""
    message = _REQUESTS[signal].FromString(body)
    found = MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(found), separators=(",", ":")).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in _ID_FIELDS else _with_hex_ids(item)
        for key, item in value.items()
    }
