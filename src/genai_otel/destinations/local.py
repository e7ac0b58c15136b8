"""The local store: telemetry as OTLP-JSON lines in a directory, for ``genai-otel traces``.

A line is one Export{Trace,Metrics,Logs}ServiceRequest, which the Collector's file receiver reads
as well. Every process writes files of its own; see ``files`` for names, modes and limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .files import Appender, Counters, Folder, Limits
from .otlp_json import spans_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import ReadableSpan

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024
_LINE_BYTES = 1024 * 1024  # a longer line is split, so that a reader never holds much


class LocalStore:
    """A directory of telemetry. Nothing is touched before the first export."""

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
        """Why nothing is being written now; ``None`` when all is well."""
        return self._folder.problem

    def counters(self) -> dict[str, Counters]:
        """Per signal (``traces``, ``metrics``, ``logs``), of this process."""
        return {signal: appender.counters() for signal, appender in self._appenders.items()}

    def span_exporter(self) -> SpanExporter:
        return LocalSpanExporter(Sink(self._appenders["traces"]))

    def metric_exporter(self, **preferences: Any) -> MetricExporter:
        """``preferences`` are those of the SDK's ``MetricExporter``."""
        from .local_metrics import LocalMetricExporter

        return LocalMetricExporter(Sink(self._appenders["metrics"]), **preferences)

    def log_exporter(self) -> LogRecordExporter:
        from .local_logs import LocalLogExporter

        return LocalLogExporter(Sink(self._appenders["logs"]))


class Sink:
    """What the three exporters share: items in, lines out, until it is closed."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._closed = False

    def write(self, items: Sequence[Any], request: Callable[[Sequence[Any]], Any]) -> bool:
        """Write ``items`` as one line, or as several where one would be long.

        An item that cannot be encoded is dropped alone.
        """
        if self._closed:
            self._appender.drop("shutdown", len(items))
            return False
        try:
            line = to_line(request(items))
        except Exception:  # noqa: BLE001 - whatever an odd item does, its neighbours are written
            line = None
        if len(items) > 1 and (line is None or len(line) > _LINE_BYTES):
            half = len(items) // 2
            first = self.write(items[:half], request)
            return self.write(items[half:], request) and first
        if line is None:
            self._appender.drop("encoding", len(items))
            return False
        return self._appender.append(line, len(items))

    def write_one(self, request: Callable[[], Any], weight: int) -> bool:
        """Write a request that cannot be split and counts as ``weight`` items."""
        if self._closed:
            self._appender.drop("shutdown", weight)
            return False
        try:
            line = to_line(request())
        except Exception:  # noqa: BLE001 - see above
            self._appender.drop("encoding", weight)
            return False
        return self._appender.append(line, weight)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._appender.close()


class LocalSpanExporter(SpanExporter):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not spans or self._sink.write(spans, spans_request):
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - nothing waits
        return True

    def shutdown(self) -> None:
        self._sink.close()


def _absolute(path: Path) -> Path:
    """Fixed at once, so that a program which changes its directory keeps one store."""
    try:
        return path.expanduser().absolute()
    except (OSError, RuntimeError):  # the working directory was removed, or there is no home
        return path


def to_line(request: Any) -> bytes:
    try:
        from pydantic_core import to_json

        return to_json(request) + b"\n"
    except Exception:  # noqa: BLE001 - not installable here, or gone at interpreter exit
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
