"""Metrics, collected when a destination's worker asks for them: no thread or timer of the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

_DELTA = {
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
}
"""What is not cumulative, by the names of the standard's preferences."""


class Gatherer(MetricReader):
    """A reader that keeps what was collected until it is asked for it."""

    def __init__(self, temporality: str, *, exponential_histograms: bool = False) -> None:
        temporalities = dict.fromkeys(_DELTA.get(temporality, ()), AggregationTemporality.DELTA)
        aggregations: Any = {}
        if exponential_histograms:
            aggregations = {Histogram: ExponentialBucketHistogramAggregation()}
        super().__init__(
            preferred_temporality=temporalities,  # type: ignore[arg-type]
            preferred_aggregation=aggregations,
        )
        self._data: MetricsData | None = None

    def gather(self) -> MetricsData | None:
        self.collect()
        data, self._data = self._data, None
        return data

    def _receive_metrics(self, metrics_data: MetricsData, *_: Any, **__: Any) -> None:
        self._data = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None: ...
