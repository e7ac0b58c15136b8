"""What the cells run on: one set of clients, instrumented and bare in turn."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel._support.errors import FAULTS
from genai_otel.instrumentation.open_registry import OPEN
from tests.conformance.libraries import LIBRARIES
from tests.conformance.visits import Visit, closed, now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conformance.table import Cell, Library
    from tests.provider import Provider, Request

_DELTA = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)


class Bench:
    """Makes the visits, and keeps what they recorded."""

    def __init__(self, provider: Provider, runner: asyncio.Runner) -> None:
        self.provider, self._runner = provider, runner
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader(preferred_temporality=_DELTA)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.log = _Log(logging.WARNING)
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def port(self) -> int:
        return int(self.provider.root.rpartition(":")[2])

    def instrument(self) -> None:
        genai_otel.instrument(
            tracer_provider=self.tracers, meter_provider=self.meters, content="full"
        )

    def visit(self, library: Library, cell: Cell) -> Visit:
        return Visit(library, cell, self.clients(library, cell.colour)[cell.client])

    def clients(self, library: Library, colour: str) -> Any:
        key = library.name, colour
        if key not in self._clients:
            made = library.clients(self.provider, colour)
            self._clients[key] = self._runner.run(now(made))
        return self._clients[key]

    def go(self, visit: Visit) -> list[Request]:
        """Makes the visit; what the provider was asked."""
        self.provider.clear()
        visit.go(self._runner)
        OPEN.drain_deferred()  # as the next call would
        return self.provider.requests

    def spans(self) -> Sequence[ReadableSpan]:
        """What ended since the last time."""
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        return spans

    def points(self) -> dict[str, list[Any]]:
        """What was measured since the last time, by metric."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def forget(self) -> None:
        """Drops what a cell that failed has left behind."""
        OPEN.end_all()
        FAULTS.counts.clear()
        self.log.lines.clear()
        self.spans()
        self.points()

    def close(self) -> None:
        genai_otel.shutdown()
        for client in (c for clients in self._clients.values() for c in clients.values()):
            self._runner.run(closed(client))
        self.meters.shutdown()
        self.tracers.shutdown()


class _Log(logging.Handler):
    """What was logged as a warning or worse."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="package")
def bench(provider_server: Provider) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(provider_server, runner)
        for name in ("opentelemetry", "genai_otel"):
            logging.getLogger(name).addHandler(bench.log)
        yield bench
        for name in ("opentelemetry", "genai_otel"):
            logging.getLogger(name).removeHandler(bench.log)
        bench.close()


__all__ = ["LIBRARIES", "Bench", "bench"]
