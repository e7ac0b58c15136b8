"""What kind of process this is, whether it is ending, and which thread SIGTERM may interrupt."""

from __future__ import annotations

import signal
import sys
import threading

# Below ``genai-otel run`` such a child is set up before multiprocessing knows what it is.
_SPAWNED = any(
    each == "--multiprocessing-fork"
    or each.endswith(".popen_loky_posix")
    or each.startswith("from multiprocessing.forkserver ")
    for each in sys.orig_argv
)


def is_ending() -> bool:
    """Whether the program's main thread is done: from Python 3.12 on no thread can be started then.

    Others may go on for long, as the interpreter waits for all that are no daemons.
    """
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def block_sigterm() -> set[int | signal.Signals] | None:
    """Blocks SIGTERM on this thread, where that can be; the signals that were blocked before."""
    return change_sigterm_mask(signal.SIG_BLOCK) if hasattr(signal, "pthread_sigmask") else None


def change_sigterm_mask(how: int) -> set[int | signal.Signals]:
    """``how`` as for ``pthread_sigmask``; the signals that were blocked before."""
    return signal.pthread_sigmask(how, {signal.SIGTERM})


def is_child() -> bool:
    """Whether this process was made by ``multiprocessing``, or by what is made like it."""
    return _SPAWNED or any(_is_child_of(name) for name in ("multiprocessing", "billiard"))


def is_spawned() -> bool:
    """Whether ``multiprocessing`` started this process anew, or its server did that forks them."""
    return _SPAWNED


def is_at_work() -> bool:
    """Whether a process that was spawned has imported its main module, and does its work."""
    current = getattr(sys.modules.get("multiprocessing.process"), "current_process", None)
    return getattr(current() if current is not None else None, "_parent_pid", None) is not None


def _is_child_of(package: str) -> bool:
    current = getattr(sys.modules.get(f"{package}.process"), "current_process", None)
    process = current() if current is not None else None
    # While a child that was spawned imports its main module it does not know its parent yet.
    inheriting = getattr(process, "_inheriting", False)
    return inheriting or getattr(process, "_parent_pid", None) is not None
