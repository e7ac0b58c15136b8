"""All destinations of a process: what goes to each, and flush and end of all at once."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from genai_otel._support.processes import is_child

from . import otel_environment
from .pipeline import handover
from .pipeline.handover import Keeper, left_behind
from .pipeline.redaction import Judge
from .pipeline.span_processor import seat_on
from .readable import is_ours, priced, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy

    from .factory import Outlet
    from .pipeline.span_processor import Seat
    from .pipeline.worker import ExportWorker


_GRACE = 0.2
"""Seconds, of those given, for workers to see that they were cut off."""


def _gatherer(outlet: Outlet) -> Any:
    from .pipeline.metric_reader import Gatherer

    assert outlet.temporality is not None  # noqa: S101 - or it takes no metrics
    return Gatherer(outlet.temporality, exponential_histograms=outlet.exponential_histograms)


class Outgoing:
    """``recorded``: the policy that the spans of this process are recorded by.

    ``said`` and ``more``: what goes out of resources besides; see ``privacy.resources``.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        *,
        recorded: ContentPolicy,
        said: Collection[str] = (),
        more: Sequence[str] = (),
    ) -> None:
        self._said, self._more = said, more
        self._judges = [self._judge(outlet, recorded) for outlet in outlets]
        self._gatherers: list[tuple[int, Any]] = []
        self.pairs = [
            (outlet, outlet.delivery(judge))
            for outlet, judge in zip(outlets, self._judges, strict=True)
        ]
        self._seats: list[Seat] = []
        self._at_root: Callable[[], None] | None = None
        self.settle: Callable[[float], object] = lambda _: None
        """Has what is held back measured, before it is read what was."""
        self.price: Callable[[Any], Mapping[str, Any]] | None = None
        """Prices a call from what its span says that this depends on."""
        self._meters: Any = None
        self._keeper: Keeper | None = None
        if is_child():
            self._keep()

    def _judge(self, outlet: Outlet, recorded: ContentPolicy) -> Judge:
        return Judge(outlet.content, recorded, said=self._said, more=self._more)

    def restrict(self, outlets: Sequence[Outlet], recorded: ContentPolicy) -> None:
        """The same destinations, under policies that let out less; queued spans included."""
        self._judges = [self._judge(outlet, recorded) for outlet in outlets]
        self.pairs = [(outlet, old[1]) for outlet, old in zip(outlets, self.pairs, strict=True)]
        self._judge_all()
        self._measure_all()

    def _judge_all(self) -> None:
        for delivery, judge in zip(self._all, self._judges, strict=True):
            late = None if self._keeper is None else partial(self._priced_and_judged, judge)
            delivery.set_transform(late or judge.span)

    def _priced_and_judged(self, judge: Judge, span: ReadableSpan) -> ReadableSpan:
        return judge.span(self._priced(span))

    def _priced(self, span: ReadableSpan) -> ReadableSpan:
        return span if self.price is None else priced(span, self.price)

    def _measure_all(self) -> None:
        for index, gatherer in self._gatherers:
            gather = self._judges[index].gathered(gatherer.gather)
            self._all[index].set_metric_collector(gather)

    @property
    def _all(self) -> list[ExportWorker]:
        return [delivery for _, delivery in self.pairs]

    def sit(self, provider: Any, *, own: bool) -> None:
        """From now on, what ends there goes out; ``own``: the provider is ours.

        Then spans of other scopes are sent nowhere else, and go to all that take any.
        """
        seat = seat_on(provider)
        seat.take(self._all, others=own)
        seat.at_root, seat.keeper = self._at_root, self._keeper
        self._seats.append(seat)

    def at_root(self, then: Callable[[], None] | None) -> None:
        """``then`` is called whenever a span without a parent in this process has ended."""
        self._at_root = then
        for seat in self._seats:
            seat.at_root = then

    def each_minute(self, then: Callable[[], None]) -> None:
        """``then`` is called each minute, on the worker of one destination, while there is one."""
        for delivery in self._all[:1]:
            delivery.periodic_task = then

    def meter_provider(self, resource: Callable[[], Any]) -> Any:
        """One whose metrics go out; ``None`` where no destination takes any."""
        if all(outlet.temporality is None for outlet, _ in self.pairs):
            return None
        from opentelemetry.sdk.metrics import MeterProvider

        self._gatherers = [
            (index, _gatherer(outlet))
            for index, (outlet, _) in enumerate(self.pairs)
            if outlet.temporality is not None
        ]
        self._meters = MeterProvider(
            metric_readers=[gatherer for _, gatherer in self._gatherers],
            resource=resource(),
            exemplar_filter=otel_environment.exemplar_filter(),
            shutdown_on_exit=False,
        )
        self._measure_all()
        return self._meters

    def after_fork(self) -> bool:
        """Leaves the parent's meters alone; whether there were any."""
        if self._keeper is not None:
            self._keeper.forget()
        handover.parent_takes()
        self._keep()
        had, self._meters = self._meters is not None, None
        self._gatherers = []
        return had

    # ------------------------------------------------------------------- child processes

    def _keep(self) -> None:
        """From now on: what is recorded here outlives this process, if it is ended at once.

        Where nobody may take what is left, it is sent as soon as can be.
        """
        self._keeper = Keeper()
        self._judge_all()
        for each in self._all:
            each.expect_termination(self._settled, recoverable=self._keeper.is_surely_taken)
        for seat in self._seats:
            seat.keeper = self._keeper

    def may_end_at_once(self) -> bool:
        """Whether this process may be ended before anything that is not kept yet."""
        return self._keeper is not None and self._keeper.is_needed()

    def _settled(self) -> None:
        if self._keeper is not None:
            with self._keeper.lock:
                if not any(each.busy for each in self._all):
                    self._keeper.sent()

    def take_over(self) -> None:
        """Queues what child processes have left that are gone; not in one of their kind."""
        if self._keeper is None:  # or it might be ended with all of it
            self._queue_left(*left_behind())

    def take_over_in_operation(self) -> None:
        """In one of their kind, too: where the main process is idle nobody else would for long."""
        if self._keeper is None:
            self.take_over()
        else:
            self._keeper.adopt(self._queue_left)

    def _queue_left(self, left: list[ReadableSpan], lost: int) -> None:
        spans = [self._priced(span) for span in left]
        for each in self._all:
            for span in spans:
                each.enqueue(span, weight(span), ours=is_ours(span) or each.accepts_other_scopes)
            each.count_lost(lost, "terminated", "child processes were ended before it was sent")

    # --------------------------------------------------------------------- flush and end

    def flush(self, timeout: float) -> bool:
        """Whether everything queued now was acknowledged everywhere, within ``timeout``."""
        deadline = monotonic() + timeout
        self.take_over()
        requests = [each.request_flush(deadline) for each in self._all]
        return all(request.wait() for request in requests)

    def close(self, timeout: float) -> bool:
        """Delivers what is queued and ends; whether all of it arrived, within ``timeout``."""
        deadline = monotonic() + timeout - _GRACE
        before = [each.stats.lost.total() for each in self._all]
        self.take_over()
        for each in self._all:
            each.close(deadline)
        for each in self._all:
            each.join(deadline)
        for each in self._all:
            each.abort()  # who still waits for a receiver
        ended = [each.join(deadline + _GRACE) for each in self._all]
        for seat in self._seats:
            seat.leave(self._all)
            seat.at_root = seat.keeper = None
        if self._keeper is not None:
            self._keeper.close()
        if self._meters is not None:
            self._meters.shutdown()
        return all(ended) and before == [each.stats.lost.total() for each in self._all]
