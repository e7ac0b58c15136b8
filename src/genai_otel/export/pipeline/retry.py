"""Requests to one receiver: retried, split where they are refused, or given up."""

from __future__ import annotations

from math import inf
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING

from genai_otel._support.errors import FAULTS
from genai_otel.export.otlp.response import ExportResult, ExportStatus

from .batching import split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from genai_otel.export.protocol import Payload, PayloadExporter

    from .stats import ExportStats

    class BackOff(Protocol):
        """Wait; return whether it was the whole time. A flush interrupts one that may be."""

        def __call__(self, seconds: float, *, interruptible: bool) -> bool: ...


# Seconds for which a request is retried.
RETRY_TIMEOUT = 300.0
_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 30.0
# After so many bad spans in a row the rest is sent as it is, and not split any more.
_MAX_BAD_IN_ROW = 4
# Seconds; a wait that took so much longer than asked for was a suspension of the process.
_SUSPENSION = 5.0
# Of lost items, by the status of the last result.
REASONS = {
    ExportStatus.RETRY: "undelivered",
    ExportStatus.TOO_LARGE: "too_large",
    ExportStatus.INVALID: "refused",
    ExportStatus.REFUSED: "refused",
}
_jitter = SystemRandom().uniform


class RetryingSender:
    """Used by one worker; everything is given up at ``close_deadline``, a ``monotonic`` time."""

    def __init__(
        self, exporter: PayloadExporter, stats: ExportStats, retry_timeout: float, back_off: BackOff
    ) -> None:
        self._exporter, self._stats = exporter, stats
        self.retry_timeout, self._back_off = retry_timeout, back_off
        self.close_deadline = inf
        # When the request that is under way was begun, a ``monotonic`` time.
        self.request_started: float | None = None

    def send_all(self, signal: str, payloads: list[Payload]) -> None:
        """Send the payloads; split a refused request until the payload at fault is alone."""
        pending = [payloads]
        bad_in_row = 0
        while pending:
            part = pending.pop()
            result = self.send(signal, part)
            divisible = len(part) > 1 and (
                result.status is ExportStatus.TOO_LARGE
                or (result.status is ExportStatus.INVALID and bad_in_row < _MAX_BAD_IN_ROW)
            )
            if result.status is ExportStatus.OK:
                bad_in_row = 0
                self._stats.count_sent(part, result)
            elif divisible:
                pending += reversed(split(part))
            elif result.status is ExportStatus.TOO_LARGE and self._send_truncated(signal, part[0]):
                bad_in_row = 0
            else:
                bad_in_row += 1
                self._stats.count_lost_payloads(REASONS[result.status], part, result.error)
                if result.status is ExportStatus.REFUSED:  # not because of one of the spans
                    for rest in pending:
                        self._stats.count_lost_payloads("refused", rest, result.error)
                    return

    def _send_truncated(self, signal: str, payload: Payload) -> bool:
        """Whether a span that was too large is accepted with shorter texts."""
        try:
            truncated = self._exporter.truncated(payload, payload.size // 4)
        except Exception as error:  # noqa: BLE001 - then it is lost as it is
            FAULTS.note("RetryingSender.truncated", error)
            return False
        if truncated is None:
            return False
        result = self.send(signal, [truncated])
        if result.status is ExportStatus.OK:
            self._stats.count_sent([truncated], result)
        return result.status is ExportStatus.OK

    def send(self, signal: str, payloads: Sequence[Payload]) -> ExportResult:
        """Send one request, with retries; return the last result."""
        self.request_started = monotonic()
        try:
            return self._send_with_retries(signal, payloads)
        finally:
            self.request_started = None

    def _send_with_retries(self, signal: str, payloads: Sequence[Payload]) -> ExportResult:
        retry_deadline, backoff = monotonic() + self.retry_timeout, _INITIAL_BACKOFF
        while True:
            if monotonic() >= self.close_deadline:
                return ExportResult(ExportStatus.RETRY, "not exported before shutdown")
            deadline = min(monotonic() + self._exporter.limits.timeout, self.close_deadline)
            result = self._exporter.send(signal, payloads, deadline)
            if result.status is not ExportStatus.RETRY:
                return result
            self._stats.last_error = result.error
            self._stats.report_full_queue()
            retry_deadline += _suspended_for(deadline)
            retry_after = result.retry_after
            wait = _jitter(backoff / 2, backoff) if retry_after is None else retry_after
            resume_at = monotonic() + wait
            if resume_at >= min(retry_deadline, self.close_deadline):
                return result
            if self._back_off(wait, interruptible=retry_after is None):
                backoff = min(backoff * 2, _MAX_BACKOFF)
            retry_deadline += _suspended_for(resume_at)
            self._stats.retried += 1


def _suspended_for(expected: float) -> float:
    """Seconds for which the process was suspended, as in Lambda: they are no time of retrying."""
    late = monotonic() - expected
    return late if late > _SUSPENSION else 0.0
