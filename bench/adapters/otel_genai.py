"""opentelemetry-instrumentation-genai-openai: the official one that followed openai-v2."""

from __future__ import annotations

import os

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("opentelemetry-sdk", "opentelemetry-instrumentation-genai-openai==1.3b0"),
    statements="""
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
""",
    title="opentelemetry-instrumentation-genai-openai",
    metrics=True,
)


def setup(exporters: Exporters, options: Options) -> Session:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
        "span_only" if options.content else "no_content"
    )
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    from bench.harness.exporters import make_meter_provider, make_tracer_provider

    provider = make_tracer_provider(exporters)
    trace.set_tracer_provider(provider)
    if options.metrics:
        metrics.set_meter_provider(make_meter_provider(exporters))
    OpenAIInstrumentor().instrument()
    return Session(flush=provider.force_flush)
