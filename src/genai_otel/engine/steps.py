"""What is begun by its first step: generators, and blocks that are made of one.

The first step is the call itself: our context is there for it, as for a function's own frame.
"""

from __future__ import annotations

from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any

from .observe import Unwatched
from .open_streams import OPEN
from .safety import contained
from .streams import watched, watched_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from .observe import Call


def generating(original: Any, opening: Any) -> Any:
    """A generator function in the original's place; ``opening`` is given its arguments."""

    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = original(*args, **kwargs)  # first: it may not take these arguments
        call = opening(args, kwargs)
        if call is None:
            return (yield from inner)
        call.enter()  # the first step is the call itself
        try:
            first = next(inner)
        except StopIteration as end:
            call.leave()
            call.finish()
            return end.value
        except BaseException as error:
            call.leave()
            call.failed(error)
            raise
        call.leave()
        rest = chain((first,), inner)
        return (yield from contained(_watched_rest, call, inner, rest) or rest)

    return observed


def generating_async(original: Any, opening: Any) -> Any:
    """The same for an asynchronous one."""

    @wraps(original)
    async def observed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = original(*args, **kwargs)  # first: it may not take these arguments
        call, rest = opening(args, kwargs), inner
        if call is not None:
            call.enter()  # the first step is the call itself
            try:
                first = await anext(inner)
            except StopAsyncIteration:
                call.leave()
                call.finish()
                return
            except BaseException as error:
                call.leave()
                call.failed(error)
                raise
            call.leave()
            rest = _Chain(first, inner)
            rest = contained(_watched_rest, call, inner, rest) or rest
        try:
            async for chunk in rest:
                yield chunk
        finally:
            await rest.aclose()

    return observed


def _watched_rest(call: Call, inner: Any, rest: Any) -> Any:
    if type(call) is Unwatched:
        return rest
    OPEN.add(call, inner)
    if type(rest) is not _Chain:
        return watched(rest, call)
    call.closing = inner.aclose
    return watched_async(rest, call)


class _Chain:
    """One chunk that is there already, then those of ``inner``."""

    __slots__ = ("_first", "_next", "aclose")

    def __init__(self, first: Any, inner: Any) -> None:
        self._first, self._next, self.aclose = [first], inner.__anext__, inner.aclose

    def __aiter__(self) -> _Chain:
        return self

    def __anext__(self) -> Any:
        return _given(self._first.pop()) if self._first else self._next()


async def _given(chunk: Any) -> Any:
    return chunk


# ------------------------------------------------------------------------------------ blocks


def manage(block: Any, opening: Any, exchange: Callable[[Call, Any], None]) -> None:
    """Observes a block that ``contextlib`` made of a generator: entered it begins, left it ends.

    ``exchange`` puts our iterator in what the block is entered with.
    """
    inner = getattr(block, "gen", None)
    if hasattr(inner, "asend"):
        block.gen = _managed_async(inner, opening, exchange)
    elif hasattr(inner, "send"):
        block.gen = _managed(inner, opening, exchange)


def _managed(inner: Any, opening: Any, exchange: Any) -> Any:
    call = opening()
    if call is None:
        return (yield from inner)
    call.enter()
    try:
        value = next(inner)
    except BaseException as error:
        call.leave()
        call.failed(error)
        raise
    call.leave()
    contained(_exchanged, exchange, call, value)
    try:
        yield value
    except BaseException as error:  # noqa: BLE001 - it goes where it was meant to go
        contained(_left, call)
        try:
            yield inner.throw(error)
        except StopIteration:
            return
    contained(_left, call)
    yield from inner


async def _managed_async(inner: Any, opening: Any, exchange: Any) -> Any:
    call = opening()
    if call is not None:
        call.enter()
    try:
        value = await anext(inner)
    except BaseException as error:
        if call is not None:
            call.leave()
            call.failed(error)
        raise
    if call is not None:
        call.leave()
        contained(_exchanged, exchange, call, value)
    try:
        yield value
    except BaseException as error:  # noqa: BLE001 - it goes where it was meant to go
        contained(_left, call)
        try:
            yield await inner.athrow(error)
        except StopAsyncIteration:
            return
    contained(_left, call)
    async for more in inner:
        yield more


def _exchanged(exchange: Any, call: Call, value: Any) -> None:
    if type(call) is not Unwatched:
        exchange(call, value)
        if call.key < 0:  # it was entered with something else
            call.finish(completed=None)


def _left(call: Call | None) -> None:
    if call is not None and type(call) is not Unwatched:
        OPEN.end(call.key, completed=False)
