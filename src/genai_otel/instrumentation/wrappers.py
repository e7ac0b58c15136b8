"""The one wrapper around a call, in its two colours."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial, update_wrapper, wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import FunctionType
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import MADE, between, of_callers

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from .tracker import Call

    Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
    Settle = Callable[[Call, Any], Any]
    Make = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def wrap(
    original: Callable[..., Any], begin: Begin, settle: Settle, *, led: bool = False
) -> Callable[..., Any]:
    """``original``, observed: ``begin`` opens a call, ``settle`` is given what came back.

    Both contain their errors. The host's call is the one unguarded line; its arguments, its result
    and its exception pass as they are, unless the host has allowed other arguments to be sent, or
    ``settle`` returns what must stand in the result's place: a watched generator for a generator.
    ``led``: a client's own method may lead to it, and scope and parent are those of that.
    """
    modules = between(original)
    kept = MADE if led else None  # a program's own function may be pickled by value

    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Any:
        made_in = contained(of_callers, modules) if kept else None
        call = begin(args, kwargs) if made_in is None else made_in.run(begin, args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        if call.sent is not None:
            args, kwargs = call.sent
        call.enter()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.leave()
            call.failed(error)
            raise
        call.leave()
        return call.returned(settle, result)

    return observed


def wrap_async(original: Callable[..., Any], begin: Begin, settle: Settle) -> Callable[..., Any]:
    """The same for a coroutine function: scope and parent are those of the call.

    Nothing begins before the first step: a coroutine that is never awaited is no call.
    """

    async def observed(made_in: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = made_in.run(begin, args, kwargs)
        del made_in
        if call is None:
            return await original(*args, **kwargs)
        if call.sent is not None:
            args, kwargs = call.sent
        call.enter()
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            call.leave()
            call.failed(error)
            raise
        call.leave()
        return call.returned(settle, result)

    return in_its_context(original, observed)


def in_its_context(original: Any, running: Any) -> Callable[..., Any]:
    """Calls ``running`` with the context of the call; its coroutine has the original's name."""
    running.__name__ = getattr(original, "__name__", running.__name__)
    running.__qualname__ = getattr(original, "__qualname__", running.__qualname__)
    modules = between(original)

    def observed(*args: Any, **kwargs: Any) -> Any:
        made_in = contained(of_callers, modules) if MADE else None
        if made_in is None:  # an empty one is false
            made_in = copy_context()
        return running(made_in, args, kwargs)

    return marked(observed, original, CO_COROUTINE)


_LAZY = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_CALL = "__call__"


def lazy_flag(function: Any) -> int:
    """The flag of a generator or coroutine function, whose body begins with a step; else 0.

    Also of a partial one, and of an object with such a ``__call__``.
    """
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    code = code or getattr(getattr(type(function), _CALL, None), "__code__", None)
    return int(getattr(code, "co_flags", 0)) & _LAZY


def wrap_lazy(original: Callable[..., Any], make: Make) -> Callable[..., Any]:
    """``original``, a generator or coroutine function, whose calls ``make`` is given.

    A function that runs when it is called, and not at the first step, but still is what it was for
    those who ask: frameworks treat generator and coroutine functions as such. The flag alone tells
    them; ``types.coroutine`` sets one likewise.
    """

    def observed(*args: Any, **kwargs: Any) -> Any:
        return make(original, args, kwargs)

    return marked(observed, original, lazy_flag(original))


def marked(function: Any, original: Any, flag: int) -> Callable[..., Any]:
    """``function`` in the original's name, and of the kind that has this flag."""
    code = function.__code__.replace(co_flags=function.__code__.co_flags | flag)
    marked = FunctionType(code, function.__globals__, closure=function.__closure__)
    named: Callable[..., Any] = update_wrapper(marked, original)
    return named


async def awaited(coroutine: Any, call: Call, settle: Settle) -> Any:
    """The same for a coroutine that is there already, made by the call's plain function."""
    call.enter()
    try:
        result = await coroutine
    except BaseException as error:
        call.leave()
        call.failed(error)
        raise
    call.leave()
    return call.returned(settle, result)
