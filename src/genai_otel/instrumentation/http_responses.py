"""Observe HTTP responses of httpx and its successors in place.

A response closes its inner byte stream, whoever closes the response. That inner stream is replaced:
no attribute of the response is added or changes its type.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .open_registry import OPEN
from .unreturned import decoded, raised_by_helper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .tracker import ObservedCall

# Bytes of a body that are kept while the host reads it; a longer one is not decoded.
_BODY_KEPT = 4 * 1024 * 1024


def observe_response(call: ObservedCall, response: Any) -> None:
    """End the call when the response ends, unless a stream is observed on it."""
    OPEN.add(call, response)
    call.progress = lambda: getattr(response, "num_bytes_downloaded", 0)
    body = None if call.op.stream else _Body(call.key)
    ended = partial(_closed if body is None else _abandoned, call.key)
    owner, name, make = getattr(response, "stream", None), "_stream", _Tap
    if name not in getattr(owner, "__dict__", ()):  # of a client of the host's, or recorded
        owner, name, make = response, "stream", _PublicTap
    inner = getattr(owner, name, None)
    if inner is not None:
        tap = make(inner, ended, body)
        setattr(owner, name, tap)
        call.restore = partial(_remove_tap, owner, name, tap)


def _remove_tap(owner: Any, name: str, tap: _Tap) -> None:
    if getattr(owner, name) is tap:
        setattr(owner, name, tap.inner)


def _closed(key: int) -> None:
    """End the call of a closed response, unless its stream is being read: that ends it.

    Whether bytes that the host read itself are complete is unknown.
    """
    call = OPEN.get(key)
    if call is not None and not call.is_being_read():
        unknown = call.watcher is None and call.source.is_stream_consumed
        OPEN.end(key, _error_of_helper(call), completed=None if unknown else False)


def _error_of_helper(call: ObservedCall) -> BaseException | None:
    """Return the exception of a ``with`` block, if a client's own helper raised it."""
    error, stream = sys.exception(), call.holder and call.holder()
    if error is None or stream is None or not raised_by_helper(error, stream):
        return None
    return error


def _abandoned(key: int) -> None:
    """End the call of a response that was closed before its last byte."""
    OPEN.end(key)


class _Tap:
    """Replaces the inner byte stream of a response."""

    def __init__(self, inner: Any, ended: Callable[[], None], body: _Body | None) -> None:
        self.inner, self._ended, self._body = inner, ended, body

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Iterator[bytes]:
        inner = self.inner
        return iter(inner) if self._body is None else self._body.passing(inner)

    def __aiter__(self) -> AsyncIterator[bytes]:
        inner: AsyncIterator[bytes] = self.inner.__aiter__()
        return inner if self._body is None else self._body.passing_async(inner)

    def close(self) -> None:
        try:
            self.inner.close()
        finally:
            contained(self._ended)

    async def aclose(self) -> None:
        try:
            await self.inner.aclose()
        finally:
            contained(self._ended)


class _PublicTap(_Tap):
    """A tap in a public attribute, with the ``__class__`` of the original."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self.inner.__class__


class _Body:
    """A body that the host reads itself: kept as it is read, never read ahead."""

    def __init__(self, key: int) -> None:
        self._key, self._size = key, 0
        self._pieces: list[bytes] = []

    def passing(self, inner: Any) -> Iterator[bytes]:
        try:
            for piece in inner:
                contained(self._keep, piece)
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:
            contained(OPEN.end, self._key, error)
            raise
        contained(self._end)

    async def passing_async(self, inner: Any) -> AsyncIterator[bytes]:
        try:
            async for piece in inner:
                contained(self._keep, piece)
                yield piece
        except GeneratorExit:
            if hasattr(inner, "aclose"):  # the response would have closed it, had it this one
                await inner.aclose()
            raise
        except BaseException as error:
            contained(OPEN.end, self._key, error)
            raise
        contained(self._end)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= _BODY_KEPT:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def _end(self) -> None:
        """The body is complete: read it and end the call."""
        call = OPEN.get(self._key)
        if call is not None:
            reply = contained(_decode_body, call.source, b"".join(self._pieces))
            if reply is not None:
                call.read_response(reply)
            OPEN.end(self._key)


def _decode_body(response: Any, body: bytes) -> Any:
    if "content-encoding" in response.headers:
        unpacked = type(response)(response.status_code, headers=response.headers, content=body)
        body = unpacked.content
    return decoded(body, response.headers.get("content-type") or "")
