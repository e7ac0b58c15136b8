"""Observe generators, and context managers made of one, whose call starts at the first step.

The first step is the call itself: our context is attached for it, as for a function's frame.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, copy_context
from itertools import chain
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import CALL_CONTEXTS, find_in_callers, modules_between
from .open_registry import OPEN
from .stream_wrappers import observe, observe_async
from .tracker import PassthroughCall
from .wrappers import wrap_lazy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextvars import Context

    from .tracker import ObservedCall


_CURRENT_DEFERRED: ContextVar[DeferredCall | None] = ContextVar("genai_otel-making", default=None)


class DeferredCall:
    """A call that starts at its first step, but in the context in which it was created.

    Scope and parent are those of where a generator was created, not of where it is read. What is
    created between ``enter`` and ``leave``, and starts later, is inside this call.
    """

    __slots__ = ("_call", "_context", "_given", "_opening", "_token")

    def __init__(
        self,
        opening: Callable[..., ObservedCall | None],
        *given: Any,
        made_in: Context | None = None,
    ) -> None:
        self._opening, self._given = opening, given
        self._context: Context | None = copy_context() if made_in is None else made_in
        self._call: ObservedCall | None = None

    def enter(self) -> None:
        """Mark what is created in this frame as created by this call."""
        self._token = _CURRENT_DEFERRED.set(self)

    def leave(self) -> None:
        """Undo ``enter``, in the same frame."""
        _CURRENT_DEFERRED.reset(self._token)
        del self._token

    def open(self) -> ObservedCall | None:
        """Start the call, once."""
        context, self._context = self._context, None
        opening, given, self._given = self._opening, self._given, ()
        if context is not None:
            self._call = context.run(_start_inside, opening, given)
        return self._call


def _start_inside(
    opening: Callable[..., ObservedCall | None], given: tuple[Any, ...]
) -> ObservedCall | None:
    around = _CURRENT_DEFERRED.get()
    if around is not None and around._call is not None:  # noqa: SLF001 - of the same class
        contained(around._call.active.enter_copied_context)  # noqa: SLF001
    return opening(*given)


def wrap_generator_function(original: Any, opening: Any) -> Any:
    """Wrap a sync or async generator function."""
    modules = modules_between(original)

    def make(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made_in = contained(find_in_callers, modules) if CALL_CONTEXTS else None
        start = DeferredCall(opening, args, kwargs, made_in=made_in)
        start.enter()
        try:
            inner = original(*args, **kwargs)
        finally:
            start.leave()
        return wrap_generator(inner, start.open)

    return wrap_lazy(original, make)


def wrap_generator(inner: Any, opening: Any) -> Any:
    """Wrap a generator, whose first step is the call."""
    outer: Any = (_generator_steps_async if hasattr(inner, "asend") else _generator_steps)(
        inner, opening
    )
    outer.__name__, outer.__qualname__ = inner.__name__, inner.__qualname__
    return outer


def _generator_steps(inner: Any, opening: Any) -> Generator[Any, Any, Any]:
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
        call.handle_error(error)
        raise
    call.leave()
    rest = chain((first,), inner)
    return (yield from contained(_observe_rest, call, inner, rest) or rest)


def without_asyncgen_hooks(begin: Callable[..., Any], *given: Any) -> Any:
    """Start an async generator inside ours, without registering it with the event loop.

    A closing loop closes all registered generators at the same time, and reports those that
    another generator is closing already, as ours closes the inner one.
    """
    hook = sys.get_asyncgen_hooks().firstiter
    sys.set_asyncgen_hooks(firstiter=None)
    try:
        return begin(*given)
    finally:
        sys.set_asyncgen_hooks(firstiter=hook)


async def _generator_steps_async(inner: Any, opening: Any) -> AsyncGenerator[Any, Any]:
    call, rest = opening(), inner
    if call is not None:
        call.enter()  # the first step is the call itself
        try:
            first = await without_asyncgen_hooks(anext, inner)
        except StopAsyncIteration:
            call.leave()
            call.finish()
            return
        except BaseException as error:
            call.leave()
            call.handle_error(error)
            raise
        call.leave()
        rest = _Chain(first, inner)
        rest = contained(_observe_rest, call, inner, rest) or rest
    try:
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()


def _observe_rest(call: ObservedCall, inner: Any, rest: Any) -> Any:
    if type(call) is PassthroughCall:
        return rest
    OPEN.add(call, inner)
    if type(rest) is not _Chain:
        return observe(rest, call)
    call.close_generator = inner.aclose
    return observe_async(rest, call)


class _Chain:
    """Yields one chunk that was read already, then those of ``inner``."""

    __slots__ = ("_first", "_next", "aclose")

    def __init__(self, first: Any, inner: Any) -> None:
        self._first, self._next, self.aclose = [first], inner.__anext__, inner.aclose

    def __aiter__(self) -> _Chain:
        return self

    def __anext__(self) -> Any:
        return _return(self._first.pop()) if self._first else self._next()


async def _return(chunk: Any) -> Any:
    return chunk


# ------------------------------------------------------------------------------------ blocks


def wrap_context_manager(
    block: Any, opening: Any, exchange: Callable[[ObservedCall, Any], None]
) -> None:
    """Observe a ``contextlib`` context manager: the call starts on entry and ends on exit.

    ``exchange`` puts our iterator into what the context manager is entered with.
    """
    inner = getattr(block, "gen", None)
    if hasattr(inner, "asend"):
        block.gen = _managed_steps_async(inner, opening, exchange)
    elif hasattr(inner, "send"):
        block.gen = _managed_steps(inner, opening, exchange)


def _managed_steps(inner: Any, opening: Any, exchange: Any) -> Any:
    call = opening()
    if call is None:
        return (yield from inner)
    call.enter()
    try:
        value = next(inner)
    except BaseException as error:
        call.leave()
        call.handle_error(error)
        raise
    call.leave()
    contained(_replace_iterator, exchange, call, value)
    try:
        yield value
    except BaseException as error:  # noqa: BLE001 - it goes where it was meant to go
        contained(_abandon, call)
        try:
            yield inner.throw(error)
        except StopIteration:
            return
    contained(_abandon, call)
    yield from inner


async def _managed_steps_async(inner: Any, opening: Any, exchange: Any) -> Any:
    call = opening()
    if call is not None:
        call.enter()
    try:
        value = await anext(inner)
    except BaseException as error:
        if call is not None:
            call.leave()
            call.handle_error(error)
        raise
    if call is not None:
        call.leave()
        contained(_replace_iterator, exchange, call, value)
    try:
        yield value
    except BaseException as error:  # noqa: BLE001 - it goes where it was meant to go
        contained(_abandon, call)
        try:
            yield await inner.athrow(error)
        except StopAsyncIteration:
            return
    contained(_abandon, call)
    async for more in inner:
        yield more


def _replace_iterator(exchange: Any, call: ObservedCall, value: Any) -> None:
    if type(call) is not PassthroughCall:
        exchange(call, value)
        if call.key < 0:  # it was entered with something else
            call.finish(completed=None)


def _abandon(call: ObservedCall | None) -> None:
    if call is not None and type(call) is not PassthroughCall:
        OPEN.end(call.key, completed=False)
