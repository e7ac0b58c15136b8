"""Spans into OTLP requests, by the protocol of their receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel._support.fork import unforked
from genai_otel.export.protocol import Payload
from genai_otel.export.readable import with_own_parent

from . import encoder
from .http import HttpSender
from .truncate import truncate_attributes, truncate_span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.backends.resolve import OtlpConfig
    from genai_otel.export.protocol import Sender

    from .response import ExportResult


class OtlpExporter:
    """Encodes each span alone, so that sizes are known before requests are made."""

    def __init__(self, config: OtlpConfig, make_sender: Callable[[OtlpConfig], Sender]) -> None:
        self.limits = config.limits
        self._config, self._make_sender = config, make_sender
        self._sender = make_sender(config)

    def to_payloads(self, span: ReadableSpan) -> Sequence[Payload]:
        payloads: list[Payload] = []
        has_traces = "traces" in self._config.endpoints
        if self._config.log_records is not None:
            payloads += [
                self._log_payload(record, has_traces=has_traces)
                for record in self._config.log_records(span)
            ]
        if has_traces:
            project = self._config.project
            own = with_own_parent(span) if self._config.genai_only else span
            projected = own if project is None else project(own)
            payloads.append(
                self._span_payload(truncate_attributes(projected, self.limits.attribute_bytes))
            )
        return payloads

    def _span_payload(self, span: ReadableSpan) -> Payload:
        payload = _encode(span)
        if payload.size > self.limits.span_bytes:
            return self.truncated(payload, self.limits.span_bytes) or payload
        return payload

    def _log_payload(self, record: Any, *, has_traces: bool) -> Payload:
        encoded = encoder.log_record(record)
        resource_and_scope = (record.resource, record.instrumentation_scope)
        return Payload(
            "logs", record, len(encoded), encoded, resource_and_scope, 0 if has_traces else 1
        )

    def truncated(self, payload: Payload, limit: int) -> Payload | None:
        if payload.signal != "traces":
            return None
        span = truncate_span(payload.item, limit, encoder.span)
        return None if span is None else _encode(span)

    def metrics_payload(self, data: Any) -> Payload:
        with unforked():
            from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        body = encode_metrics(data).SerializeToString()
        return Payload("metrics", data, len(body), body)

    def send(self, signal: str, payloads: Sequence[Payload], deadline: float) -> ExportResult:
        if signal == "metrics":
            body = payloads[0].encoded
        else:
            body = encoder.request(
                (*payload.resource_and_scope, payload.encoded) for payload in payloads
            )
        if self._config.protocol == "http/json":
            with unforked():
                from .json_encoder import as_json
            body = as_json(signal, body)
        return self._sender.send(signal, body, deadline)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - nothing is buffered here
        return True

    def pause_for_fork(self) -> None:
        self._sender.close()

    def reset_after_fork(self) -> None:
        self._sender = self._make_sender(self._config)

    def abort(self) -> None:
        self._sender.abort()

    def close(self) -> None:
        self._sender.close()


def _encode(span: ReadableSpan) -> Payload:
    encoded = encoder.span(span)
    resource_and_scope = (span.resource, span.instrumentation_scope)
    return Payload("traces", span, len(encoded), encoded, resource_and_scope)


def sender_for(config: OtlpConfig) -> Callable[[OtlpConfig], Sender]:
    """The sender of the protocol."""
    if config.protocol == "grpc":
        from .grpc import GrpcSender

        return GrpcSender
    return HttpSender
