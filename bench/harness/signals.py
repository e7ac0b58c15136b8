"""Counting exporters for logs (GenAI events) and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import export as logs
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

if TYPE_CHECKING:
    from collections.abc import Sequence

# The log classes were renamed when the signal became stable.
_LogExporter: Any = getattr(logs, "LogRecordExporter", None) or logs.LogExporter
_LogResult: Any = getattr(logs, "LogRecordExportResult", None) or logs.LogExportResult


class CountingLogs(_LogExporter):  # type: ignore[misc]
    """Counts log records; with ``keep`` also holds on to them."""

    def __init__(self) -> None:
        self.count = 0
        self.keep = False
        self.kept: list[Any] = []

    def export(self, batch: Sequence[Any]) -> Any:
        self.count += len(batch)
        if self.keep:
            self.kept.extend(batch)
        return _LogResult.SUCCESS

    def shutdown(self) -> None:
        return None

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class CountingMetrics(MetricExporter):
    """Drops metrics."""

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        return None

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True
