"""opentelemetry-instrumentation-openai-v2, the official instrumentation.

With content it runs in its newest mode, which puts messages on the span.
"""

from __future__ import annotations

import os

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    # The newest opentelemetry-util-genai (1.2b0 on) lacks a module this one imports, and it
    # imports httpx, which openai 3 does not bring (it uses httpx2): both are made up for.
    packages=(
        "opentelemetry-sdk",
        "opentelemetry-instrumentation-openai-v2",
        "opentelemetry-util-genai==1.1b0",
        "httpx",
    ),
    statements="""
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
""",
    title="opentelemetry-instrumentation-openai-v2",
    metrics=True,
)


def setup(exporters: Exporters, options: Options) -> Session:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
        "span_only" if options.content else "no_content"
    )
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    from bench.harness.exporters import make_meter_provider, make_tracer_provider

    provider = make_tracer_provider(exporters)
    trace.set_tracer_provider(provider)
    if options.metrics:
        metrics.set_meter_provider(make_meter_provider(exporters))
    OpenAIInstrumentor().instrument()
    return Session(flush=provider.force_flush)
