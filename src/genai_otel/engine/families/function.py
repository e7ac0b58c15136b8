"""Plain functions and methods of any library: what came back is told from the result itself.

A value, a coroutine or a future; a generator of either colour, in whose place the host gets one
that watches it; an object around a private iterator, which is exchanged in place; an object whose
class had its ``__next__`` replaced once (see ``followed``), because nothing in it can be exchanged.

A generator function does nothing before its first step, so its operation begins there: a generator
that is never asked is no call, since nothing was sent, and its parent is what is current at that
step, as for anything in its body. The same holds for the streams of a ``lazy`` function.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial, wraps
from itertools import chain
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from genai_otel.engine.adapter import Patch
from genai_otel.engine.observe import OPEN, Unwatched
from genai_otel.engine.safety import contained
from genai_otel.engine.streams import watched, watched_async
from genai_otel.engine.wrap import awaited, wrap, wrap_async
from genai_otel.record import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from genai_otel.engine.adapter import Reader
    from genai_otel.engine.observe import Call, Observer
    from genai_otel.engine.read import Json


def function(
    target: str,
    reader: Reader | Callable[[Json], Reader | None],
    *,
    origin: Callable[[Json, Operation], None] | None = None,
    body: Callable[[Json], Json] | None = None,
    arguments: tuple[str, ...] = (),
    stream: bool | None = None,
    lazy: bool = False,
    inner: str | None = None,
    captured: bool = False,
    optional: bool = False,
) -> Patch:
    """One function, method or generator function.

    Its arguments come in a dict by name: those given by position are named by its signature, or by
    ``arguments`` where that does not name them. ``reader`` may be chosen by them; with ``None`` the
    call goes straight through. ``origin`` is asked before the call starts: who serves, and the
    operation's name where each has its own. ``body`` finds what ``reader`` shall read.

    ``stream``: whether it answers with a stream; by default its argument of that name says so.
    ``lazy``: its streams send nothing before their first step. ``inner``: where the objects it
    streams with keep their iterator. ``captured``: bound methods were taken from it at import;
    functions of a module are always looked for wherever they were imported to.
    """
    form = _Form(reader, origin, body, arguments, stream, lazy, inner)
    return Patch(target, partial(_stand_in, form), optional, captured)


@dataclass(frozen=True, slots=True)
class _Form:
    """How the calls of one function are read; see ``function``."""

    reader: Reader | Callable[[Json], Reader | None]
    origin: Callable[[Json, Operation], None] | None
    body: Callable[[Json], Json] | None
    arguments: tuple[str, ...]
    stream: bool | None
    lazy: bool
    inner: str | None


def _stand_in(form: _Form, original: Any, observer: Observer) -> Any:
    """Of the original's own kind, so that nobody who asks for it is told another."""
    names = form.arguments or _positional(original)
    begin = _Begin(form, names, observer)
    settle = partial(_settle, form.inner)
    if inspect.isgeneratorfunction(original):
        return _generating(original, begin.stepped)
    if inspect.isasyncgenfunction(original):
        return _generating_async(original, begin.stepped)
    make = wrap_async if inspect.iscoroutinefunction(original) else wrap
    return make(original, begin, settle)


def _positional(original: Any) -> tuple[str, ...]:
    """The names of the arguments that may be given by position."""
    try:
        parameters = inspect.signature(original).parameters.values()
    except (TypeError, ValueError):  # made in another language
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds)


class _Begin:
    """Opens a call if its arguments are those of one that we read."""

    __slots__ = ("_form", "_names", "_observer")

    def __init__(self, form: _Form, names: tuple[str, ...], observer: Observer) -> None:
        self._form, self._names, self._observer = form, names, observer

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        guard = self._observer.guard
        return guard.run(self._open, args, kwargs) if guard.enabled else None

    def stepped(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """The call of what streams for certain, at its first step."""
        guard = self._observer.guard
        return guard.run(self._open_stream, args, kwargs) if guard.enabled else None

    def _open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        form, given = self._form, self._named(args, kwargs)
        reader = self._reader(given)
        if reader is None:
            return None
        streams = form.stream
        if streams is None:
            streams = given.get("stream") is True
        if streams and form.lazy:
            return _Later(partial(self._start, reader, given, streams=True))
        return self._start(reader, given, streams=streams)

    def _open_stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        given = self._named(args, kwargs)
        reader = self._reader(given)
        return None if reader is None else self._start(reader, given, streams=True)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
        return {**dict(zip(self._names, args, strict=False)), **kwargs}

    def _reader(self, given: Json) -> Reader | None:
        reader = self._form.reader
        return reader(given) if callable(reader) else reader

    def _start(self, reader: Reader, given: Json, *, streams: bool) -> Call | None:
        op = Operation(reader.kind, name=reader.name)
        op.stream = streams
        form, observer = self._form, self._observer
        if form.origin is not None:
            observer.guard.run(form.origin, given, op)
        body = given if form.body is None else observer.guard.run(form.body, given)
        return observer.open(reader, op, body or {})


# ------------------------------------------------------------------------------ kinds of result


def _settle(inner: str | None, call: Call, result: Any) -> Any:
    """Takes what the call returned; what is returned here is handed out in its place."""
    kind = type(result)
    if kind is GeneratorType or kind is AsyncGeneratorType:
        return _watch(call, result)
    if kind is CoroutineType:
        return _await(inner, call, result)
    if inner is not None and inner in getattr(result, "__dict__", ()):
        _exchange(call, result, inner)
    elif _is_followed(kind):
        _follow(call, result)
    elif hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__"):
        call.finish(completed=None)  # nothing of it can be seen without making it another object
    else:
        call.reply(result)
        call.finish()
    return result


def _await(inner: str | None, call: Call, result: Any) -> Any:
    """A coroutine that a plain function made; ours bears its name, in warnings and task lists."""
    outer: Any = awaited(result, call, partial(_settle, inner))
    outer.__name__, outer.__qualname__ = result.__name__, result.__qualname__
    return outer


def _watch(call: Call, result: Any) -> Any:
    if type(result) is AsyncGeneratorType:
        call.closing = result.aclose
    return _watched(call, result, result)


def _watched(call: Call, source: Any, holder: Any) -> Any:
    """What reads ``source`` for the call, which ends when ``holder``, or this, is no more."""
    make = watched_async if hasattr(source, "__anext__") else watched
    watcher = make(source, call)
    call.op.stream = True
    call.watcher = ref(watcher)
    OPEN.add(call, source)
    OPEN.hold(call, watcher if holder is source else holder)
    return watcher


def _exchange(call: Call, stream: Any, inner: str) -> None:
    """Puts our iterator where the stream keeps its own."""
    setattr(stream, inner, _watched(call, getattr(stream, inner), stream))
    _register(_Followed(call, stream), stream)


# ------------------------------------------------------------------- begun by their first step


def _generating(original: Any, later: Any) -> Any:
    @wraps(original)
    def observed(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = original(*args, **kwargs)  # first: it may not take these arguments
        call = later(args, kwargs)
        if call is None:
            return (yield from inner)
        call.enter()  # the first step is the call itself
        try:
            first = next(inner)
        except StopIteration as end:
            call.leave()
            call.finish()
            return end.value
        except BaseException as error:
            call.leave()
            call.failed(error)
            raise
        call.leave()
        rest = chain((first,), inner)
        return (yield from contained(_watched_rest, call, inner, rest) or rest)

    return observed


def _generating_async(original: Any, later: Any) -> Any:
    @wraps(original)
    async def observed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = original(*args, **kwargs)  # first: it may not take these arguments
        call, rest = later(args, kwargs), inner
        if call is not None:
            call.enter()  # the first step is the call itself
            try:
                first = await anext(inner)
            except StopAsyncIteration:
                call.leave()
                call.finish()
                return
            except BaseException as error:
                call.leave()
                call.failed(error)
                raise
            call.leave()
            rest = _Chain(first, inner)
            rest = contained(_watched_rest, call, inner, rest) or rest
        try:
            async for chunk in rest:
                yield chunk
        finally:
            await rest.aclose()

    return observed


def _watched_rest(call: Call, inner: Any, rest: Any) -> Any:
    if type(call) is Unwatched:
        return rest
    OPEN.add(call, inner)
    if type(rest) is not _Chain:
        return watched(rest, call)
    call.closing = inner.aclose
    return watched_async(rest, call)


class _Chain:
    """One chunk that is there already, then those of ``inner``."""

    __slots__ = ("_first", "_next", "aclose")

    def __init__(self, first: Any, inner: Any) -> None:
        self._first, self._next, self.aclose = [first], inner.__anext__, inner.aclose

    def __aiter__(self) -> _Chain:
        return self

    def __anext__(self) -> Any:
        return _given(self._first.pop()) if self._first else self._next()


async def _given(chunk: Any) -> Any:
    return chunk


class _Later(Unwatched):
    """A call of a lazy function: it returns a generator, whose first step opens the call."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Callable[[], Call | None]) -> None:
        self._opening, self.sent = opening, None

    def enter(self) -> None: ...

    def leave(self) -> None: ...

    def returned(self, _settle: Any, result: Any) -> Any:
        makes = {GeneratorType: _generating, AsyncGeneratorType: _generating_async}
        make = makes.get(type(result))
        if make is None:
            return result
        return make(lambda: result, lambda *_: self._opening())()


# ------------------------------------------------------------------------- followed by their class

_STEPS: WeakSet[Any] = WeakSet()
"""The stand-ins for the methods that step."""
_FOLLOWED: dict[int, _Followed] = {}
"""Open streams of followed classes by ``id``: none is kept alive, each leaves as it ends."""


def followed(target: str, *, steps: bool = True) -> tuple[Patch, ...]:
    """The patches of a class of streams, ``module:Class``, whose own methods tell what happens.

    Without ``steps`` only that they are closed, for those that keep an iterator to be exchanged.
    """
    ways = ("close", "aclose", "__exit__", "__aexit__")
    closing = tuple((name, _closing) for name in ways)
    stepping = (("__next__", _stepping), ("__anext__", _stepping_async)) if steps else ()
    return tuple(
        Patch(f"{target}.{name}", make, optional=True) for name, make in (*closing, *stepping)
    )


class _Followed:
    """One open stream of such a class."""

    __slots__ = ("_stream", "call", "watcher")

    def __init__(self, call: Call, stream: Any) -> None:
        self.call, self._stream = call, ref(stream)
        self.watcher: Any = None

    def begin(self, make: Any, step: Any) -> Any:
        """What takes the steps from now on; the first of them tells the colour."""
        self.watcher = make(_Steps(step, self._stream), self.call)
        self.call.watcher = ref(self.watcher)
        return self.watcher


class _Steps:
    """An iterator of either colour over a stream that it does not keep alive."""

    __slots__ = ("_step", "_stream")

    def __init__(self, step: Any, stream: Any) -> None:
        self._step, self._stream = step, stream

    def __iter__(self) -> _Steps:
        return self

    def __next__(self) -> Any:
        return self._step(self._stream())

    __aiter__, __anext__ = __iter__, __next__


def _is_followed(kind: type) -> bool:
    steps = (getattr(kind, "__next__", None), getattr(kind, "__anext__", None))
    return any(step in _STEPS for step in steps)


def _follow(call: Call, stream: Any) -> None:
    found = _Followed(call, stream)
    call.op.stream = True
    OPEN.add(call, found)
    OPEN.hold(call, stream)
    _register(found, stream)


def _register(found: _Followed, stream: Any) -> None:
    _FOLLOWED[id(stream)] = found
    found.call.release = partial(_forget, id(stream))


def _forget(stream_id: int) -> None:
    _FOLLOWED.pop(stream_id, None)


def _stepping(original: Any, _observer: Observer) -> Any:
    @wraps(original)
    def step(stream: Any) -> Any:
        found = _FOLLOWED.get(id(stream))
        if found is None:
            return original(stream)
        return next(found.watcher or found.begin(watched, original))

    _STEPS.add(step)
    return step


def _stepping_async(original: Any, _observer: Observer) -> Any:
    @wraps(original)
    async def step(stream: Any) -> Any:
        found = _FOLLOWED.get(id(stream))
        if found is None:
            return await original(stream)
        return await anext(found.watcher or found.begin(watched_async, original))

    _STEPS.add(step)
    return step


def _closing(original: Any, _observer: Observer) -> Any:
    make = _closing_async if inspect.iscoroutinefunction(original) else _closing_sync
    return make(original)


def _closing_sync(original: Any) -> Any:
    @wraps(original)
    def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(stream, *args, **kwargs)
        finally:
            contained(_left, stream)

    return close


def _closing_async(original: Any) -> Any:
    @wraps(original)
    async def close(stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(stream, *args, **kwargs)
        finally:
            contained(_left, stream)

    return close


def _left(stream: Any) -> None:
    """Closed by the host, unless it is the stream's own end that closes it."""
    found = _FOLLOWED.get(id(stream))
    if found is not None and not found.call.reading():
        OPEN.end(found.call.key, completed=False)
