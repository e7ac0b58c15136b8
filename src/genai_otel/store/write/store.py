"""The local store: telemetry as OTLP-JSON lines in a directory, for ``genai-otel traces``.

A line is one Export{Trace,Metrics,Logs}ServiceRequest, which the Collector's file receiver reads as
well. Every process writes its own files; see ``files`` for names, modes and limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genai_otel.store.otlp_json import spans_request

from .files import Appender, Counters, Folder, Limits
from .writer import Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import ReadableSpan

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024


class LocalStore:
    """A directory of telemetry. Nothing is created before the first export."""

    def __init__(
        self,
        directory: str | Path = ".genai_otel",
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
    ) -> None:
        self.directory = _absolute(Path(directory))
        self._folder = Folder(self.directory, Limits(max_file_bytes, max_total_bytes))
        self._appenders = {
            signal: Appender(self._folder, signal) for signal in ("traces", "metrics", "logs")
        }

    @property
    def problem(self) -> str | None:
        """The reason why nothing is being written; ``None`` without a problem."""
        return self._folder.problem

    def counters(self) -> dict[str, Counters]:
        """Counters per signal (``traces``, ``metrics``, ``logs``) of this process."""
        return {signal: appender.counters() for signal, appender in self._appenders.items()}

    def span_exporter(self) -> SpanExporter:
        return LocalSpanExporter(Sink(self._appenders["traces"]))

    def metric_exporter(self, **preferences: Any) -> MetricExporter:
        """Return an exporter; ``preferences`` are those of the SDK's ``MetricExporter``."""
        from .metric_exporter import LocalMetricExporter

        return LocalMetricExporter(Sink(self._appenders["metrics"]), **preferences)

    def log_exporter(self) -> LogRecordExporter:
        from .log_exporter import LocalLogExporter

        return LocalLogExporter(Sink(self._appenders["logs"]))


class LocalSpanExporter(SpanExporter):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not spans or self._sink.write(spans, spans_request):
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - nothing is buffered
        return True

    def shutdown(self) -> None:
        self._sink.close()


def _absolute(path: Path) -> Path:
    """Resolve the path at once, so a program that changes its directory keeps one store."""
    try:
        return path.expanduser().absolute()
    except (OSError, RuntimeError):  # the working directory was removed, or there is no home
        return path
