"""Streams observed by patching the methods of their class.

For streams without an iterator that could be replaced, because ``__next__`` itself makes the
chunks: the methods are patched once, and find the call by the stream's ``id``.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from genai_otel._support.errors import contained

from .adapter import Patch
from .open_registry import OPEN
from .stream_wrappers import observe, observe_async

if TYPE_CHECKING:
    from .tracker import CallTracker, ObservedCall

# Our wrappers of ``__next__`` and ``__anext__``.
_STEP_WRAPPERS: WeakSet[Any] = WeakSet()
# Open streams of patched classes by ``id``; none is kept alive, each is removed as it ends.
_OPEN_STREAMS: dict[int, _OpenStream] = {}


def patch_stream_class(target: str, *, steps: bool = True) -> tuple[Patch, ...]:
    """Return the patches of a class of streams, ``module:Class``: its steps and its closing.

    Without ``steps`` only its closing, for streams whose inner iterator is replaced.
    """
    ways = ("close", "aclose", "__exit__", "__aexit__")
    closing = tuple((name, _wrap_close) for name in ways)
    stepping = (("__next__", _wrap_next), ("__anext__", _wrap_anext)) if steps else ()
    return tuple(
        Patch(f"{target}.{name}", make, optional=True) for name, make in (*closing, *stepping)
    )


class _OpenStream:
    """One open stream of a patched class."""

    __slots__ = ("_stream", "call", "watcher")

    def __init__(self, call: ObservedCall, stream: Any) -> None:
        self.call, self._stream = call, ref(stream)
        self.watcher: Any = None

    def begin(self, make: Any, step: Any) -> Any:
        """Create the iterator that takes the steps; the first step tells whether it is async."""
        self.watcher = make(_Steps(step, self._stream), self.call)
        self.call.watcher = ref(self.watcher)
        return self.watcher


class _Steps:
    """A sync and async iterator over a stream that it does not keep alive."""

    __slots__ = ("_step", "_stream")

    def __init__(self, step: Any, stream: Any) -> None:
        self._step, self._stream = step, stream

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        return self._step(self._stream())

    __aiter__, __anext__ = __iter__, __next__


def has_patched_steps(kind: type) -> bool:
    """Whether the steps of a class are patched."""
    steps = (getattr(kind, "__next__", None), getattr(kind, "__anext__", None))
    return any(step in _STEP_WRAPPERS for step in steps)


def observe_stream(call: ObservedCall, stream: Any) -> None:
    """Observe the steps of a stream for the call."""
    found = _OpenStream(call, stream)
    call.op.stream = True
    OPEN.add(call, found)
    OPEN.tie_to(call, stream)
    contained(call.accumulator().set_stream, stream)
    _keep(found, stream)


def observe_close(call: ObservedCall, stream: Any) -> None:
    """End the call when the stream is closed."""
    _keep(_OpenStream(call, stream), stream)


def _keep(found: _OpenStream, stream: Any) -> None:
    """Give the steps to the outermost layer; an inner one with the same stream ends before it."""
    before = _OPEN_STREAMS.get(id(stream))
    inner = None if before is None else before.call
    if inner is not None:
        inner.restore = None
    _OPEN_STREAMS[id(stream)] = found
    found.call.restore = partial(_remove, id(stream), inner)


def _remove(stream_id: int, inner: ObservedCall | None) -> None:
    _OPEN_STREAMS.pop(stream_id, None)
    if inner is not None:
        OPEN.end(inner.key, completed=None)


def _wrap_next(original: Any, _tracker: CallTracker) -> Any:
    @wraps(original)
    def step(stream: Any) -> Any:
        found = _OPEN_STREAMS.get(id(stream))
        if found is None:
            return original(stream)
        return next(found.watcher or found.begin(observe, original))

    _STEP_WRAPPERS.add(step)
    return step


def _wrap_anext(original: Any, _tracker: CallTracker) -> Any:
    @wraps(original)
    async def step(stream: Any) -> Any:
        found = _OPEN_STREAMS.get(id(stream))
        if found is None:
            return await original(stream)
        return await anext(found.watcher or found.begin(observe_async, original))

    _STEP_WRAPPERS.add(step)
    return step


def _wrap_close(original: Any, _tracker: CallTracker) -> Any:
    make = _wrap_close_async if inspect.iscoroutinefunction(original) else _wrap_close_sync
    return make(original)


def _wrap_close_sync(original: Any) -> Any:
    @wraps(original)
    def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(stream, *args, **kwargs)
        finally:
            contained(_end_closed, stream)

    return close


def _wrap_close_async(original: Any) -> Any:
    @wraps(original)
    async def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(stream, *args, **kwargs)
        finally:
            contained(_end_closed, stream)

    return close


def _end_closed(stream: Any) -> None:
    """End the call of a stream that the host has closed, rather than the stream's own end."""
    found = _OPEN_STREAMS.get(id(stream))
    if found is not None and not found.call.is_being_read():
        OPEN.end(found.call.key, completed=False)
