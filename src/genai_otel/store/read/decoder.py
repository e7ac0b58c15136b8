"""Decode OTLP-JSON trace requests to plain values: the inverse of ``otlp_json``."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_HEX = re.compile("[0-9a-fA-F]{1,64}")
_STATUSES = ("unset", "ok", "error")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A stored span; ids are lower-case hex, ``parent_id`` is empty for a root."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    kind: str = "internal"
    start_ns: int = 0
    end_ns: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    status: str = "unset"
    status_message: str = ""
    events: list[StoredEvent] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    scope: str = ""

    @property
    def duration_ns(self) -> int:
        return max(0, self.end_ns - self.start_ns)

    @property
    def parents(self) -> tuple[str, ...]:
        """The parent's id; if that is of another library, also the id of our nearest span."""
        told = self.attributes.get(names.GENAI_OTEL_PARENT_ID)
        return (self.parent_id, told) if isinstance(told, str) else (self.parent_id,)

    @property
    def is_root(self) -> bool:
        """Whether it has no parent, or none among our spans."""
        return not self.parent_id or self.parents[1:] == ("none",)

    @property
    def failed(self) -> bool:
        return self.status == "error"


def decode_spans(request: Mapping[str, Any]) -> tuple[list[StoredSpan], int]:
    """Return the spans of a request, and the number of malformed ones.

    Raises ``TypeError``, ``AttributeError`` or ``ValueError`` if it is not OTLP-JSON at all.
    """
    spans: list[StoredSpan] = []
    bad = 0
    for raw, resource, scope in _raw_spans(request):
        try:
            spans.append(_span(raw, resource, scope))
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
            bad += 1
    return spans, bad


def _raw_spans(request: Mapping[str, Any]) -> Iterator[tuple[Any, dict[str, Any], str]]:
    for group in request.get("resourceSpans") or ():
        resource = attributes((group.get("resource") or {}).get("attributes"))
        for part in group.get("scopeSpans") or ():
            scope = _text((part.get("scope") or {}).get("name"))
            for raw in part.get("spans") or ():
                yield raw, resource, scope


def _span(raw: Mapping[str, Any], resource: dict[str, Any], scope: str) -> StoredSpan:
    status = raw.get("status") or {}
    return StoredSpan(
        trace_id=_id(raw["traceId"]),
        span_id=_id(raw["spanId"]),
        parent_id=_id(raw.get("parentSpanId") or ""),
        name=_text(raw.get("name")),
        kind=_enum(raw.get("kind", 0), _KINDS, "SPAN_KIND_"),
        start_ns=int(raw.get("startTimeUnixNano") or 0),
        end_ns=int(raw.get("endTimeUnixNano") or 0),
        attributes=attributes(raw.get("attributes")),
        status=_enum(status.get("code", 0), _STATUSES, "STATUS_CODE_"),
        status_message=_text(status.get("message")),
        events=[_event(event) for event in raw.get("events") or ()],
        resource=resource,
        scope=scope,
    )


def _event(raw: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(
        _text(raw.get("name")), int(raw.get("timeUnixNano") or 0), attributes(raw.get("attributes"))
    )


def attributes(pairs: Any) -> dict[str, Any]:
    return {_text(pair["key"]): _value(pair.get("value") or {}) for pair in pairs or ()}


def _value(any_value: Mapping[str, Any]) -> Any:
    for form, raw in any_value.items():
        decode = _DECODERS.get(form)
        if decode is not None:
            return decode(raw)
    return None


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "stringValue": str,
    "boolValue": bool,
    "intValue": int,
    "doubleValue": float,
    "bytesValue": base64.b64decode,
    "arrayValue": lambda raw: [_value(item) for item in raw.get("values") or ()],
    "kvlistValue": lambda raw: attributes(raw.get("values")),
}


def _id(raw: str) -> str:
    if raw and not _HEX.fullmatch(raw):
        raise ValueError("not an id")
    return raw.lower()


def _enum(raw: Any, names: tuple[str, ...], prefix: str) -> str:
    """Decode an enum: a number by the specification, a name from older writers."""
    if isinstance(raw, int) and 0 <= raw < len(names):
        return names[raw]
    name = str(raw).removeprefix(prefix).lower()
    return name if name in names else names[0]


def _text(raw: Any) -> str:
    return raw if isinstance(raw, str) else ""
