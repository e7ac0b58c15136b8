"""ddtrace: LLM Observability with ``patch(openai=True)``, its own wire format.

The HTTP connections of its writers are replaced by in-process stubs that answer
202, so that only building and encoding of the payloads are counted.
"""

from __future__ import annotations

import os
from typing import Any

from bench.harness.contract import Exporters, Options, Peer, Session

PEER = Peer(
    packages=("ddtrace",),
    statements="import ddtrace\nfrom ddtrace.llmobs import LLMObs",
    title="ddtrace",
    content_switch=False,
    opentelemetry=False,
)
_ENVIRONMENT = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "DD_LLMOBS_OVERRIDE_ORIGIN": "http://127.0.0.1:9",
    "DD_APM_TRACING_ENABLED": "false",
}


def setup(exporters: Exporters, options: Options) -> Session:  # noqa: ARG001 - has its own
    os.environ.update(_ENVIRONMENT)
    from ddtrace import patch
    from ddtrace.internal.utils.http import Response
    from ddtrace.llmobs import LLMObs, _writer

    sent = [0]

    def send(_writer: Any, _payload: bytes, num_events: int) -> Any:
        sent[0] += num_events
        return Response(status=202)

    _writer.BaseLLMObsWriter._send_payload = send  # noqa: SLF001
    LLMObs.enable(
        ml_app="bench", agentless_enabled=True, integrations_enabled=False, api_key="0" * 32
    )
    patch(openai=True, raise_errors=True)
    return Session(flush=LLMObs.flush, count=lambda: sent[0])
