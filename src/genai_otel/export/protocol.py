"""What a worker puts its spans into: an exporter of the SDK's interface, or ``OtlpChannel``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opentelemetry.sdk.trace.export import SpanExportResult

from .otlp.response import TAKEN, Answer, Kind
from .pipeline.batching import Limits
from .readable import weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter


class Parcel(NamedTuple):
    """One thing to send: a span, a log record, or all metrics of a collection."""

    signal: str
    what: Any
    size: int
    encoded: bytes = b""
    holders: tuple[Any, Any] = (None, None)
    """Its resource and its scope."""
    spans: int = 1
    """How many spans arrive when it does: none where it only goes along with one."""


class Channel(Protocol):
    """Used by one worker; what ``parcels`` raises costs that span alone."""

    limits: Limits

    def parcels(self, span: ReadableSpan) -> Sequence[Parcel]:
        """The span as it goes out; by a dialect also log records beside it."""

    def smaller(self, parcel: Parcel, limit: int) -> Parcel | None: ...

    def measured(self, data: Any) -> Parcel:
        """From the SDK's ``MetricsData``."""

    def send(self, signal: str, parcels: Sequence[Parcel], deadline: float) -> Answer:
        """``deadline`` is a time of ``monotonic``; raises nothing."""

    def flush(self, timeout: float) -> bool: ...

    def rest(self) -> None:
        """Before a fork, on the worker as it ends: closes what opens again when it is needed."""

    def renew(self) -> None:
        """In a forked child: what the parent has under way is left alone."""

    def abort(self) -> None:
        """From another thread: ends what is being waited for, if that is possible."""

    def close(self) -> None: ...


class Sender(Protocol):
    """One request by one protocol; see ``HttpSender``."""

    def send(self, signal: str, body: bytes, deadline: float) -> Answer: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


class ExporterChannel:
    """An exporter of the SDK's interface: ours for the local store, or one given in code.

    It retries, or does not, as it likes.
    """

    def __init__(self, spans: SpanExporter, metrics: MetricExporter | None = None) -> None:
        self.limits = Limits()
        self._spans, self._metrics = spans, metrics

    def parcels(self, span: ReadableSpan) -> Sequence[Parcel]:
        return (Parcel("traces", span, weight(span)),)

    def smaller(self, parcel: Parcel, limit: int) -> Parcel | None:  # noqa: ARG002
        return None

    def measured(self, data: Any) -> Parcel:
        return Parcel("metrics", data, 0)

    def send(self, signal: str, parcels: Sequence[Parcel], deadline: float) -> Answer:  # noqa: ARG002
        try:
            if signal == "metrics":
                taken = self._measured(parcels[0].what)
            else:
                spans = [parcel.what for parcel in parcels]
                taken = self._spans.export(spans) is SpanExportResult.SUCCESS
        except (Exception, SystemExit) as error:  # noqa: BLE001 - not our code
            return Answer(Kind.REFUSED, f"the exporter raised {type(error).__name__}")
        return TAKEN if taken else Answer(Kind.REFUSED, "the exporter says that it failed")

    def _measured(self, data: Any) -> bool:
        from opentelemetry.sdk.metrics.export import MetricExportResult  # who measures has it

        assert self._metrics is not None  # noqa: S101 - nobody measures for it otherwise
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def flush(self, timeout: float) -> bool:
        try:
            return self._spans.force_flush(max(1, int(timeout * 1000))) is not False
        except Exception:  # noqa: BLE001 - as above
            return False

    def rest(self) -> None: ...

    def renew(self) -> None:
        """Exporters look after themselves; ours for the local store do."""

    def abort(self) -> None: ...

    def close(self) -> None:
        for each in (self._spans, self._metrics):
            if each is not None:
                with suppress(Exception):  # as above; and nobody is left to be told
                    each.shutdown()
