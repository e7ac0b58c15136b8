"""Wrappers of a client's methods that only lead to observed ones; see ``call_context``."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial, wraps
from inspect import CO_COROUTINE
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .call_context import (
    CALL_CONTEXTS,
    FRAMES,
    KEPT_BY_CALLER,
    MAX_CONTEXTS,
    AwaitingCallContext,
    CallContext,
    drop_oldest,
    find_in_callers,
    forget,
    keep,
    modules_between,
    run_within,
)
from .wrappers import copy_identity, lazy_flag, wrap_in_call_context

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Context

    from .tracker import CallTracker


def keep_context(
    original: Any, tracker: CallTracker, *, sort: type[CallContext] = CallContext
) -> Any:
    """Wrap a method that returns a coroutine or a generator, which stays as it is."""
    modules, guard, repeats = modules_between(original), tracker.guard, sort.repeats

    def method(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        kind = type(made)
        if kind is CoroutineType and guard.enabled:
            made_in = contained(find_in_callers, modules, KEPT_BY_CALLER) if CALL_CONTEXTS else None
            if made_in is not KEPT_BY_CALLER:
                # As keep() does, without a call of it: most calls come here.
                held = sort(made, forget)
                held.key = key = id(made.cr_frame)
                held.context = copy_context() if made_in is None else made_in
                CALL_CONTEXTS[key] = held
                if repeats or len(CALL_CONTEXTS) > MAX_CONTEXTS:
                    contained(drop_oldest)
        elif kind in FRAMES and guard.enabled:
            contained(
                keep, made, contained(find_in_callers, modules) if CALL_CONTEXTS else None, sort
            )
        return made

    return copy_identity(method, original, lazy_flag(original))


def keep_stream(
    original: Any, _tracker: CallTracker, *, sort: type[CallContext] = CallContext
) -> Any:
    """Wrap a coroutine function that returns a generator, in which the calls are made."""

    async def streaming(made_in: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        coroutine = original(*args, **kwargs)
        contained(keep, coroutine, made_in, sort)
        made = await coroutine
        contained(keep, made, made_in, sort)
        return made

    return wrap_in_call_context(original, streaming)


def keep_own(names: Iterable[str], original: Any, tracker: CallTracker) -> Any:
    """Wrap ``__init__`` of an object that gets coroutine functions by these names."""

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if tracker.guard.enabled:
            contained(_keep_own, names, vars(self), tracker)

    return init


def _keep_own(names: Iterable[str], own: dict[str, Any], tracker: CallTracker) -> None:
    for name in names:
        if name in own and lazy_flag(own[name]) == CO_COROUTINE:
            own[name] = keep_context(own[name], tracker, sort=AwaitingCallContext)


def keep_request(original: Any, tracker: CallTracker) -> Any:
    """Wrap ``__init__`` of a context manager whose first argument makes the request on entry."""

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if args and tracker.guard.enabled:
            args = (contained(_keep_block_request, args[0]) or args[0], *args[1:])
        original(self, *args, **kwargs)

    return init


def _keep_block_request(request: Any) -> Any:
    if type(request) not in FRAMES:
        return partial(run_within, copy_context(), request)
    keep(request, None)
    return request
