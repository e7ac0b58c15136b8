"""Metrics of this process and no other.

A forked child inherits the sums of its parent, and a reader that would tell them once more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData


class ThisProcess(MetricExporter):
    """An exporter, as long as the process is the one in which this was made."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,  # noqa: SLF001 - readers ask so
            preferred_aggregation=exporter._preferred_aggregation,  # noqa: SLF001 - as above
        )
        self._exporter, self._process = exporter, os.getpid()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any
    ) -> MetricExportResult:
        if os.getpid() != self._process:
            return MetricExportResult.SUCCESS
        return self._exporter.export(metrics_data, timeout_millis, **more)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return os.getpid() != self._process or self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        if os.getpid() == self._process:
            self._exporter.shutdown(timeout_millis, **more)
