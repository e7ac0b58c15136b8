"""One OTLP request over gRPC, where it is asked for: grpcio is large, and does not like forks."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from genai_otel._support.fork import unforked

from .response import (
    MAX_RETRY_AFTER,
    OK,
    ExportResult,
    ExportStatus,
    from_partial_success,
    protobuf_fields,
)

if TYPE_CHECKING:
    from genai_otel.export.backends.resolve import OtlpConfig

_SERVICES = {
    signal: f"/opentelemetry.proto.collector.{word}.v1.{word.capitalize()}Service/Export"
    for signal, word in (("traces", "trace"), ("metrics", "metrics"), ("logs", "logs"))
}
# https://opentelemetry.io/docs/specs/otlp/#failures
_RETRYABLE = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
)
_MAX_ANSWER = 64 * 1024 - 3  # no receiver's own limit, which is told in the same words
_TASKS = "/proc/self/task"
_THREADS_END, _A_MOMENT = 0.1, 0.0005
"""Seconds that they are given, which take a millisecond; and between two looks."""
_OUR_LIMIT = f" vs. {_MAX_ANSWER})"


class GrpcSender:
    """Sends to the addresses of one target; used by one thread at a time.

    Calls block the thread that makes them. A call of gRPC's that is waited for in another way needs
    a thread of its own, and from Python 3.12 on none can be started at the end of a program.
    """

    def __init__(self, target: OtlpConfig) -> None:
        self._target = target
        self._channels: dict[str, Any] = {}
        self._stopped = False

    def send(self, signal: str, body: bytes, deadline: float) -> ExportResult:
        """``deadline`` is a time of ``monotonic``; raises nothing."""
        if self._stopped:
            return ExportResult.retry("stopped")
        # gRPC imports more of itself as it goes; and a fork in the middle of a call of its C code
        # leaves a child that can make none. So the call is cut off, and made again afterwards.
        with unforked(hurry=self._cut_off):
            import grpc

            try:
                return self._send(grpc, signal, body, max(0.001, deadline - monotonic()))
            except grpc.RpcError as error:
                return _failed(error)
            except Exception as error:  # noqa: BLE001 - an unreadable certificate, say
                return ExportResult.retry(f"the request failed: {type(error).__name__}")
            finally:
                if not self._channels:  # it was cut off, by a fork maybe
                    _threads_end()

    def _send(self, grpc: Any, signal: str, body: bytes, seconds: float) -> ExportResult:
        address = self._target.endpoints[signal]
        channel = self._channel(grpc, address.url)
        if self._stopped:  # meanwhile, and what was cut off was no channel yet
            return ExportResult.retry("stopped")
        gzip = self._target.compression == "gzip"
        answer = channel.unary_unary(_SERVICES[signal])(
            body,
            timeout=seconds,
            metadata=[(name.lower(), value) for name, value in address.headers.items()],
            compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
        )
        return from_partial_success(answer)

    def _channel(self, grpc: Any, url: str) -> Any:
        """One for each receiver: signals mostly share it."""
        parts = urlsplit(url)
        found = self._channels.get(parts.netloc)
        if found is None:
            where = f"{parts.netloc}" if parts.port else f"{parts.netloc}:{_port(parts.scheme)}"
            options = [("grpc.max_receive_message_length", _MAX_ANSWER), ("grpc.enable_retries", 0)]
            if parts.scheme == "http":
                found = grpc.insecure_channel(where, options)
            else:
                found = grpc.secure_channel(where, self._credentials(grpc), options)
            self._channels[parts.netloc] = found
        return found

    def _credentials(self, grpc: Any) -> Any:
        files = (
            self._target.certificate,
            self._target.client_key,
            self._target.client_certificate,
        )
        return grpc.ssl_channel_credentials(*(f and Path(f).read_bytes() for f in files))

    def abort(self) -> None:
        self._stopped = True
        self._cut_off()

    def _cut_off(self) -> bool:
        """Ends the call under way, from another thread; whether there was a channel for one.

        A blocking call ends with its channel. The next call makes another.
        """
        had = bool(self._channels)
        with suppress(KeyError):  # both threads may be at it
            while True:
                self._channels.popitem()[1].close()
        return had

    def close(self) -> None:
        """A fork would warn of the threads of gRPC: they end with whatever refers to a channel."""
        if self._cut_off():
            _threads_end()


def _threads_end() -> None:
    """Waits for a moment until gRPC's threads have, where none of the program's own keeps them."""
    until = monotonic() + _THREADS_END
    while _has_threads() and monotonic() < until:
        sleep(_A_MOMENT)


def _has_threads() -> bool:
    """Whether gRPC's C code has threads, where the system says so."""
    with suppress(OSError):
        return any(_names_grpc(f"{_TASKS}/{task}/comm") for task in os.listdir(_TASKS))  # noqa: PTH208
    return False


def _names_grpc(file: str) -> bool:
    try:
        with open(file, encoding="utf-8", errors="replace") as comm:  # noqa: PTH123 - as _locks does
            return comm.read().startswith(("grpc_", "event_engine", "lifeguard"))
    except OSError:  # it has ended since
        return False


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 4317


def _failed(error: Any) -> ExportResult:
    code = error.code().name
    if code == "RESOURCE_EXHAUSTED" and _OUR_LIMIT in (error.details() or ""):
        return OK  # it answered at length; an answer that is not read says nothing against it
    pause = _retry_info(error.trailing_metadata() or ())
    problem = f"gRPC {code}"
    if code in _RETRYABLE or (code == "RESOURCE_EXHAUSTED" and pause is not None):
        return ExportResult.retry(problem, pause)
    if code == "RESOURCE_EXHAUSTED":
        return ExportResult(ExportStatus.TOO_LARGE, problem)
    return ExportResult(
        ExportStatus.INVALID if code == "INVALID_ARGUMENT" else ExportStatus.REFUSED, problem
    )


def _retry_info(metadata: Any) -> float | None:
    """``google.rpc.Status`` with a ``RetryInfo`` among its details: how long to wait."""
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return _delay(value)
            except Exception:  # noqa: BLE001 - whatever a receiver writes there
                return None
    return None


def _delay(status: bytes) -> float | None:
    for number, detail in protobuf_fields(status):
        if number == 3 and isinstance(detail, bytes):  # noqa: PLR2004 - details, each an Any
            parts = dict(protobuf_fields(detail))
            if parts.get(1, b"").endswith(b"/google.rpc.RetryInfo"):
                told = dict(protobuf_fields(dict(protobuf_fields(parts[2]))[1]))
                return float(min(told.get(1, 0) + told.get(2, 0) / 1e9, MAX_RETRY_AFTER))
    return None
