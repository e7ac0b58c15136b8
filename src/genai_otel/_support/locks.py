"""What a fork must find: none of our locks held for ever, and none of our threads that is idle.

A child finds these locks open, whoever held them in its parent. They are re-entrant: a garbage
collection in the middle of a locked line may run a finalizer that ends a stream, and so comes back
here on the same thread.
"""

from __future__ import annotations

import os
from threading import RLock
from time import monotonic, sleep
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from _thread import RLock as Lock
    from threading import Thread

_LOCKS: WeakSet[Lock] = WeakSet()
_A_MOMENT = 0.0005


def reentrant() -> Lock:
    """A new lock; what it guards must be in order between any two lines."""
    lock = RLock()
    _LOCKS.add(lock)
    return lock


def reopen() -> None:
    """In a forked child: the threads that held them are not there to release them."""
    for lock in list(_LOCKS):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as logging does


def has_gone(thread: Thread, until: float) -> bool:
    """Whether the thread has ended by then, a time of ``monotonic``; the system's thread, too.

    Python says that a thread has ended a moment before the system stops counting it, and a fork
    that counts more than one thread warns.
    """
    thread.join(max(0.0, until - monotonic()))
    if thread.is_alive():
        return False
    task = f"/proc/self/task/{thread.native_id}"
    while os.path.exists(task) and monotonic() < until:  # noqa: PTH110 - this may be in a hurry
        sleep(_A_MOMENT)
    return True
