"""OTLP over HTTP.

On sockets and the standard library's parser of responses: no instrumentation observes it, no
redirect is followed, and every wait has a deadline, even if a server sends a byte a second.
"""

from __future__ import annotations

import base64
import codecs
import gzip
import http.client
import io
import socket
import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from genai_otel._support.fork import unforked
from genai_otel._support.notices import NOTICES

from .response import ExportResult, from_http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_otel.export.backends.resolve import Endpoint, OtlpConfig

_MAX_BODY_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_MIN_GZIP_BYTES = 512  # not worth compressing
_GZIP_LEVEL = 4
_MAX_ERROR_CHARS = 200


class _UnknownProxyError(OSError):
    """Its scheme."""


class _Origin(NamedTuple):
    """Where to connect, and through which proxy."""

    scheme: str
    host: str
    port: int
    proxy: SplitResult | None


class HttpSender:
    """Sends to the endpoints of one destination; used by one thread at a time.

    The connection is kept for the next request to the same origin.
    """

    def __init__(self, config: OtlpConfig) -> None:
        self._config = config
        self._origins = {each.url: _origin(each.url) for each in config.endpoints.values()}
        self._tls_context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._connected_to: _Origin | None = None
        self._pending_socket: socket.socket | None = None
        self._aborted = False

    def send(self, signal: str, body: bytes, deadline: float) -> ExportResult:
        """``deadline`` is a time of ``monotonic``; raises nothing."""
        endpoint = self._config.endpoints[signal]
        if self._aborted:
            return ExportResult.retry("aborted")
        try:
            return self._send(endpoint, signal, body, deadline)
        except TimeoutError:
            self.close()
            return ExportResult.retry("no response in time")
        except ssl.SSLError as error:  # before OSError, of which it is one
            self.close()
            return ExportResult.retry(f"TLS failed: {error.reason or type(error).__name__}")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return ExportResult.retry(_describe(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is raised here
            self.close()
            return ExportResult.retry(f"request failed: {type(error).__name__}")

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """From another thread: interrupt the request under way."""
        self._aborted = True
        connection = self._pending_socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # --------------------------------------------------------------------------- one request

    def _send(self, endpoint: Endpoint, signal: str, body: bytes, deadline: float) -> ExportResult:
        url = urlsplit(endpoint.url)
        kind = "json" if self._config.protocol == "http/json" else "x-protobuf"
        headers = {"Content-Type": f"application/{kind}", "User-Agent": _user_agent()}
        if self._config.compression == "gzip" and len(body) > _MIN_GZIP_BYTES:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers |= endpoint.headers
        if endpoint.sign is not None:
            try:
                headers = dict(endpoint.sign("POST", endpoint.url, headers, body))
            except Exception as error:  # noqa: BLE001 - no credentials, say: it tells which
                return ExportResult.retry(f"signing failed: {str(error)[:_MAX_ERROR_CHARS]}")
        reused = self._socket is not None
        try:
            return self._exchange(url, signal, headers, body, deadline)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A server may close a connection that nothing came by for a while.
            if not reused or self._aborted:
                raise
        self.close()
        return self._exchange(url, signal, headers, body, deadline)

    def _exchange(
        self,
        url: SplitResult,
        signal: str,
        headers: Mapping[str, str],
        body: bytes,
        deadline: float,
    ) -> ExportResult:
        origin = self._origins[url.geturl()]
        connection = self._connect(origin, deadline)
        broken: ConnectionError | None = None
        try:
            _send_all(connection, _request_head(url, origin, headers, len(body)) + body, deadline)
        except (BrokenPipeError, ConnectionResetError) as error:
            broken = (
                error  # who finds a request too large may say so and go, before it is all there
            )
        response = http.client.HTTPResponse(_DeadlineReader(connection, deadline), method="POST")  # type: ignore[arg-type]
        try:
            response.begin()
        except (OSError, http.client.HTTPException):
            if broken is None:
                raise
            raise broken from None
        response_body, complete = _read_body(response)
        if broken is not None or not complete or response.will_close:
            self.close()
        return from_http(
            signal,
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            response_body,
        )

    def _connect(self, origin: _Origin, deadline: float) -> socket.socket:
        if self._socket is not None and origin == self._connected_to:
            return self._socket
        self.close()
        connection = self._open_socket(origin, deadline)
        try:
            if origin.scheme == "https":
                if origin.proxy is not None:
                    _open_tunnel(connection, origin, deadline)
                connection = self._start_tls(connection, origin.host, deadline)
        except BaseException:
            connection.close()
            raise
        self._socket, self._connected_to = connection, origin
        return connection

    def _open_socket(self, origin: _Origin, deadline: float) -> socket.socket:
        host, port = origin.host, origin.port
        if origin.proxy is not None:
            if origin.proxy.scheme != "http":
                raise _UnknownProxyError(origin.proxy.scheme)
            host, port = origin.proxy.hostname or "", origin.proxy.port or 80
        with unforked():
            codecs.lookup("idna")  # which the first look-up of a host imports
        last_error: OSError | None = None
        for family, kind, protocol, _, socket_address in socket.getaddrinfo(
            host, port, 0, socket.SOCK_STREAM
        ):
            connection = self._pending_socket = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_seconds_left(deadline))
                connection.connect(socket_address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                last_error = error
            else:
                return connection
        raise last_error or OSError("no address")

    def _start_tls(self, plain: socket.socket, host: str, deadline: float) -> socket.socket:
        if self._tls_context is None:
            self._tls_context = tls_context(self._config)
        wrapped = self._pending_socket = self._tls_context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        try:
            wrapped.settimeout(_seconds_left(deadline))  # for the handshake as a complete
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def _send_all(connection: socket.socket, data: bytes, deadline: float) -> None:
    """Send everything before the deadline, also to a slow receiver."""
    remaining = memoryview(data)
    while remaining:
        connection.settimeout(_seconds_left(deadline))
        remaining = remaining[connection.send(remaining) :]


def _read_body(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """The body up to a limit, and whether that was all."""
    try:
        body = response.read(_MAX_BODY_BYTES)
        return body, response.isclosed() or not response.read(1)
    except http.client.IncompleteRead as error:
        return error.partial, False


def tls_context(config: OtlpConfig) -> ssl.SSLContext:
    """Certificates and host names are always verified."""
    context = ssl.create_default_context(cafile=config.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.client_certificate is not None:
        context.load_cert_chain(config.client_certificate, config.client_key)
    return context


def _user_agent() -> str:
    from genai_otel._version import __version__

    return f"genai-otel/{__version__}"


def _describe(error: BaseException) -> str:
    """A description without the text of the error, which may quote secrets."""
    if isinstance(error, _UnknownProxyError):
        return f"a {error}:// proxy is not supported, only http://"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "connection closed by the receiver"
    return f"connection failed: {type(error).__name__}"


def _seconds_left(deadline: float) -> float:
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _request_head(
    url: SplitResult, origin: _Origin, headers: Mapping[str, str], length: int
) -> bytes:
    path = url.path or "/"
    if url.query:
        path += f"?{url.query}"
    if origin.proxy is not None and origin.scheme == "http":
        path = f"http://{url.netloc}{path}"
    lines = [f"POST {path} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {length}"]
    if origin.proxy is not None and origin.scheme == "http":
        lines += _proxy_headers(origin.proxy)
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class _DeadlineReader(io.RawIOBase):
    """A reader for the standard library's parser, with a deadline and a limit of bytes."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._bytes_left = _MAX_HEADER_BYTES + _MAX_BODY_BYTES

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._bytes_left <= 0:
            return 0
        self._connection.settimeout(_seconds_left(self._deadline))
        count = self._connection.recv_into(memoryview(buffer)[: self._bytes_left])
        self._bytes_left -= count
        return count


# ------------------------------------------------------------------------------- connections


def _origin(url: str) -> _Origin:
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return _Origin(parsed.scheme, host, port, _proxy(parsed.scheme, host))


def _proxy(scheme: str, host: str) -> SplitResult | None:
    """The system's proxy, as every client finds it; none to this machine."""
    proxies = getproxies()
    setting = proxies.get(scheme) or proxies.get("all")
    if not setting or host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host):
        return None
    proxy = urlsplit(setting if "://" in setting else f"http://{setting}")
    if proxy.scheme != "http":  # and the host must not be reached past it
        NOTICES.add(f"export fails: a {proxy.scheme}:// proxy is not supported, only http://")
    return proxy


def _open_tunnel(connection: socket.socket, origin: _Origin, deadline: float) -> None:
    """Open a tunnel through a proxy, before anything is sent to the receiver."""
    assert origin.proxy is not None  # noqa: S101 - or there would be no tunnel
    authority = f"{origin.host}:{origin.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *_proxy_headers(origin.proxy)]
    _send_all(connection, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"), deadline)
    response = http.client.HTTPResponse(_DeadlineReader(connection, deadline), method="CONNECT")  # type: ignore[arg-type]
    response.begin()
    if response.status != 200:  # noqa: PLR2004 - anything else is a refusal
        raise ConnectionRefusedError


def _proxy_headers(proxy: SplitResult) -> list[str]:
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}"]
