"""What goes on after the call of a decorated function: generators, coroutines, futures, responses.

Scope and parent are those of the call, wherever the first step is made. The operation's context is
current while the body runs and never while it waits: each step attaches and detaches in one frame
of ours, so that whatever another task, another thread or the garbage collector finishes leaves
nothing behind.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from functools import partial, wraps
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE
from time import perf_counter
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    coroutine,
)
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from genai_otel._support.errors import contained
from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.generators import AtCall, unheard
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.tracker import Unwatched
from genai_otel.record import snapshot
from genai_otel.recorder.context import StepContext

from ._bodies import attributes, body_of, each, each_async, has, makes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from genai_otel.instrumentation.tracker import Call
    from genai_otel.instrumentation.wrappers import Begin
    from genai_otel.record import Operation

_ITEMS_KEPT = 1_000
_SIZE_KEPT = 262_144


class Items(Accumulator):
    """What a generator gave, bounded; ``read`` takes it as the result."""

    def __init__(self, read: Callable[[Any, Operation], None], op: Operation) -> None:
        super().__init__(op)
        self._read = read
        self._items: list[Any] = []
        self._size = self.count = 0

    def add(self, item: Any) -> bool:
        self.count += 1
        if self._op.capture and len(self._items) < _ITEMS_KEPT and self._size < _SIZE_KEPT:
            plain = type(item) in (str, bytes)
            self._size += len(item) if plain else 0
            self._items.append(item if plain else snapshot(item, nodes=100))
        return False

    def close(self) -> None:
        if self._items:
            self._read(_joined(self._items), self._op)


def _joined(items: list[Any]) -> Any:
    """Texts are one text, encoded ones too."""
    sort = type(items[0])
    if any(type(item) is not sort for item in items) or sort not in (str, bytes):
        return [snapshot(item) for item in items]
    if sort is str:
        return "".join(items)
    try:
        return b"".join(items).decode()
    except UnicodeDecodeError:
        return [snapshot(item) for item in items]


# -------------------------------------------------------------------------------------- the start


class Lazily:
    """Calls a function whose body begins with a step: a generator or coroutine function.

    No closure, so that decorated functions can be pickled by value.
    """

    def __init__(self, begin: Begin, flag: int) -> None:
        self._begin, self._flag = begin, flag

    def __call__(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        start = contained(AtCall, self._begin, args, kwargs)
        if start is None:
            return original(*args, **kwargs)
        contained(start.enter)
        try:
            made = original(*args, **kwargs)
        finally:
            contained(start.leave)
        return contained(self._later, start, made) or made

    def _later(self, start: AtCall, made: Any) -> Any:
        steps = _Steps(made, start.open)
        outer = _outer(steps, self._flag)
        if type(made) is not CoroutineType:  # of which nobody knows how long they may wait
            steps.watcher = ref(outer)
        return outer


class _Steps:
    """What makes the steps, and the call that they belong to, once it is open."""

    __slots__ = ("_opening", "handed_out", "made", "watcher")
    handed_out: bool

    def __init__(self, made: Any, opening: Callable[[], Call | None]) -> None:
        self.made = made
        self._opening: Callable[[], Call | None] | None = opening
        self.watcher: Any = None

    def open(self) -> Call | None:
        """The first step is made."""
        opening, self._opening = self._opening, None
        call = None if opening is None else opening()
        if self.watcher is not None:
            _watch(call, self.watcher)
        return call

    def __del__(self) -> None:
        """Of a coroutine that is never awaited Python complains once: of the outer one."""
        waits = getattr(self, "handed_out", False) and self._opening is not None
        if waits and type(self.made) is CoroutineType:
            self.made.close()


# -------------------------------------------------------------------------------------- the steps


def _step(body: StepContext | None, step: Any, given: list[Any]) -> Any:
    """What is thrown has this frame in its traceback: nothing of ours may hold it, or it stays."""
    if body is not None:
        contained(body.enter)
    try:
        return step(given.pop())
    finally:
        step = None
        if body is not None:
            contained(body.leave)


def _generator(steps: _Steps) -> Generator[Any, Any, Any]:
    made, call = steps.made, contained(steps.open)
    body, add = contained(_body, call) or _NOBODY
    step = made.send
    given: list[Any] = [None]
    try:
        while True:  # no "yield from", which would not pass on all that is thrown
            item = _step(body, step, given)
            if add is not None:
                contained(add, item)
            try:
                given.append((yield item))
                step = made.send
            except BaseException as thrown:  # noqa: BLE001 - it goes where it was meant to go
                given.append(thrown)
                step = made.throw
    except StopIteration as stop:
        contained(_end, call)
        return stop.value
    except BaseException as error:
        contained(_end, call, error)
        raise


_awaitable_generator = coroutine(FunctionType(_generator.__code__, globals()))


async def _async_generator(steps: _Steps) -> AsyncGenerator[Any, Any]:
    made, call = steps.made, contained(steps.open)
    body, add = contained(_body, call) or _NOBODY
    step: Any = partial(unheard, made.asend)
    given: list[Any] = [None]
    try:
        while True:
            item = await _awaitable(step(given.pop()), body)
            if add is not None:
                contained(add, item)
            try:
                given.append((yield item))
                step = made.asend
            except BaseException as thrown:  # noqa: BLE001 - it goes where it was meant to go
                given.append(thrown)
                step = made.athrow
    except StopAsyncIteration:
        contained(_end, call)
    except BaseException as error:
        contained(_end, call, error)
        raise


@coroutine
def _awaitable(steps: Any, body: StepContext | None) -> Generator[Any, Any, Any]:
    """Awaits ``steps``, whose own steps are each in the body's context."""
    step = steps.send
    given: list[Any] = [None]
    try:
        while True:
            try:
                item = _step(body, step, given)
            except StopIteration as stop:
                return stop.value
            try:
                given.append((yield item))
                step = steps.send
            except BaseException as thrown:  # noqa: BLE001 - it goes where it was meant to go
                given.append(thrown)
                step = steps.throw
    finally:
        steps = step = None  # ``athrow()`` holds what is thrown


async def _coroutine(steps: _Steps) -> Any:
    made, call = steps.made, contained(steps.open)
    if call is None:
        return await made
    body, _ = contained(_body, call) or _NOBODY
    try:
        result = await _awaitable(made, body)
    except BaseException as error:
        contained(_end, call, error)
        raise
    contained(OPEN.release, call)
    return call.returned(settle, result)


_OUTER: dict[int, Callable[[Any], Any]] = {
    CO_GENERATOR: _generator,
    CO_GENERATOR | CO_ITERABLE_COROUTINE: _awaitable_generator,
    CO_COROUTINE: _coroutine,
    CO_ASYNC_GENERATOR: _async_generator,
}


def _outer(steps: _Steps, flag: int) -> Any:
    """What is handed out: of that kind, and named like what it stands for."""
    outer, like = _OUTER[flag](steps), steps.made
    outer.__name__ = getattr(like, "__name__", outer.__name__)
    outer.__qualname__ = getattr(like, "__qualname__", outer.__qualname__)
    steps.handed_out = True
    return outer


_NOBODY: tuple[None, None] = (None, None)


def _body(call: Call | None) -> tuple[StepContext, Callable[[Any], Any] | None] | None:
    """Where its steps are made, and what takes the items."""
    if call is None:
        return None
    add = None if type(call) is Unwatched else call.fold().add
    return StepContext(call.active), add


def _watch(call: Call | None, watcher: Any) -> None:
    """From here on it may be ended by whatever ends streams: when it is dropped, or at exit."""
    if call is None or type(call) is Unwatched:
        return
    items: Any = call.fold()
    call.watcher, call.pulse = watcher, lambda: items.count
    OPEN.add(call, call)


def _end(call: Call | None, error: BaseException | None = None) -> None:
    if call is None or type(call) is Unwatched:
        return
    OPEN.release(call)
    if not OPEN.later(partial(call.finish, error)):
        call.finish(error)


# ------------------------------------------------------------------------- told from what came back


def settle(call: Call, result: Any) -> Any:
    """Takes what the function returned; what is returned here is handed out in its place."""
    kind = type(result)
    if kind in _STEPPING:
        return _continued(call, result, _STEPPING[kind](result))
    if has(kind, "_asyncio_future_blocking"):
        return _future(call, result)
    if kind is tuple and _is_answer(result):
        first = _continued(call, result[0], _STEPPING[type(result[0])](result[0]))
        return (first, *result[1:])
    response = result[0] if kind is tuple and result else result  # Flask: and its status
    body = body_of(response)
    if body is None:
        call.reply(result)
    if body is None or not _exchange(call, *body):
        call.finish()
    return None


_STEPPING: dict[type, Callable[[Any], int]] = {
    GeneratorType: lambda made: made.gi_code.co_flags & (CO_GENERATOR | CO_ITERABLE_COROUTINE),
    AsyncGeneratorType: lambda _: CO_ASYNC_GENERATOR,
    CoroutineType: lambda _: CO_COROUTINE,
}


def _is_answer(result: tuple[Any, ...]) -> bool:
    """Flask's and Quart's: a body that is still to come, and its status."""
    kinds = [type(each) for each in result[:2]]
    return kinds[1:] == [int] and kinds[0] in (GeneratorType, AsyncGeneratorType)


def _continued(call: Call, made: Any, flag: int) -> Any:
    outer = _outer(_Steps(made, lambda: call), flag)
    contained(_keep, call, outer, flag)
    return outer


def _keep(call: Call, outer: Any, flag: int) -> None:
    _watch(call, ref(outer))
    if flag & CO_COROUTINE:  # nobody knows how long it may wait
        call.pulse = perf_counter
    OPEN.hold(call, outer)


def _future(call: Call, future: Any) -> None:
    """The host's own is handed out; it is asked for nothing that would count as having looked."""
    _watch(call, None)
    call.pulse = perf_counter
    OPEN.hold(call, future)
    future.add_done_callback(partial(_done, call))


def _done(call: Call, future: Any) -> None:
    error = CancelledError() if future.cancelled() else getattr(future, "_exception", None)
    if error is None:
        contained(call.reply, future.result())
    contained(_end, call, error)


def _exchange(call: Call, response: Any, name: str) -> bool:
    """Puts what follows the body in its place, if nobody can notice."""
    found = attributes(response)
    if found.get("file_to_stream") is not None:  # it is sent by other ways
        return False
    inner = found[name]
    ours = _made_later(call, inner) if makes(inner) else _following(call, inner)
    if ours is not None:
        setattr(response, name, ours)
    return ours is not None


def _following(call: Call, inner: Any) -> Any:
    """What hands on the body's parts; nothing, if that has an end of its own."""
    if type(inner) in _STEPPING:
        made = inner
    elif hasattr(inner, "close") or hasattr(inner, "aclose"):
        return None
    else:
        made = each_async(inner) if hasattr(inner, "__aiter__") else each(inner)
    return _continued(call, made, _STEPPING[type(made)](made))


_MOST_UNSENT = 100
_TO_MAKE: WeakKeyDictionary[Any, deque[Call]] = WeakKeyDictionary()
"""By our function in a response: the calls that have returned this and are not sent yet."""


def _made_later(call: Call, make: Callable[[], Any]) -> Callable[[], Any]:
    """The function that makes the body, in whose next use the call goes on.

    A response that has one may be returned, and sent, again and again.
    """
    ours = make if type(make) is FunctionType and make in _TO_MAKE else _making(make)
    _watch(call, None)
    call.pulse = perf_counter  # nobody knows how long it may wait
    OPEN.hold(call, ours)
    _TO_MAKE[ours].append(call)
    return ours


def _making(make: Callable[[], Any]) -> Callable[[], Any]:
    waiting: deque[Call] = deque(maxlen=_MOST_UNSENT)

    @wraps(make)
    def made() -> Any:
        call = contained(_newest, waiting)
        return make() if call is None else _made_now(call, make)

    _TO_MAKE[made] = waiting
    return made


def _newest(waiting: deque[Call]) -> Call | None:
    call = waiting.pop() if waiting else None
    return call if call is not None and OPEN.get(call.key) is call else None


def _made_now(call: Call, make: Callable[[], Any]) -> Any:
    body = contained(StepContext, call.active)
    try:
        made = _step(body, lambda _: make(), [None])
    except BaseException as error:
        contained(_end, call, error)
        raise
    return contained(_followed, call, made) or made


def _followed(call: Call, made: Any) -> Any:
    OPEN.release(call)
    ours = None
    if has(type(made), "__next__") or has(type(made), "__aiter__"):
        ours = _following(call, made)
    else:
        call.reply(made)
    if ours is None:
        call.finish()
    return ours
