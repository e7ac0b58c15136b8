"""genai-otel-instrument: ``genai_otel.instrument()``.

It always builds its own TracerProvider and OTLP exporters; the exporter classes
are replaced so that it delivers to ours. Its metrics cannot be switched off, so
without ``options.metrics`` its MeterProvider is left out, to compare spans with
spans. GPU metrics are off (no GPU here), and content is not cut (its default
keeps 200 characters).
"""

from __future__ import annotations

from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("genai-otel-instrument",),
    # Its newest release asks for a certifi that not every index has; a resolver would then
    # silently take an older release.
    overrides=("certifi>=2026.1",),
    statements="import genai_otel",
    title="genai-otel-instrument",
    metrics=True,
)


def _given(exporter: Any) -> type:
    """The given exporter, under the constructor the peer expects."""

    class Given:
        _endpoint = "bench"

        def __new__(cls, **_: Any) -> Any:
            exporter._endpoint = cls._endpoint  # noqa: SLF001 - the peer prints it
            return exporter

    return Given


def setup(exporters: Exporters, options: Options) -> Session:
    from opentelemetry import trace

    import genai_otel as distribution  # the other one of that name
    from genai_otel import auto_instrument

    genai_otel: Any = distribution

    if options.endpoint is None:
        auto_instrument.OTLPSpanExporter = _given(exporters.spans)
        auto_instrument.OTLPMetricExporter = _given(exporters.metrics)
    if not options.metrics:
        auto_instrument._setup_meter_provider = lambda *_: None  # noqa: SLF001
    genai_otel.instrument(
        service_name="bench",
        endpoint=options.endpoint or "http://127.0.0.1:9",
        enable_content_capture=options.content,
        content_max_length=0,
        enable_gpu_metrics=False,
        enable_cost_tracking=True,
        fail_on_error=True,
    )
    provider: Any = trace.get_tracer_provider()
    return Session(flush=provider.force_flush)
