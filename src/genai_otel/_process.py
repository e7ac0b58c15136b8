"""The ends of a process, and the moments at which it is frozen: each may deliver what is queued.

What is registered here is registered once in a process and cannot be taken back, but for SIGTERM.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

from .engine.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SECONDS = 2.0
"""What an end may take of a process's time, at most."""
HANDLER_SECONDS = 0.3
"""What the end of a Lambda handler may take."""
_GRACE = 0.3


class Ends:
    """``end`` shuts down, ``flush`` only delivers; both take seconds."""

    def __init__(self, end: Callable[[float], Any], flush: Callable[[float], Any]) -> None:
        self._end, self._flush = end, flush

    def register(self) -> None:
        """For this process, and for children that are made by ``multiprocessing``."""
        atexit.register(self._at_exit)
        self.in_child()

    def in_child(self) -> None:
        """Called in each process that knows us, when it is set up and after a fork.

        What ``multiprocessing`` (or Celery's billiard) makes ends by ``os._exit``, after its
        finalisers: atexit is not run there. It begins by dropping the finalisers that it inherits,
        then calls what was registered for that moment. A child of Celery's that has done its number
        of tasks runs no finalisers, but tells by a signal that it goes.
        """
        celery = sys.modules.get("celery.signals")
        if celery is not None:
            ends = getattr(celery, "worker_process_shutdown", None)
            contained(_connect, ends, self._at_end_of_worker)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            contained(self._finalise)
            contained(util.register_after_fork, self, Ends._finalise)

    def _finalise(self) -> None:
        if any(_is_child_of(name) for name in ("multiprocessing", "billiard")):
            sys.modules["multiprocessing.util"].Finalize(None, self._at_exit, exitpriority=0)

    def _at_exit(self) -> None:
        self._end(SECONDS)

    def _at_end_of_worker(self, *_: Any, **__: Any) -> None:
        contained(self._end, SECONDS)

    # ------------------------------------------------------------------------- SIGTERM

    def take_sigterm(self) -> None:
        """Only where nobody else has a say in it: the default disposition, the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._terminated)
        except ValueError:  # a subinterpreter
            return

    def leave_sigterm(self) -> None:
        """As it was, unless somebody has put a handler of their own over ours."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except ValueError:
            return

    def _terminated(self, number: int, _frame: FrameType | None) -> None:
        """Delivers, then dies of the same signal. A second one does not wait."""
        signal.signal(number, signal.SIG_DFL)
        # Init is not killed by it: there the program goes on, and so do we.
        last = self._flush if os.getpid() == 1 else self._end
        # Not here: whatever this thread was doing may hold what the end has to wait for.
        ending = threading.Thread(target=last, args=(SECONDS,), daemon=True)
        with suppress(RuntimeError):  # no more threads
            ending.start()
            ending.join(SECONDS + _GRACE)
        os.kill(os.getpid(), number)
        if os.getpid() == 1:
            signal.signal(number, self._terminated)

    # -------------------------------------------------------------------------- Lambda

    def after_each_event(self) -> bool:
        """Flushes when a handler has answered; whether this process is run by Lambda's runtime."""
        runtime = sys.modules.get("awslambdaric.bootstrap")
        original = getattr(runtime, "handle_event_request", None)
        if original is None:
            return False
        if not hasattr(original, "__genai_otel__"):
            setattr(runtime, "handle_event_request", self._and_flush(original))  # noqa: B010
        return True

    def _and_flush(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def handle_event_request(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            finally:
                self.now()

        handle_event_request.__genai_otel__ = True  # type: ignore[attr-defined]
        return handle_event_request

    def now(self) -> None:
        """Before the process is frozen."""
        contained(self._flush, HANDLER_SECONDS)


def _connect(signal: Any, receiver: Callable[..., None]) -> None:
    signal.connect(receiver, weak=False, dispatch_uid="genai_otel")


def _is_child_of(package: str) -> bool:
    """Whether this process was made by the package."""
    process = sys.modules.get(f"{package}.process")
    current = getattr(process, "current_process", None)
    return current is not None and getattr(current(), "_parent_pid", None) is not None
