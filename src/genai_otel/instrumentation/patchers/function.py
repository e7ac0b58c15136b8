"""Patch plain functions and methods of any library.

The result itself says what it is: a value, or a coroutine of one; a sync or async generator, which
the host gets in a wrapper that observes it; an object around a private iterator, which is replaced
in place; an object whose class has patched steps (see ``patch_stream_class``), because it has no
iterator to replace; or a context manager with one of these inside.

A generator function does nothing before its first step, so its operation starts there: a generator
that is never read is not a call. Its parent and scope are those of where it was created. The same
holds for the streams of a ``lazy`` function.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial, wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from genai_otel.instrumentation.adapter import Patch
from genai_otel.instrumentation.call_context import CallContext, RepeatedCallContext
from genai_otel.instrumentation.class_streams import (
    has_patched_steps,
    observe_close,
    observe_stream,
    patch_stream_class,
)
from genai_otel.instrumentation.generators import (
    DeferredCall,
    wrap_context_manager,
    wrap_generator,
    wrap_generator_function,
)
from genai_otel.instrumentation.leading_methods import (
    keep_context,
    keep_own,
    keep_request,
    keep_stream,
)
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.stream_wrappers import observe, observe_async
from genai_otel.instrumentation.tracker import PassthroughCall
from genai_otel.instrumentation.wrappers import await_result, wrap, wrap_async
from genai_otel.record import Operation

__all__ = [
    "patch_function",
    "patch_leading",
    "patch_leading_block",
    "patch_leading_own",
    "patch_note",
    "patch_stream_class",
]

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Extractor
    from genai_otel.instrumentation.fields import Json
    from genai_otel.instrumentation.tracker import CallTracker, ObservedCall


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
    """Return the patch of one function, method or generator function.

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
    form = _Options(extractor, origin, body, arguments, stream, lazy, inner)
    return Patch(target, partial(_make_wrapper, form), optional, captured)


def patch_note(
    target: str, note: Callable[[Json, Operation], None], arguments: tuple[str, ...] = ()
) -> Patch:
    """Return the patch of a function that a library runs inside its calls.

    ``note`` is given its arguments by name and the current operation, before it runs.
    """

    def make_wrapper(original: Any, tracker: CallTracker) -> Any:
        names = arguments or _positional_names(original)

        @wraps(original)
        def noted(*args: Any, **kwargs: Any) -> Any:
            if tracker.guard.enabled:
                tracker.guard.run(
                    _note_current, note, tracker, {**dict(zip(names, args, strict=False)), **kwargs}
                )
            return original(*args, **kwargs)

        return noted

    return Patch(target, make_wrapper, optional=True)


def _note_current(
    note: Callable[[Json, Operation], None], tracker: CallTracker, given: Json
) -> None:
    op = tracker.recorder.current()
    if op is not None:
        note(given, op)


def patch_leading(
    target: str, *methods: str, repeats: bool = False, streams: bool = False
) -> tuple[Patch, ...]:
    """Return the patches of methods of ``module:Class`` that only lead to observed ones.

    The observed call starts when the coroutine is awaited, or at the generator's first step, but
    belongs to where the method was called. ``repeats``: one call may lead to several. ``streams``:
    the methods are asynchronous and return a generator.
    """
    sort = RepeatedCallContext if repeats else CallContext
    make = partial(keep_stream if streams else keep_context, sort=sort)
    return tuple(Patch(f"{target}.{name}", make, optional=True) for name in methods)


def patch_leading_own(target: str, *methods: str) -> Patch:
    """Like ``patch_leading``, for methods that ``__init__`` sets on each object."""
    return Patch(f"{target}.__init__", partial(keep_own, methods), optional=True)


def patch_leading_block(target: str) -> Patch:
    """Like ``patch_leading``, for context managers of ``module:Class``, which request on entry."""
    return Patch(f"{target}.__init__", keep_request, optional=True)


class _Options(NamedTuple):
    """The options of one ``patch_function``."""

    extractor: Extractor | Callable[[Json], Extractor | None]
    origin: Callable[[Json, Operation], None] | None
    body: Callable[[Json], Json] | None
    arguments: tuple[str, ...]
    stream: bool | None
    lazy: bool
    inner: str | None


def _make_wrapper(form: _Options, original: Any, tracker: CallTracker) -> Any:
    """Make a wrapper of the original's own kind: plain, coroutine or generator function."""
    names = form.arguments or _positional_names(original)
    begin = _Begin(form, names, tracker)
    handle_result = partial(_handle_result, form.inner)
    if inspect.isgeneratorfunction(original) or inspect.isasyncgenfunction(original):
        return wrap_generator_function(original, begin.stepped)
    later = inspect.iscoroutinefunction(original)
    make = wrap_async if later else partial(wrap, led=True)
    return make(original, begin, handle_result)


def _positional_names(original: Any) -> tuple[str, ...]:
    """Return the names of the positional arguments."""
    try:
        parameters = inspect.signature(original).parameters.values()
    except (TypeError, ValueError):  # made in another language
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds)


class _Begin:
    """Starts a call if an extractor reads its arguments."""

    __slots__ = ("_form", "_names", "_tracker")

    def __init__(self, form: _Options, names: tuple[str, ...], tracker: CallTracker) -> None:
        self._form, self._names, self._tracker = form, names, tracker

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        guard = self._tracker.guard
        return guard.run(self._open, args, kwargs) if guard.enabled else None

    def stepped(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        """Start the call of a generator, at its first step."""
        guard = self._tracker.guard
        return guard.run(self._open_stream, args, kwargs) if guard.enabled else None

    def _open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        form, given = self._form, self._named(args, kwargs)
        extractor = self._extractor(given)
        if extractor is None:
            return None
        streams = form.stream
        if streams is None:
            streams = given.get("stream") is True
        if streams and form.lazy:
            return _DeferredPassthrough(
                partial(self._start, extractor, given, streams=True), form.inner
            )
        return self._start(extractor, given, streams=streams)

    def _open_stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall | None:
        given = self._named(args, kwargs)
        extractor = self._extractor(given)
        return None if extractor is None else self._start(extractor, given, streams=True)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
        return {**dict(zip(self._names, args, strict=False)), **kwargs}

    def _extractor(self, given: Json) -> Extractor | None:
        extractor = self._form.extractor
        return extractor(given) if callable(extractor) else extractor

    def _start(self, extractor: Extractor, given: Json, *, streams: bool) -> ObservedCall | None:
        op = Operation(extractor.kind, name=extractor.name)
        op.stream = streams
        form, tracker = self._form, self._tracker
        if form.origin is not None:
            tracker.guard.run(form.origin, given, op)
        body = given if form.body is None else tracker.guard.run(form.body, given)
        return tracker.start(extractor, op, body or {})


# ------------------------------------------------------------------------------ kinds of result


def _handle_result(inner: str | None, call: ObservedCall, result: Any) -> Any:
    """Handle the result; return what the host gets."""
    kind = type(result)
    if kind is GeneratorType or kind is AsyncGeneratorType:
        return _observe_generator(call, result)
    if kind is CoroutineType:
        return _await_result(inner, call, result)
    if inner is not None and inner in getattr(result, "__dict__", ()):
        _replace_iterator(call, result, inner)
    elif has_patched_steps(kind):
        observe_stream(call, result)
    elif hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__"):
        call.finish(completed=None)  # nothing of it can be seen without making it another object
    else:
        call.read_response(result)
        call.finish()
    return result


def _await_result(inner: str | None, call: ObservedCall, result: Any) -> Any:
    """Wrap a coroutine that a plain function returned; ours keeps its name."""
    outer: Any = await_result(result, call, partial(_handle_result, inner))
    outer.__name__, outer.__qualname__ = result.__name__, result.__qualname__
    return outer


def _observe_generator(call: ObservedCall, result: Any) -> Any:
    if type(result) is AsyncGeneratorType:
        call.close_generator = result.aclose
    return _observe_iterator(call, result, result)


def _observe_iterator(call: ObservedCall, source: Any, holder: Any) -> Any:
    """Iterate ``source`` for the call, which ends when ``holder``, or the iterator, is dropped."""
    make = observe_async if hasattr(source, "__anext__") else observe
    watcher = make(source, call)
    call.op.stream = True
    call.watcher = ref(watcher)
    OPEN.add(call, source)
    OPEN.tie_to(call, watcher if holder is source else holder)
    return watcher


def _replace_iterator(call: ObservedCall, stream: Any, inner: str) -> None:
    """Replace the stream's own iterator with ours."""
    setattr(stream, inner, _observe_iterator(call, getattr(stream, inner), stream))
    observe_close(call, stream)


def _replace_block_iterator(inner: str | None, call: ObservedCall, value: Any) -> None:
    """Replace the iterator of what a context manager is entered with."""
    if inner is not None and inner in getattr(value, "__dict__", ()):
        setattr(value, inner, _observe_generator(call, getattr(value, inner)))


# ------------------------------------------------------------------- begun by their first step


class _DeferredPassthrough(PassthroughCall):
    """The placeholder of a lazy function's call, which starts at its stream's first step."""

    __slots__ = ("_inner", "_start")

    def __init__(self, opening: Callable[[], ObservedCall | None], inner: str | None) -> None:
        self._start, self._inner, self.replacement_args = DeferredCall(opening), inner, None

    def enter(self) -> None:
        self._start.enter()

    def leave(self) -> None:
        self._start.leave()

    def handle_result(self, _on_result: Any, result: Any) -> Any:
        if type(result) in (GeneratorType, AsyncGeneratorType):
            return wrap_generator(result, self._start.open)
        if isinstance(result, AbstractContextManager | AbstractAsyncContextManager):
            wrap_context_manager(
                result, self._start.open, partial(_replace_block_iterator, self._inner)
            )
        return result
