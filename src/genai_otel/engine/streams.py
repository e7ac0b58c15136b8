"""Streams observed in place: the host keeps its own object, of its own type.

No context is held while the reader has control: a stream's operation has an explicit parent.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from .observe import OPEN
from .safety import contained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .observe import Call


def watched(inner: Iterator[Any], call: Call) -> Iterator[Any]:
    """``inner``, whose end, whatever it is, ends the call."""
    try:
        for chunk in inner:
            yield chunk
            call.asked = perf_counter_ns()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


async def watched_async(inner: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
    """The same for an asynchronous iterator; nothing of ours is awaited."""
    try:
        async for chunk in inner:
            yield chunk
            call.asked = perf_counter_ns()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


def after_close(holder: Any, then: Callable[[], None]) -> None:
    """Calls ``then`` once after ``holder`` was closed, by ``close`` or ``aclose``.

    The stand-ins lie on the instance, and go when they have done their work.
    """
    for method in ("close", "aclose"):
        original = getattr(holder, method, None)
        if original is not None:
            make = _then_async if _is_async(original) else _then
            setattr(holder, method, make(original, partial(_let_go, holder, then)))


def _let_go(holder: Any, then: Callable[[], None]) -> None:
    vars(holder).pop("close", None)
    vars(holder).pop("aclose", None)
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
