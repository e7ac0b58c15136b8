"""One OTLP request over HTTP, and what came back.

A stack of our own on sockets and the standard library's parser: nobody's instrumentation sees it,
no redirect is followed, and every wait has an end, also where a server sends a byte a second.
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

_MAX_BODY = 64 * 1024
_MAX_HEADERS = 64 * 1024
_SMALL = 512  # not worth compressing
_LEVEL = 4
_TOLD = 200


class _UnknownProxyError(OSError):
    """Its scheme."""


class _Place(NamedTuple):
    """Where to connect, and by way of which proxy."""

    scheme: str
    host: str
    port: int
    proxy: SplitResult | None


class HttpSender:
    """Sends to the addresses of one target; used by one thread at a time.

    A connection is kept for the next request to the same place.
    """

    def __init__(self, target: OtlpConfig) -> None:
        self._target = target
        self._places = {each.url: _place(each.url) for each in target.endpoints.values()}
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._place: _Place | None = None
        self._under_way: socket.socket | None = None
        self._stopped = False

    def send(self, signal: str, body: bytes, deadline: float) -> ExportResult:
        """``deadline`` is a time of ``monotonic``; raises nothing."""
        address = self._target.endpoints[signal]
        if self._stopped:
            return ExportResult.retry("stopped")
        try:
            return self._send(address, signal, body, deadline)
        except TimeoutError:
            self.close()
            return ExportResult.retry("no answer in time")
        except ssl.SSLError as error:  # before OSError, of which it is one
            self.close()
            return ExportResult.retry(f"TLS failed: {error.reason or type(error).__name__}")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return ExportResult.retry(_told(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is raised here
            self.close()
            return ExportResult.retry(f"the request failed: {type(error).__name__}")

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """From another thread: whatever is being waited for comes to an end."""
        self._stopped = True
        connection = self._under_way
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # --------------------------------------------------------------------------- one request

    def _send(self, address: Endpoint, signal: str, body: bytes, deadline: float) -> ExportResult:
        url = urlsplit(address.url)
        kind = "json" if self._target.protocol == "http/json" else "x-protobuf"
        headers = {"Content-Type": f"application/{kind}", "User-Agent": _agent()}
        if self._target.compression == "gzip" and len(body) > _SMALL:
            body = gzip.compress(body, _LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        headers |= address.headers
        if address.sign is not None:
            try:
                headers = dict(address.sign("POST", address.url, headers, body))
            except Exception as error:  # noqa: BLE001 - no credentials, say: it tells which
                return ExportResult.retry(f"not signed: {str(error)[:_TOLD]}")
        kept = self._socket is not None
        try:
            return self._exchange(url, signal, headers, body, deadline)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A server may close a connection that nothing came by for a while.
            if not kept or self._stopped:
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
        place = self._places[url.geturl()]
        connection = self._connected(place, deadline)
        cut: ConnectionError | None = None
        try:
            _send_all(connection, _head(url, place, headers, len(body)) + body, deadline)
        except (BrokenPipeError, ConnectionResetError) as error:
            cut = error  # who finds a request too large may say so and go, before it is all there
        reply = http.client.HTTPResponse(_Reading(connection, deadline), method="POST")  # type: ignore[arg-type]
        try:
            reply.begin()
        except (OSError, http.client.HTTPException):
            if cut is None:
                raise
            raise cut from None
        said, whole = _read(reply)
        if cut is not None or not whole or reply.will_close:
            self.close()
        return from_http(
            signal,
            reply.status,
            {name.lower(): value for name, value in reply.headers.items()},
            said,
        )

    def _connected(self, place: _Place, deadline: float) -> socket.socket:
        if self._socket is not None and place == self._place:
            return self._socket
        self.close()
        connection = self._dialled(place, deadline)
        try:
            if place.scheme == "https":
                if place.proxy is not None:
                    _tunnel(connection, place, deadline)
                connection = self._encrypted(connection, place.host, deadline)
        except BaseException:
            connection.close()
            raise
        self._socket, self._place = connection, place
        return connection

    def _dialled(self, place: _Place, deadline: float) -> socket.socket:
        host, port = place.host, place.port
        if place.proxy is not None:
            if place.proxy.scheme != "http":
                raise _UnknownProxyError(place.proxy.scheme)
            host, port = place.proxy.hostname or "", place.proxy.port or 80
        with unforked():
            codecs.lookup("idna")  # which the first look-up of a host imports
        last: OSError | None = None
        for family, kind, protocol, _, where in socket.getaddrinfo(
            host, port, 0, socket.SOCK_STREAM
        ):
            connection = self._under_way = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline))
                connection.connect(where)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                last = error
            else:
                return connection
        raise last or OSError("no address")

    def _encrypted(self, plain: socket.socket, host: str, deadline: float) -> socket.socket:
        if self._context is None:
            self._context = tls(self._target)
        wrapped = self._under_way = self._context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        try:
            wrapped.settimeout(_left(deadline))  # for the handshake as a whole
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def _send_all(connection: socket.socket, data: bytes, deadline: float) -> None:
    """To a receiver that takes a little at a time, too, no longer than until then."""
    left = memoryview(data)
    while left:
        connection.settimeout(_left(deadline))
        left = left[connection.send(left) :]


def _read(reply: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """As much of the body as we look at, and whether that was all."""
    try:
        said = reply.read(_MAX_BODY)
        return said, reply.isclosed() or not reply.read(1)
    except http.client.IncompleteRead as error:
        return error.partial, False


def tls(target: OtlpConfig) -> ssl.SSLContext:
    """Certificates and names are checked, always."""
    context = ssl.create_default_context(cafile=target.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.client_certificate is not None:
        context.load_cert_chain(target.client_certificate, target.client_key)
    return context


def _agent() -> str:
    from genai_otel._version import __version__

    return f"genai-otel/{__version__}"


def _told(error: BaseException) -> str:
    """What went wrong, without what an error's text may quote."""
    if isinstance(error, _UnknownProxyError):
        return f"a proxy of {error}:// is not supported, only of http://"
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "the connection was cut"
    return f"the connection failed: {type(error).__name__}"


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _head(url: SplitResult, place: _Place, headers: Mapping[str, str], length: int) -> bytes:
    path = url.path or "/"
    if url.query:
        path += f"?{url.query}"
    if place.proxy is not None and place.scheme == "http":
        path = f"http://{url.netloc}{path}"
    lines = [f"POST {path} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {length}"]
    if place.proxy is not None and place.scheme == "http":
        lines += _proxy_headers(place.proxy)
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class _Reading(io.RawIOBase):
    """What the standard library's parser reads from: never longer, and never more, than allowed."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline
        self._left = _MAX_HEADERS + _MAX_BODY

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            return 0
        self._connection.settimeout(_left(self._deadline))
        got = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= got
        return got


# ------------------------------------------------------------------------------- connections


def _place(address: str) -> _Place:
    url = urlsplit(address)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    return _Place(url.scheme, host, port, _proxy(url.scheme, host))


def _proxy(scheme: str, host: str) -> SplitResult | None:
    """The system's proxy, as every client finds it; none to this machine."""
    proxies = getproxies()
    given = proxies.get(scheme) or proxies.get("all")
    if not given or host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host):
        return None
    proxy = urlsplit(given if "://" in given else f"http://{given}")
    if proxy.scheme != "http":  # and the host must not be reached past it
        NOTICES.add(f"nothing can be sent through a proxy of {proxy.scheme}://, only of http://")
    return proxy


def _tunnel(connection: socket.socket, place: _Place, deadline: float) -> None:
    """Through a proxy, before anything is said to who is behind it."""
    assert place.proxy is not None  # noqa: S101 - or there would be no tunnel
    there = f"{place.host}:{place.port}"
    lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}", *_proxy_headers(place.proxy)]
    _send_all(connection, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"), deadline)
    reply = http.client.HTTPResponse(_Reading(connection, deadline), method="CONNECT")  # type: ignore[arg-type]
    reply.begin()
    if reply.status != 200:  # noqa: PLR2004 - anything else is a refusal
        raise ConnectionRefusedError


def _proxy_headers(proxy: SplitResult) -> list[str]:
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}"]
