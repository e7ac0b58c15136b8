"""Streams observed in place: the host keeps its own object, of its own type.

No context is held while the reader has control: a stream's operation has an explicit parent.
"""

from __future__ import annotations

from gc import get_referents
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained

from .open_registry import OPEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from .tracker import Call


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
    clock, timing = perf_counter, call.op.timing
    asked, taken = timing.started, call.fold().taken
    quick: Callable[[Any], bool | None] = _unlike
    try:
        for chunk in inner:
            timing.newest = now = clock()
            waits.append(now - asked)
            if taken[0] is not chunk:
                try:
                    try:
                        token = quick(chunk)
                    except Exception as error:  # noqa: BLE001 - not of the common form, mostly
                        token = None
                        call.unfit(error)
                    if not token:
                        quick = call.examine(chunk, now) or _unlike
                        if call.hides(chunk):
                            asked = clock()
                            continue
                except Exception as error:  # noqa: BLE001 - the stream goes on; see safety
                    call.stumbled(error)
            if len(waits) == _BETWEEN:
                contained(call.settle)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        _close(inner, call)
        raise
    except BaseException as error:
        contained(_failed, call, error)
        _close(inner, call)
        raise
    contained(OPEN.end, call.key)


async def _watched_async(
    inner: AsyncIterable[Any], call: Call, waits: list[float]
) -> AsyncIterator[Any]:
    clock, timing = perf_counter, call.op.timing
    asked, taken = timing.started, call.fold().taken
    quick: Callable[[Any], bool | None] = _unlike
    try:
        async for chunk in inner:
            timing.newest = now = clock()
            waits.append(now - asked)
            if taken[0] is not chunk:
                try:
                    try:
                        token = quick(chunk)
                    except Exception as error:  # noqa: BLE001 - not of the common form, mostly
                        token = None
                        call.unfit(error)
                    if not token:
                        quick = call.examine(chunk, now) or _unlike
                        if call.hides(chunk):
                            asked = clock()
                            continue
                except Exception as error:  # noqa: BLE001 - the stream goes on; see safety
                    call.stumbled(error)
            if len(waits) == _BETWEEN:
                contained(call.settle)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.leave, call.key)
        await call.close_source()
        await _close_async(inner, call)
        raise
    except BaseException as error:
        contained(_failed, call, error)
        await _close_async(inner, call)
        raise
    contained(OPEN.end, call.key)


def _failed(call: Call, error: BaseException) -> None:
    """Ends the call; what its client had of a chunk that it refused is taken before.

    An interruption, which is no ``Exception``, may come after a chunk that was taken.
    """
    if isinstance(error, Exception) and OPEN.get(call.key) is call:
        call.refused(error)
    OPEN.end(call.key, error)


_GENERATORS = (GeneratorType, AsyncGeneratorType)


def _close(inner: Any, call: Call) -> None:
    if type(inner) is GeneratorType and not inner.gi_running and _is_held(call):
        inner.close()


async def _close_async(inner: Any, call: Call) -> None:
    if type(inner) is AsyncGeneratorType and not inner.ag_running and _is_held(call):
        await inner.aclose()


def _is_held(call: Call) -> bool:
    """Whether somebody closes the stream's generator, or throws into it, who has a hold of it.

    Nobody has of one that was dropped: what it reads is closed when it would have been without us.
    """
    return call.watcher is not None and call.watcher() is not None


def _is_its_own(iterator: Any, make: str, holder: Any) -> bool:
    """Whether it is the generator that ``holder.make()`` returned, and is neither read nor done.

    What it refers to is asked for, since a frame that is looked into makes an error for each
    variable that has no value yet.
    """
    if type(iterator) not in _GENERATORS or iterator.__name__ != make:
        return False
    begun = getattr(iterator, "gi_suspended", getattr(iterator, "ag_suspended", False))
    return not begun and any(each is holder for each in get_referents(iterator))


def _stands_at(generator: Any) -> int:
    """Where it goes on, of an asynchronous one: before Python 3.12 none tells that it has begun."""
    return -1 if _TELLS or type(generator) is GeneratorType else generator.ag_frame.f_lasti


_TELLS = hasattr(AsyncGeneratorType, "ag_suspended")


def apart(holder: Any, attribute: str, make: str) -> Any:
    """What has the iterator of ``holder`` that shall be read: a copy with one of its own.

    An iterator that refers to its stream forms a cycle with it, and it would take the collector to
    find that the stream was dropped. The copy takes the stream's place in this cycle, so that the
    connection is closed no sooner than it would have been, while the stream's end is seen at once.
    Of an iterator that was read from, or is not the stream's own, it is ``holder`` itself.
    """
    iterator = vars(holder)[attribute]
    kind = type(holder)
    if not _is_its_own(iterator, make, holder) or hasattr(kind, "__del__"):  # seen twice
        return holder
    spare = object.__new__(kind)
    vars(spare).update(vars(holder))
    vars(spare)[attribute] = own = getattr(spare, make)()
    return spare if _stands_at(iterator) == _stands_at(own) else holder
