"""Metrics that an export worker collects: without the SDK's thread or timer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

# Instruments that are not cumulative, by the standard's names of temporality preferences.
_DELTA = {
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
}


class PullMetricReader(MetricReader):
    """A reader whose collected metrics are returned by ``pull``."""

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

    def pull(self) -> MetricsData | None:
        self.collect()
        data, self._data = self._data, None
        return data

    def _receive_metrics(self, metrics_data: MetricsData, *_: Any, **__: Any) -> None:
        self._data = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None: ...
