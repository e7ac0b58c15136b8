"""An OTLP receiver on loopback that does what a script says, and remembers what it was sent."""

from __future__ import annotations

import gzip
import http.server
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MESSAGES: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def signal(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def message(self) -> Any:
        return _MESSAGES[self.signal].FromString(self.body)

    @property
    def spans(self) -> list[Any]:
        if self.signal != "traces":
            return []
        return [s for r in self.message.resource_spans for c in r.scope_spans for s in c.spans]


@dataclass
class Reply:
    """``drip``: seconds before each byte of the whole answer; ``hang``: before any of it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip: float = 0.0
    hang: float = 0.0
    cut: bool = False


OK = Reply()
IN_TIME = 30.0
"""Seconds within which comes what was promised in a few; who is held waits longer than these."""


def rejecting(count: int, why: str = "no") -> Reply:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = count
    response.partial_success.error_message = why
    return Reply(body=response.SerializeToString())


class Receiver:
    """``script`` says what is answered; ``taken`` are the requests that were answered with 200."""

    def __init__(
        self,
        script: Callable[[Received], Reply] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.script = script or (lambda _: OK)
        self.received: list[Received] = []
        self.taken: list[Received] = []
        self.connections = 0
        self.closing = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                receiver._answer(self)

            def log_message(self, *_: Any) -> None: ...

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None: ...

            def get_request(self) -> Any:
                connection, where = super().get_request()
                if context is not None:
                    connection = context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                return connection, where

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _answer(self, handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        got = Received(handler.path, {k.lower(): v for k, v in handler.headers.items()}, body)
        self.received.append(got)
        reply = self.script(got)
        if reply.hang:
            self.closing.wait(reply.hang)
        if reply.cut:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if reply.status == 200:
            self.taken.append(got)
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        head = f"HTTP/1.1 {reply.status} x\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        data = head.encode() + b"\r\n" + reply.body
        if not reply.drip:
            handler.wfile.write(data)
            return
        for at in range(len(data)):
            if self.closing.wait(reply.drip):
                return
            handler.wfile.write(data[at : at + 1])

    @property
    def names(self) -> list[str]:
        """Of all spans that were taken, sorted."""
        return sorted(span.name for got in self.taken for span in got.spans)

    @property
    def spans(self) -> dict[bytes, Any]:
        """All that were taken, by their ids."""
        return {span.span_id: span for got in self.taken for span in got.spans}

    @property
    def metrics(self) -> set[str]:
        """The names of all that were taken."""
        return {
            metric.name
            for got in self.taken
            if got.signal == "metrics"
            for r in got.message.resource_metrics
            for c in r.scope_metrics
            for metric in c.metrics
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class GrpcReceiver:
    """``script`` gets signal, message and context; it aborts to refuse. TLS, if there is a key."""

    def __init__(
        self,
        script: Callable[[str, Any, Any], Any] | None = None,
        *,
        key: bytes = b"",
        chain: bytes = b"",
        **options: Any,
    ) -> None:
        grpc = pytest.importorskip("grpc")
        self.taken: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(4), options=list(options.items()))
        words = {"traces": "trace", "metrics": "metrics", "logs": "logs"}
        for signal, word in words.items():
            service = f"opentelemetry.proto.collector.{word}.v1.{word.capitalize()}Service"
            handler = grpc.unary_unary_rpc_method_handler(self._handle(signal, script))
            handlers = grpc.method_handlers_generic_handler(service, {"Export": handler})
            self._server.add_generic_rpc_handlers((handlers,))
        if key:
            credentials = grpc.ssl_server_credentials([(key, chain)])
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"http{'s' if key else ''}://127.0.0.1:{self.port}"
        self._server.start()

    def _handle(self, signal: str, script: Any) -> Any:
        def handle(body: bytes, context: Any) -> bytes:
            message = _MESSAGES[signal].FromString(body)
            self.metadata.append(dict(context.invocation_metadata()))
            answer = script(signal, message, context) if script is not None else b""
            self.taken.append((signal, message))
            return bytes(answer or b"")

        return handle

    @property
    def names(self) -> list[str]:
        spans = [
            span
            for signal, message in self.taken
            if signal == "traces"
            for r in message.resource_spans
            for c in r.scope_spans
            for span in c.spans
        ]
        return sorted(span.name for span in spans)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


def attributes(holder: Any) -> dict[str, Any]:
    """Those of a span, log record or resource, as plain values."""
    return {pair.key: _plain(pair.value) for pair in holder.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-made certificate for 127.0.0.1, and a server's context with it."""
    key, crt = directory / "key.pem", directory / "crt.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(crt), "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs openssl to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return crt, context


def until(condition: Callable[[], Any], seconds: float = 60.0) -> bool:
    """Whether it comes true; how long that takes decides nothing."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
