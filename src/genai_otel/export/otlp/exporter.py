"""Spans into OTLP requests, by the protocol of their receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel._support.fork import unforked
from genai_otel.export.protocol import Parcel
from genai_otel.export.readable import among_ours

from . import encoder
from .http import HttpSender
from .truncate import shrunk, within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.backends.resolve import Target
    from genai_otel.export.protocol import Sender

    from .response import Answer


class OtlpChannel:
    """Encodes each span alone, so that sizes are known before requests are made."""

    def __init__(self, target: Target, sender: Callable[[Target], Sender]) -> None:
        self.limits = target.limits
        self._target, self._make = target, sender
        self._sender = sender(target)

    def parcels(self, span: ReadableSpan) -> Sequence[Parcel]:
        made: list[Parcel] = []
        along = "traces" in self._target.addresses
        if self._target.log_records is not None:
            made += [self._log(record, along=along) for record in self._target.log_records(span)]
        if along:
            project = self._target.project
            own = among_ours(span) if self._target.alone else span
            projected = own if project is None else project(own)
            made.append(self._span(within(projected, self.limits.attribute_bytes)))
        return made

    def _span(self, span: ReadableSpan) -> Parcel:
        parcel = _encoded(span)
        if parcel.size > self.limits.span_bytes:
            return self.smaller(parcel, self.limits.span_bytes) or parcel
        return parcel

    def _log(self, record: Any, *, along: bool) -> Parcel:
        encoded = encoder.log_record(record)
        holders = (record.resource, record.instrumentation_scope)
        return Parcel("logs", record, len(encoded), encoded, holders, 0 if along else 1)

    def smaller(self, parcel: Parcel, limit: int) -> Parcel | None:
        if parcel.signal != "traces":
            return None
        span = shrunk(parcel.what, limit, encoder.span)
        return None if span is None else _encoded(span)

    def measured(self, data: Any) -> Parcel:
        with unforked():
            from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        body = encode_metrics(data).SerializeToString()
        return Parcel("metrics", data, len(body), body)

    def send(self, signal: str, parcels: Sequence[Parcel], deadline: float) -> Answer:
        if signal == "metrics":
            body = parcels[0].encoded
        else:
            body = encoder.request((*parcel.holders, parcel.encoded) for parcel in parcels)
        if self._target.protocol == "http/json":
            with unforked():
                from .json_encoder import as_json
            body = as_json(signal, body)
        return self._sender.send(signal, body, deadline)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - nothing is held here
        return True

    def rest(self) -> None:
        self._sender.close()

    def renew(self) -> None:
        self._sender = self._make(self._target)

    def abort(self) -> None:
        self._sender.abort()

    def close(self) -> None:
        self._sender.close()


def _encoded(span: ReadableSpan) -> Parcel:
    encoded = encoder.span(span)
    holders = (span.resource, span.instrumentation_scope)
    return Parcel("traces", span, len(encoded), encoded, holders)


def sender(to: Target) -> Callable[[Target], Sender]:
    """What speaks the target's protocol."""
    if to.protocol == "grpc":
        from .grpc import GrpcSender

        return GrpcSender
    return HttpSender
