"""logfire: ``instrument_openai()``, nothing sent, our span processor added."""

from __future__ import annotations

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("logfire",),
    # As genai-otel-instrument: its newest release asks for a certifi not every index has.
    overrides=("certifi>=2026.1",),
    statements="import logfire",
    title="logfire",
    content_switch=False,
)


def setup(exporters: Exporters, options: Options) -> Session:
    import logfire
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=None if options.metrics else False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(exporters.spans)],
    )
    logfire.instrument_openai()
    return Session(flush=logfire.force_flush)
