"""What is begun by its first step: generators, and blocks that are made of one.

The first step is the call itself: our context is there for it, as for a function's own frame.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, copy_context
from itertools import chain
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import MADE, between, of_callers
from .open_registry import OPEN
from .stream_wrappers import watched, watched_async
from .tracker import Unwatched
from .wrappers import wrap_lazy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextvars import Context

    from .tracker import Call


_MAKING: ContextVar[AtCall | None] = ContextVar("genai_otel-making", default=None)


class AtCall:
    """A call that begins with a step: opened then, but in the context that it was made in.

    Scope and parent are those of where a generator was made, not of where it happens to be read.
    What is made between ``enter`` and ``leave``, and begins later, is inside this call.
    """

    __slots__ = ("_call", "_context", "_given", "_opening", "_token")

    def __init__(
        self, opening: Callable[..., Call | None], *given: Any, made_in: Context | None = None
    ) -> None:
        self._opening, self._given = opening, given
        self._context: Context | None = copy_context() if made_in is None else made_in
        self._call: Call | None = None

    def enter(self) -> None:
        """What is made in this frame is made by this call."""
        self._token = _MAKING.set(self)

    def leave(self) -> None:
        """Undoes ``enter``, in the same frame."""
        _MAKING.reset(self._token)
        del self._token

    def open(self) -> Call | None:
        """Opens the call, once."""
        context, self._context = self._context, None
        opening, given, self._given = self._opening, self._given, ()
        if context is not None:
            self._call = context.run(_open_inside, opening, given)
        return self._call


def _open_inside(opening: Callable[..., Call | None], given: tuple[Any, ...]) -> Call | None:
    around = _MAKING.get()
    if around is not None and around._call is not None:  # noqa: SLF001 - of the same class
        contained(around._call.active.stay)  # noqa: SLF001
    return opening(*given)


def generating(original: Any, opening: Any) -> Any:
    """A generator function of either colour in the original's place."""
    modules = between(original)

    def make(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made_in = contained(of_callers, modules) if MADE else None
        start = AtCall(opening, args, kwargs, made_in=made_in)
        start.enter()
        try:
            inner = original(*args, **kwargs)
        finally:
            start.leave()
        return by_steps(inner, start.open)

    return wrap_lazy(original, make)


def by_steps(inner: Any, opening: Any) -> Any:
    """A generator in the place of ``inner``, whose first step is the call."""
    outer: Any = (_generated_async if hasattr(inner, "asend") else _generated)(inner, opening)
    outer.__name__, outer.__qualname__ = inner.__name__, inner.__qualname__
    return outer


def _generated(inner: Any, opening: Any) -> Generator[Any, Any, Any]:
    call = opening()
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


def unheard(begin: Callable[..., Any], *given: Any) -> Any:
    """Begins an asynchronous generator inside of ours, of which the event loop is not told.

    A loop that is closed closes all generators that it was told of at the same time, and complains
    of those that another one is closing already, as ours closes the one inside.
    """
    hook = sys.get_asyncgen_hooks().firstiter
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        return begin(*given)
    finally:
        sys.set_asyncgen_hooks(firstiter=hook)


async def _generated_async(inner: Any, opening: Any) -> AsyncGenerator[Any, Any]:
    call, rest = opening(), inner
    if call is not None:
        call.enter()  # the first step is the call itself
        try:
            first = await unheard(anext, inner)
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
