"""Threads started inside an operation or a scope belong to it.

Python's threads begin with an empty context. ``Thread.start`` is given a stand-in that hands over
OpenTelemetry's context, and nothing else, if there is anything of ours in it; otherwise the thread
starts untouched. A pool's worker outlives the task that happened to start it, so it is left alone:
see ``_pools`` for what is submitted to it.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

from .engine.safety import contained
from .recorder import context

if TYPE_CHECKING:
    from collections.abc import Callable

_POOLS = frozenset({"concurrent.futures.thread", "multiprocessing.pool"})
_placed: list[tuple[Any, Any]] = []


def install() -> None:
    """Puts the stand-in in place of ``Thread.start``."""
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
    """Puts the original back, unless somebody has wrapped ours: then it becomes inert."""
    if not _placed:
        return
    original, stand_in = _placed.pop()
    if vars(threading.Thread).get("start") is stand_in:
        threading.Thread.start = original  # type: ignore[method-assign]


def _hand_over(thread: threading.Thread) -> Callable[[], None] | None:
    """Has the thread run in our context; returns what takes that back."""
    target = getattr(thread, "_target", None)
    if getattr(target, "__module__", None) in _POOLS:
        return None
    inherited = context.inheritable()
    if inherited is None:
        return None
    run, own = thread.run, vars(thread).get("run")

    def run_inside() -> None:
        contained(take_back)
        contained(context.attach, inherited)
        run()

    def take_back() -> None:
        """From here on the instance is as it was."""
        if vars(thread).get("run") is not run_inside:
            return
        if own is None:
            del thread.run
        else:
            thread.run = own  # type: ignore[method-assign]

    thread.run = run_inside  # type: ignore[method-assign]
    return take_back
