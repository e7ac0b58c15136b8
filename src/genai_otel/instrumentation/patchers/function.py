"""Plain functions and methods of any library: what came back is told from the result itself.

A value, or a coroutine of one; a generator of either colour, in whose place the host gets one that
watches it; an object around a private iterator, which is exchanged in place; an object whose class
had its ``__next__`` replaced once (see ``patch_stream_class``), because nothing in it can be
exchanged; a block to be entered, with one of these inside.

A generator function does nothing before its first step, so its operation begins there: a generator
that is never asked is no call, since nothing was sent. Its parent and scope are those of where it
was made. The same holds for the streams of a ``lazy`` function.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from genai_otel.instrumentation.adapter import Patch
from genai_otel.instrumentation.call_context import Made, Repeating
from genai_otel.instrumentation.class_streams import (
    follow,
    is_followed,
    patch_stream_class,
    register,
)
from genai_otel.instrumentation.generators import AtCall, by_steps, generating, manage
from genai_otel.instrumentation.leading_methods import (
    keep_context,
    keep_own,
    keep_request,
    keep_stream,
)
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.stream_wrappers import watched, watched_async
from genai_otel.instrumentation.tracker import Unwatched
from genai_otel.instrumentation.wrappers import awaited, wrap, wrap_async
from genai_otel.record import Operation

__all__ = [
    "leading",
    "leading_block",
    "leading_own",
    "noting",
    "patch_function",
    "patch_stream_class",
]

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Extractor
    from genai_otel.instrumentation.fields import Json
    from genai_otel.instrumentation.tracker import Call, Observer


def patch_function(
    target: str,
    extractor: Extractor | Callable[[Json], Extractor | None],
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

    The extractor is given the arguments in a dict by name; positional ones are named by the
    signature, or by ``arguments`` where that does not name them. ``extractor`` may be a function
    that chooses one by the arguments; the call is not recorded where it returns ``None``.
    ``origin`` is called before the operation starts, to set provider, host, and a name that
    depends on the call. ``body`` returns what the extractor reads, by default the arguments.

    ``stream``: whether the function returns a stream; by default its argument of that name decides.
    ``lazy``: its streams send nothing before their first step, or before their block is entered.
    ``inner``: the attribute in which its stream objects keep their iterator. ``captured``: replace
    bound methods that were taken from it at import as well; a module's function is replaced
    wherever it was imported to in any case.
    """
    form = _Form(extractor, origin, body, arguments, stream, lazy, inner)
    return Patch(target, partial(_stand_in, form), optional, captured)


def noting(
    target: str, note: Callable[[Json, Operation], None], arguments: tuple[str, ...] = ()
) -> Patch:
    """A function that a library runs inside of its calls: what it is given tells of the call.

    ``note`` is given its arguments by name and the operation that is current, before it runs.
    """

    def stand_in(original: Any, observer: Observer) -> Any:
        names = arguments or _positional(original)

        @wraps(original)
        def noted(*args: Any, **kwargs: Any) -> Any:
            if observer.guard.enabled:
                observer.guard.run(
                    _note, note, observer, {**dict(zip(names, args, strict=False)), **kwargs}
                )
            return original(*args, **kwargs)

        return noted

    return Patch(target, stand_in, optional=True)


def _note(note: Callable[[Json, Operation], None], observer: Observer, given: Json) -> None:
    op = observer.recorder.current()
    if op is not None:
        note(given, op)


def leading(
    target: str, *methods: str, repeats: bool = False, streams: bool = False
) -> tuple[Patch, ...]:
    """The patches of methods of ``module:Class`` that only lead to observed ones.

    What they lead to begins when it is awaited, or at a generator's first step, and still belongs
    to where the method was called. ``repeats``: one call may lead to several. ``streams``: they are
    asynchronous, and return the generator.
    """
    sort = Repeating if repeats else Made
    make = partial(keep_stream if streams else keep_context, sort=sort)
    return tuple(Patch(f"{target}.{name}", make, optional=True) for name in methods)


def leading_own(target: str, *methods: str) -> Patch:
    """The same for what each object of ``module:Class`` has of its own, from when it is made."""
    return Patch(f"{target}.__init__", partial(keep_own, methods), optional=True)


def leading_block(target: str) -> Patch:
    """The same for blocks of ``module:Class``, which make their request when they are entered."""
    return Patch(f"{target}.__init__", keep_request, optional=True)


class _Form(NamedTuple):
    """How the calls of one function are read; see ``function``."""

    extractor: Extractor | Callable[[Json], Extractor | None]
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
    if inspect.isgeneratorfunction(original) or inspect.isasyncgenfunction(original):
        return generating(original, begin.stepped)
    later = inspect.iscoroutinefunction(original)
    make = wrap_async if later else partial(wrap, led=True)
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
        extractor = self._extractor(given)
        if extractor is None:
            return None
        streams = form.stream
        if streams is None:
            streams = given.get("stream") is True
        if streams and form.lazy:
            return _Later(partial(self._start, extractor, given, streams=True), form.inner)
        return self._start(extractor, given, streams=streams)

    def _open_stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        given = self._named(args, kwargs)
        extractor = self._extractor(given)
        return None if extractor is None else self._start(extractor, given, streams=True)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
        return {**dict(zip(self._names, args, strict=False)), **kwargs}

    def _extractor(self, given: Json) -> Extractor | None:
        extractor = self._form.extractor
        return extractor(given) if callable(extractor) else extractor

    def _start(self, extractor: Extractor, given: Json, *, streams: bool) -> Call | None:
        op = Operation(extractor.kind, name=extractor.name)
        op.stream = streams
        form, observer = self._form, self._observer
        if form.origin is not None:
            observer.guard.run(form.origin, given, op)
        body = given if form.body is None else observer.guard.run(form.body, given)
        return observer.open(extractor, op, body or {})


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
    elif is_followed(kind):
        follow(call, result)
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
    register(call, stream)


def _exchange_in(inner: str | None, call: Call, value: Any) -> None:
    """The same for what a block is entered with, if that is there."""
    if inner is not None and inner in getattr(value, "__dict__", ()):
        setattr(value, inner, _watch(call, getattr(value, inner)))


# ------------------------------------------------------------------- begun by their first step


class _Later(Unwatched):
    """A call of a lazy function: it returns what opens the call, by its first step."""

    __slots__ = ("_inner", "_start")

    def __init__(self, opening: Callable[[], Call | None], inner: str | None) -> None:
        self._start, self._inner, self.sent = AtCall(opening), inner, None

    def enter(self) -> None:
        self._start.enter()

    def leave(self) -> None:
        self._start.leave()

    def returned(self, _settle: Any, result: Any) -> Any:
        if type(result) in (GeneratorType, AsyncGeneratorType):
            return by_steps(result, self._start.open)
        if isinstance(result, AbstractContextManager | AbstractAsyncContextManager):
            manage(result, self._start.open, partial(_exchange_in, self._inner))
        return result
