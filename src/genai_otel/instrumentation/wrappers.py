"""The wrapper around a call, sync and async."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial, update_wrapper, wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import FunctionType
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import CALL_CONTEXTS, find_in_callers, modules_between

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from .tracker import ObservedCall

    Begin = Callable[[tuple[Any, ...], dict[str, Any]], ObservedCall | None]
    HandleResult = Callable[[ObservedCall, Any], Any]
    Make = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def wrap(
    original: Callable[..., Any], begin: Begin, handle_result: HandleResult, *, led: bool = False
) -> Callable[..., Any]:
    """Wrap a function: ``begin`` starts a call, ``handle_result`` is given its result.

    Both contain their errors. The original call is the only unguarded line; its arguments, result
    and exception pass unchanged, unless the host has allowed other arguments to be sent, or
    ``handle_result`` returns a replacement: an observed generator for a generator.
    ``led``: one of the client's own methods may lead to it; scope and parent are those of its call.
    """
    modules = modules_between(original)
    kept = CALL_CONTEXTS if led else None  # a program's own function may be pickled by value

    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Any:
        made_in = contained(find_in_callers, modules) if kept else None
        call = begin(args, kwargs) if made_in is None else made_in.run(begin, args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        if call.replacement_args is not None:
            args, kwargs = call.replacement_args
        call.enter()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.leave()
            call.handle_error(error)
            raise
        call.leave()
        return call.handle_result(handle_result, result)

    return observed


def wrap_async(
    original: Callable[..., Any], begin: Begin, handle_result: HandleResult
) -> Callable[..., Any]:
    """Wrap a coroutine function; scope and parent are those of the call.

    Nothing starts before the first step: a coroutine that is never awaited is not a call.
    """

    async def observed(made_in: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = made_in.run(begin, args, kwargs)
        del made_in
        if call is None:
            return await original(*args, **kwargs)
        if call.replacement_args is not None:
            args, kwargs = call.replacement_args
        call.enter()
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            call.leave()
            call.handle_error(error)
            raise
        call.leave()
        return call.handle_result(handle_result, result)

    return wrap_in_call_context(original, observed)


def wrap_in_call_context(original: Any, running: Any) -> Callable[..., Any]:
    """Call ``running`` with the context of the call; its coroutine has the original's name."""
    running.__name__ = getattr(original, "__name__", running.__name__)
    running.__qualname__ = getattr(original, "__qualname__", running.__qualname__)
    modules = modules_between(original)

    def observed(*args: Any, **kwargs: Any) -> Any:
        made_in = contained(find_in_callers, modules) if CALL_CONTEXTS else None
        if made_in is None:  # an empty one is false
            made_in = copy_context()
        return running(made_in, args, kwargs)

    return copy_identity(observed, original, CO_COROUTINE)


_LAZY_FLAGS = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_CALL = "__call__"


def lazy_flag(function: Any) -> int:
    """Return the code flag of a generator or coroutine function, else 0.

    Also of a partial one, and of an object with such a ``__call__``.
    """
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    code = code or getattr(getattr(type(function), _CALL, None), "__code__", None)
    return int(getattr(code, "co_flags", 0)) & _LAZY_FLAGS


def wrap_lazy(original: Callable[..., Any], make: Make) -> Callable[..., Any]:
    """Wrap a generator or coroutine function, whose calls are given to ``make``.

    The wrapper runs when it is called, not at the first step, but still has the code flag by which
    frameworks recognize such functions; ``types.coroutine`` sets one likewise.
    """

    def observed(*args: Any, **kwargs: Any) -> Any:
        return make(original, args, kwargs)

    return copy_identity(observed, original, lazy_flag(original))


def copy_identity(function: Any, original: Any, flag: int) -> Callable[..., Any]:
    """Return ``function`` with the original's name and this code flag."""
    code = function.__code__.replace(co_flags=function.__code__.co_flags | flag)
    marked = FunctionType(code, function.__globals__, closure=function.__closure__)
    named: Callable[..., Any] = update_wrapper(marked, original)
    return named


async def await_result(coroutine: Any, call: ObservedCall, handle_result: HandleResult) -> Any:
    """Await a coroutine that the call's plain function has returned."""
    call.enter()
    try:
        result = await coroutine
    except BaseException as error:
        call.leave()
        call.handle_error(error)
        raise
    call.leave()
    return call.handle_result(handle_result, result)
