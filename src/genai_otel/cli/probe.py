"""``doctor --send``: export one test span to each destination, and report the result."""

from __future__ import annotations

from time import monotonic, time_ns
from typing import TYPE_CHECKING

from .findings import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel import Destination
    from genai_otel._settings import Settings
    from genai_otel.export.factory import ExportPipeline

_SECONDS = 15.0
_RETRY_TIMEOUT = 1.0
# The service of the test span, which `traces show last` skips.
SERVICE = "genai-otel doctor"


def send_test_span(names: Sequence[str], settings: Settings) -> Iterator[Line]:
    """One line for each destination; without ``names``, for the configured ones."""
    from genai_otel.export.otel_environment import defaults
    from genai_otel.export.pipeline.worker import ExportWorker

    default = defaults(otlp=settings.otlp_in_environment)
    for given in names or settings.destinations or default:
        name = given if isinstance(given, str) else given.preset
        try:
            pipeline = _make_pipeline(given, settings)
        except ValueError as error:
            yield Line("problem", str(error))
            continue
        if pipeline is None:
            yield Line("note", f"{name}: traces are disabled by the OTEL_*_EXPORTER variables")
            continue
        worker = ExportWorker(
            pipeline.name,
            pipeline.exporter,
            delay=0.0,
            retry_timeout=_RETRY_TIMEOUT,
            log_losses=False,
        )
        worker.enqueue(_span(), 0, ours=True)
        worker.close(monotonic() + _SECONDS)
        if not worker.join(monotonic() + _SECONDS):
            worker.abort()
        head = f"{name}: {pipeline.endpoint}"
        if worker.stats.sent:
            more = f", {worker.last_error}" if worker.last_error else ""
            yield Line("ok", f"{head} accepted the span{more}")
        else:
            last = pipeline.store.problem if pipeline.store is not None else worker.last_error
            yield Line("problem", f"{head}: export failed: {last or 'no response in time'}")


def _make_pipeline(given: str | Destination, settings: Settings) -> ExportPipeline | None:
    """A pipeline for the destination's traces, or ``None`` if it receives none."""
    from genai_otel.export.factory import make_pipeline
    from genai_otel.export.otel_environment import split_by_transport
    from genai_otel.privacy import preset

    for part in split_by_transport(given):
        if isinstance(part, str) or "traces" in (part.signals or ("traces",)):
            return make_pipeline(part, content=preset("none"), directory=settings.store_directory)
    return None


def _span() -> ReadableSpan:
    """An empty span of one millisecond that ends now."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags

    from genai_otel._version import __version__
    from genai_otel.tracing.ids import OsEntropyIds

    ids = OsEntropyIds()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    now = time_ns()
    return ReadableSpan(
        SERVICE,
        SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False, sampled),  # noqa: FBT003
        resource=Resource.create({"service.name": SERVICE}),
        instrumentation_scope=InstrumentationScope("genai_otel", __version__),
        start_time=now - 1_000_000,
        end_time=now,
    )
