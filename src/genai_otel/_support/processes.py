"""The kind of this process, whether it is ending, and which thread handles SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading

# Under ``genai-otel run`` a spawned child is set up before multiprocessing marks it as a child.
_SPAWNED = any(
    each == "--multiprocessing-fork"
    or each.endswith(".popen_loky_posix")
    or each.startswith("from multiprocessing.forkserver ")
    for each in sys.orig_argv
)


def is_ending() -> bool:
    """Return whether the main thread has ended.

    From Python 3.12 on no thread can be started then. Other threads may continue for long, as the
    interpreter waits for all non-daemon threads.
    """
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def block_sigterm() -> set[int | signal.Signals] | None:
    """Block SIGTERM on this thread, if supported; return the signals blocked before."""
    return change_sigterm_mask(signal.SIG_BLOCK) if hasattr(signal, "pthread_sigmask") else None


def change_sigterm_mask(how: int) -> set[int | signal.Signals]:
    """Change the mask of SIGTERM (``how`` as in ``pthread_sigmask``); return the previous mask."""
    return signal.pthread_sigmask(how, {signal.SIGTERM})


def is_child() -> bool:
    """Return whether ``multiprocessing`` or ``billiard`` started this process."""
    return _SPAWNED or any(_is_child_of(name) for name in ("multiprocessing", "billiard"))


def is_spawned() -> bool:
    """Return whether ``multiprocessing`` spawned this process, or its fork server did."""
    return _SPAWNED


def is_at_work() -> bool:
    """Return whether a spawned process has imported its main module and runs its work."""
    current = getattr(sys.modules.get("multiprocessing.process"), "current_process", None)
    return getattr(current() if current is not None else None, "_parent_pid", None) is not None


def _is_child_of(package: str) -> bool:
    current = getattr(sys.modules.get(f"{package}.process"), "current_process", None)
    process = current() if current is not None else None
    # A spawned child does not know its parent while it imports its main module.
    inheriting = getattr(process, "_inheriting", False)
    return inheriting or getattr(process, "_parent_pid", None) is not None
