"""Work that must not be on the way of a call: big imports, each on a thread of its own.

A process must not fork in the middle of one: in the child nobody would finish the import, and
whoever imports the same module there would wait for ever. So a fork waits for them first.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from .locks import has_gone
from .processes import block_sigterm, is_child, is_ending

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNNING: set[threading.Thread] = set()
"""Who has ended is known only from outside: a thread that says so itself has not ended yet."""
_BEFORE_A_FORK = 10.0


def begin(name: str, work: Callable[..., object], *args: object) -> bool:
    """Runs ``work``, which does not raise; ``False`` where the process has too many threads.

    At the end of the program, where none can be started, it runs here.
    """

    def run() -> None:
        if is_child():
            block_sigterm()  # as every thread of ours there: it is for the main thread
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
    """Waits for what is under way: before a fork, and at the end of the process."""
    until = monotonic() + timeout
    for thread in list(_RUNNING):
        # One that is just being started has not begun to import anything.
        begun = thread is not threading.current_thread() and thread.ident is not None
        if begun and has_gone(thread, until):
            _RUNNING.discard(thread)
