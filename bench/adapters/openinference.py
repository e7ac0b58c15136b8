"""OpenInference (Arize): openinference-instrumentation-openai."""

from __future__ import annotations

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("opentelemetry-sdk", "openinference-instrumentation-openai"),
    statements="""
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
""",
    title="openinference-instrumentation-openai",
)


def setup(exporters: Exporters, options: Options) -> Session:
    from openinference.instrumentation import TraceConfig
    from openinference.instrumentation.openai import OpenAIInstrumentor

    from bench.harness.exporters import make_tracer_provider

    provider = make_tracer_provider(exporters)
    hide = not options.content
    config = TraceConfig(hide_inputs=hide, hide_outputs=hide)
    OpenAIInstrumentor().instrument(tracer_provider=provider, config=config)
    return Session(flush=provider.force_flush)
