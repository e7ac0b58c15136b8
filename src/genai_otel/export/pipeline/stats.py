"""Statistics of one export worker, and log messages when it loses telemetry."""

from __future__ import annotations

import logging
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel.export.otlp.response import ExportResult
    from genai_otel.export.protocol import Payload

logger = logging.getLogger("genai_otel")

_LOG_INTERVAL = 60.0


class ExportStats:
    """Of one worker in one process, in spans: each is sent, lost, sampled out or filtered, once.

    Lost log records that accompany spans, and collections of metrics, have reasons of their own.
    ``log_losses``: losses are logged here, not by the exporter.
    """

    def __init__(self, name: str, *, log_losses: bool) -> None:
        self.name, self._log_losses = name, log_losses
        self.enqueued = self.sent = 0
        # Requests sent again.
        self.retried = 0
        # Dropped when they ended, because the queue was full.
        self.dropped_queue_full = 0
        # Ended after the worker was closed.
        self.dropped_after_shutdown = 0
        # Not kept by the destination's ``sample``: no loss.
        self.sampled_out = 0
        # Not kept by its ``filter``, or nothing of them goes there: no loss either.
        self.filtered = 0
        # Lost on the worker, by reason.
        self.lost = Counter[str]()
        # Exported log records that accompany spans, and data points; lost ones by reason.
        self.log_records = Counter[str | None]({None: 0})
        self.data_points = Counter[str | None]({None: 0})
        # Of the last failed request; ``None`` after the next successful one.
        self.last_error: str | None = None
        self.losing = self.closing = False
        self._full_queue_seen = 0
        self._logged_at = -_LOG_INTERVAL

    def dropped(self) -> dict[str, int]:
        """Everything that never arrived, by reason."""
        known = Counter(
            {"queue_full": self.dropped_queue_full, "shutdown": self.dropped_after_shutdown}
        )
        return dict(+(known + self.lost))

    def count_sent(self, payloads: Sequence[Payload], result: ExportResult) -> None:
        rejected = min(result.rejected, len(payloads))
        self.last_error = result.error or None
        if payloads[0].span_count:
            self.sent += len(payloads) - rejected
        else:
            self.log_records[None] += len(payloads) - rejected
        # A receiver does not say which ones it has rejected.
        self.count_lost_payloads("rejected", payloads[:rejected], result.error)

    def count_lost_payloads(self, reason: str, payloads: Sequence[Payload], error: str) -> None:
        """Of one signal: either all are spans, or all accompany some."""
        if payloads and not payloads[0].span_count:
            self.log_records[reason] += len(payloads)
            reason = "log_records"
        self.count_lost(reason, len(payloads), error)

    def lost_spans(self) -> dict[str | None, int]:
        """Spans lost on the worker, by reason."""
        return {k: n for k, n in dict(self.lost).items() if k not in ("log_records", "metrics")}

    def count_data_points(self, count: int, reason: str, rejected: int) -> None:
        """Count the data points of one collection; ``reason`` is that of the rejected ones."""
        self.data_points[None] += count - rejected
        if rejected:
            self.data_points[reason] += rejected

    def count_lost(self, reason: str, count: int, error: str) -> None:
        if not count:
            return
        if self.closing and reason == "undelivered":
            reason = "shutdown"
        self.lost[reason] += count
        self.last_error = error
        self._log_loss(reason, error)

    def report_full_queue(self) -> None:
        if self.dropped_queue_full > self._full_queue_seen:
            self._full_queue_seen = self.dropped_queue_full
            self._log_loss("queue_full", self.last_error or "")

    def _log_loss(self, reason: str, error: str) -> None:
        """Log that telemetry is being lost, once until it is not any more."""
        if self.losing or not self._log_losses or monotonic() - self._logged_at < _LOG_INTERVAL:
            return
        self.losing, self._logged_at = True, monotonic()
        logger.warning(
            "genai_otel: export to %s is losing telemetry: %s (%s)", self.name, reason, error
        )

    def report_recovery(self, before: tuple[int, int]) -> None:
        """Call after the queue was drained; ``before``: spans sent and lost at its beginning."""
        self.report_full_queue()
        if self.losing and self.sent > before[0] and self.lost.total() == before[1]:
            self.losing = False
            total = sum(self.dropped().values())
            logger.warning("genai_otel: export to %s recovered; %d spans dropped", self.name, total)
