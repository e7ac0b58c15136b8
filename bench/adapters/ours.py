"""genai_otel, as this checkout has it.

The peer genai-otel-instrument has the same import name; every peer has an
environment of its own, so the two never meet.
"""

from __future__ import annotations

from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(packages=("-e", "."), statements="import genai_otel", title="genai-otel", metrics=True)


def setup(exporters: Exporters, options: Options) -> Session:
    import genai_otel

    content = "redacted" if options.mode == "redacted" else "full" if options.content else "none"
    if options.mode == "host":
        return _in_the_hosts_provider(exporters, content)
    if options.mode == "encoded":
        return _encoded(content)
    meters = None
    if options.metrics:
        from bench.harness.exporters import make_meter_provider

        meters = make_meter_provider(exporters)
    genai_otel.instrument(destinations=[exporters.spans], content=content, meter_provider=meters)
    return Session(flush=genai_otel.flush)


def _in_the_hosts_provider(exporters: Exporters, content: str) -> Session:
    """Spans are the SDK's own then, and go out by the host's processor."""
    import genai_otel
    from bench.harness.exporters import make_tracer_provider

    provider = make_tracer_provider(exporters)
    genai_otel.instrument(tracer_provider=provider, content=content)
    return Session(flush=provider.force_flush)


def _encoded(content: str) -> Session:
    """The whole way of a span into the body of an OTLP request, which is not sent."""
    import genai_otel
    from genai_otel.export.otlp.http import HttpSender
    from genai_otel.export.otlp.response import OK

    delivered: list[int] = []

    def send(_sender: Any, _signal: str, body: bytes, _deadline: float) -> Any:
        delivered.append(len(body))
        return OK

    setattr(HttpSender, "send", send)  # noqa: B010 - mypy forbids the assignment
    where = genai_otel.Destination("otlp", endpoint="http://127.0.0.1:9", signals=["traces"])
    genai_otel.instrument(destinations=where, content=content)

    def sent() -> int:
        return genai_otel.status().destinations[0].exported

    return Session(flush=genai_otel.flush, count=sent)
