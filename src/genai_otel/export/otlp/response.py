"""What a receiver's answer means: taken, try again, too large, or refused.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response says which is which.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from enum import Enum
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_PAUSE = 60.0
"""Seconds; a receiver that asks for more is asked again after these. Far less than the time for
which a request is tried, or what was asked for a longer pause would be lost at its first answer."""
_RETRYABLE = frozenset((408, 429, 502, 503, 504))
_TOO_LARGE = 413
_BAD = frozenset((400, 422))


class Kind(Enum):
    TAKEN = "taken"
    AGAIN = "again"
    TOO_LARGE = "too large"
    BAD = "bad"
    """Something in it is not to the receiver's liking; without it, it might be."""
    REFUSED = "refused"


class Answer(NamedTuple):
    """``rejected`` items of a request that was taken were not; ``pause`` was asked for."""

    kind: Kind
    problem: str = ""
    rejected: int = 0
    pause: float | None = None

    @classmethod
    def again(cls, problem: str, pause: float | None = None) -> Answer:
        return cls(Kind.AGAIN, problem, 0, pause)


TAKEN = Answer(Kind.TAKEN)


def understood(signal: str, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return _taken(signal, headers.get("content-type") or "", body)
    if 300 <= status < 400:  # noqa: PLR2004 - a redirect
        return Answer(Kind.REFUSED, f"HTTP {status}: redirects are not followed")
    if status in _RETRYABLE:
        return Answer.again(f"HTTP {status}", _pause(headers.get("retry-after")))
    if status == _TOO_LARGE:
        return Answer(Kind.TOO_LARGE, f"HTTP {status}")
    return Answer(Kind.BAD if status in _BAD else Kind.REFUSED, f"HTTP {status}")


def _pause(given: str | None) -> float | None:
    """Seconds, or a date."""
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_PAUSE) if seconds == seconds else None  # noqa: PLR0124 - NaN


# ------------------------------------------------------------------------------ partial success

_REJECTED = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}


def _taken(signal: str, content_type: str, body: bytes) -> Answer:
    """Taken, or all but so many; an answer that cannot be read says nothing against it.

    But a web page is no answer: a proxy's, or an application's that has one for every path.
    """
    if "html" in content_type and body.lstrip()[:1] == b"<":
        return Answer(Kind.REFUSED, "a web page came back: is the endpoint right?")
    try:
        if "json" in content_type:
            told = json.loads(body).get("partialSuccess") or {}
            rejected, said = int(told.get(_REJECTED[signal]) or 0), bool(told.get("errorMessage"))
            return _but(rejected, said=said)
    except Exception:  # noqa: BLE001 - whatever a receiver writes there
        return TAKEN
    return partly_taken(body)


def partly_taken(body: bytes) -> Answer:
    """From the protobuf of an ``Export...ServiceResponse``."""
    try:
        rejected, said = _partial(body)
    except Exception:  # noqa: BLE001 - as above
        return TAKEN
    return _but(rejected, said=said)


def _but(rejected: int, *, said: bool) -> Answer:
    if rejected <= 0:
        return Answer(Kind.TAKEN, "taken with a warning") if said else TAKEN
    return Answer(Kind.TAKEN, f"{rejected} not taken", rejected)


def _partial(body: bytes) -> tuple[int, bool]:
    """``partial_success``, field 1: field 1 is how many, field 2 why (which may quote content)."""
    rejected, said = 0, False
    for number, value in protobuf_fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, fact in protobuf_fields(value):
                if inner == 1 and isinstance(fact, int):
                    rejected = fact
                said = said or (inner == 2 and bool(fact))  # noqa: PLR2004 - the field's number
    return rejected, said


def protobuf_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Varints and byte strings of a protobuf message; any other kind ends it."""
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
