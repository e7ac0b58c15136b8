"""Self-metrics: what became of the telemetry, observed when metrics are collected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from weakref import ref

from opentelemetry.metrics import Observation

from genai_otel import _semconv as names
from genai_otel._support.weakmap import IdentityWeakMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from .manager import ExportManager
    from .pipeline.stats import ExportStats

    Read = Callable[[ExportStats], int]

# Seconds that a collection may wait for us.
_TIMEOUT = 2.0
_COUNTERS: dict[str, Read] = {
    names.METRIC_GENAI_OTEL_SDK_QUEUED: lambda stats: stats.enqueued,
    names.METRIC_GENAI_OTEL_SDK_SENT: lambda stats: stats.sent,
    names.METRIC_GENAI_OTEL_SDK_RETRIED: lambda stats: stats.retried,
}


class _Instruments:
    """The instruments of a provider, which cannot be removed: they observe the current manager."""

    def __init__(self, meter: Meter) -> None:
        self.manager: Callable[[], ExportManager | None] = lambda: None
        for name, read in _COUNTERS.items():
            self._observe(meter, name, self._by_destination(read))
        self._observe(meter, names.METRIC_GENAI_OTEL_SDK_DROPPED, self._dropped)

    def _observe(
        self,
        meter: Meter,
        name: str,
        callback: Callable[[CallbackOptions], Iterable[Observation]],
    ) -> None:
        row = names.METRICS[name]
        meter.create_observable_counter(name, [callback], row.unit, row.description)

    def _stats(self) -> Iterator[tuple[str, ExportStats]]:
        """Statistics of each destination that had anything yet: an idle process reports nothing.

        Observable instruments are called first, so operations that wait for prices end here.
        """
        manager = self.manager()
        if manager is not None:
            manager.finish_pending(_TIMEOUT)
        for pipeline, worker in manager.pairs if manager is not None else ():
            if worker.stats.enqueued or worker.stats.dropped():
                yield pipeline.name, worker.stats

    def _by_destination(self, read: Read) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            totals: Counter[str] = Counter()
            for name, stats in self._stats():  # there may be two of one name
                totals[name] += read(stats)
            for name, total in totals.items():
                yield Observation(total, {names.GENAI_OTEL_DESTINATION: name})

        return callback

    def _dropped(self, _: CallbackOptions) -> Iterator[Observation]:
        totals: Counter[tuple[str, str]] = Counter()
        for name, stats in self._stats():
            for reason, count in stats.dropped().items():
                totals[name, reason] += count
        for (name, reason), total in totals.items():
            facts = {names.GENAI_OTEL_DESTINATION: name, names.GENAI_OTEL_REASON: reason}
            yield Observation(total, facts)


_INSTRUMENTS: IdentityWeakMap[_Instruments] = IdentityWeakMap()


def observe(provider: MeterProvider, meter: Meter, manager: ExportManager) -> None:
    """Report the statistics of ``manager`` as metrics of ``provider``."""
    found = _INSTRUMENTS.get(provider)
    if found is None:
        found = _INSTRUMENTS.put(provider, _Instruments(meter))
    found.manager = ref(manager)
