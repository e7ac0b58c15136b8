"""The one wrapper around a call, in its two colours."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .observe import Call

    Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
    Settle = Callable[[Call, Any], Any]


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
    """The same for a coroutine function."""

    @wraps(original)
    async def observed(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
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

    return observed


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
