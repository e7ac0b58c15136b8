"""traceloop-sdk: OpenLLMetry as one call, ``Traceloop.init()``."""

from __future__ import annotations

import os
from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    # It imports httpx without requiring it; openai 3 brings httpx2 instead.
    packages=("traceloop-sdk", "httpx"),
    statements="from traceloop.sdk import Traceloop",
    title="traceloop-sdk",
    metrics=True,
)


def setup(exporters: Exporters, options: Options) -> Session:
    os.environ["TRACELOOP_TRACE_CONTENT"] = "true" if options.content else "false"
    os.environ["TRACELOOP_TELEMETRY"] = "false"
    os.environ["TRACELOOP_METRICS_ENABLED"] = "true" if options.metrics else "false"
    from opentelemetry import trace
    from traceloop.sdk import Traceloop

    Traceloop.init(
        app_name="bench",
        exporter=exporters.spans,
        metrics_exporter=exporters.metrics if options.metrics else None,
        telemetry_enabled=False,
    )
    provider: Any = trace.get_tracer_provider()
    return Session(flush=provider.force_flush)
