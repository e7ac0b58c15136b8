"""Sockets, event loops and files that a test file leaves to the garbage collector.

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
from weakref import WeakSet

from tests.collected import collect
from tests.receiver import until

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN: dict[str, str] = {}
"""Words of what may be left open -> why no test can close it."""


class Leftovers:
    """What is open now is not counted; what is opened later, and not closed, is."""

    def __init__(self) -> None:
        self._before = WeakSet(_open())

    def found(self) -> list[str]:
        """What was opened since and is open, and what a collection complains of."""
        until(lambda: not self._left())  # threads of servers need a moment to notice that all left
        said = [_described(each) for each in self._left()]
        with _complaints() as complaints:
            collect()
        gc.freeze()  # the next collection need not look through what survived this one
        return [text for text in [*said, *complaints] if not any(known in text for known in KNOWN)]

    def _left(self) -> list[Any]:
        return [each for each in _open() if each not in self._before]


def _open() -> list[Any]:
    """Sockets and event loops that are open, except a running server's own."""
    wanted = (socket.socket, asyncio.BaseEventLoop)
    found = [each for each in gc.get_objects() if issubclass(type(each), wanted)]
    sockets = [each for each in found if isinstance(each, socket.socket) and each.fileno() != -1]
    served = {_address(each) for each in sockets if _listens(each)}
    clients = [each for each in sockets if _listens(each) or _address(each) not in served]
    loops = [each for each in found if isinstance(each, asyncio.BaseEventLoop)]
    return [*clients, *(each for each in loops if not each.is_closed())]


def _address(opened: socket.socket) -> Any:
    try:
        return opened.getsockname()
    except OSError:  # closed meanwhile
        return None


def _listens(opened: socket.socket) -> bool:
    try:
        return bool(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _described(opened: Any) -> str:
    trace = tracemalloc.get_object_traceback(opened)
    return "\n".join([f"still open: {opened!r}", *(trace.format() if trace else ())])


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
