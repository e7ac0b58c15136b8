"""Other instrumentations in the process see nothing of what we send, and we nothing of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.hosts.test_aws_credentials import CONFIG, KEYS
from tests.receiver import GrpcReceiver, Receiver

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("opentelemetry.instrumentation.botocore")
pytest.importorskip("opentelemetry.instrumentation.grpc")
pytest.importorskip("opentelemetry.instrumentation.urllib3")
moto_server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from opentelemetry import trace
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

seen = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(seen))
trace.set_tracer_provider(provider)
for each in (BotocoreInstrumentor, GrpcInstrumentorClient, URLLib3Instrumentor):
    each().instrument()

import genai_otel
from genai_otel import Destination
http, grpc, options = sys.argv[1], sys.argv[2], {"region": "eu-west-1", "profile": "shop"}
genai_otel.instrument(destinations=[
    Destination("otlp", endpoint=http),
    Destination("otlp", endpoint=grpc, options={"protocol": "grpc"}),
    Destination("xray", endpoint=http, options=options),  # its keys come from STS, by botocore
])
for number in range(3):
    with genai_otel.operation("step", "s"):
        pass
    assert genai_otel.flush(30), genai_otel.status().destinations
print(sorted({span.name for span in seen.get_finished_spans()}))

import urllib3  # they do work
urllib3.PoolManager().request("POST", http + "/v1/traces", body=b"")
print(len(seen.get_finished_spans()))
"""


def test_what_we_send_is_nobodys_telemetry(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "credentials").write_text(KEYS, encoding="utf-8")
    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    env = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_ENDPOINT_URL_STS": f"http://{host}:{port}",
    }
    try:
        with Receiver() as receiver, GrpcReceiver() as other:
            done = fresh.script(PROGRAM, receiver.url, other.url, cwd=tmp_path, env=env)
            ours = [got.headers for got in receiver.received if got.body]
            metadata = other.metadata
    finally:
        server.stop()
    assert done.stdout.splitlines() == ["['task s']", "4"]
    assert not [each for each in (*ours, *metadata) if "traceparent" in each]
    assert other.names == ["task s"] * 3
    assert receiver.names == ["task s"] * 6
