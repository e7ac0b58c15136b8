"""Where it was made what runs elsewhere, and leads to a call that is observed only then.

A client's own method hands out a coroutine, a generator or a block, in which the call is made
later, perhaps by another task. The call belongs to where the method was called, and finds that by
the frames that it is called from: nothing is put on what was handed out.
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

FRAMES: dict[type, Callable[[Any], Any]] = {
    CoroutineType: attrgetter("cr_frame"),
    GeneratorType: attrgetter("gi_frame"),
    AsyncGeneratorType: attrgetter("ag_frame"),
}
"""What is still to run, and where it keeps its frame until it is done."""


class Made(ref[Any]):
    """What a client's own method has handed out, and where that was called.

    ``repeats``: more than one observed call may come of it. ``awaits``: it does nothing but await
    another such method's, of which nothing needs to be kept besides.
    """

    __slots__ = ("context", "key")
    context: Context
    key: int
    repeats: ClassVar[bool] = False
    awaits: ClassVar[bool] = False

    @property
    def frame(self) -> Any:
        """Where it runs; ``None`` when it is done."""
        made = self()
        return None if made is None else FRAMES[type(made)](made)


class Repeating(Made):
    """See ``repeats``."""

    __slots__ = ()
    repeats = True


class Awaiting(Made):
    """See ``awaits``."""

    __slots__ = ()
    awaits = True


class _Entered(NamedTuple):
    """A frame of ours, in which a block is entered, and where that block was made."""

    frame: Any
    context: Context
    repeats: bool = False
    awaits: bool = False

    def __call__(self) -> None:
        """As of one that is gone: it has a frame nevertheless."""


MADE: dict[int, Made | _Entered] = {}
"""By the ``id`` of their frame, the oldest first.

A context may lead back to what was made in it: by its task, say, which keeps one that is done. So
none is kept here for longer than it is of use, or the collector would never find that both are
garbage.
"""
MOST = 10_000
_CALLERS = 6
_DECORATORS = ("typing_extensions", "warnings")  # of deprecated methods


def keep(made: Any, made_in: Context | None, sort: type[Made] = Made) -> None:
    """Keeps where it was made, if it is still to run; without a context, it is made here."""
    frame_of = FRAMES.get(type(made))
    if frame_of is not None:
        held = sort(made, forget)
        held.key = id(frame_of(made))
        held.context = copy_context() if made_in is None else made_in
        MADE[held.key] = held
        if sort.repeats or len(MADE) > MOST:
            contained(tidy)


def forget(gone: Made) -> None:
    """It was dropped."""
    if MADE.get(gone.key) is gone:  # another frame may be at that address by now
        MADE.pop(gone.key, None)


def tidy() -> None:
    """Drops the oldest if it is done, or if there are too many."""
    key, oldest = next(iter(MADE.items()))
    if len(MADE) > MOST or oldest.frame is None:
        MADE.pop(key, None)


def run_within(made_in: Context, request: Callable[[], Any]) -> Any:
    """Makes a block's request, which belongs to where the block was made.

    Several threads may enter the block at once.
    """
    key = contained(_enter, sys._getframe(), made_in)  # noqa: SLF001
    try:
        return request()
    finally:
        contained(MADE.pop, key, None)


def _enter(frame: Any, made_in: Context) -> int:
    MADE[id(frame)] = _Entered(frame, made_in.copy())
    return id(frame)


def between(original: Any) -> tuple[str, ...]:
    """How the modules are named through which a client's own method leads to what is observed."""
    package = str(getattr(original, "__module__", None)).partition(".")[0]
    return f"{package}.", "genai_otel.", *_DECORATORS


LED = Context()
"""Stands for the context of one that is kept already."""


def of_callers(modules: tuple[str, ...], led: Context | None = None) -> Context | None:
    """Where the method was called that leads to this call, if nothing else is in between.

    A client may call a function of the program's, which makes calls of its own. ``led`` is the
    answer for what needs not be kept itself.
    """
    frame: Any = sys._getframe(3)  # noqa: SLF001 - below contained() and the stand-in
    for _ in range(_CALLERS):
        if frame is None:
            return None
        key = id(frame)
        found = MADE.get(key)
        if found is not None and (
            getattr(found(), "cr_frame", None) is frame or found.frame is frame
        ):
            if led is not None and found.awaits:
                return led
            if found.repeats:
                return found.context.copy()  # entered by one call at a time
            MADE.pop(key, None)
            return found.context
        if not str(dict.get(frame.f_globals, "__name__")).startswith(modules):
            return None
        frame = frame.f_back
    return None
