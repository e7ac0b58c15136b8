"""AWS's OTLP endpoints on loopback: they check signatures and refuse what AWS says it refuses.

Written from AWS's documentation, without any of AWS's code:
* docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
* docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html

That a request passes here is what can be shown without an account; it was never sent to AWS.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REQUEST_BYTES = 5 * 1024 * 1024
SPANS = 10_000
SPAN_BYTES = 200 * 1024
RESOURCE_BYTES = 16 * 1024
EVENT_BYTES = LOGS_BYTES = 1024 * 1024
"""Of one event; of a request AWS's own distribution sends no more, either."""
PAST, FUTURE, SPREAD = 14 * 86_400, 2 * 3_600, 86_400
SKEW = 300


class Key(NamedTuple):
    secret: str
    token: str | None = None


@dataclass
class Refusal(Exception):
    """An answer that is no 200, as AWS spells it."""

    status: int
    kind: str
    message: str


@dataclass(frozen=True)
class Got:
    """A request that was accepted."""

    path: str
    headers: Mapping[str, str]
    message: Any


class _Signal(NamedTuple):
    service: str
    request: Any
    answer: Any


SIGNALS = {
    "/v1/traces": _Signal("xray", ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/logs": _Signal("logs", ExportLogsServiceRequest, ExportLogsServiceResponse),
    "/v1/metrics": _Signal("monitoring", ExportMetricsServiceRequest, ExportMetricsServiceResponse),
}


# ----------------------------------------------------------------------------------- signatures

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)"
    r"/(?P<service>[a-z0-9-]+)/aws4_request, ?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


def verify(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Mapping[str, Key],
    scope: tuple[str, str],
    now: float,
) -> None:
    """Raises ``Refusal`` unless the request is signed for ``scope`` (region, service), now.

    ``headers`` by lower-case names.
    """
    claimed = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if claimed is None:
        raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    key = keys.get(claimed["key"])
    if key is None:
        raise Refusal(403, "UnrecognizedClientException", "The security token is invalid.")
    signed = claimed["headers"].split(";")
    _check_scope(claimed, signed, headers, scope)
    _check_time(claimed["date"], headers.get("x-amz-date", ""), now)
    if headers.get("x-amz-security-token") != key.token:
        raise Refusal(403, "UnrecognizedClientException", "The security token is invalid.")
    canonical = "\n".join(
        (
            method,
            path,
            "",
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            claimed["headers"],
            hashlib.sha256(body).hexdigest(),
        )
    )
    credential_scope = f"{claimed['date']}/{claimed['region']}/{claimed['service']}/aws4_request"
    to_sign = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            headers["x-amz-date"],
            credential_scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    secret = f"AWS4{key.secret}".encode()
    for step in credential_scope.split("/"):
        secret = hmac.digest(secret, step.encode(), "sha256")
    wanted = hmac.new(secret, to_sign.encode(), "sha256").hexdigest()
    if not hmac.compare_digest(wanted, claimed["signature"]):
        raise Refusal(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )


def _check_scope(
    claimed: re.Match[str], signed: list[str], headers: Mapping[str, str], scope: tuple[str, str]
) -> None:
    if (claimed["region"], claimed["service"]) != scope:
        raise Refusal(403, "InvalidSignatureException", "Credential should be scoped otherwise.")
    must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if signed != sorted(signed) or not must <= set(signed):
        raise Refusal(403, "InvalidSignatureException", "'Host' and 'x-amz-*' must be signed.")


def _check_time(day: str, stamp: str, now: float) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refusal(403, "InvalidSignatureException", "Date must be in ISO-8601") from None
    if not stamp.startswith(day) or abs(now - signed_at) > SKEW:
        raise Refusal(403, "InvalidSignatureException", "Signature expired or not yet current")


# --------------------------------------------------------------------------------------- limits


def _spans(message: Any) -> Iterator[Any]:
    for group in message.resource_spans:
        for part in group.scope_spans:
            if group.resource.ByteSize() + part.scope.ByteSize() > RESOURCE_BYTES:
                raise Refusal(400, "ValidationException", "Resource and scope exceed 16 KB")
            yield from part.spans


def check_traces(message: Any, now: float) -> None:
    spans = list(_spans(message))
    if len(spans) > SPANS:
        raise Refusal(400, "ValidationException", "More than 10000 spans")
    for span in spans:
        if span.ByteSize() > SPAN_BYTES:
            raise Refusal(400, "ValidationException", "Span exceeds 200 KB")
        if not now - PAST <= span.start_time_unix_nano / 1e9 <= now + FUTURE:
            raise Refusal(400, "ValidationException", "Span is too old or in the future")
    starts = [span.start_time_unix_nano / 1e9 for span in spans]
    if starts and max(starts) - min(starts) > SPREAD:
        raise Refusal(400, "ValidationException", "Spans are more than 24 hours apart")


def check_logs(message: Any, headers: Mapping[str, str]) -> None:
    if message.ByteSize() > LOGS_BYTES:
        raise Refusal(413, "RequestEntityTooLarge", "Request exceeds 1 MB")
    if not headers.get("x-aws-log-group") or not headers.get("x-aws-log-stream"):
        raise Refusal(400, "InvalidParameterException", "x-aws-log-group and -stream are required")
    for group in message.resource_logs:
        for part in group.scope_logs:
            if any(record.ByteSize() > EVENT_BYTES for record in part.log_records):
                raise Refusal(400, "InvalidParameterException", "Log event exceeds 1 MB")


# --------------------------------------------------------------------------------------- server


@dataclass
class Aws:
    """The endpoints of one region. ``skew``: how much its clock is ahead of ours, in seconds."""

    keys: dict[str, Key]
    region: str = "eu-west-1"
    skew: float = 0.0
    tamper: Callable[[bytes], bytes] = lambda body: body
    without: set[str] = field(default_factory=set)
    """Paths at which nothing is accepted."""
    got: list[Got] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def accept(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The answer's body; raises ``Refusal``."""
        signal = SIGNALS.get(path)
        if signal is None or path in self.without:
            raise Refusal(404, "UnknownOperationException", path)
        now = time.time() + self.skew
        scope = (self.region, signal.service)
        verify("POST", path, headers, self.tamper(body), keys=self.keys, scope=scope, now=now)
        message = self._read(signal, headers, body)
        if signal.service == "xray":
            check_traces(message, now)
        elif signal.service == "logs":
            check_logs(message, headers)
        self.got.append(Got(path, headers, message))
        answer: bytes = signal.answer().SerializeToString()
        return answer

    @staticmethod
    def _read(signal: _Signal, headers: Mapping[str, str], body: bytes) -> Any:
        if headers.get("content-type") != "application/x-protobuf":
            raise Refusal(415, "UnsupportedMediaType", headers.get("content-type", ""))
        encoding = headers.get("content-encoding", "")
        if encoding not in ("", "gzip"):
            raise Refusal(415, "UnsupportedMediaType", encoding)
        plain = gzip.decompress(body) if encoding else body
        if len(plain) > REQUEST_BYTES:
            raise Refusal(413, "RequestEntityTooLarge", "Request exceeds 5 MB")
        return signal.request.FromString(plain)

    def spans(self) -> list[Any]:
        return [
            span for got in self.got if got.path == "/v1/traces" for span in _spans(got.message)
        ]

    def events(self) -> list[Any]:
        return [
            record
            for got in self.got
            if got.path == "/v1/logs"
            for group in got.message.resource_logs
            for part in group.scope_logs
            for record in part.log_records
        ]


def _handler(aws: Aws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            try:
                self._answer(200, "application/x-protobuf", aws.accept(self.path, headers, body))
            except Refusal as refusal:
                aws.refused.append(refusal)
                told = {"__type": refusal.kind, "message": refusal.message}
                self._answer(refusal.status, "application/json", json.dumps(told).encode())

        def _answer(self, status: int, form: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", form)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The test says what went wrong."""

    return Handler
