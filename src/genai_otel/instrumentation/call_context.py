"""Keep the context of a client's method whose call is made later and elsewhere.

A client's method may return a coroutine, a generator or a context manager, in which the call is
made later, perhaps by another task. The call belongs to where the method was called; its context is
found by the frames of the callers, so nothing is added to the returned object.
"""

from __future__ import annotations

import sys
from contextvars import Context, copy_context
from operator import attrgetter
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from weakref import ref

from genai_otel._support.errors import contained

if TYPE_CHECKING:
    from collections.abc import Callable

# Types of unfinished code -> the attribute with its frame.
FRAMES: dict[type, Callable[[Any], Any]] = {
    CoroutineType: attrgetter("cr_frame"),
    GeneratorType: attrgetter("gi_frame"),
    AsyncGeneratorType: attrgetter("ag_frame"),
}


class CallContext(ref[Any]):
    """The object that a client's method has returned, and the context of that call.

    ``repeats``: it may lead to several observed calls. ``awaits``: it only awaits the coroutine of
    another such method, for which no context needs to be kept.
    """

    __slots__ = ("context", "key")
    context: Context
    key: int
    repeats: ClassVar[bool] = False
    awaits: ClassVar[bool] = False

    @property
    def frame(self) -> Any:
        """The frame in which it runs; ``None`` when it is done."""
        made = self()
        return None if made is None else FRAMES[type(made)](made)


class RepeatedCallContext(CallContext):
    """See ``repeats``."""

    __slots__ = ()
    repeats = True


class AwaitingCallContext(CallContext):
    """See ``awaits``."""

    __slots__ = ()
    awaits = True


class _EnteredBlock(NamedTuple):
    """Our frame in which a context manager is entered, and the context of its creation."""

    frame: Any
    context: Context
    repeats: bool = False
    awaits: bool = False

    def __call__(self) -> None:
        """Return ``None``, like a dead reference; the frame is kept nevertheless."""


# By the ``id`` of the frame, oldest first.
#
# A context may refer to an object that was created in it, for example by its task. So none is kept
# here longer than needed, or the garbage collector could never free both.
CALL_CONTEXTS: dict[int, CallContext | _EnteredBlock] = {}
MAX_CONTEXTS = 10_000
_MAX_CALLERS = 6
_DECORATORS = ("typing_extensions", "warnings")  # of deprecated methods


def keep(made: Any, made_in: Context | None, sort: type[CallContext] = CallContext) -> None:
    """Keep the context of a coroutine or generator, by default the current one."""
    frame_of = FRAMES.get(type(made))
    if frame_of is not None:
        held = sort(made, forget)
        held.key = id(frame_of(made))
        held.context = copy_context() if made_in is None else made_in
        CALL_CONTEXTS[held.key] = held
        if sort.repeats or len(CALL_CONTEXTS) > MAX_CONTEXTS:
            contained(drop_oldest)


def forget(gone: CallContext) -> None:
    """Remove the context of an object that was dropped."""
    if CALL_CONTEXTS.get(gone.key) is gone:  # another frame may be at that address by now
        CALL_CONTEXTS.pop(gone.key, None)


def drop_oldest() -> None:
    """Drop the oldest context if its object is done, or if there are too many."""
    key, oldest = next(iter(CALL_CONTEXTS.items()))
    if len(CALL_CONTEXTS) > MAX_CONTEXTS or oldest.frame is None:
        CALL_CONTEXTS.pop(key, None)


def run_within(made_in: Context, request: Callable[[], Any]) -> Any:
    """Make a context manager's request in the context in which that was created.

    Several threads may enter it at once.
    """
    key = contained(_keep_frame, sys._getframe(), made_in)  # noqa: SLF001
    try:
        return request()
    finally:
        contained(CALL_CONTEXTS.pop, key, None)


def _keep_frame(frame: Any, made_in: Context) -> int:
    CALL_CONTEXTS[id(frame)] = _EnteredBlock(frame, made_in.copy())
    return id(frame)


def modules_between(original: Any) -> tuple[str, ...]:
    """Return prefixes of the modules between a client's method and the observed function."""
    package = str(getattr(original, "__module__", None)).partition(".")[0]
    return f"{package}.", "genai_otel.", *_DECORATORS


# A marker: the context of an outer method is kept already.
KEPT_BY_CALLER = Context()


def find_in_callers(modules: tuple[str, ...], led: Context | None = None) -> Context | None:
    """Return the context of the client's method that leads to this call, if any.

    Only the client's modules may be in between: a client may call a function of the program's,
    which makes calls of its own. ``led`` is returned for a call that need not be kept itself.
    """
    frame: Any = sys._getframe(3)  # noqa: SLF001 - below contained() and the wrapper
    for _ in range(_MAX_CALLERS):
        if frame is None:
            return None
        key = id(frame)
        found = CALL_CONTEXTS.get(key)
        if found is not None and (
            getattr(found(), "cr_frame", None) is frame or found.frame is frame
        ):
            if led is not None and found.awaits:
                return led
            if found.repeats:
                return found.context.copy()  # entered by one call at a time
            CALL_CONTEXTS.pop(key, None)
            return found.context
        if not str(dict.get(frame.f_globals, "__name__")).startswith(modules):
            return None
        frame = frame.f_back
    return None
