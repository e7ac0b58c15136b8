"""Export workers: for each destination a queue bounded in bytes, and one thread.

Who ends a span appends it to a deque, without a lock, so that neither a signal nor a finalizer nor
a fork can interrupt it at a wrong moment. Everything else happens on the worker: the destination's
content policy and dialect, encoding, sending, waiting, counting.
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
from genai_otel.export.otlp.response import ExportStatus
from genai_otel.export.protocol import MIB
from genai_otel.export.readable import is_ours

from .batching import batches
from .retry import REASONS, RETRY_TIMEOUT, RetryingSender
from .stats import ExportStats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.protocol import Payload, PayloadExporter

    from .tail_sampling import TailSampling

    Item = tuple[ReadableSpan, int]

MAX_QUEUE_BYTES = 32 * MIB
# Seconds between the first span of a batch and its sending.
BATCH_DELAY = 1.0
# The same where the process may be terminated at any time and another one recovers its spans: a
# batch under way would be sent again.
_RECOVERABLE_DELAY = 5.0
# The same where no other process recovers them.
_UNRECOVERABLE_DELAY = 0.2
METRIC_INTERVAL = 60.0
# Seconds for a worker to notice that its deadline has passed.
_JOIN_GRACE = 0.3
# Seconds for which a fork waits: for all workers, and for one request in all.
_FORK_TIMEOUT = 0.25


class FlushRequest:
    """A marker in the queue behind everything that a flush waits for."""

    __slots__ = ("deadline", "done", "lost_before", "ok")

    def __init__(self, deadline: float, lost_before: int) -> None:
        self.deadline, self.lost_before, self.ok = deadline, lost_before, False
        self.done = _taken_lock()

    def wait(self) -> bool:
        """Whether everything before it was acknowledged, by the deadline."""
        return self.done.acquire(timeout=max(0.0, self.deadline - monotonic())) and self.ok


def _taken_lock() -> Any:
    """A locked lock, used as an event: a signal handler may release it, too."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _release(lock: Any) -> None:
    with suppress(RuntimeError):  # released already
        lock.release()


class ExportWorker:
    """Exports the spans of one destination on a thread of its own.

    ``transform`` is applied to each span before the exporter has it; ``span_filter`` selects spans
    of other scopes. ``log_losses``: losses are logged here, not by the exporter.
    ``accepts_other_scopes``: spans of other scopes from our own provider are exported as well.
    """

    def __init__(
        self,
        name: str,
        exporter: PayloadExporter,
        *,
        transform: Callable[[ReadableSpan], ReadableSpan] | None = None,
        span_filter: Callable[[ReadableSpan], bool] | None = None,
        sample: TailSampling | None = None,
        max_queue_bytes: int = MAX_QUEUE_BYTES,
        delay: float = BATCH_DELAY,
        retry_timeout: float = RETRY_TIMEOUT,
        log_losses: bool = True,
        accepts_other_scopes: bool = False,
    ) -> None:
        self.name, self._log_losses, self.accepts_other_scopes = (
            name,
            log_losses,
            accepts_other_scopes,
        )
        self._exporter, self._transform, self._span_filter = exporter, transform, span_filter
        self._sample = sample
        self._max_queue_bytes, self._delay, self._retry_timeout = (
            max_queue_bytes,
            delay,
            retry_timeout,
        )
        self._collect: Callable[[], Any] | None = None
        # Called once a minute on the worker, while there is one.
        self.periodic_task: Callable[[], Any] | None = None
        self._on_idle: Callable[[], Any] | None = None
        self._closed = False
        self._close_deadline = inf
        self._reset()
        _WORKERS.add(self)

    def _reset(self) -> None:
        """Create what belongs to one process."""
        self.stats: ExportStats = ExportStats(self.name, log_losses=self._log_losses)
        self._sender = RetryingSender(
            self._exporter, self.stats, self._retry_timeout, self._back_off
        )
        self._queue: deque[Item | FlushRequest] = deque()
        # Spans that were passed to the exporter.
        self.processed: int = 0
        self._queued_bytes = 0
        self._thread: threading.Thread | None = None
        self._start_lock, self._drain_lock = threading.Lock(), threading.Lock()
        self._draining_thread: int | None = None
        self._wake = _taken_lock()
        self._waiting = self._batching = self._flush_requested = self._forking = False
        self._queued_at_collection = 0
        self._next_collection = monotonic() + METRIC_INTERVAL
        self._tail_sampler = (
            self._sample.sampler(self._max_queue_bytes // 2) if self._sample else None
        )

    @property
    def last_error(self) -> str | None:
        return self.stats.last_error

    @property
    def queued(self) -> int:
        """Spans that are queued or being exported, those of unfinished traces included."""
        done = self.processed + self.stats.sampled_out  # first, as it never overtakes
        return self.stats.enqueued - done

    def expect_termination(self, on_idle: Callable[[], Any], *, recoverable: bool) -> None:
        """Prepare for a sudden end. ``recoverable``: another process would send what is queued.

        ``on_idle`` is called on the worker when nothing is queued any more.
        """
        self._on_idle = on_idle
        self._delay = (
            max(self._delay, _RECOVERABLE_DELAY)
            if recoverable
            else min(self._delay, _UNRECOVERABLE_DELAY)
        )

    @property
    def busy(self) -> bool:
        """Whether a span is queued or being exported."""
        return bool(self._queue or self._queued_bytes)

    def count_lost(self, count: int, reason: str, error: str) -> None:
        """Count spans as lost that were never enqueued."""
        self.stats.count_lost(reason, count, error)

    def reset_after_fork(self) -> None:
        """Start anew in a forked child, with no spans, locks or connections of the parent."""
        self._reset()
        self._collect = None
        self._exporter.reset_after_fork()

    # ------------------------------------------------------------------------- producers

    def enqueue(self, span: ReadableSpan, size: int, *, ours: bool) -> None:
        """Queue the span, or count it as dropped; take no lock and never wait."""
        if not ours and self._span_filter is None:
            return
        if self._closed:
            self.stats.dropped_after_shutdown += 1
            return
        if self._queued_bytes + size > self._max_queue_bytes:
            self.stats.dropped_queue_full += 1
            return
        self._queued_bytes += size
        self.stats.enqueued += 1
        self._queue.append((span, size))
        if self._thread is None:
            self._start_thread()
        elif self._waiting or (
            self._batching and self._queued_bytes >= self._exporter.limits.request_bytes
        ):
            self._waiting = self._batching = False
            _release(self._wake)

    def set_transform(self, transform: Callable[[ReadableSpan], ReadableSpan]) -> None:
        """Replace the transformation of spans, also of those in the queue."""
        self._transform = transform

    def set_metric_collector(self, collect: Callable[[], Any] | None) -> None:
        """Call ``collect`` on the worker: once a minute, at a flush, at the end."""
        self._collect = collect
        if collect is not None and self._start_thread():
            _release(self._wake)

    def _start_thread(self) -> bool:
        """Start the worker's thread if there is none; return whether there is one."""
        if self._thread is not None:
            return True
        if not self._start_lock.acquire(blocking=False):
            return True  # another thread starts it
        try:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._run, name=f"genai-otel-{self.name}", daemon=True
                )
                self._thread = thread
                # The thread must not keep the context in which a span happened to end.
                contextvars.Context().run(thread.start)
        except Exception:  # noqa: BLE001 - at exit, too many threads, or patched threads
            self._thread = None
            return False
        finally:
            self._start_lock.release()
        return True

    # ------------------------------------------------------------------- flush and close

    def request_flush(self, deadline: float) -> FlushRequest:
        """Append a request behind the queued spans; ``deadline`` is a ``monotonic`` time."""
        request = FlushRequest(deadline, self.stats.lost.total())
        # A filter or a gauge that flushes runs on the worker, and cannot wait for it.
        from_worker = threading.current_thread() is self._thread
        from_worker = from_worker or self._draining_thread == threading.get_ident()
        if from_worker or self._closed:
            request.ok = not from_worker and not self._queued_bytes
            _release(request.done)
            return request
        self._queue.append(request)
        self._flush_requested = True
        if self._start_thread():
            self._waiting = self._batching = False
            _release(self._wake)
        else:
            self._drain_in_caller(deadline)
        return request

    def close(self, deadline: float) -> None:
        """Accept no more spans; export the queued ones until then, or count them as dropped."""
        if self._closed:
            return
        self._closed, self._close_deadline = True, deadline
        self.stats.closing, self._sender.close_deadline = True, deadline
        if self._thread is None and not self._queue and self._collect is None:
            self._exporter.close()
        elif self._start_thread():
            _release(self._wake)
        else:
            self._drain_in_caller(deadline)
            self._exporter.close()

    def join(self, deadline: float) -> bool:
        """After ``close``: whether the worker has ended by then."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        # A worker that is stuck is not waited for twice.
        deadline = min(deadline, self._close_deadline + _JOIN_GRACE)
        thread.join(max(0.0, deadline - monotonic()))
        return not thread.is_alive()

    def abort(self) -> None:
        """After ``close``: end whatever the worker still waits for."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._exporter.abort()

    # --------------------------------------------------------------------- around a fork

    def pause_for_fork(self, deadline: float) -> None:
        """Before a fork: have the worker export what is queued, and end, if it can by then.

        One whose receiver does not answer goes on waiting, and after an error the queue stays as it
        is: a fork must not wait for a receiver.
        """
        thread = self._thread
        from_worker = (
            self._draining_thread == threading.get_ident() or thread is threading.current_thread()
        )
        if thread is None or from_worker or self._closed:
            return
        self._forking = True
        self._waiting = self._batching = False
        _release(self._wake)
        started = self._sender.request_started
        has_gone(thread, deadline if started is None else min(deadline, started + _FORK_TIMEOUT))

    def resume_after_fork(self) -> None:
        """In the process that has forked: start the worker again if it is needed."""
        self._forking = False
        if self._queue or (self._tail_sampler is not None and self._tail_sampler.held_bytes):
            self._start_thread()

    # ------------------------------------------------------------------------ the worker

    def _run(self) -> None:
        suppression.attach()
        if self._on_idle is not None:
            block_sigterm()  # the main thread handles it, and may defer it
        try:
            self._loop()
        finally:
            if not self._closed:  # whatever has ended it: the next span starts another
                if self._forking:
                    self._exporter.pause_for_fork()
                self._thread = None

    def _loop(self) -> None:
        while True:
            self._wait_for_work()
            if self._forking and self.last_error is not None:
                return
            try:
                with self._drain_lock:
                    self._drain()
                    if self._metrics_are_due():
                        self._export_metrics()
                        if self.periodic_task is not None and not self._closed:
                            self.periodic_task()
            except Exception as error:  # noqa: BLE001 - the worker survives any error
                self.stats.last_error = f"internal error: {type(error).__name__}"
                FAULTS.note("ExportWorker.run", error)
            if self._forking and not self._queue:
                return
            if self._closed and not self._queue:
                break
        self._exporter.close()

    def _drain_in_caller(self, deadline: float) -> None:
        """Drain the queue on the caller's thread, where no other one can be started."""
        if not self._drain_lock.acquire(timeout=max(0.0, deadline - monotonic())):
            return
        self._sender.close_deadline = min(self._close_deadline, deadline)
        try:
            with suppression.suppressed():
                self._drain()
                if self._closed:
                    self._export_metrics()
        finally:
            self._sender.close_deadline = self._close_deadline
            self._drain_lock.release()

    def _wait_for_work(self) -> None:
        """Wait until there is work; let a batch grow for a moment."""
        if not self._queue and not self._stopping:
            self._waiting = True
            if not self._queue and not self._stopping:  # a span may have come in between
                idle = self._collect is None and self.periodic_task is None
                due = inf if idle else self._next_collection
                due = min(due, self._tail_sampler.due() if self._tail_sampler is not None else inf)
                self._wake.acquire(timeout=-1 if due == inf else max(0.0, due - monotonic()))
            self._waiting = False
        if not self._flush_requested and not self._stopping and self._queue:
            self._batching = True
            self._wake.acquire(timeout=self._delay)
            self._batching = False

    @property
    def _stopping(self) -> bool:
        return self._closed or self._forking

    def _drain(self) -> None:
        """Export what is queued, and what is queued meanwhile."""
        self._draining_thread = threading.get_ident()
        try:
            self._drain_queue()
        finally:
            self._draining_thread = None

    def _drain_queue(self) -> None:
        self._flush_requested = False
        limits = self._exporter.limits
        before = self.stats.sent, self.stats.lost.total()
        batch: list[Item] = []
        size = 0
        while True:
            try:
                item = self._queue.popleft()
            except IndexError:
                break
            if isinstance(item, FlushRequest):
                self._export_batch([*batch, *self._tail_sample(None)])
                self._complete_flush(item)
                batch, size = [], 0
                continue
            for each in (item,) if self._tail_sampler is None else self._tail_sample(item):
                batch.append(each)
                size += each[1]
            if len(batch) >= limits.request_spans or size >= limits.request_bytes:
                self._export_batch(batch)
                batch, size = [], 0
        if self._tail_sampler is not None:
            batch += (
                self._tail_sample(None) if self._closed else self._tail_sampler.expire(monotonic())
            )
        self._export_batch(batch)
        if not self._queue:
            self.stats.report_recovery(before)
            self._note_idle()

    def _note_idle(self) -> None:
        """Reset the size of the queue, unless a span has come meanwhile."""
        if self._tail_sampler is not None:
            self.stats.sampled_out = self._tail_sampler.dropped
        if not self._queue:
            self._queued_bytes = 0 if self._tail_sampler is None else self._tail_sampler.held_bytes
            if self._on_idle is not None:
                self._on_idle()

    def _tail_sample(self, item: Item | None) -> list[Item]:
        """Spans that are decided once ``item`` has come; all that wait if it is ``None``."""
        tail = self._tail_sampler
        if tail is None:
            return []
        ready = tail.expire(inf) if item is None else tail.add(item, monotonic())
        self.stats.sampled_out, self._queued_bytes = (
            tail.dropped,
            self._queued_bytes - tail.take_dropped_bytes(),
        )
        return ready

    def _complete_flush(self, request: FlushRequest) -> None:
        try:
            self._export_metrics()
            flushed = self._exporter.flush(max(0.0, request.deadline - monotonic()))
            request.ok = flushed and self.stats.lost.total() == request.lost_before
            self._note_idle()  # before the flush returns: a child may end right after it
        finally:
            _release(request.done)

    def _export_batch(self, batch: Sequence[Item]) -> None:
        """Export one batch, as one or more requests for each signal."""
        payloads: dict[str, list[Payload]] = {}
        try:
            if monotonic() >= self._sender.close_deadline:
                self.stats.count_lost("undelivered", len(batch), "not exported before shutdown")
                return
            for index, (span, _) in enumerate(batch):
                if monotonic() >= self._sender.close_deadline:  # encoding takes time, too
                    self.stats.count_lost(
                        "undelivered", len(batch) - index, "not exported before shutdown"
                    )
                    break
                for payload in self._to_payloads(span):
                    payloads.setdefault(payload.signal, []).append(payload)
            for signal, of_signal in payloads.items():
                for request in batches(of_signal, self._exporter.limits):
                    self._sender.send_all(signal, request)
        finally:
            self._queued_bytes -= sum(size for _, size in batch)
            self.processed += len(batch)

    def _to_payloads(self, span: ReadableSpan) -> Sequence[Payload]:
        """The payloads of a span; an error costs that span alone."""
        try:
            payloads: Sequence[Payload] = ()
            if self._span_filter is None or is_ours(span) or self._span_filter(span):
                transformed = span if self._transform is None else self._transform(span)
                payloads = self._exporter.to_payloads(transformed)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an odd value, a user's filter
            self.stats.count_lost(
                "encoding", 1, f"a span could not be encoded: {type(error).__name__}"
            )
            return ()
        self.stats.filtered += not payloads
        return payloads

    def _back_off(self, seconds: float, *, interruptible: bool) -> bool:
        """Wait, not beyond the deadline of ``close``; return whether it was the whole time.

        If ``interruptible``, a flush or ``close`` ends the wait.
        """
        deadline, was_closed = monotonic() + seconds, self._closed
        while (remaining := min(deadline, self._sender.close_deadline) - monotonic()) > 0:
            self._wake.acquire(timeout=remaining)
            if interruptible and (self._flush_requested or (self._closed and not was_closed)):
                self._flush_requested = False
                return False
        return True

    # --------------------------------------------------------------------------- metrics

    def _metrics_are_due(self) -> bool:
        changed = self._forking and self._queued_at_collection != self.stats.enqueued
        return self._closed or changed or monotonic() >= self._next_collection

    def _export_metrics(self) -> None:
        self._next_collection, self._queued_at_collection = (
            monotonic() + METRIC_INTERVAL,
            self.stats.enqueued,
        )
        data = None if self._collect is None else self._collect()
        if data is None or not data.resource_metrics:
            return
        count = _count_data_points(data)
        result = self._sender.send("metrics", [self._exporter.metrics_payload(data)])
        if result.status is ExportStatus.OK:
            self.stats.count_data_points(count, "rejected", min(result.rejected, count))
            return
        self.stats.count_data_points(count, REASONS[result.status], count)
        if result.error in _UNSUPPORTED:
            self._collect = None
            self.stats.last_error = f"the receiver does not accept metrics ({result.error})"
        else:
            self.stats.count_lost("metrics", 1, result.error)


def _count_data_points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )


_UNSUPPORTED = frozenset(f"HTTP {status}" for status in (404, 405, 415, 501))

_WORKERS: WeakSet[ExportWorker] = WeakSet()


def _before_fork() -> None:
    until = monotonic() + _FORK_TIMEOUT
    for each in list(_WORKERS):
        each.pause_for_fork(until)


def _after_fork() -> None:
    for each in list(_WORKERS):
        each.resume_after_fork()


def _in_child() -> None:
    for each in list(_WORKERS):
        each.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
