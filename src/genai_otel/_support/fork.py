"""What a fork must not come into the middle of: a worker's late imports, and calls of gRPC's.

A child would find a module, or a lock of C code, that nobody is left to finish with, and wait for
it at its own first use.
"""

from __future__ import annotations

import logging  # noqa: F401 - a fork takes its lock: by the order of the hooks after it has waited here
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
_INSIDE: dict[int, Callable[[], object]] = {}
"""Threads that must not be forked now, and what hurries each of them."""


@contextmanager
def unforked(hurry: Callable[[], object] = lambda: None) -> Iterator[None]:
    """A fork of another thread calls ``hurry``, and waits for the end of this."""
    me = get_ident()
    with _CHANGED:
        outer = _INSIDE.get(me)
        _INSIDE[me] = hurry
    try:
        yield
    finally:
        with _CHANGED:
            if outer is None:
                _INSIDE.pop(me, None)  # it is gone in a child that was forked in here
            else:
                _INSIDE[me] = outer
            _CHANGED.notify_all()


def _before() -> None:
    """Until nobody else is inside; from here to the fork nobody goes in."""
    if not _CHANGED.acquire(timeout=_SECONDS):
        return
    me, until = get_ident(), monotonic() + _SECONDS
    while (others := _INSIDE.keys() - {me}) and monotonic() < until:
        for thread in others:
            with suppress(Exception):
                _INSIDE[thread]()
        _CHANGED.wait(_AGAIN)


def _in_parent() -> None:
    with suppress(RuntimeError):  # it was not to be had in time
        _CHANGED.release()


def _in_child() -> None:
    global _CHANGED  # noqa: PLW0603 - a lock of the process
    _CHANGED = Condition()
    _INSIDE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
