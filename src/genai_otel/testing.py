"""Capture spans and metrics in memory, for tests of applications and adapters.

A pytest plugin: use the fixture ``genai_otel_capture``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class Capture:
    """The spans and metrics that one test recorded."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Return the finished spans, ordered by end."""
        import genai_otel

        genai_otel.flush()
        return self.exporter.get_finished_spans()

    def span(self, name: str | None = None) -> ReadableSpan:
        """Return the only finished span (with that name); raise ``AssertionError`` otherwise."""
        found = [span for span in self.spans if name is None or span.name == name]
        if len(found) != 1:
            told = [span.name for span in self.spans]
            raise AssertionError(f"expected one span {name or ''}, got {told}")
        return found[0]

    def metrics(self) -> dict[str, list[Any]]:
        """Return metric name -> data points."""
        import genai_otel

        genai_otel.flush()
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def clear(self) -> None:
        """Delete the spans captured so far; metrics are kept."""
        self.exporter.clear()


@pytest.fixture
def genai_otel_capture() -> Iterator[Capture]:
    """Instrument with ``content="full"`` for one test; capture spans and metrics."""
    import genai_otel

    capture = Capture()
    genai_otel.shutdown()
    genai_otel.instrument(
        destinations=capture.exporter, content="full", meter_provider=capture.meter_provider
    )
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
