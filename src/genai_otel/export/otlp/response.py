"""Results of export requests, from the responses of receivers.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from enum import Enum
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Seconds; a receiver that asks for more is tried again after these. Far below the retry timeout, or
# a request would be lost at the first response that asks for a longer wait.
MAX_RETRY_AFTER = 60.0
_RETRYABLE = frozenset((408, 429, 502, 503, 504))
_TOO_LARGE = 413
_INVALID = frozenset((400, 422))


class ExportStatus(Enum):
    OK = "ok"
    RETRY = "retry"
    TOO_LARGE = "too large"
    INVALID = "invalid"  # part of the request is: without it, it may be accepted
    REFUSED = "refused"


class ExportResult(NamedTuple):
    """``rejected``: items of an accepted request that were not; ``retry_after``: seconds."""

    status: ExportStatus
    error: str = ""
    rejected: int = 0
    retry_after: float | None = None

    @classmethod
    def retry(cls, error: str, retry_after: float | None = None) -> ExportResult:
        return cls(ExportStatus.RETRY, error, 0, retry_after)


OK = ExportResult(ExportStatus.OK)


def from_http(signal: str, status: int, headers: Mapping[str, str], body: bytes) -> ExportResult:
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return _from_success(signal, headers.get("content-type") or "", body)
    if 300 <= status < 400:  # noqa: PLR2004 - a redirect
        return ExportResult(ExportStatus.REFUSED, f"HTTP {status}: redirects are not followed")
    if status in _RETRYABLE:
        return ExportResult.retry(f"HTTP {status}", _retry_after(headers.get("retry-after")))
    if status == _TOO_LARGE:
        return ExportResult(ExportStatus.TOO_LARGE, f"HTTP {status}")
    return ExportResult(
        ExportStatus.INVALID if status in _INVALID else ExportStatus.REFUSED, f"HTTP {status}"
    )


def _retry_after(given: str | None) -> float | None:
    """From seconds, or a date."""
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - NaN


# ------------------------------------------------------------------------------ partial success

_REJECTED = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}


def _from_success(signal: str, content_type: str, body: bytes) -> ExportResult:
    """From a response of success; one that cannot be read means full success.

    But HTML comes from a proxy, or from an application that has a page for every path.
    """
    if "html" in content_type and body.lstrip()[:1] == b"<":
        return ExportResult(ExportStatus.REFUSED, "the response is a web page: check the endpoint")
    try:
        if "json" in content_type:
            partial = json.loads(body).get("partialSuccess") or {}
            rejected = int(partial.get(_REJECTED[signal]) or 0)
            return _accepted(rejected, warned=bool(partial.get("errorMessage")))
    except Exception:  # noqa: BLE001 - whatever a receiver writes there
        return OK
    return from_partial_success(body)


def from_partial_success(body: bytes) -> ExportResult:
    """From the protobuf of an ``Export...ServiceResponse``."""
    try:
        rejected, warned = _read_partial_success(body)
    except Exception:  # noqa: BLE001 - as above
        return OK
    return _accepted(rejected, warned=warned)


def _accepted(rejected: int, *, warned: bool) -> ExportResult:
    if rejected <= 0:
        return ExportResult(ExportStatus.OK, "accepted with a warning") if warned else OK
    return ExportResult(ExportStatus.OK, f"{rejected} rejected", rejected)


def _read_partial_success(body: bytes) -> tuple[int, bool]:
    """Of ``partial_success``, field 1: how many (field 1), whether why (2, may quote content)."""
    rejected, warned = 0, False
    for number, value in protobuf_fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, fact in protobuf_fields(value):
                if inner == 1 and isinstance(fact, int):
                    rejected = fact
                warned = warned or (inner == 2 and bool(fact))  # noqa: PLR2004 - the field's number
    return rejected, warned


def protobuf_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Varints and byte strings of a protobuf message; stops at any other wire type."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 2:  # noqa: PLR2004 - length, then bytes
            length, at = _varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:  # noqa: PLR2004 - the last byte, or no number at all
            return number, at
        shift += 7
