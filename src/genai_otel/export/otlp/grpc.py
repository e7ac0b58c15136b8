"""OTLP over gRPC, only if configured: grpcio is large, and forks disturb it."""

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
_MAX_RESPONSE_BYTES = 64 * 1024 - 3  # no receiver has this limit: its error has the same text
_TASKS = "/proc/self/task"
# Seconds to wait for threads, which take a millisecond to end; and between two checks.
_THREADS_END, _A_MOMENT = 0.1, 0.0005
_OWN_LIMIT_MESSAGE = f" vs. {_MAX_RESPONSE_BYTES})"


class GrpcSender:
    """Sends to the endpoints of one destination; used by one thread at a time.

    Calls block the thread that makes them. A call of gRPC's that is waited for in another way needs
    a thread of its own, and from Python 3.12 on none can be started at the end of a program.
    """

    def __init__(self, config: OtlpConfig) -> None:
        self._config = config
        self._channels: dict[str, Any] = {}
        self._aborted = False

    def send(self, signal: str, body: bytes, deadline: float) -> ExportResult:
        """``deadline`` is a time of ``monotonic``; raises nothing."""
        if self._aborted:
            return ExportResult.retry("aborted")
        # gRPC imports more of itself as it goes; and a fork in the middle of a call of its C code
        # leaves a child that can make none. So the call is cut off, and made again afterwards.
        with unforked(hurry=self._close_channels):
            import grpc

            try:
                return self._send(grpc, signal, body, max(0.001, deadline - monotonic()))
            except grpc.RpcError as error:
                return _from_error(error)
            except Exception as error:  # noqa: BLE001 - an unreadable certificate, say
                return ExportResult.retry(f"request failed: {type(error).__name__}")
            finally:
                if not self._channels:  # it was cut off, by a fork maybe
                    _wait_for_threads()

    def _send(self, grpc: Any, signal: str, body: bytes, seconds: float) -> ExportResult:
        endpoint = self._config.endpoints[signal]
        channel = self._channel(grpc, endpoint.url)
        if self._aborted:  # meanwhile, and what was cut off was no channel yet
            return ExportResult.retry("aborted")
        gzip = self._config.compression == "gzip"
        response = channel.unary_unary(_SERVICES[signal])(
            body,
            timeout=seconds,
            metadata=[(name.lower(), value) for name, value in endpoint.headers.items()],
            compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
        )
        return from_partial_success(response)

    def _channel(self, grpc: Any, url: str) -> Any:
        """The channel of a receiver, which signals mostly share."""
        parsed = urlsplit(url)
        channel = self._channels.get(parsed.netloc)
        if channel is None:
            authority = (
                f"{parsed.netloc}" if parsed.port else f"{parsed.netloc}:{_port(parsed.scheme)}"
            )
            options = [
                ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
                ("grpc.enable_retries", 0),
            ]
            if parsed.scheme == "http":
                channel = grpc.insecure_channel(authority, options)
            else:
                channel = grpc.secure_channel(authority, self._credentials(grpc), options)
            self._channels[parsed.netloc] = channel
        return channel

    def _credentials(self, grpc: Any) -> Any:
        files = (
            self._config.certificate,
            self._config.client_key,
            self._config.client_certificate,
        )
        return grpc.ssl_channel_credentials(*(f and Path(f).read_bytes() for f in files))

    def abort(self) -> None:
        self._aborted = True
        self._close_channels()

    def _close_channels(self) -> bool:
        """Cancel the call under way, from another thread; return whether there was a channel.

        A blocking call ends with its channel. The next call makes another.
        """
        had_channels = bool(self._channels)
        with suppress(KeyError):  # both threads may be at it
            while True:
                self._channels.popitem()[1].close()
        return had_channels

    def close(self) -> None:
        """Close channels, so that no thread of gRPC is there when the process forks."""
        if self._close_channels():
            _wait_for_threads()


def _wait_for_threads() -> None:
    """Wait a moment for gRPC's threads to end, unless the program uses gRPC itself."""
    deadline = monotonic() + _THREADS_END
    while _has_grpc_threads() and monotonic() < deadline:
        sleep(_A_MOMENT)


def _has_grpc_threads() -> bool:
    """Whether gRPC's C code has threads, on systems that list them."""
    with suppress(OSError):
        tasks = os.listdir(_TASKS)  # noqa: PTH208 - quicker, and it is read in a loop
        return any(_is_grpc_thread(f"{_TASKS}/{task}/comm") for task in tasks)
    return False


def _is_grpc_thread(file: str) -> bool:
    try:
        with open(file, encoding="utf-8", errors="replace") as comm:  # noqa: PTH123 - as _support.locks does
            return comm.read().startswith(("grpc_", "event_engine", "lifeguard"))
    except OSError:  # it has ended since
        return False


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 4317


def _from_error(error: Any) -> ExportResult:
    code = error.code().name
    if code == "RESOURCE_EXHAUSTED" and _OWN_LIMIT_MESSAGE in (error.details() or ""):
        return OK  # accepted, with a response too long to be read
    retry_after = _retry_info(error.trailing_metadata() or ())
    message = f"gRPC {code}"
    if code in _RETRYABLE or (code == "RESOURCE_EXHAUSTED" and retry_after is not None):
        return ExportResult.retry(message, retry_after)
    if code == "RESOURCE_EXHAUSTED":
        return ExportResult(ExportStatus.TOO_LARGE, message)
    return ExportResult(
        ExportStatus.INVALID if code == "INVALID_ARGUMENT" else ExportStatus.REFUSED, message
    )


def _retry_info(metadata: Any) -> float | None:
    """``google.rpc.Status`` with a ``RetryInfo`` among its details: how long to wait."""
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return _retry_delay(value)
            except Exception:  # noqa: BLE001 - whatever a receiver writes there
                return None
    return None


def _retry_delay(status: bytes) -> float | None:
    for number, detail in protobuf_fields(status):
        if number == 3 and isinstance(detail, bytes):  # noqa: PLR2004 - details, each an Any
            parts = dict(protobuf_fields(detail))
            if parts.get(1, b"").endswith(b"/google.rpc.RetryInfo"):
                delay = dict(protobuf_fields(dict(protobuf_fields(parts[2]))[1]))
                return float(min(delay.get(1, 0) + delay.get(2, 0) / 1e9, MAX_RETRY_AFTER))
    return None
