"""What becomes of spans on their way: counted, and said in the log when they are being lost."""

from __future__ import annotations

import logging
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel.export.otlp.response import Answer
    from genai_otel.export.protocol import Parcel

logger = logging.getLogger("genai_otel")

_SAY_EVERY = 60.0


class Counts:
    """Totals of this process: each span is sent, lost, sampled out or passed over, and only once.

    Lost log records that go along with spans, and collections of metrics, have their own reasons.
    """

    def __init__(self) -> None:
        self.taken = self.sent = 0
        self.retried = 0
        """Requests."""
        self.overflowed = 0
        """Dropped where they ended, as the queue was full."""
        self.late = 0
        """Ended after the end."""
        self.sampled_out = 0
        """By the destination's ``sample``; these are no loss."""
        self.passed_over = 0
        """By its ``filter``, or as there is nothing of them that it takes; no loss either."""
        self.lost = Counter[str]()
        """By the worker, by reason."""

    def dropped(self) -> dict[str, int]:
        """All that never arrived, by reason."""
        known = Counter({"queue_full": self.overflowed, "shutdown": self.late})
        return dict(+(known + self.lost))


class Ledger:
    """Of one delivery in one process. ``tells``: whether losses are logged here, or elsewhere.

    ``problem`` is the last one, until something arrives.
    """

    def __init__(self, name: str, *, tells: bool) -> None:
        self.name, self._tells = name, tells
        self.counts = Counts()
        self.problem: str | None = None
        self.losing = self.ending = False
        self._overflow_seen = 0
        self._said_at = -_SAY_EVERY

    def arrived(self, parcels: Sequence[Parcel], answer: Answer) -> None:
        rejected = min(answer.rejected, len(parcels))
        self.problem = answer.problem or None
        if parcels[0].spans:
            self.counts.sent += len(parcels) - rejected
        self.lose_all("rejected", parcels[:rejected], answer.problem)  # which, nobody knows

    def lose_all(self, reason: str, parcels: Sequence[Parcel], problem: str) -> None:
        """Of one signal; so they are all spans, or all go along with some."""
        reason = reason if parcels and parcels[0].spans else "log_records"
        self.lose(reason, len(parcels), problem)

    def lose(self, reason: str, count: int, problem: str) -> None:
        if not count:
            return
        if self.ending and reason == "undelivered":
            reason = "shutdown"
        self.counts.lost[reason] += count
        self.problem = problem
        self._note_loss(reason, problem)

    def note_overflow(self) -> None:
        if self.counts.overflowed > self._overflow_seen:
            self._overflow_seen = self.counts.overflowed
            self._note_loss("queue_full", self.problem or "")

    def _note_loss(self, reason: str, problem: str) -> None:
        """Says that telemetry is being lost, once until none is."""
        if self.losing or not self._tells or monotonic() - self._said_at < _SAY_EVERY:
            return
        self.losing, self._said_at = True, monotonic()
        logger.warning(
            "genai_otel: telemetry for %s is being lost: %s (%s)", self.name, reason, problem
        )

    def regain(self, before: tuple[int, int]) -> None:
        """After a turn, before which so many were sent and lost."""
        self.note_overflow()
        sent, lost = self.counts.sent, self.counts.lost.total()
        if self.losing and sent > before[0] and lost == before[1]:
            self.losing = False
            total = sum(self.counts.dropped().values())
            logger.warning(
                "genai_otel: telemetry for %s arrives again; %d were lost", self.name, total
            )
