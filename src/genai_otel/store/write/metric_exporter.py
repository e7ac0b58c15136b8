"""Export metrics to the local store; separate because it imports the SDK's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

from genai_otel.store.otlp_json import metrics_request

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

    from .writer import Sink


class LocalMetricExporter(MetricExporter):
    def __init__(self, sink: Sink, **preferences: Any) -> None:
        super().__init__(**preferences)
        self._sink = sink

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - a write to a file has no deadline
        **_: Any,
    ) -> MetricExportResult:
        points = _points(metrics_data)
        if not points or self._sink.write_one(lambda: metrics_request(metrics_data), points):
            return MetricExportResult.SUCCESS
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - nothing is buffered
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002
        self._sink.close()


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
