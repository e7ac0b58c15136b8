"""Context propagation to threads that are started inside an operation or a scope.

Python's threads begin with an empty context. ``Thread.start`` is given a stand-in that hands over
OpenTelemetry's context, and nothing else, if there is anything of ours in it; otherwise the thread
starts untouched. A pool's worker outlives the task that happened to start it, so it is left alone:
see ``_pools`` for what is submitted to it.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained
from genai_otel.recorder import context

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_POOLS = frozenset({"concurrent.futures.thread", "multiprocessing.pool"})
_placed: list[tuple[Any, Any]] = []


def install() -> None:
    """Wrap ``Thread.start``."""
    if _placed:
        return
    original = threading.Thread.start

    @wraps(original)
    def start(thread: threading.Thread) -> None:
        handed = any(each is start for _, each in _placed)
        take_back = contained(_hand_over, thread) if handed else None
        try:
            original(thread)
        except BaseException:  # it may be started again
            if take_back is not None:
                contained(take_back)
            raise

    threading.Thread.start = start  # type: ignore[method-assign, assignment]
    _placed.append((original, start))


def remove() -> None:
    """Restore the original, unless somebody has wrapped ours, which then becomes inert."""
    if not _placed:
        return
    original, wrapper = _placed.pop()
    if vars(threading.Thread).get("start") is wrapper:
        threading.Thread.start = original  # type: ignore[method-assign]


def _hand_over(thread: threading.Thread) -> Callable[[], None] | None:
    """Make the thread run in our context; return the undo function."""
    target = getattr(thread, "_target", None)
    if getattr(target, "__module__", None) in _POOLS:
        return None
    inherited = context.inheritable()
    return None if inherited is None else _Inside(thread, inherited).take_back


class _Inside:
    """What lies on a thread as its ``run`` until that begins; nothing holds the thread longer."""

    __slots__ = ("_context", "_own", "_run", "_thread")

    def __init__(self, thread: threading.Thread, inherited: Context) -> None:
        self._thread: threading.Thread | None = thread
        self._context, self._run, self._own = inherited, thread.run, vars(thread).get("run")
        thread.run = self  # type: ignore[method-assign]

    def __call__(self) -> None:
        contained(self.take_back)
        contained(context.attach, self._context)
        self._run()

    def take_back(self) -> None:
        """From here on the instance is as it was."""
        thread, self._thread = self._thread, None
        if thread is None or vars(thread).get("run") is not self:
            return
        if self._own is None:
            del thread.run
        else:
            thread.run = self._own  # type: ignore[method-assign]
