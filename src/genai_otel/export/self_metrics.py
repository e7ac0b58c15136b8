"""What became of telemetry, as metrics: read where metrics are collected, never pushed."""

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

    from .manager import Outgoing
    from .pipeline.stats import ExportStats

    Read = Callable[[ExportStats], int]

_MOST = 2.0
"""Seconds that a collection may take us."""
_READ: dict[str, Read] = {
    names.METRIC_GENAI_OTEL_SDK_QUEUED: lambda counts: counts.enqueued,
    names.METRIC_GENAI_OTEL_SDK_SENT: lambda counts: counts.sent,
    names.METRIC_GENAI_OTEL_SDK_RETRIED: lambda counts: counts.retried,
}


class _Watch:
    """Instruments cannot be taken back: those of a provider look at whatever goes out now."""

    def __init__(self, meter: Meter) -> None:
        self.outgoing: Callable[[], Outgoing | None] = lambda: None
        for name, read in _READ.items():
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

    def _counts(self) -> Iterator[tuple[str, ExportStats]]:
        """Of each destination for which there was anything yet: an idle process tells nothing.

        What is observed is asked for before the rest is read, so calls that wait are measured now.
        """
        outgoing = self.outgoing()
        if outgoing is not None:
            outgoing.settle(_MOST)
        for outlet, delivery in outgoing.pairs if outgoing is not None else ():
            if delivery.stats.enqueued or delivery.stats.dropped():
                yield outlet.name, delivery.stats

    def _by_destination(self, read: Read) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            totals: Counter[str] = Counter()
            for name, counts in self._counts():  # there may be two of one name
                totals[name] += read(counts)
            for name, total in totals.items():
                yield Observation(total, {names.GENAI_OTEL_DESTINATION: name})

        return callback

    def _dropped(self, _: CallbackOptions) -> Iterator[Observation]:
        totals: Counter[tuple[str, str]] = Counter()
        for name, counts in self._counts():
            for reason, count in counts.dropped().items():
                totals[name, reason] += count
        for (name, reason), total in totals.items():
            facts = {names.GENAI_OTEL_DESTINATION: name, names.GENAI_OTEL_REASON: reason}
            yield Observation(total, facts)


_WATCHES: IdentityWeakMap[_Watch] = IdentityWeakMap()


def watch(provider: MeterProvider, meter: Meter, outgoing: Outgoing) -> None:
    """From now on ``provider`` tells what became of what goes out there."""
    found = _WATCHES.get(provider)
    if found is None:
        found = _WATCHES.put(provider, _Watch(meter))
    found.outgoing = ref(outgoing)
