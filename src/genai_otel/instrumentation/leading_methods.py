"""Stand-ins for a client's own methods, which only lead to what is observed; see ``made_in``."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial, wraps
from inspect import CO_COROUTINE
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import (
    FRAMES,
    LED,
    MADE,
    MOST,
    Awaiting,
    Made,
    between,
    forget,
    keep,
    of_callers,
    run_within,
    tidy,
)
from .wrappers import in_its_context, lazy_flag, marked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Context

    from .tracker import Observer


def keep_context(original: Any, observer: Observer, *, sort: type[Made] = Made) -> Any:
    """A method that hands out a coroutine or a generator, as it is."""
    modules, guard, repeats = between(original), observer.guard, sort.repeats

    def method(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        kind = type(made)
        if kind is CoroutineType and guard.enabled:
            made_in = contained(of_callers, modules, LED) if MADE else None
            if made_in is not LED:
                # As keep() does, without a call of it: most calls come here.
                held = sort(made, forget)
                held.key = key = id(made.cr_frame)
                held.context = copy_context() if made_in is None else made_in
                MADE[key] = held
                if repeats or len(MADE) > MOST:
                    contained(tidy)
        elif kind in FRAMES and guard.enabled:
            contained(keep, made, contained(of_callers, modules) if MADE else None, sort)
        return made

    return marked(method, original, lazy_flag(original))


def keep_stream(original: Any, _observer: Observer, *, sort: type[Made] = Made) -> Any:
    """A coroutine function that returns a generator, in which the calls are made."""

    async def streaming(made_in: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        coroutine = original(*args, **kwargs)
        contained(keep, coroutine, made_in, sort)
        made = await coroutine
        contained(keep, made, made_in, sort)
        return made

    return in_its_context(original, streaming)


def keep_own(names: Iterable[str], original: Any, observer: Observer) -> Any:
    """``__init__`` of an object that has coroutine functions of its own by these names."""

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if observer.guard.enabled:
            contained(_keep_own, names, vars(self), observer)

    return init


def _keep_own(names: Iterable[str], own: dict[str, Any], observer: Observer) -> None:
    for name in names:
        if name in own and lazy_flag(own[name]) == CO_COROUTINE:
            own[name] = keep_context(own[name], observer, sort=Awaiting)


def keep_request(original: Any, observer: Observer) -> Any:
    """``__init__`` of a block, whose first argument makes the request when the block is entered."""

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if args and observer.guard.enabled:
            args = (contained(_kept, args[0]) or args[0], *args[1:])
        original(self, *args, **kwargs)

    return init


def _kept(request: Any) -> Any:
    if type(request) not in FRAMES:
        return partial(run_within, copy_context(), request)
    keep(request, None)
    return request
