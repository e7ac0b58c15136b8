"""Streams that are observed by the methods of their class.

For those in which nothing can be exchanged, because they make their chunks in their own steps: the
methods are replaced once, and find the call by the stream's ``id``.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from genai_otel._support.errors import contained

from .adapter import Patch
from .open_registry import OPEN
from .stream_wrappers import watched, watched_async

if TYPE_CHECKING:
    from .tracker import Call, Observer

_STEPS: WeakSet[Any] = WeakSet()
"""The stand-ins for the methods that step."""
_FOLLOWED: dict[int, _Followed] = {}
"""Open streams of followed classes by ``id``: none is kept alive, each leaves as it ends."""


def patch_stream_class(target: str, *, steps: bool = True) -> tuple[Patch, ...]:
    """The patches of a class of streams, ``module:Class``, whose own methods tell what happens.

    Without ``steps`` only that they are closed, for those that keep an iterator to be exchanged.
    """
    ways = ("close", "aclose", "__exit__", "__aexit__")
    closing = tuple((name, _closing) for name in ways)
    stepping = (("__next__", _stepping), ("__anext__", _stepping_async)) if steps else ()
    return tuple(
        Patch(f"{target}.{name}", make, optional=True) for name, make in (*closing, *stepping)
    )


class _Followed:
    """One open stream of such a class."""

    __slots__ = ("_stream", "call", "watcher")

    def __init__(self, call: Call, stream: Any) -> None:
        self.call, self._stream = call, ref(stream)
        self.watcher: Any = None

    def begin(self, make: Any, step: Any) -> Any:
        """What takes the steps from now on; the first of them tells the colour."""
        self.watcher = make(_Steps(step, self._stream), self.call)
        self.call.watcher = ref(self.watcher)
        return self.watcher


class _Steps:
    """An iterator of either colour over a stream that it does not keep alive."""

    __slots__ = ("_step", "_stream")

    def __init__(self, step: Any, stream: Any) -> None:
        self._step, self._stream = step, stream

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        return self._step(self._stream())

    __aiter__, __anext__ = __iter__, __next__


def is_followed(kind: type) -> bool:
    """Whether its steps are seen."""
    steps = (getattr(kind, "__next__", None), getattr(kind, "__anext__", None))
    return any(step in _STEPS for step in steps)


def follow(call: Call, stream: Any) -> None:
    """From here on the stream's steps are the call's."""
    found = _Followed(call, stream)
    call.op.stream = True
    OPEN.add(call, found)
    OPEN.hold(call, stream)
    contained(call.fold().follows, stream)
    _keep(found, stream)


def register(call: Call, stream: Any) -> None:
    """From here on the stream's being closed is the call's end."""
    _keep(_Followed(call, stream), stream)


def _keep(found: _Followed, stream: Any) -> None:
    """The steps are the outermost layer's; one further in, with the same stream, ends before it."""
    before = _FOLLOWED.get(id(stream))
    inner = None if before is None else before.call
    if inner is not None:
        inner.release = None
    _FOLLOWED[id(stream)] = found
    found.call.release = partial(_forget, id(stream), inner)


def _forget(stream_id: int, inner: Call | None) -> None:
    _FOLLOWED.pop(stream_id, None)
    if inner is not None:
        OPEN.end(inner.key, completed=None)


def _stepping(original: Any, _observer: Observer) -> Any:
    @wraps(original)
    def step(stream: Any) -> Any:
        found = _FOLLOWED.get(id(stream))
        if found is None:
            return original(stream)
        return next(found.watcher or found.begin(watched, original))

    _STEPS.add(step)
    return step


def _stepping_async(original: Any, _observer: Observer) -> Any:
    @wraps(original)
    async def step(stream: Any) -> Any:
        found = _FOLLOWED.get(id(stream))
        if found is None:
            return await original(stream)
        return await anext(found.watcher or found.begin(watched_async, original))

    _STEPS.add(step)
    return step


def _closing(original: Any, _observer: Observer) -> Any:
    make = _closing_async if inspect.iscoroutinefunction(original) else _closing_sync
    return make(original)


def _closing_sync(original: Any) -> Any:
    @wraps(original)
    def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(stream, *args, **kwargs)
        finally:
            contained(_left, stream)

    return close


def _closing_async(original: Any) -> Any:
    @wraps(original)
    async def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(stream, *args, **kwargs)
        finally:
            contained(_left, stream)

    return close


def _left(stream: Any) -> None:
    """Closed by the host, unless it is the stream's own end that closes it."""
    found = _FOLLOWED.get(id(stream))
    if found is not None and not found.call.reading():
        OPEN.end(found.call.key, completed=False)
