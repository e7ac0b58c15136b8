"""mlflow-tracing: ``mlflow.openai.autolog()``, exported as OTLP spans.

With an OTLP endpoint configured it makes its own exporter; the class is replaced
so that it delivers to ours. It has no switch for message content.
"""

from __future__ import annotations

import os
from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("mlflow-tracing", "opentelemetry-exporter-otlp-proto-http"),
    statements="import mlflow\nimport mlflow.openai",
    title="mlflow-tracing",
    content_switch=False,
)


def _given(exporter: Any) -> type:
    """The given exporter, under the constructor the peer expects."""

    class Given:
        def __new__(cls, *_: Any, **__: Any) -> Any:
            return exporter

    return Given


def setup(exporters: Exporters, options: Options) -> Session:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    base = options.endpoint or "http://127.0.0.1:9"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{base}/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    import mlflow.openai
    from opentelemetry.exporter.otlp.proto.http import trace_exporter

    if options.endpoint is None:
        setattr(trace_exporter, "OTLPSpanExporter", _given(exporters.spans))  # noqa: B010 - a class
    mlflow.openai.autolog()
    from mlflow.tracing.provider import provider

    def flush() -> None:
        current = provider.get()
        if hasattr(current, "force_flush"):
            current.force_flush()

    return Session(flush=flush)
