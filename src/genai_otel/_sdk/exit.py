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
from time import monotonic
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained
from genai_otel._support.processes import block_sigterm, change_sigterm_mask, is_child, is_ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SECONDS = 1.6
"""For delivering at an end, which takes two of a process's time at most: threads end after it."""
HANDLER_SECONDS = 0.3
"""What the end of a Lambda handler may take."""
_GRACE = 0.3
_LAST = -1_000
"""Among the finalizers of ``multiprocessing``: when all children have ended."""


class ExitHandlers:
    """Flushes or shuts down at every kind of end of the process."""

    def __init__(self) -> None:
        self._end: Callable[[float], Any] = bool
        self._flush: Callable[[float], Any] = bool
        self._awaited: Callable[[], bool] = bool
        self._waits: set[int] = set()
        """Threads that fork just now, and for which SIGTERM waits."""
        self._pid = 0
        self._last_delivery: threading.Event | None = None
        self._deliverer = 0
        self._was_sent = False
        """SIGTERM has come to the thread that delivers for the last time."""

    def register(
        self,
        *,
        end: Callable[[float], Any],
        flush: Callable[[float], Any],
        awaited: Callable[[], bool],
    ) -> None:
        """Register for this process and for children made by ``multiprocessing``.

        ``end`` shuts down, ``flush`` only delivers; both take a timeout in seconds. ``awaited``:
        whether there are child processes that may leave spans to deliver.
        """
        self._end, self._flush, self._awaited = end, flush, awaited
        atexit.register(self._at_exit)
        self.in_child()

    def in_child(self) -> None:
        """Called in each process that knows us, when it is set up and after a fork.

        What ``multiprocessing`` (or Celery's billiard) makes ends by ``os._exit``, after its
        finalisers: atexit is not run there. It begins by dropping the finalisers that it inherits,
        then calls what was registered for that moment. A child of Celery's that has done its number
        of tasks runs no finalisers, but tells by a signal that it goes.
        """
        # Of the parent's, on a thread that is not here; and what the parent was sent meanwhile.
        self._last_delivery, self._was_sent = None, False
        celery = sys.modules.get("celery.signals")
        if celery is not None:
            ends = getattr(celery, "worker_process_shutdown", None)
            contained(_connect, ends, self._at_end_of_worker)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            contained(self._finalise)
            contained(util.register_after_fork, self, ExitHandlers._finalise)

    def _finalise(self) -> None:
        if is_child():
            sys.modules["multiprocessing.util"].Finalize(None, self._at_end, exitpriority=0)

    def _at_end(self) -> None:
        """SIGTERM waits for it: what is being delivered would be left behind, and come twice.

        Ctrl+C ends it without a word: such a child then ends as it was about to.
        """
        before = block_sigterm()
        try:
            with suppress(KeyboardInterrupt):
                self._end(SECONDS)
        finally:
            if before is not None and signal.SIGTERM not in before:
                change_sigterm_mask(signal.SIG_UNBLOCK)

    def _at_exit(self) -> None:
        try:
            left = self._left_after_flush()
        except KeyboardInterrupt:
            _die_of_it()
            return
        if left is None:
            self._last(SECONDS)
        else:
            util = sys.modules["multiprocessing.util"]
            util.Finalize(None, self._last, args=(left,), exitpriority=_LAST)

    def _left_after_flush(self) -> float | None:
        """How long the last delivery may take; ``None`` where that is to be made now.

        Pools that were left open are ended after this, by callbacks that are older than ours.
        """
        util = sys.modules.get("multiprocessing.util")
        if util is None or getattr(util, "_exiting", True) or not contained(self._awaited):
            return None
        began = monotonic()
        self._flush(SECONDS / 2)
        return max(SECONDS - (monotonic() - began), _GRACE)

    def _last(self, seconds: float) -> None:
        """Ctrl+C ends it without a word; what it was pressed for is the end of the process."""
        try:
            self._end(seconds)
        except KeyboardInterrupt:
            _die_of_it()
        _stay_interrupted()

    def _at_end_of_worker(self, *_: Any, **__: Any) -> None:
        contained(self._at_end)

    # ------------------------------------------------------------------------- SIGTERM

    def delivering(self, deliver: Callable[[float], bool], seconds: float) -> bool:
        """Delivers for the last time; SIGTERM waits for it if it comes meanwhile.

        So does another thread that would deliver, as a program does that ends.
        """
        before = self._last_delivery
        if before is not None:
            mine = self._deliverer == threading.get_ident()  # in a handler of a signal
            return (mine or before.wait(seconds)) and deliver(seconds)
        self._deliverer, under_way = threading.get_ident(), threading.Event()
        self._last_delivery = under_way
        try:
            return deliver(seconds)
        finally:
            under_way.set()
            self._last_delivery = None
            self.leave_sigterm()
            if self._was_sent:
                self._was_sent = False
                os.kill(os.getpid(), signal.SIGTERM)

    def take_sigterm(self) -> None:
        """Only where nobody else has a say in it: the default disposition, the main thread.

        Not in what ``multiprocessing`` makes. Its parent ends it by SIGTERM, and waits for that;
        but Python acts on a signal between two instructions only, and one that comes just before
        the main thread waits for a lock, of a queue say, is not acted on.
        """
        if threading.current_thread() is not threading.main_thread() or is_child():
            return
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._pid = os.getpid()
                signal.signal(signal.SIGTERM, self._terminated)
        except ValueError:  # a subinterpreter
            return

    def ends_at_sigterm(self) -> bool:
        """Whether SIGTERM that comes to what this process was set up with is an orderly end."""
        return self._pid == os.getpid()

    def before_sigterm(self) -> None:
        """Where the process is about to die of it at once."""
        contained(self._flush, SECONDS)

    def leave_sigterm(self) -> None:
        """As it was, unless somebody has put a handler of their own over ours."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            if self._handles_sigterm():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except ValueError:
            return

    def before_fork(self) -> None:
        """From here to the end of the fork SIGTERM waits, for a child has no handler of ours.

        Python forgets what a child has been sent by then, if a handler in Python has seen it.
        """
        if self._handles_sigterm() and signal.SIGTERM not in change_sigterm_mask(signal.SIG_BLOCK):
            self._waits.add(threading.get_ident())

    def after_fork(self, *, child: bool) -> None:
        """A child dies of SIGTERM as it would have without us; unless it sets a handler."""
        if child and self._handles_sigterm():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if threading.get_ident() in self._waits:
            self._waits.discard(threading.get_ident())
            change_sigterm_mask(signal.SIG_UNBLOCK)

    def _handles_sigterm(self) -> bool:
        return signal.getsignal(signal.SIGTERM) == self._terminated

    def _terminated(self, number: int, _frame: FrameType | None) -> None:
        """Delivers, then dies of the same signal. A second one does not wait."""
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != self._pid:  # a child that C code has forked: no thread of ours is here
            os.kill(os.getpid(), number)
            return
        under_way = self._last_delivery
        if under_way is not None and self._deliverer == threading.get_ident():
            self._was_sent = True  # goes on where it was interrupted, for as long as is promised
            with suppress(RuntimeError):  # no more threads
                threading.Thread(target=_kill_late, args=(under_way,), daemon=True).start()
            return
        # Init is not killed by it: there the program goes on, and so do we.
        last = self._flush if os.getpid() == 1 else self._end
        # Not here: whatever this thread was doing may hold what the end has to wait for.
        wait: Any = last if under_way is None else under_way.wait
        ending = threading.Thread(target=wait, args=(SECONDS,), daemon=True)
        try:
            ending.start()
            ending.join(SECONDS + _GRACE)
        except RuntimeError:  # too many threads
            if is_ending():  # or none any more: this one only waits for others, and holds nothing
                contained(wait, SECONDS)
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


EXIT_HANDLERS = ExitHandlers()


def _kill_late(delivered: threading.Event) -> None:
    if not delivered.wait(SECONDS + _GRACE):
        os.kill(os.getpid(), signal.SIGTERM)


def _connect(signal: Any, receiver: Callable[..., None]) -> None:
    signal.connect(receiver, weak=False, dispatch_uid="genai_otel")


def _stay_interrupted() -> None:
    """What Ctrl+C has ended dies of SIGINT, by which a shell knows that it shall not go on.

    Python forgets that as soon as any text is executed, which named tuples and dataclasses do: an
    end that delivers may be the first to import some, and other threads may go on meanwhile.
    """
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        _die_of_it()


class _Reminder:
    """Does it once more when modules are taken apart, and no other thread runs any more."""

    def remind(self) -> None:
        try:
            exec("raise KeyboardInterrupt")  # noqa: S102 - of this very text
        except KeyboardInterrupt:
            return

    __del__ = remind


def _die_of_it() -> None:
    """Has Python die of SIGINT when all else is done: a text that is interrupted does that."""
    global _REMINDER  # noqa: PLW0603 - of the process
    if _REMINDER is None:
        _REMINDER = _Reminder()
    _REMINDER.remind()


_REMINDER: _Reminder | None = None
