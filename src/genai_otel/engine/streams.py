"""Streams observed in place: the host keeps its own object, of its own type.

No context is held while the reader has control: a stream's operation has an explicit parent.
"""

from __future__ import annotations

import inspect
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from .open_streams import OPEN
from .safety import contained

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Callable,
        Iterable,
        Iterator,
        Sequence,
    )

    from .observe import Call


def watched(inner: Any, call: Call) -> Iterator[Any]:
    """``inner``, whose chunks go to the call's accumulator and whose end ends the call."""
    call.fold()
    return _watched(inner, call, call.waits())


def watched_async(inner: Any, call: Call) -> AsyncIterator[Any]:
    """The same for an asynchronous iterator; nothing is awaited that the host would not await."""
    call.fold()
    return _watched_async(inner, call, call.waits())


_BETWEEN = 256
"""Chunks until what is held of them is bounded."""


def _unlike(_chunk: Any) -> bool | None:
    """Takes no chunk: until the first token each is looked at."""
    return None


# The loops stand in one piece, and twice, since calls for each chunk would cost.


def _watched(inner: Iterable[Any], call: Call, waits: list[float]) -> Iterator[Any]:
    clock, keep, timing = perf_counter, waits.append, call.op.timing
    asked: float = timing.started
    quick: Callable[[Any], bool | None] = _unlike
    try:
        for chunk in inner:
            try:
                timing.newest = now = clock()
                keep(now - asked)
                try:
                    token = quick(chunk)
                except Exception:  # noqa: BLE001 - not of the common form
                    token = None
                if not token:
                    quick = call.examine(chunk, now) or _unlike
                    if call.hides(chunk):
                        asked = clock()
                        continue
                if len(waits) == _BETWEEN:
                    call.settle()
            except Exception as error:  # noqa: BLE001 - the stream goes on; see safety
                call.stumbled(error)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


async def _watched_async(
    inner: AsyncIterable[Any], call: Call, waits: list[float]
) -> AsyncIterator[Any]:
    clock, keep, timing = perf_counter, waits.append, call.op.timing
    asked: float = timing.started
    quick: Callable[[Any], bool | None] = _unlike
    try:
        async for chunk in inner:
            try:
                timing.newest = now = clock()
                keep(now - asked)
                try:
                    token = quick(chunk)
                except Exception:  # noqa: BLE001 - not of the common form
                    token = None
                if not token:
                    quick = call.examine(chunk, now) or _unlike
                    if call.hides(chunk):
                        asked = clock()
                        continue
                if len(waits) == _BETWEEN:
                    call.settle()
            except Exception as error:  # noqa: BLE001 - the stream goes on; see safety
                call.stumbled(error)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        if call.closing is not None:
            await call.closing()
        raise
    except BaseException as error:
        contained(OPEN.end, call.key, error)
        raise
    contained(OPEN.end, call.key)


def around(
    holder: Any,
    methods: Sequence[str],
    before: Callable[[tuple[Any, ...], dict[str, Any]], None] | None,
    after: Callable[[BaseException | None, Any], None],
) -> Callable[[], None]:
    """Calls ``before`` and ``after`` around these methods of ``holder``.

    ``before`` is given the arguments; ``after`` what was raised, and what was returned.

    The stand-ins lie on the instance, until what is returned here is called. They hold ``holder``,
    so that it takes the garbage collector to find it; nothing else does.
    """
    placed: dict[str, Any] = {}
    for method in methods:
        original = getattr(holder, method, None)
        if original is not None:
            make = _around_async if _is_async(original) else _around
            placed[method] = make(original, before, after)
            setattr(holder, method, placed[method])
    return partial(_let_go, ref(holder), {name: ref(each) for name, each in placed.items()})


def _let_go(holder: Any, placed: dict[str, Any]) -> None:
    """Takes back what is still ours; what others have put over it stays."""
    fields = getattr(holder(), "__dict__", {})
    for method, stand_in in placed.items():
        ours = stand_in()
        if ours is not None and fields.get(method) is ours:
            del fields[method]


def _is_async(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


_SHOWN = ("__name__", "__qualname__", "__doc__")
"""What a stand-in takes over: one is made for each stream, and the rest costs as much as this."""


def _around(original: Any, before: Any, after: Any) -> Callable[..., Any]:
    @wraps(original, _SHOWN, ())
    def call(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            contained(before, args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            contained(after, error, None)
            raise
        contained(after, None, result)
        return result

    return call


def _around_async(original: Any, before: Any, after: Any) -> Callable[..., Any]:
    @wraps(original, _SHOWN, ())
    async def call(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            contained(before, args, kwargs)
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            contained(after, error, None)
            raise
        contained(after, None, result)
        return result

    return call
