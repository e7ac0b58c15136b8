"""Counting exporters, the same for every peer, and real OTLP/HTTP ones."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Exporters, Options

ENDLESS_MS = 3_600_000


class CountingSpans(SpanExporter):
    """Counts spans; with ``keep`` also holds on to them, to be looked at later."""

    def __init__(self) -> None:
        self.count = 0
        self.keep = False
        self.kept: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.count += len(spans)
        if self.keep:
            self.kept.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        return None

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class _Counting:
    @cached_property
    def spans(self) -> CountingSpans:
        return CountingSpans()

    @cached_property
    def logs(self) -> Any:
        from .signals import CountingLogs

        return CountingLogs()

    @cached_property
    def metrics(self) -> Any:
        from .signals import CountingMetrics

        return CountingMetrics()


class _Otlp:
    def __init__(self, endpoint: str) -> None:
        self._base = endpoint.rstrip("/")

    @cached_property
    def spans(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=f"{self._base}/v1/traces")

    @cached_property
    def logs(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter(endpoint=f"{self._base}/v1/logs")

    @cached_property
    def metrics(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter(endpoint=f"{self._base}/v1/metrics")


def make_exporters(options: Options) -> Exporters:
    """Counting exporters, or OTLP/HTTP ones towards ``options.endpoint``."""
    return _Counting() if options.endpoint is None else _Otlp(options.endpoint)


def make_tracer_provider(exporters: Exporters) -> TracerProvider:
    """TracerProvider + BatchSpanProcessor with default settings."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporters.spans))
    return provider


def make_meter_provider(exporters: Exporters) -> Any:
    """MeterProvider whose reader never fires by itself."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(exporters.metrics, ENDLESS_MS)
    return MeterProvider(metric_readers=[reader])
