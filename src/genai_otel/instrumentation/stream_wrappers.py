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

    from .tracker import ObservedCall


def observe(inner: Any, call: ObservedCall) -> Iterator[Any]:
    """Iterate ``inner``: its chunks go to the call's accumulator, its end ends the call."""
    call.accumulator()
    return _observe(inner, call, call.waits())


def observe_async(inner: Any, call: ObservedCall) -> AsyncIterator[Any]:
    """The same for an asynchronous iterator; nothing is awaited that the host would not await."""
    call.accumulator()
    return _observe_async(inner, call, call.waits())


# Chunks after which what is held of them is bounded.
_LIMIT_EVERY = 256


def _add_none(_chunk: Any) -> bool | None:
    """Take no chunk: until the first token ``add`` gets each."""
    return None


# The loops are inline, and twice, since further calls for each chunk would cost too much.


def _observe(inner: Iterable[Any], call: ObservedCall, waits: list[float]) -> Iterator[Any]:
    clock, timing = perf_counter, call.op.timing
    asked, taken = timing.started, call.accumulator().added_from_json
    fast: Callable[[Any], bool | None] = _add_none
    try:
        for chunk in inner:
            timing.newest = now = clock()
            waits.append(now - asked)
            if taken[0] is not chunk:
                try:
                    try:
                        token = fast(chunk)
                    except Exception as error:  # noqa: BLE001 - not of the common form, mostly
                        token = None
                        call.note_fast_path_error(error)
                    if not token:
                        fast = call.add_slow(chunk, now) or _add_none
                        if call.hides(chunk):
                            asked = clock()
                            continue
                except Exception as error:  # noqa: BLE001 - the stream goes on; see _support.errors
                    call.note_chunk_error(error)
            if len(waits) == _LIMIT_EVERY:
                contained(call.enforce_limits)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.abandon, call.key)
        _close(inner, call)
        raise
    except BaseException as error:
        contained(_end_with_error, call, error)
        _close(inner, call)
        raise
    contained(OPEN.end, call.key)


async def _observe_async(
    inner: AsyncIterable[Any], call: ObservedCall, waits: list[float]
) -> AsyncIterator[Any]:
    clock, timing = perf_counter, call.op.timing
    asked, taken = timing.started, call.accumulator().added_from_json
    fast: Callable[[Any], bool | None] = _add_none
    try:
        async for chunk in inner:
            timing.newest = now = clock()
            waits.append(now - asked)
            if taken[0] is not chunk:
                try:
                    try:
                        token = fast(chunk)
                    except Exception as error:  # noqa: BLE001 - not of the common form, mostly
                        token = None
                        call.note_fast_path_error(error)
                    if not token:
                        fast = call.add_slow(chunk, now) or _add_none
                        if call.hides(chunk):
                            asked = clock()
                            continue
                except Exception as error:  # noqa: BLE001 - the stream goes on; see _support.errors
                    call.note_chunk_error(error)
            if len(waits) == _LIMIT_EVERY:
                contained(call.enforce_limits)
            yield chunk
            asked = clock()
    except GeneratorExit:
        contained(OPEN.abandon, call.key)
        await call.close_source()
        await _close_async(inner, call)
        raise
    except BaseException as error:
        contained(_end_with_error, call, error)
        await _close_async(inner, call)
        raise
    contained(OPEN.end, call.key)


def _end_with_error(call: ObservedCall, error: BaseException) -> None:
    """End the call; a chunk over which its client raised is added before.

    Not after an interruption, which is no ``Exception``: its chunk may have been added already.
    """
    if isinstance(error, Exception) and OPEN.get(call.key) is call:
        call.add_refused_chunk(error)
    OPEN.end(call.key, error)


_GENERATORS = (GeneratorType, AsyncGeneratorType)


def _close(inner: Any, call: ObservedCall) -> None:
    if type(inner) is GeneratorType and not inner.gi_running and _is_held(call):
        inner.close()


async def _close_async(inner: Any, call: ObservedCall) -> None:
    if type(inner) is AsyncGeneratorType and not inner.ag_running and _is_held(call):
        await inner.aclose()


def _is_held(call: ObservedCall) -> bool:
    """Whether the host still holds our generator, and so has closed it itself.

    One that was dropped is not held: its inner stream is closed when it would have been without us.
    """
    return call.watcher is not None and call.watcher() is not None


def _is_unread_own_iterator(iterator: Any, make: str, holder: Any) -> bool:
    """Whether it is the generator of ``holder.make()`` and has not started.

    Its referents are checked and not its frame, whose locals raise for variables without a value.
    """
    if type(iterator) not in _GENERATORS or iterator.__name__ != make:
        return False
    begun = getattr(iterator, "gi_suspended", getattr(iterator, "ag_suspended", False))
    return not begun and any(each is holder for each in get_referents(iterator))


def _position(generator: Any) -> int:
    """Return an async generator's position: before Python 3.12 nothing else says it has started."""
    return -1 if _HAS_SUSPENDED or type(generator) is GeneratorType else generator.ag_frame.f_lasti


_HAS_SUSPENDED = hasattr(AsyncGeneratorType, "ag_suspended")


def separate_iterator(holder: Any, attribute: str, make: str) -> Any:
    """Return a copy of the stream with an iterator of its own, to be read instead.

    An iterator that refers to its stream forms a cycle with it, so that only the garbage collector
    would notice a dropped stream. The copy takes the stream's place in this cycle: the connection
    is closed no sooner than before, and a dropped stream is noticed at once. Returns ``holder``
    itself if its iterator has started or is not its own.
    """
    iterator = vars(holder)[attribute]
    kind = type(holder)
    if not _is_unread_own_iterator(iterator, make, holder) or hasattr(
        kind, "__del__"
    ):  # seen twice
        return holder
    spare = object.__new__(kind)
    vars(spare).update(vars(holder))
    vars(spare)[attribute] = own = getattr(spare, make)()
    return spare if _position(iterator) == _position(own) else holder
