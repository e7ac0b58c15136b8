"""Delay a fork while a thread imports lazily or calls gRPC.

Otherwise the child has a half-imported module, or a held lock of C code, that no thread of the
child releases, and blocks at its first use.
"""

from __future__ import annotations

import logging  # noqa: F401 - registers its fork hook first, so a fork takes its lock after waiting here
import os
from contextlib import contextmanager, suppress
from threading import Condition, get_ident
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS = 5.0
_AGAIN = 0.05
_CHANGED = Condition()
# Threads that block a fork, each with a callback that hurries it
_INSIDE: dict[int, Callable[[], object]] = {}


@contextmanager
def unforked(hurry: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Block forks by other threads; a fork calls ``hurry`` and waits for the end of the block."""
    me = get_ident()
    with _CHANGED:
        outer = _INSIDE.get(me)
        _INSIDE[me] = hurry
    try:
        yield
    finally:
        with _CHANGED:
            if outer is None:
                _INSIDE.pop(me, None)  # missing in a child that was forked inside the block
            else:
                _INSIDE[me] = outer
            _CHANGED.notify_all()


def _before() -> None:
    """Wait until no other thread is inside; none can enter until after the fork."""
    if not _CHANGED.acquire(timeout=_SECONDS):
        return
    me, until = get_ident(), monotonic() + _SECONDS
    while (others := _INSIDE.keys() - {me}) and monotonic() < until:
        for thread in others:
            with suppress(Exception):
                _INSIDE[thread]()
        _CHANGED.wait(_AGAIN)


def _in_parent() -> None:
    with suppress(RuntimeError):  # not acquired in time
        _CHANGED.release()


def _in_child() -> None:
    global _CHANGED  # noqa: PLW0603 - a lock of the process
    _CHANGED = Condition()
    _INSIDE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
