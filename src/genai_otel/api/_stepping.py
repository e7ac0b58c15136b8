"""Observe decorated functions that continue after the call: generators, futures, responses.

Scope and parent are those of the call, wherever the first step is made. The operation's context is
attached while the body runs and never while it waits: each step attaches and detaches in one frame,
so no context stays attached, whichever task, thread or garbage collection ends the body.
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
from genai_otel.instrumentation.generators import DeferredCall, without_asyncgen_hooks
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.tracker import PassthroughCall
from genai_otel.record import snapshot
from genai_otel.recorder.context import StepContext

from ._bodies import attributes, body_of, each, each_async, has, makes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from genai_otel.instrumentation.tracker import ObservedCall
    from genai_otel.instrumentation.wrappers import Begin
    from genai_otel.record import Operation

_ITEMS_KEPT = 1_000
_SIZE_KEPT = 262_144


class ItemAccumulator(Accumulator):
    """Keep a bounded number of a generator's items; pass them to ``read`` as the result."""

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

    def finish(self) -> None:
        if self._items:
            self._read(_join_items(self._items), self._op)


def _join_items(items: list[Any]) -> Any:
    """Join texts, or UTF-8 bytes, into one text; return other items as a list of snapshots."""
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


class LazyStart:
    """Call a generator or coroutine function, whose body starts with the first step.

    Not a closure, so that decorated functions can be pickled by value.
    """

    def __init__(self, begin: Begin, flag: int) -> None:
        self._begin, self._flag = begin, flag

    def __call__(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        start = contained(DeferredCall, self._begin, args, kwargs)
        if start is None:
            return original(*args, **kwargs)
        contained(start.enter)
        try:
            made = original(*args, **kwargs)
        finally:
            contained(start.leave)
        return contained(self._later, start, made) or made

    def _later(self, start: DeferredCall, made: Any) -> Any:
        steps = _Steps(made, start.open)
        outer = _wrap_steps(steps, self._flag)
        if type(made) is not CoroutineType:  # a coroutine may wait for any length of time
            steps.watcher = ref(outer)
        return outer


class _Steps:
    """The inner generator or coroutine, and the observed call, which starts at the first step."""

    __slots__ = ("_opening", "handed_out", "made", "watcher")
    handed_out: bool

    def __init__(self, made: Any, opening: Callable[[], ObservedCall | None]) -> None:
        self.made = made
        self._opening: Callable[[], ObservedCall | None] | None = opening
        self.watcher: Any = None

    def open(self) -> ObservedCall | None:
        """Start the call, at the first step."""
        opening, self._opening = self._opening, None
        call = None if opening is None else opening()
        if self.watcher is not None:
            _register(call, self.watcher)
        return call

    def __del__(self) -> None:
        """Close a never awaited inner coroutine: Python warns only of the outer one."""
        waits = getattr(self, "handed_out", False) and self._opening is not None
        if waits and type(self.made) is CoroutineType:
            self.made.close()


# -------------------------------------------------------------------------------------- the steps


def _step(body: StepContext | None, step: Any, given: list[Any]) -> Any:
    """Make one step in its context; hold no thrown exception, since it refers to this frame."""
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
    body, add = contained(_step_context, call) or _UNOBSERVED
    step = made.send
    given: list[Any] = [None]
    try:
        while True:  # not "yield from", which does not forward every thrown exception
            item = _step(body, step, given)
            if add is not None:
                contained(add, item)
            try:
                given.append((yield item))
                step = made.send
            except BaseException as thrown:  # noqa: BLE001 - forwarded to the inner generator
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
    body, add = contained(_step_context, call) or _UNOBSERVED
    step: Any = partial(without_asyncgen_hooks, made.asend)
    given: list[Any] = [None]
    try:
        while True:
            item = await _awaitable(step(given.pop()), body)
            if add is not None:
                contained(add, item)
            try:
                given.append((yield item))
                step = made.asend
            except BaseException as thrown:  # noqa: BLE001 - forwarded to the inner generator
                given.append(thrown)
                step = made.athrow
    except StopAsyncIteration:
        contained(_end, call)
    except BaseException as error:
        contained(_end, call, error)
        raise


@coroutine
def _awaitable(steps: Any, body: StepContext | None) -> Generator[Any, Any, Any]:
    """Await ``steps``; attach the body's context during each step."""
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
            except BaseException as thrown:  # noqa: BLE001 - forwarded to the inner awaitable
                given.append(thrown)
                step = steps.throw
    finally:
        steps = step = None  # ``athrow()`` holds the thrown exception


async def _coroutine(steps: _Steps) -> Any:
    made, call = steps.made, contained(steps.open)
    if call is None:
        return await made
    body, _ = contained(_step_context, call) or _UNOBSERVED
    try:
        result = await _awaitable(made, body)
    except BaseException as error:
        contained(_end, call, error)
        raise
    contained(OPEN.release, call)
    return call.handle_result(handle_result, result)


_WRAPPERS: dict[int, Callable[[Any], Any]] = {
    CO_GENERATOR: _generator,
    CO_GENERATOR | CO_ITERABLE_COROUTINE: _awaitable_generator,
    CO_COROUTINE: _coroutine,
    CO_ASYNC_GENERATOR: _async_generator,
}


def _wrap_steps(steps: _Steps, flag: int) -> Any:
    """Return a wrapper of the kind that ``flag`` denotes, with the names of the original."""
    outer, like = _WRAPPERS[flag](steps), steps.made
    outer.__name__ = getattr(like, "__name__", outer.__name__)
    outer.__qualname__ = getattr(like, "__qualname__", outer.__qualname__)
    steps.handed_out = True
    return outer


_UNOBSERVED: tuple[None, None] = (None, None)


def _step_context(
    call: ObservedCall | None,
) -> tuple[StepContext, Callable[[Any], Any] | None] | None:
    """Return the context of the steps and the function that receives the items."""
    if call is None:
        return None
    add = None if type(call) is PassthroughCall else call.accumulator().add
    return StepContext(call.active), add


def _register(call: ObservedCall | None, watcher: Any) -> None:
    """Register the call as open: it ends when the watcher's referent is collected, or at exit."""
    if call is None or type(call) is PassthroughCall:
        return
    items: Any = call.accumulator()
    call.watcher, call.progress = watcher, lambda: items.count
    OPEN.add(call, call)


def _end(call: ObservedCall | None, error: BaseException | None = None) -> None:
    if call is None or type(call) is PassthroughCall:
        return
    OPEN.release(call)
    if not OPEN.defer_during_gc(partial(call.finish, error)):
        call.finish(error)


# ------------------------------------------------------------------------------ kinds of result


def handle_result(call: ObservedCall, result: Any) -> Any:
    """Handle the function's result; return its replacement, or ``None``."""
    kind = type(result)
    if kind in _STEP_FLAGS:
        return _continue_call(call, result, _STEP_FLAGS[kind](result))
    if has(kind, "_asyncio_future_blocking"):
        return _observe_future(call, result)
    if kind is tuple and _is_body_and_status(result):
        first = _continue_call(call, result[0], _STEP_FLAGS[type(result[0])](result[0]))
        return (first, *result[1:])
    response = result[0] if kind is tuple and result else result  # Flask: (response, status)
    body = body_of(response)
    if body is None:
        call.read_response(result)
    if body is None or not _replace_body(call, *body):
        call.finish()
    return None


_STEP_FLAGS: dict[type, Callable[[Any], int]] = {
    GeneratorType: lambda made: made.gi_code.co_flags & (CO_GENERATOR | CO_ITERABLE_COROUTINE),
    AsyncGeneratorType: lambda _: CO_ASYNC_GENERATOR,
    CoroutineType: lambda _: CO_COROUTINE,
}


def _is_body_and_status(result: tuple[Any, ...]) -> bool:
    """Return whether this is a Flask or Quart result: a generator as the body, and a status."""
    kinds = [type(each) for each in result[:2]]
    return kinds[1:] == [int] and kinds[0] in (GeneratorType, AsyncGeneratorType)


def _continue_call(call: ObservedCall, made: Any, flag: int) -> Any:
    outer = _wrap_steps(_Steps(made, lambda: call), flag)
    contained(_register_outer, call, outer, flag)
    return outer


def _register_outer(call: ObservedCall, outer: Any, flag: int) -> None:
    _register(call, ref(outer))
    if flag & CO_COROUTINE:  # it may wait for any length of time
        call.progress = perf_counter
    OPEN.tie_to(call, outer)


def _observe_future(call: ObservedCall, future: Any) -> None:
    """Observe a future; do not mark its exception as retrieved, which is up to the application."""
    _register(call, None)
    call.progress = perf_counter
    OPEN.tie_to(call, future)
    future.add_done_callback(partial(_future_done, call))


def _future_done(call: ObservedCall, future: Any) -> None:
    error = CancelledError() if future.cancelled() else getattr(future, "_exception", None)
    if error is None:
        contained(call.read_response, future.result())
    contained(_end, call, error)


def _replace_body(call: ObservedCall, response: Any, name: str) -> bool:
    """Replace a response's body by an observed one, if the application cannot notice it."""
    found = attributes(response)
    if found.get("file_to_stream") is not None:  # a file response, which does not use the iterator
        return False
    inner = found[name]
    ours = _defer_body(call, inner) if makes(inner) else _observe_body(call, inner)
    if ours is not None:
        setattr(response, name, ours)
    return ours is not None


def _observe_body(call: ObservedCall, inner: Any) -> Any:
    """Wrap the iterator of a body; return ``None`` if it has its own ``close``."""
    if type(inner) in _STEP_FLAGS:
        made = inner
    elif hasattr(inner, "close") or hasattr(inner, "aclose"):
        return None
    else:
        made = each_async(inner) if hasattr(inner, "__aiter__") else each(inner)
    return _continue_call(call, made, _STEP_FLAGS[type(made)](made))


_MAX_DEFERRED = 100
# Our function in a response -> the calls that returned this response and are not sent yet.
_DEFERRED_CALLS: WeakKeyDictionary[Any, deque[ObservedCall]] = WeakKeyDictionary()


def _defer_body(call: ObservedCall, make: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap the function that makes the body; the call continues at its next use.

    A response with such a function may be returned, and sent, several times.
    """
    ours = (
        make if type(make) is FunctionType and make in _DEFERRED_CALLS else _wrap_body_maker(make)
    )
    _register(call, None)
    call.progress = perf_counter  # it may wait for any length of time
    OPEN.tie_to(call, ours)
    _DEFERRED_CALLS[ours].append(call)
    return ours


def _wrap_body_maker(make: Callable[[], Any]) -> Callable[[], Any]:
    waiting: deque[ObservedCall] = deque(maxlen=_MAX_DEFERRED)

    @wraps(make)
    def made() -> Any:
        call = contained(_newest_open, waiting)
        return make() if call is None else _make_body(call, make)

    _DEFERRED_CALLS[made] = waiting
    return made


def _newest_open(waiting: deque[ObservedCall]) -> ObservedCall | None:
    call = waiting.pop() if waiting else None
    return call if call is not None and OPEN.get(call.key) is call else None


def _make_body(call: ObservedCall, make: Callable[[], Any]) -> Any:
    body = contained(StepContext, call.active)
    try:
        made = _step(body, lambda _: make(), [None])
    except BaseException as error:
        contained(_end, call, error)
        raise
    return contained(_observe_made, call, made) or made


def _observe_made(call: ObservedCall, made: Any) -> Any:
    OPEN.release(call)
    ours = None
    if has(type(made), "__next__") or has(type(made), "__aiter__"):
        ours = _observe_body(call, made)
    else:
        call.read_response(made)
    if ours is None:
        call.finish()
    return ours
