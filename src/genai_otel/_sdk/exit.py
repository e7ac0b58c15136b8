"""Export what is queued when the process exits, forks, gets SIGTERM or is frozen.

Handlers are registered once in a process and cannot be unregistered, except that of SIGTERM.
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

# For the export at exit. The exit takes two seconds at most, and threads end after the export.
SECONDS = 1.6
HANDLER_SECONDS = 0.3  # after each event of a Lambda function
_GRACE = 0.3
# Priority among the finalizers of multiprocessing: after all children have ended.
_LAST = -1_000


class ExitHandlers:
    """Flushes or shuts down at every kind of end of the process."""

    def __init__(self) -> None:
        self._end: Callable[[float], Any] = bool
        self._flush: Callable[[float], Any] = bool
        self._awaited: Callable[[], bool] = bool
        # Threads that are forking, during which SIGTERM is blocked.
        self._waits: set[int] = set()
        self._pid = 0
        self._last_delivery: threading.Event | None = None
        self._deliverer = 0
        # SIGTERM has interrupted the thread of the last export.
        self._was_sent = False

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
        """Register in this process; called at set-up and in each forked child.

        Children of ``multiprocessing`` and of Celery's billiard exit by ``os._exit`` after their
        finalizers, and run no atexit functions. They first drop inherited finalizers, then call
        what was registered for after the fork. A Celery child that has reached its number of tasks
        runs no finalizers, but sends a Celery signal.
        """
        # State of the parent's last export, on a thread that does not exist here.
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
        """Export with SIGTERM blocked: an interrupted export would be repeated by the parent.

        Ctrl+C ends the export silently; the child then exits as it was about to.
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
        """Return the seconds left for the last export; ``None`` to export now.

        Pools that were left open are terminated after this, by callbacks older than ours.
        """
        util = sys.modules.get("multiprocessing.util")
        if util is None or getattr(util, "_exiting", True) or not contained(self._awaited):
            return None
        began = monotonic()
        self._flush(SECONDS / 2)
        return max(SECONDS - (monotonic() - began), _GRACE)

    def _last(self, seconds: float) -> None:
        """Shut down. Ctrl+C ends it silently: it was pressed to end the process."""
        try:
            self._end(seconds)
        except KeyboardInterrupt:
            _die_of_it()
        _stay_interrupted()

    def _at_end_of_worker(self, *_: Any, **__: Any) -> None:
        contained(self._at_end)

    # ------------------------------------------------------------------------- SIGTERM

    def delivering(self, deliver: Callable[[float], bool], seconds: float) -> bool:
        """Export for the last time, and delay a SIGTERM that arrives meanwhile.

        Another thread that wants to export, such as one that ends the program, waits too.
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
        """Handle SIGTERM, if nobody else does and this is the main thread.

        Not in children of ``multiprocessing``: their parent terminates them by SIGTERM and waits.
        Python handles a signal only between two bytecode instructions, so one that arrives just
        before the main thread waits for a lock, of a queue for example, would not be handled.
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
        """Whether SIGTERM leads to a graceful shutdown in this process."""
        return self._pid == os.getpid()

    def before_sigterm(self) -> None:
        """Export before the process dies of SIGTERM at once."""
        contained(self._flush, SECONDS)

    def leave_sigterm(self) -> None:
        """Restore the default, unless somebody has replaced our handler."""
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            if self._handles_sigterm():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except ValueError:
            return

    def before_fork(self) -> None:
        """Block SIGTERM until the fork has ended, as a child does not keep our handler.

        A child forgets a signal that a Python-level handler has seen before the fork.
        """
        if self._handles_sigterm() and signal.SIGTERM not in change_sigterm_mask(signal.SIG_BLOCK):
            self._waits.add(threading.get_ident())

    def after_fork(self, *, child: bool) -> None:
        """Restore the default in a child, which then dies of SIGTERM as it would without us."""
        if child and self._handles_sigterm():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if threading.get_ident() in self._waits:
            self._waits.discard(threading.get_ident())
            change_sigterm_mask(signal.SIG_UNBLOCK)

    def _handles_sigterm(self) -> bool:
        return signal.getsignal(signal.SIGTERM) == self._terminated

    def _terminated(self, number: int, _frame: FrameType | None) -> None:
        """Export, then die of the same signal. A second signal does not wait."""
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != self._pid:  # forked by C code: our threads do not exist here
            os.kill(os.getpid(), number)
            return
        under_way = self._last_delivery
        if under_way is not None and self._deliverer == threading.get_ident():
            self._was_sent = True  # the interrupted export continues, within its time
            with suppress(RuntimeError):  # no more threads
                threading.Thread(target=_kill_late, args=(under_way,), daemon=True).start()
            return
        # Process 1 is not killed by SIGTERM: the program continues, and so do we.
        last = self._flush if os.getpid() == 1 else self._end
        # On another thread: this one may hold a lock that the export needs.
        wait: Any = last if under_way is None else under_way.wait
        ending = threading.Thread(target=wait, args=(SECONDS,), daemon=True)
        try:
            ending.start()
            ending.join(SECONDS + _GRACE)
        except RuntimeError:  # too many threads
            if (
                is_ending()
            ):  # at interpreter exit: the main thread only joins others, and holds no lock
                contained(wait, SECONDS)
        os.kill(os.getpid(), number)
        if os.getpid() == 1:
            signal.signal(number, self._terminated)

    # -------------------------------------------------------------------------- Lambda

    def after_each_event(self) -> bool:
        """Flush after each handled event; return whether Lambda's runtime runs this process."""
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
        """Flush before the process is frozen."""
        contained(self._flush, HANDLER_SECONDS)


EXIT_HANDLERS = ExitHandlers()


def _kill_late(delivered: threading.Event) -> None:
    if not delivered.wait(SECONDS + _GRACE):
        os.kill(os.getpid(), signal.SIGTERM)


def _connect(signal: Any, receiver: Callable[..., None]) -> None:
    signal.connect(receiver, weak=False, dispatch_uid="genai_otel")


def _stay_interrupted() -> None:
    """Die of SIGINT after Ctrl+C, by which a shell knows that it must stop, too.

    Python forgets the interrupt as soon as any text is compiled and run, which named tuples and
    dataclasses do: the export at exit may be the first to import some, and other threads may run.
    """
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        _die_of_it()


class _Reminder:
    """Repeats it when modules are cleared, and no other thread runs any more."""

    def remind(self) -> None:
        try:
            exec("raise KeyboardInterrupt")  # noqa: S102 - of this very text
        except KeyboardInterrupt:
            return

    __del__ = remind


def _die_of_it() -> None:
    """Make Python die of SIGINT at its very end, as an interrupted ``exec`` does."""
    global _REMINDER  # noqa: PLW0603 - of the process
    if _REMINDER is None:
        _REMINDER = _Reminder()
    _REMINDER.remind()


_REMINDER: _Reminder | None = None
