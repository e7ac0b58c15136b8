"""Background threads for work that must not delay a call, such as expensive imports.

A process must not fork during an import: the child would have a module that no thread finishes
importing, and importing it there would block forever. A fork therefore waits for these threads.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from .locks import has_gone
from .processes import block_sigterm, is_child, is_ending

if TYPE_CHECKING:
    from collections.abc import Callable

# Ended threads are removed by others: a thread that removes itself is still alive
_RUNNING: set[threading.Thread] = set()
_BEFORE_A_FORK = 10.0


def begin(name: str, work: Callable[..., object], *args: object) -> bool:
    """Run ``work`` on a thread; return ``False`` if the process has too many threads.

    ``work`` must not raise. At interpreter exit, when no thread can be started, it runs on the
    calling thread.
    """

    def run() -> None:
        if is_child():
            block_sigterm()  # in child processes, SIGTERM is for the main thread
        work(*args)

    thread = threading.Thread(target=run, name=f"genai-otel-{name}", daemon=True)
    for each in list(_RUNNING):
        if each.ident is not None and not each.is_alive():
            _RUNNING.discard(each)
    _RUNNING.add(thread)
    try:
        thread.start()
    except RuntimeError:
        _RUNNING.discard(thread)
        if not is_ending():
            return False
        work(*args)
    return True


def finish(timeout: float = _BEFORE_A_FORK) -> None:
    """Wait for running threads: before a fork and at process exit."""
    until = monotonic() + timeout
    for thread in list(_RUNNING):
        # A thread that is being started has not begun to import anything.
        begun = thread is not threading.current_thread() and thread.ident is not None
        if begun and has_gone(thread, until):
            _RUNNING.discard(thread)
