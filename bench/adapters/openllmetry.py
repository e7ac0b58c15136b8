"""OpenLLMetry: the single instrumentation, without traceloop-sdk."""

from __future__ import annotations

import os

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("opentelemetry-sdk", "opentelemetry-instrumentation-openai"),
    statements="""
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
""",
    title="opentelemetry-instrumentation-openai",
    metrics=True,
)


def setup(exporters: Exporters, options: Options) -> Session:
    os.environ["TRACELOOP_TRACE_CONTENT"] = "true" if options.content else "false"
    from opentelemetry import metrics, trace
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    from bench.harness.exporters import make_meter_provider, make_tracer_provider

    provider = make_tracer_provider(exporters)
    trace.set_tracer_provider(provider)
    if options.metrics:
        metrics.set_meter_provider(make_meter_provider(exporters))
    OpenAIInstrumentor().instrument()
    return Session(flush=provider.force_flush)
