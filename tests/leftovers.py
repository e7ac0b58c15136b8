"""Sockets and event loops that a test file leaves to the garbage collector.

The collector closes them whenever it happens to run, in the middle of some other test, which then
fails with a ResourceWarning. So a collection ends each file, and what it finds names that file.
``python -X tracemalloc=20 -m pytest FILE`` also says where it was opened.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import tracemalloc
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN: dict[str, str] = {}
"""Words of what may be left to the collector -> why no test can close it."""


def left_to_the_collector() -> list[str]:
    """What is open and can no longer be reached, and what a collection complains of.

    Whether a socket warns depends on what of its cycle the collector finalises first, so each that
    is open and unreachable is reported, with or without a warning.
    """
    opened = _opened()
    gc.set_debug(gc.DEBUG_SAVEALL)  # what is unreachable is put into gc.garbage
    try:
        with _complaints() as complaints:
            collect()
    finally:
        gc.set_debug(0)
    unreachable = {id(each) for each in gc.garbage if issubclass(type(each), _KINDS)}
    gc.garbage.clear()
    gc.freeze()  # the next collection need not look through what survived this one
    left = [text for at, text in opened.items() if at in unreachable]
    return [text for text in [*left, *complaints] if not any(known in text for known in KNOWN)]


_KINDS = (socket.socket, asyncio.BaseEventLoop)


def _opened() -> dict[int, str]:
    """A text for each by its id; a reference would keep it reachable."""
    found = (each for each in gc.get_objects() if issubclass(type(each), _KINDS))
    return {id(each): _described(each) for each in found if _is_open(each)}


def _is_open(it: Any) -> bool:
    return it.fileno() != -1 if isinstance(it, socket.socket) else not it.is_closed()


def _described(it: Any) -> str:
    trace = tracemalloc.get_object_traceback(it)
    return "\n".join([f"still open: {it!r}", *(trace.format() if trace else ())])


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What is warned of, and what cannot be raised, until the block ends."""
    found: list[str] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda it: found.append(f"{it.exc_value!r}")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield found
        finally:
            sys.unraisablehook = hook
            found += [str(each) for each in warned]
