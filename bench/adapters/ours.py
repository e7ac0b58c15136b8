"""genai_otel, as this checkout has it.

The peer genai-otel-instrument has the same import name; every peer has an
environment of its own, so the two never meet.
"""

from __future__ import annotations

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(packages=("-e", "."), statements="import genai_otel", title="genai-otel", metrics=True)


def setup(exporters: Exporters, options: Options) -> Session:
    import genai_otel

    meters = None
    if options.metrics:
        from bench.harness.exporters import make_meter_provider

        meters = make_meter_provider(exporters)
    genai_otel.instrument(
        destinations=[exporters.spans],
        content="full" if options.content else "none",
        meter_provider=meters,
    )
    return Session(flush=genai_otel.flush)
