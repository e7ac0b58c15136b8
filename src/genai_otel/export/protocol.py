"""What a worker exports by: an exporter of the SDK's interface, or ``OtlpExporter``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opentelemetry.sdk.trace.export import SpanExportResult

from .otlp.response import OK, ExportResult, ExportStatus
from .readable import estimated_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter


KIB = 1024
MIB = 1024 * KIB


class RequestLimits(NamedTuple):
    """The most that is sent: bytes before compression, and seconds for one request."""

    request_bytes: int = MIB
    logs_bytes: int = MIB
    request_spans: int = 512
    span_bytes: int = 256 * KIB
    attribute_bytes: int = 64 * KIB
    timeout: float = 10.0


class Payload(NamedTuple):
    """One thing to send: a span, a log record, or all metrics of a collection."""

    signal: str
    item: Any
    size: int
    encoded: bytes = b""
    resource_and_scope: tuple[Any, Any] = (None, None)
    # Spans that are exported by it: none of a log record that accompanies a span.
    span_count: int = 1


class PayloadExporter(Protocol):
    """Used by one worker; an error of ``to_payloads`` costs that span alone."""

    limits: RequestLimits

    def to_payloads(self, span: ReadableSpan) -> Sequence[Payload]:
        """The span in its dialect, and the log records that accompany it."""

    def truncated(self, payload: Payload, limit: int) -> Payload | None:
        """The payload in at most ``limit`` bytes; ``None`` if that cannot be."""

    def metrics_payload(self, data: Any) -> Payload:
        """``data`` is the SDK's ``MetricsData``."""

    def send(self, signal: str, payloads: Sequence[Payload], deadline: float) -> ExportResult:
        """Send one request; ``deadline`` is a ``monotonic`` time. Raises nothing."""

    def flush(self, timeout: float) -> bool: ...

    def pause_for_fork(self) -> None:
        """Before a fork, on the worker as it ends: close what is opened again when needed."""

    def reset_after_fork(self) -> None:
        """In a forked child: start anew, and leave the parent's connections alone."""

    def abort(self) -> None:
        """From another thread: interrupt the request under way, if that is possible."""

    def close(self) -> None: ...


class Sender(Protocol):
    """One request by one protocol; see ``HttpSender``."""

    def send(self, signal: str, body: bytes, deadline: float) -> ExportResult: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class SdkExporter:
    """Adapts an exporter of the SDK's interface: the local store's, or one given in code.

    Retries are up to that exporter.
    """

    def __init__(self, spans: SpanExporter, metrics: MetricExporter | None = None) -> None:
        self.limits = RequestLimits()
        self._spans, self._metrics = spans, metrics

    def to_payloads(self, span: ReadableSpan) -> Sequence[Payload]:
        return (Payload("traces", span, estimated_size(span)),)

    def truncated(self, payload: Payload, limit: int) -> Payload | None:  # noqa: ARG002
        return None

    def metrics_payload(self, data: Any) -> Payload:
        return Payload("metrics", data, 0)

    def send(self, signal: str, payloads: Sequence[Payload], deadline: float) -> ExportResult:  # noqa: ARG002
        try:
            if signal == "metrics":
                succeeded = self._export_metrics(payloads[0].item)
            else:
                spans = [payload.item for payload in payloads]
                succeeded = self._spans.export(spans) is SpanExportResult.SUCCESS
        except (Exception, SystemExit) as error:  # noqa: BLE001 - not our code
            return ExportResult(ExportStatus.REFUSED, f"the exporter raised {type(error).__name__}")
        return (
            OK
            if succeeded
            else ExportResult(ExportStatus.REFUSED, "the exporter reported a failure")
        )

    def _export_metrics(self, data: Any) -> bool:
        from opentelemetry.sdk.metrics.export import (
            MetricExportResult,  # loaded if there are metrics
        )

        assert self._metrics is not None  # noqa: S101 - metrics are not collected for it otherwise
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def flush(self, timeout: float) -> bool:
        try:
            return self._spans.force_flush(max(1, int(timeout * 1000))) is not False
        except Exception:  # noqa: BLE001 - as above
            return False

    def pause_for_fork(self) -> None: ...

    def reset_after_fork(self) -> None:
        """SDK exporters handle forks themselves."""

    def abort(self) -> None: ...

    def close(self) -> None:
        for each in (self._spans, self._metrics):
            if each is not None:
                with suppress(Exception):  # as above; and the worker has ended
                    each.shutdown()
