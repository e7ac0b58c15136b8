"""The one wrapper around a call, in its two colours."""

from __future__ import annotations

import sys
from contextvars import Context, copy_context
from functools import partial, update_wrapper, wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import CoroutineType, FunctionType
from typing import TYPE_CHECKING, Any
from weakref import ref

from .safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable

    from .observe import Call, Observer

    Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
    Settle = Callable[[Call, Any], Any]
    Make = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def wrap(original: Callable[..., Any], begin: Begin, settle: Settle) -> Callable[..., Any]:
    """``original``, observed: ``begin`` opens a call, ``settle`` is given what came back.

    Both contain their errors. The host's call is the one unguarded line; its arguments, its result
    and its exception pass as they are, unless the host has allowed other arguments to be sent, or
    ``settle`` returns what must stand in the result's place: a watched generator for a generator.
    """

    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
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

    return _in_its_context(original, observed)


def _in_its_context(original: Any, running: Any) -> Callable[..., Any]:
    """Calls ``running`` with the context of the call; its coroutine has the original's name."""
    running.__name__ = getattr(original, "__name__", running.__name__)
    running.__qualname__ = getattr(original, "__qualname__", running.__qualname__)
    between = _between(original)

    def observed(*args: Any, **kwargs: Any) -> Any:
        made_in = contained(_of_callers, between) if _MADE else None
        if made_in is None:  # an empty one is false
            made_in = copy_context()
        return running(made_in, args, kwargs)

    return _marked(observed, original, CO_COROUTINE)


def _between(original: Any) -> tuple[str, ...]:
    """How the modules are named through which a client's own method leads to what is observed."""
    package = str(getattr(original, "__module__", None)).partition(".")[0]
    return f"{package}.", "genai_otel."


class _Made(ref[Any]):
    """A coroutine of a client's own method, and where that was called.

    ``repeats``: more than one observed call may come of it.
    """

    __slots__ = ("context", "key", "repeats")
    context: Context
    key: int
    repeats: bool


_MADE: dict[int, _Made] = {}
"""By the ``id`` of their frame, the oldest first.

A context may lead back to the coroutine: by its task, say, which keeps one that is done. So none is
kept here for longer than it is of use, or the collector would never find that both are garbage.
"""
_MOST = 10_000
_CALLERS = 6


def keep_context(original: Any, _observer: Observer, *, repeats: bool = False) -> Any:
    """A client's own method, whose coroutine leads to an observed one only when it is awaited.

    That one finds the context here by the frames that it is called from. The coroutine itself is
    handed out as it is.
    """
    between = _between(original)

    def method(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        if type(made) is CoroutineType:
            made_in = contained(_of_callers, between) if _MADE else None
            held = _Made(made, _forget)
            held.key, held.repeats = id(made.cr_frame), repeats
            held.context = copy_context() if made_in is None else made_in
            _MADE[held.key] = held
            if repeats or len(_MADE) > _MOST:
                contained(_tidy)
        return made

    return _marked(method, original, lazy_flag(original))


def _forget(gone: _Made) -> None:
    if _MADE.get(gone.key) is gone:  # another frame may be at that address by now
        _MADE.pop(gone.key, None)


def _tidy() -> None:
    key, oldest = next(iter(_MADE.items()))
    if len(_MADE) > _MOST or getattr(oldest(), "cr_frame", None) is None:
        _MADE.pop(key, None)


def _of_callers(between: tuple[str, ...]) -> Context | None:
    """Where the method was called that leads to this call, if nothing else is in between.

    A client may call a function of the program's, which makes calls of its own.
    """
    frame: Any = sys._getframe(3)  # noqa: SLF001 - below contained() and the stand-in
    for _ in range(_CALLERS):
        if frame is None:
            return None
        key = id(frame)
        found = _MADE.get(key)
        if found is not None and getattr(found(), "cr_frame", None) is frame:
            if not found.repeats:
                _MADE.pop(key, None)
            return found.context
        if not str(dict.get(frame.f_globals, "__name__")).startswith(between):
            return None
        frame = frame.f_back
    return None


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

    return _marked(observed, original, lazy_flag(original))


def _marked(function: Any, original: Any, flag: int) -> Callable[..., Any]:
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
