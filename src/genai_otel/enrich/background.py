"""Work that must not be on the way of a call: big imports, each on a thread of its own.

A process must not fork in the middle of one: in the child nobody would finish the import, and
whoever imports the same module there would wait for ever. So a fork waits for them first.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from genai_otel._locks import has_gone
from genai_otel._process import is_child, unterminated

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNNING: set[threading.Thread] = set()
_BEFORE_A_FORK = 10.0


def begin(name: str, work: Callable[..., object], *args: object) -> bool:
    """Runs ``work``, which does not raise; ``False`` where threads can no longer be started."""

    def run() -> None:
        if is_child():
            unterminated()  # as every thread of ours there: it is for the main thread
        try:
            work(*args)
        finally:
            _RUNNING.discard(thread)

    thread = threading.Thread(target=run, name=f"genai-otel-{name}", daemon=True)
    _RUNNING.add(thread)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is ending, or the process has too many
        _RUNNING.discard(thread)
        return False
    return True


def finish(timeout: float = _BEFORE_A_FORK) -> None:
    """Waits for what is under way: before a fork, and at the end of the process."""
    until = monotonic() + timeout
    for thread in list(_RUNNING):
        # One that is just being started has not begun to import anything.
        if thread is not threading.current_thread() and thread.ident is not None:
            has_gone(thread, until)
