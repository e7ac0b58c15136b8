"""Self-metrics: what became of the telemetry, under the names of the conventions for SDK metrics.

They are observed when metrics are collected.
https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry.metrics import Observation

from genai_otel import _semconv as names
from genai_otel._support.weakmap import IdentityWeakMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from .manager import ExportManager
    from .pipeline.worker import ExportWorker

    # Counts by ``error.type``; ``None`` is success.
    Counts = Mapping[str | None, int]

# Seconds that a collection may wait for us.
_TIMEOUT = 2.0


def _processed(worker: ExportWorker) -> Counts:
    stats = worker.stats
    dropped, late = stats.dropped_queue_full, stats.dropped_after_shutdown
    return {None: worker.processed, "queue_full": dropped, "already_shutdown": late}


_READERS: dict[str, Callable[[ExportWorker], Counts]] = {
    names.METRIC_OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE: lambda worker: {None: worker.queued},
    names.METRIC_OTEL_SDK_PROCESSOR_SPAN_PROCESSED: _processed,
    names.METRIC_OTEL_SDK_EXPORTER_SPAN_EXPORTED: lambda worker: {
        None: worker.stats.sent,
        **worker.stats.lost_spans(),
    },
    names.METRIC_OTEL_SDK_EXPORTER_LOG_EXPORTED: lambda worker: dict(worker.stats.log_records),
    names.METRIC_OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED: (
        lambda worker: dict(worker.stats.data_points)
    ),
    names.METRIC_GENAI_OTEL_EXPORTER_REQUEST_RETRIED: lambda worker: {None: worker.stats.retried},
}


class _Instruments:
    """The instruments of a provider, which cannot be removed: they observe the current manager."""

    def __init__(self, meter: Meter) -> None:
        self.manager: Callable[[], ExportManager | None] = lambda: None
        for name, read in _READERS.items():
            row = names.METRICS[name]
            make: Any = meter.create_observable_counter
            if row.instrument == "updowncounter":
                make = meter.create_observable_up_down_counter
            make(name, [self._callback(read)], row.unit, row.description)

    def _workers(self) -> Iterable[ExportWorker]:
        """Workers that had anything to do yet: an idle process reports nothing.

        Observable instruments are called first, so operations that wait for prices end here.
        """
        manager = self.manager()
        if manager is None:
            return
        manager.finish_pending(_TIMEOUT)
        for _, worker in manager.pairs:
            if worker.stats.enqueued or worker.stats.dropped():
                yield worker

    def _callback(
        self, read: Callable[[ExportWorker], Counts]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            totals: Counter[tuple[str, str | None]] = Counter()
            for worker in self._workers():  # two may have the same name
                for error, count in read(worker).items():
                    totals[worker.name, error] += count
            for (name, error), total in totals.items():
                attributes = {names.OTEL_COMPONENT_NAME: name}
                if error is None:
                    yield Observation(total, attributes)
                elif total:
                    yield Observation(total, {**attributes, names.ERROR_TYPE: error})

        return callback


_INSTRUMENTS: IdentityWeakMap[_Instruments] = IdentityWeakMap()


def observe(provider: MeterProvider, meter: Meter, manager: ExportManager) -> None:
    """Report the statistics of ``manager`` as metrics of ``provider``."""
    found = _INSTRUMENTS.get(provider)
    if found is None:
        found = _INSTRUMENTS.put(provider, _Instruments(meter))
    found.manager = ref(manager)
