"""Streams observed in place: the host keeps its own object, of its own type.

No context is held while the reader has control: a stream's operation has an explicit parent.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .observe import OPEN
from .safety import contained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .observe import Call


def watched(inner: Iterator[Any], call: Call) -> Iterator[Any]:
    """``inner``, whose chunks go to the call's accumulator and whose end ends the call."""
    clock, timing, quick = perf_counter, call.op.timing, call.fold().quick
    try:
        for chunk in inner:
            now = clock()
            timing.waited += now - timing.asked
            timing.chunks += 1
            if timing.first_chunk is None:
                timing.first_chunk = now
            try:
                token = quick(chunk)
            except Exception:  # noqa: BLE001 - not of the common form
                token = None
            if token is None:
                token = call.look(chunk)
            if token:
                timing.last_token, timing.waited_at_last_token = now, timing.waited
                if timing.first_token is None:
                    timing.first_token, timing.waited_at_first_token = now, timing.waited
            yield chunk
            timing.asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


async def watched_async(inner: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
    """The same for an asynchronous iterator; nothing of ours is awaited."""
    clock, timing, quick = perf_counter, call.op.timing, call.fold().quick
    try:
        async for chunk in inner:
            now = clock()
            timing.waited += now - timing.asked
            timing.chunks += 1
            if timing.first_chunk is None:
                timing.first_chunk = now
            try:
                token = quick(chunk)
            except Exception:  # noqa: BLE001 - not of the common form
                token = None
            if token is None:
                token = call.look(chunk)
            if token:
                timing.last_token, timing.waited_at_last_token = now, timing.waited
                if timing.first_token is None:
                    timing.first_token, timing.waited_at_first_token = now, timing.waited
            yield chunk
            timing.asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


def after_close(holder: Any, then: Callable[[], None]) -> Callable[[], None]:
    """Calls ``then`` once after ``holder`` was closed, by ``close`` or ``aclose``.

    The stand-ins lie on the instance, and go when they have done their work, or when what is
    returned here is called: they hold ``holder``, which would otherwise live on.
    """
    placed: dict[str, Any] = {}
    release = partial(_let_go, holder, placed)
    for method in ("close", "aclose"):
        original = getattr(holder, method, None)
        if original is not None:
            make = _then_async if _is_async(original) else _then
            placed[method] = make(original, partial(_finally, release, then))
            setattr(holder, method, placed[method])
    return release


def _let_go(holder: Any, placed: dict[str, Any]) -> None:
    """Takes back what is still ours; what others have put over it stays."""
    fields = vars(holder)
    for method, stand_in in placed.items():
        if fields.get(method) is stand_in:
            del fields[method]
    placed.clear()


def _finally(release: Callable[[], None], then: Callable[[], None]) -> None:
    release()
    then()


def _is_async(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def _then(original: Any, then: Callable[[], None]) -> Callable[..., Any]:
    @wraps(original)
    def call_then(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        finally:
            contained(then)

    return call_then


def _then_async(original: Any, then: Callable[[], None]) -> Callable[..., Any]:
    @wraps(original)
    async def call_then(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        finally:
            contained(then)

    return call_then
