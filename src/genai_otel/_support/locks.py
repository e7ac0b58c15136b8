"""Locks and threads that are safe to fork.

In a child these locks are free, even if a thread of the parent held them. They are re-entrant: a
garbage collection while a lock is held may run a finalizer that ends a stream and acquires the same
lock on the same thread.
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
    """Return a new lock; the guarded state must be consistent between any two lines."""
    lock = RLock()
    _LOCKS.add(lock)
    return lock


def reopen() -> None:
    """Reset all locks in a forked child, where the threads that held them do not exist."""
    for lock in list(_LOCKS):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as logging does


def has_gone(thread: Thread, until: float) -> bool:
    """Return whether the thread, and its system thread, ended before ``until`` (``monotonic``).

    Python reports a thread as ended slightly before the system does, and a fork warns if the system
    counts more than one thread.
    """
    thread.join(max(0.0, until - monotonic()))
    if thread.is_alive():
        return False
    task = f"/proc/self/task/{thread.native_id}"
    while os.path.exists(task) and monotonic() < until:  # noqa: PTH110 - pathlib is slower
        sleep(_A_MOMENT)
    return True
