"""Delivery: for each destination a queue bounded in bytes and one worker thread.

Whoever ends a span appends it to a deque and is done: no lock is taken, so that neither a signal,
nor a finaliser, nor a fork can come at a wrong moment. All the rest happens on the worker: the
destination's content policy and dialect, encoding, sending, waiting, counting.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from . import quietly
from .packing import halves, packed
from .presets import MIB
from .replies import Answer, Kind
from .sampling import Sample, Tail
from .spans import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .channels import Channel, Parcel

    Item = tuple[ReadableSpan, int]

logger = logging.getLogger("genai_otel")

QUEUE_BYTES = 32 * MIB
DELAY = 1.0
"""Seconds between the first span of a batch and its sending."""
PATIENCE = 300.0
"""Seconds for which a request is tried again."""
MEASURE_EVERY = 60.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_SAY_EVERY = 60.0
_jitter = SystemRandom().uniform


@dataclass(slots=True)
class Counts:
    """Of this process, in spans: each is sent, lost, sampled out or passed over, and only once.

    Lost log records that go along with spans, and collections of metrics, have their own reasons.
    """

    queued: int = 0
    sent: int = 0
    retried: int = 0
    overflowed: int = 0
    """Dropped where they ended, as the queue was full."""
    late: int = 0
    """Ended after the end."""
    sampled_out: int = 0
    """By the destination's ``sample``; these are no loss."""
    passed_over: int = 0
    """By its ``filter``, or as there is nothing of them that it takes; no loss either."""
    lost: Counter[str] = field(default_factory=Counter)
    """By the worker, by reason."""

    def dropped(self) -> dict[str, int]:
        """All that never arrived, by reason."""
        known = Counter({"queue_full": self.overflowed, "shutdown": self.late})
        return dict(+(known + self.lost))


class Ticket:
    """Stands in the queue behind all that a flush waits for."""

    __slots__ = ("arrived", "deadline", "lost", "ok")

    def __init__(self, deadline: float, lost: int) -> None:
        self.deadline, self.lost, self.ok = deadline, lost, False
        self.arrived = _shut()

    def wait(self) -> bool:
        """Whether everything before it was acknowledged, by the deadline."""
        return self.arrived.acquire(timeout=max(0.0, self.deadline - monotonic())) and self.ok


def _shut() -> Any:
    """A semaphore of one that a signal handler, too, may open: a plain lock, taken."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _open(lock: Any) -> None:
    with suppress(RuntimeError):  # it is open
        lock.release()


class Delivery:
    """The way of spans to one destination.

    ``prepare`` is called with each span before the channel sees it; ``keep`` says which spans of
    other scopes go there. ``tells``: whether losses are logged here, or elsewhere.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        *,
        prepare: Callable[[ReadableSpan], ReadableSpan] | None = None,
        keep: Callable[[ReadableSpan], bool] | None = None,
        sample: Sample | None = None,
        queue_bytes: int = QUEUE_BYTES,
        delay: float = DELAY,
        patience: float = PATIENCE,
        tells: bool = True,
    ) -> None:
        self.name, self._tells = name, tells
        self._channel, self._prepare, self._keep = channel, prepare, keep
        self._sample = sample
        self._queue_bytes, self._delay, self._patience = queue_bytes, delay, patience
        self._collect: Callable[[], Any] | None = None
        self._closed = False
        self._close_by: float | None = None
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        """What belongs to one process."""
        self.counts = Counts()
        self.problem: str | None = None
        self._queue: deque[Item | Ticket] = deque()
        self._held = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = _shut()
        self._asleep = self._lingering = self._urgent = False
        self._measure_at = monotonic() + MEASURE_EVERY
        self._tail = Tail(self._sample, self._queue_bytes // 2) if self._sample else None
        self._losing = False
        self._overflow_seen = 0
        self._said_at = -_SAY_EVERY

    def renew(self) -> None:
        """In a forked child: nothing of the parent's, neither spans nor locks nor connections."""
        self._begin()
        self._collect = None
        self._channel.renew()

    # ------------------------------------------------------------------ where spans end

    def accept(self, span: ReadableSpan, weight: int, *, ours: bool) -> None:
        """Queues the span, or counts it as dropped; takes no lock and never waits."""
        if not ours and self._keep is None:
            return
        if self._closed:
            self.counts.late += 1
            return
        if self._held + weight > self._queue_bytes:
            self.counts.overflowed += 1
            return
        self._held += weight
        self.counts.queued += 1
        self._queue.append((span, weight))
        if self._thread is None:
            self._start()
        elif self._asleep or (self._lingering and self._held >= self._channel.limits.request_bytes):
            self._asleep = self._lingering = False
            _open(self._wake)

    def measure_with(self, collect: Callable[[], Any] | None) -> None:
        """``collect`` is called on the worker: each minute, at a flush, at the end."""
        self._collect = collect
        if collect is not None and self._start():
            _open(self._wake)

    def _start(self) -> bool:
        """A worker, if there is none; whether there is one."""
        if self._thread is not None:
            return True
        if not self._starting.acquire(blocking=False):
            return True  # another thread is at it
        try:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._run, name=f"genai-otel-{self.name}", daemon=True
                )
                self._thread = thread
                # Nothing of the context in which a span happened to end lives on there.
                contextvars.Context().run(thread.start)
        except RuntimeError:  # the interpreter is ending, or there are too many threads
            self._thread = None
            return False
        finally:
            self._starting.release()
        return True

    # -------------------------------------------------------------- what others wait for

    def ticket(self, deadline: float) -> Ticket:
        """Takes its place behind all that is queued now; ``deadline`` is a ``monotonic`` time."""
        ticket = Ticket(deadline, self.counts.lost.total())
        if self._closed:
            ticket.ok = not self._held
            _open(ticket.arrived)
            return ticket
        self._queue.append(ticket)
        self._urgent = True
        if self._start():
            self._asleep = self._lingering = False
            _open(self._wake)
        else:
            with quietly.suppressed():
                self._turn()
        return ticket

    def close(self, deadline: float) -> None:
        """Takes nothing more; what is queued is delivered until then, or counted as dropped."""
        if self._closed:
            return
        self._closed, self._close_by = True, deadline
        if self._thread is None and not self._queue and self._collect is None:
            self._channel.close()
        elif self._start():
            _open(self._wake)
        else:
            self._run()

    def join(self, deadline: float) -> bool:
        """Whether it has ended by then; after ``close``."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, deadline - monotonic()))
        return not thread.is_alive()

    def abort(self) -> None:
        """After ``close``: whatever the worker still waits for comes to an end."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._channel.abort()

    # ------------------------------------------------------------------------ the worker

    def _run(self) -> None:
        quietly.attach()
        while True:
            self._wait()
            try:
                self._turn()
                if self._closed or monotonic() >= self._measure_at:
                    self._measure()
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets
                self.problem = f"contained an error of its own: {type(error).__name__}"
            if self._closed and not self._queue:
                break
        self._channel.close()

    def _wait(self) -> None:
        """Until there is something to do; a batch is given a moment to grow."""
        if not self._queue and not self._closed:
            self._asleep = True
            if not self._queue and not self._closed:  # a span may have come in between
                due = self._measure_at if self._collect is not None else inf
                due = min(due, self._tail.due() if self._tail is not None else inf)
                self._wake.acquire(timeout=-1 if due == inf else max(0.0, due - monotonic()))
            self._asleep = False
        if not self._urgent and not self._closed and self._queue:
            self._lingering = True
            self._wake.acquire(timeout=self._delay)
            self._lingering = False

    def _turn(self) -> None:
        """Everything that is queued now, and whatever comes while it is being sent."""
        self._urgent = False
        limits = self._channel.limits
        before = self.counts.sent, self.counts.lost.total()
        batch: list[Item] = []
        size = 0
        while True:
            try:
                item = self._queue.popleft()
            except IndexError:
                break
            if isinstance(item, Ticket):
                self._ship([*batch, *self._sampled(None)])
                self._settle(item)
                batch, size = [], 0
                continue
            for each in (item,) if self._tail is None else self._sampled(item):
                batch.append(each)
                size += each[1]
            if len(batch) >= limits.request_spans or size >= limits.request_bytes:
                self._ship(batch)
                batch, size = [], 0
        if self._tail is not None:
            batch += self._sampled(None) if self._closed else self._tail.overdue(monotonic())
        self._ship(batch)
        if not self._queue:
            self._held = 0 if self._tail is None else self._tail.held
            self._regain(before)

    def _sampled(self, item: Item | None) -> list[Item]:
        """What a new span lets go out; without one, all that is still waited for."""
        tail = self._tail
        if tail is None:
            return []
        out = tail.overdue(inf) if item is None else tail.add(item, monotonic())
        self.counts.sampled_out, self._held = tail.gone, self._held - tail.weight_gone()
        return out

    def _settle(self, ticket: Ticket) -> None:
        self._measure()
        flushed = self._channel.flush(max(0.0, ticket.deadline - monotonic()))
        ticket.ok = flushed and self.counts.lost.total() == ticket.lost
        _open(ticket.arrived)

    def _ship(self, batch: Sequence[Item]) -> None:
        """One batch on its way, as one request of each signal, or several."""
        parcels: dict[str, list[Parcel]] = {}
        try:
            for span, _ in batch:
                for parcel in self._parcels(span):
                    parcels.setdefault(parcel.signal, []).append(parcel)
            for signal, found in parcels.items():
                for request in packed(found, self._channel.limits):
                    self._deliver(signal, request)
        finally:
            self._held -= sum(weight for _, weight in batch)

    def _parcels(self, span: ReadableSpan) -> Sequence[Parcel]:
        """What of the span goes out; whatever goes wrong with it is its own misfortune."""
        try:
            made: Sequence[Parcel] = ()
            if self._keep is None or is_ours(span) or self._keep(span):
                prepared = span if self._prepare is None else self._prepare(span)
                made = self._channel.parcels(prepared)
        except Exception as error:  # noqa: BLE001 - an odd value, a filter of the user's
            self._lose("encoding", 1, f"a span could not be prepared: {type(error).__name__}")
            return ()
        self.counts.passed_over += not made
        return made

    # ---------------------------------------------------------------------- one request

    def _deliver(self, signal: str, parcels: list[Parcel]) -> None:
        """Sends them; takes a refused request apart until what is at fault is alone."""
        waiting = [parcels]
        in_vain = 0
        while waiting:
            part = waiting.pop()
            answer = self._tried(signal, part)
            if answer.kind is Kind.TAKEN:
                in_vain = 0
                self._arrived(part, answer)
            elif answer.kind in (Kind.TOO_LARGE, Kind.BAD) and len(part) > 1:
                waiting += reversed(halves(part))
            elif answer.kind is Kind.TOO_LARGE and self._tried_smaller(signal, part[0]):
                in_vain = 0
            else:
                self._lose_all(_REASONS[answer.kind], part, answer.problem)
                in_vain += 1
                if answer.kind is Kind.REFUSED or (answer.kind is Kind.BAD and in_vain > 1):
                    # It is not this or that span: nothing of this is wanted.
                    for rest in waiting:
                        self._lose_all("refused", rest, answer.problem)
                    return

    def _tried_smaller(self, signal: str, parcel: Parcel) -> bool:
        """Whether a span that was too large is taken with shorter texts."""
        try:
            smaller = self._channel.smaller(parcel, parcel.size // 4)
        except Exception:  # noqa: BLE001 - then it is lost as it is
            return False
        if smaller is None:
            return False
        answer = self._tried(signal, [smaller])
        if answer.kind is Kind.TAKEN:
            self._arrived([smaller], answer)
        return answer.kind is Kind.TAKEN

    def _tried(self, signal: str, parcels: Sequence[Parcel]) -> Answer:
        """The last answer: the first that is not "again", or that of the last try."""
        give_up, pause = monotonic() + self._patience, _FIRST_PAUSE
        while True:
            if self._close_by is not None and monotonic() >= self._close_by:
                return Answer(Kind.AGAIN, "not delivered before the end")
            answer = self._channel.send(signal, parcels, self._deadline())
            if answer.kind is not Kind.AGAIN:
                return answer
            self.problem = answer.problem
            self._note_overflow()
            wait = _jitter(pause / 2, pause) if answer.pause is None else answer.pause
            until = give_up if self._close_by is None else min(give_up, self._close_by)
            if monotonic() + wait >= until:
                return answer
            if self._rested(wait, hurry=answer.pause is None):
                pause = min(pause * 2, _LONGEST_PAUSE)
            self.counts.retried += 1

    def _deadline(self) -> float:
        deadline = monotonic() + self._channel.limits.timeout
        return deadline if self._close_by is None else min(deadline, self._close_by)

    def _rested(self, seconds: float, *, hurry: bool) -> bool:
        """Waits, not beyond the end; in a hurry no longer than until somebody flushes or ends.

        Whether it was as long as asked for.
        """
        until, closed = monotonic() + seconds, self._closed
        while (left := until - monotonic()) > 0:
            self._wake.acquire(timeout=left)
            if hurry and (self._urgent or (self._closed and not closed)):
                self._urgent = False
                return False
            if self._close_by is not None:
                until = min(until, self._close_by)
        return True

    # --------------------------------------------------------------------------- metrics

    def _measure(self) -> None:
        self._measure_at = monotonic() + MEASURE_EVERY
        data = None if self._collect is None else self._collect()
        if data is None or not data.resource_metrics:
            return
        answer = self._tried("metrics", [self._channel.measured(data)])
        if answer.kind is Kind.TAKEN:
            return
        if answer.problem in _NO_SUCH_ROUTE:
            self._collect, self.problem = None, f"metrics are not taken there ({answer.problem})"
        else:
            self._lose("metrics", 1, answer.problem)

    # -------------------------------------------------------------------------- counting

    def _arrived(self, parcels: Sequence[Parcel], answer: Answer) -> None:
        rejected = min(answer.rejected, len(parcels))
        self.problem = answer.problem or None
        if parcels[0].spans:
            self.counts.sent += len(parcels) - rejected
        self._lose_all("rejected", parcels[:rejected], answer.problem)  # which, nobody knows

    def _lose_all(self, reason: str, parcels: Sequence[Parcel], problem: str) -> None:
        """Of one signal; so they are all spans, or all go along with some."""
        reason = reason if parcels and parcels[0].spans else "log_records"
        self._lose(reason, len(parcels), problem)

    def _lose(self, reason: str, count: int, problem: str) -> None:
        if not count:
            return
        if self._closed and reason == "undelivered":
            reason = "shutdown"
        self.counts.lost[reason] += count
        self.problem = problem
        self._note_loss(reason, problem)

    def _note_overflow(self) -> None:
        if self.counts.overflowed > self._overflow_seen:
            self._overflow_seen = self.counts.overflowed
            self._note_loss("queue_full", self.problem or "")

    def _note_loss(self, reason: str, problem: str) -> None:
        """Says that telemetry is being lost, once until none is."""
        if self._losing or not self._tells or monotonic() - self._said_at < _SAY_EVERY:
            return
        self._losing, self._said_at = True, monotonic()
        logger.warning(
            "genai_otel: telemetry for %s is being lost: %s (%s)", self.name, reason, problem
        )

    def _regain(self, before: tuple[int, int]) -> None:
        """After a turn in which something was delivered, and nothing lost."""
        self._note_overflow()
        sent, lost = self.counts.sent, self.counts.lost.total()
        if self._losing and sent > before[0] and lost == before[1]:
            self._losing = False
            total = sum(self.counts.dropped().values())
            logger.warning(
                "genai_otel: telemetry for %s arrives again; %d were lost", self.name, total
            )


_REASONS = {
    Kind.AGAIN: "undelivered",
    Kind.TOO_LARGE: "too_large",
    Kind.BAD: "refused",
    Kind.REFUSED: "refused",
}
_NO_SUCH_ROUTE = frozenset(f"HTTP {status}" for status in (404, 405, 415, 501))

_ALL: WeakSet[Delivery] = WeakSet()


def _after_fork() -> None:
    for each in list(_ALL):
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
