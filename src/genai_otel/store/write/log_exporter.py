"""Export log records to the local store; separate because it imports the SDK's logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.store.otlp_json import logs_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

    from .writer import Sink
else:
    from opentelemetry.sdk._logs import export as _sdk

    # Called LogExporter and LogExportResult before SDK 1.37.
    LogRecordExporter = getattr(_sdk, "LogRecordExporter", None) or _sdk.LogExporter
    LogRecordExportResult = getattr(_sdk, "LogRecordExportResult", None) or _sdk.LogExportResult


class LocalLogExporter(LogRecordExporter):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        if not batch or self._sink.write(batch, logs_request):
            return LogRecordExportResult.SUCCESS
        return LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - nothing is buffered
        return True

    def shutdown(self) -> None:
        self._sink.close()
