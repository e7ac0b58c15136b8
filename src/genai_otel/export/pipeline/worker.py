"""Delivery: for each destination a queue bounded in bytes and one worker thread.

Whoever ends a span appends it to a deque and is done: no lock is taken, so that neither a signal,
nor a finaliser, nor a fork can come at a wrong moment. All the rest happens on the worker: the
destination's content policy and dialect, encoding, sending, waiting, counting.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from genai_otel._support import fork, suppression  # noqa: F401 - forking is asked last before a fork: it registers first
from genai_otel._support.errors import FAULTS
from genai_otel._support.locks import has_gone
from genai_otel._support.processes import block_sigterm
from genai_otel.export.otlp.response import Kind
from genai_otel.export.readable import is_ours

from .batching import MIB, packed
from .retry import PATIENCE, Courier
from .stats import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.protocol import Channel, Parcel

    from .tail_sampling import TailSampling

    Item = tuple[ReadableSpan, int]

QUEUE_BYTES = 32 * MIB
DELAY = 1.0
"""Seconds between the first span of a batch and its sending."""
_KEPT_DELAY = 5.0
"""In processes that may be ended at any time: one that is, while it sends, is sent again."""
_UNKEPT_DELAY = 0.2
"""In those of them for which nobody would send it."""
MEASURE_EVERY = 60.0
_GRACE = 0.3
"""Seconds for a worker to see that its time is over."""
_FORK_WAITS = 0.25
"""Seconds for which a fork waits, for all workers, and for one request in all."""


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
    ``takes_others``: those of other scopes that our own provider has recorded go there too.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        *,
        prepare: Callable[[ReadableSpan], ReadableSpan] | None = None,
        keep: Callable[[ReadableSpan], bool] | None = None,
        sample: TailSampling | None = None,
        queue_bytes: int = QUEUE_BYTES,
        delay: float = DELAY,
        patience: float = PATIENCE,
        tells: bool = True,
        takes_others: bool = False,
    ) -> None:
        self.name, self._tells, self.takes_others = name, tells, takes_others
        self._channel, self._prepare, self._keep = channel, prepare, keep
        self._sample = sample
        self._queue_bytes, self._delay, self._patience = queue_bytes, delay, patience
        self._collect: Callable[[], Any] | None = None
        self.each_minute: Callable[[], Any] | None = None
        """Called on the worker, while there is one."""
        self._settled: Callable[[], Any] | None = None
        self._closed = False
        self._end_by = inf
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        """What belongs to one process."""
        self._ledger = Ledger(self.name, tells=self._tells)
        self.counts = self._ledger.counts
        self._courier = Courier(self._channel, self._ledger, self._patience, self._rested)
        self._queue: deque[Item | Ticket] = deque()
        self._held = self._shipped = 0
        self._thread: threading.Thread | None = None
        self._starting, self._turning = threading.Lock(), threading.Lock()
        self._turner: int | None = None
        self._wake = _shut()
        self._asleep = self._lingering = self._urgent = self._resting = False
        self._measured = 0
        self._measure_at = monotonic() + MEASURE_EVERY
        self._tail = self._sample.tail(self._queue_bytes // 2) if self._sample else None

    @property
    def problem(self) -> str | None:
        return self._ledger.problem

    @property
    def queued(self) -> int:
        """Spans that wait now or are on their way, those of traces that are under way included."""
        done = self._shipped + self.counts.sampled_out  # first, as it never overtakes
        return self.counts.taken - done

    def expect_sudden_end(self, settled: Callable[[], Any], *, kept: bool) -> None:
        """This process may be ended at any time. ``kept``: another one would send what is queued.

        ``settled`` is called on the worker when nothing is queued any more.
        """
        self._settled = settled
        self._delay = max(self._delay, _KEPT_DELAY) if kept else min(self._delay, _UNKEPT_DELAY)

    @property
    def busy(self) -> bool:
        """Whether anything is queued, or on its way."""
        return bool(self._queue or self._held)

    def lose(self, count: int, reason: str, why: str) -> None:
        """Counts spans as lost that never came here."""
        self._ledger.lose(reason, count, why)

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
        self.counts.taken += 1
        self._queue.append((span, weight))
        if self._thread is None:
            self._start()
        elif self._asleep or (self._lingering and self._held >= self._channel.limits.request_bytes):
            self._asleep = self._lingering = False
            _open(self._wake)

    def judge_by(self, prepare: Callable[[ReadableSpan], ReadableSpan]) -> None:
        """In place of what prepared spans until now."""
        self._prepare = prepare

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
        except Exception:  # noqa: BLE001 - the end, too many threads, whoever has patched them
            self._thread = None
            return False
        finally:
            self._starting.release()
        return True

    # -------------------------------------------------------------- what others wait for

    def ticket(self, deadline: float) -> Ticket:
        """Takes its place behind all that is queued now; ``deadline`` is a ``monotonic`` time."""
        ticket = Ticket(deadline, self.counts.lost.total())
        # A filter that flushes, a gauge that does: they cannot wait for themselves.
        within = threading.current_thread() is self._thread
        within = within or self._turner == threading.get_ident()
        if within or self._closed:
            ticket.ok = not within and not self._held
            _open(ticket.arrived)
            return ticket
        self._queue.append(ticket)
        self._urgent = True
        if self._start():
            self._asleep = self._lingering = False
            _open(self._wake)
        else:
            self._turn_here(deadline)
        return ticket

    def close(self, deadline: float) -> None:
        """Takes nothing more; what is queued is delivered until then, or counted as dropped."""
        if self._closed:
            return
        self._closed, self._end_by = True, deadline
        self._ledger.ending, self._courier.end_by = True, deadline
        if self._thread is None and not self._queue and self._collect is None:
            self._channel.close()
        elif self._start():
            _open(self._wake)
        else:
            self._turn_here(deadline)
            self._channel.close()

    def join(self, deadline: float) -> bool:
        """Whether it has ended by then; after ``close``."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        deadline = min(deadline, self._end_by + _GRACE)  # who is stuck is not waited for twice
        thread.join(max(0.0, deadline - monotonic()))
        return not thread.is_alive()

    def abort(self) -> None:
        """After ``close``: whatever the worker still waits for comes to an end."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._channel.abort()

    # --------------------------------------------------------------------- around a fork

    def rest(self, until: float) -> None:
        """Before a fork: the worker delivers what is queued, and ends, if it can until then.

        One whose receiver does not answer is left at it, and where receivers are in trouble what is
        queued stays so: a fork must not wait for them.
        """
        thread = self._thread
        within = self._turner == threading.get_ident() or thread is threading.current_thread()
        if thread is None or within or self._closed:
            return
        self._resting = True
        self._asleep = self._lingering = False
        _open(self._wake)
        since = self._courier.busy_since
        has_gone(thread, until if since is None else min(until, since + _FORK_WAITS))

    def resume(self) -> None:
        """After it: in the process that has forked, a worker begins where one is needed."""
        self._resting = False
        if self._queue or (self._tail is not None and self._tail.held):
            self._start()

    # ------------------------------------------------------------------------ the worker

    def _run(self) -> None:
        suppression.attach()
        if self._settled is not None:
            block_sigterm()  # it is for the main thread, which may hold it off for a moment
        try:
            self._work()
        finally:
            if not self._closed:  # whatever has ended it: the next span begins another
                if self._resting:
                    self._channel.rest()
                self._thread = None

    def _work(self) -> None:
        while True:
            self._wait()
            if self._resting and self.problem is not None:
                return
            try:
                with self._turning:
                    self._turn()
                    if self._must_measure():
                        self._measure()
                        if self.each_minute is not None and not self._closed:
                            self.each_minute()
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets
                self._ledger.problem = f"contained an error of its own: {type(error).__name__}"
                FAULTS.note("Delivery.run", error)
            if self._resting and not self._queue:
                return
            if self._closed and not self._queue:
                break
        self._channel.close()

    def _turn_here(self, deadline: float) -> None:
        """Where no thread can be started: on the caller's, no longer than the caller waits."""
        if not self._turning.acquire(timeout=max(0.0, deadline - monotonic())):
            return
        self._courier.end_by = min(self._end_by, deadline)
        try:
            with suppression.suppressed():
                self._turn()
                if self._closed:
                    self._measure()
        finally:
            self._courier.end_by = self._end_by
            self._turning.release()

    def _wait(self) -> None:
        """Until there is something to do; a batch is given a moment to grow."""
        if not self._queue and not self._hurried:
            self._asleep = True
            if not self._queue and not self._hurried:  # a span may have come in between
                idle = self._collect is None and self.each_minute is None
                due = inf if idle else self._measure_at
                due = min(due, self._tail.due() if self._tail is not None else inf)
                self._wake.acquire(timeout=-1 if due == inf else max(0.0, due - monotonic()))
            self._asleep = False
        if not self._urgent and not self._hurried and self._queue:
            self._lingering = True
            self._wake.acquire(timeout=self._delay)
            self._lingering = False

    @property
    def _hurried(self) -> bool:
        return self._closed or self._resting

    def _turn(self) -> None:
        """Everything that is queued now, and whatever comes while it is being sent."""
        self._turner = threading.get_ident()
        try:
            self._deliver_all()
        finally:
            self._turner = None

    def _deliver_all(self) -> None:
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
            self._ledger.regain(before)
            self._idle()

    def _idle(self) -> None:
        """Unless a span has come meanwhile, nothing is queued or on its way."""
        if self._tail is not None:
            self.counts.sampled_out = self._tail.gone
        if not self._queue:
            self._held = 0 if self._tail is None else self._tail.held
            if self._settled is not None:
                self._settled()

    def _sampled(self, item: Item | None) -> list[Item]:
        """What a new span lets go out; without one, all that is still waited for."""
        tail = self._tail
        if tail is None:
            return []
        out = tail.overdue(inf) if item is None else tail.add(item, monotonic())
        self.counts.sampled_out, self._held = tail.gone, self._held - tail.weight_gone()
        return out

    def _settle(self, ticket: Ticket) -> None:
        try:
            self._measure()
            flushed = self._channel.flush(max(0.0, ticket.deadline - monotonic()))
            ticket.ok = flushed and self.counts.lost.total() == ticket.lost
            self._idle()  # before a flush returns, as a child may end at once after it
        finally:
            _open(ticket.arrived)

    def _ship(self, batch: Sequence[Item]) -> None:
        """One batch on its way, as one request of each signal, or several."""
        parcels: dict[str, list[Parcel]] = {}
        try:
            if monotonic() >= self._courier.end_by:
                self._ledger.lose("undelivered", len(batch), "not delivered before the end")
                return
            for at, (span, _) in enumerate(batch):
                if monotonic() >= self._courier.end_by:  # encoding takes time, too
                    self._ledger.lose(
                        "undelivered", len(batch) - at, "not delivered before the end"
                    )
                    break
                for parcel in self._parcels(span):
                    parcels.setdefault(parcel.signal, []).append(parcel)
            for signal, found in parcels.items():
                for request in packed(found, self._channel.limits):
                    self._courier.deliver(signal, request)
        finally:
            self._held -= sum(weight for _, weight in batch)
            self._shipped += len(batch)

    def _parcels(self, span: ReadableSpan) -> Sequence[Parcel]:
        """What of the span goes out; whatever goes wrong with it is its own misfortune."""
        try:
            made: Sequence[Parcel] = ()
            if self._keep is None or is_ours(span) or self._keep(span):
                prepared = span if self._prepare is None else self._prepare(span)
                made = self._channel.parcels(prepared)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an odd value, a user's filter
            self._ledger.lose(
                "encoding", 1, f"a span could not be prepared: {type(error).__name__}"
            )
            return ()
        self.counts.passed_over += not made
        return made

    def _rested(self, seconds: float, *, hurry: bool) -> bool:
        """Waits, not beyond the end; in a hurry no longer than until somebody flushes or ends.

        Whether it was as long as asked for.
        """
        until, closed = monotonic() + seconds, self._closed
        while (left := min(until, self._courier.end_by) - monotonic()) > 0:
            self._wake.acquire(timeout=left)
            if hurry and (self._urgent or (self._closed and not closed)):
                self._urgent = False
                return False
        return True

    # --------------------------------------------------------------------------- metrics

    def _must_measure(self) -> bool:
        news = self._resting and self._measured != self.counts.taken
        return self._closed or news or monotonic() >= self._measure_at

    def _measure(self) -> None:
        self._measure_at, self._measured = monotonic() + MEASURE_EVERY, self.counts.taken
        data = None if self._collect is None else self._collect()
        if data is None or not data.resource_metrics:
            return
        answer = self._courier.tried("metrics", [self._channel.measured(data)])
        if answer.kind is Kind.TAKEN:
            return
        if answer.problem in _NO_SUCH_ROUTE:
            self._collect = None
            self._ledger.problem = f"metrics are not taken there ({answer.problem})"
        else:
            self._ledger.lose("metrics", 1, answer.problem)


_NO_SUCH_ROUTE = frozenset(f"HTTP {status}" for status in (404, 405, 415, 501))

_ALL: WeakSet[Delivery] = WeakSet()


def _before_fork() -> None:
    until = monotonic() + _FORK_WAITS
    for each in list(_ALL):
        each.rest(until)


def _after_fork() -> None:
    for each in list(_ALL):
        each.resume()


def _in_child() -> None:
    for each in list(_ALL):
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
