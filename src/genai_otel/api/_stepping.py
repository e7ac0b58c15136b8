"""What goes on after the call of a decorated function: generators, coroutines, futures, responses.

Scope and parent are those of the call, wherever the first step is made. The operation's context is
current while the body runs and never while it waits: each step attaches and detaches in one frame
of ours, so that whatever another task, another thread or the garbage collector finishes leaves
nothing behind.
"""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from functools import partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE
from time import perf_counter
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    coroutine,
)
from typing import TYPE_CHECKING, Any
from weakref import ref

from genai_otel.engine.adapter import Accumulator
from genai_otel.engine.observe import Unwatched
from genai_otel.engine.open_streams import OPEN
from genai_otel.engine.safety import contained
from genai_otel.engine.steps import AtCall, unheard
from genai_otel.record import snapshot
from genai_otel.recorder.context import StepContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from genai_otel.engine.observe import Call
    from genai_otel.engine.wrap import Begin
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
    if _has(kind, "_asyncio_future_blocking"):
        return _future(call, result)
    if kind is tuple and _is_answer(result):
        first = _continued(call, result[0], _STEPPING[type(result[0])](result[0]))
        return (first, *result[1:])
    response = result[0] if kind is tuple and result else result  # Flask: and its status
    body = _body_of(response)
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


_BODIES = (
    ("body_iterator", "status_code"),  # Starlette, FastAPI, sse-starlette
    ("_iterator", "streaming_content"),  # Django
    ("response", "is_streamed"),  # Werkzeug, Flask
    ("response", "iterable_body_class"),  # Quart, whose bodies have it in turn
    ("iterator", "to_asgi_response"),  # Litestar
)
"""Where a streaming response keeps what it will send, and what else such a response has."""


def _body_of(response: Any) -> tuple[Any, str] | None:
    """What has a response's body, if that is still to come, and the attribute's name."""
    found, kind = _attributes(response), type(response)
    for name, mark in _BODIES:
        if name in found and (mark in found or _has(kind, mark)):
            owner, body = response, found[name]
            if _has(type(body), "__aexit__") and "iter" in (inner := _attributes(body)):
                owner, name, body = body, "iter", inner["iter"]  # noqa: PLW2901 - it returns
            sort = type(body)
            there = _has(sort, "__next__") or _has(sort, "__aiter__")
            return (owner, name) if there else None
    return None


def _attributes(value: Any) -> dict[str, Any]:
    """An instance's own, without asking it for them."""
    found: dict[str, Any] = {}
    for base in type(value).__mro__:
        slot = vars(base).get("__dict__")
        if type(slot) is GetSetDescriptorType:
            found.update(slot.__get__(value))
        slot = vars(base).get("iterator")
        if type(slot) is MemberDescriptorType:
            with suppress(AttributeError):
                found["iterator"] = slot.__get__(value)
    return found


def _has(kind: type, name: str) -> bool:
    """Whether a class has that attribute, without asking it: no code of the host's is run."""
    return any(name in vars(base) for base in kind.__mro__)


def _exchange(call: Call, response: Any, name: str) -> bool:
    """Puts what follows the body in its place, if nobody can notice."""
    found = _attributes(response)
    inner = found[name]
    own_end = type(inner) not in _STEPPING and (hasattr(inner, "close") or hasattr(inner, "aclose"))
    if own_end or found.get("file_to_stream") is not None:  # it is closed, or sent, by other ways
        return False
    if type(inner) in _STEPPING:
        made = inner
    else:
        made = _each_async(inner) if hasattr(inner, "__aiter__") else _each(inner)
    setattr(response, name, _continued(call, made, _STEPPING[type(made)](made)))
    return True


def _each(inner: Any) -> Generator[Any, None, None]:
    yield from inner


async def _each_async(inner: Any) -> AsyncGenerator[Any, None]:
    async for item in inner:
        yield item
