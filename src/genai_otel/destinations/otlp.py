"""OTLP requests as protobuf, written directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """A log record of ours, for a destination that wants some of a span there.

    ``body`` is anything that an attribute may be, and mappings and sequences of such.
    """

    time_ns: int
    body: Any
    attributes: Mapping[str, Any]
    resource: Resource
    instrumentation_scope: InstrumentationScope | None
    event_name: str = ""
    severity_number: int = 9
    severity_text: str = "INFO"
    trace_id: int = 0
    span_id: int = 0
