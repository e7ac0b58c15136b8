"""Spending in a SQLite file that several processes share.

It is accessed on the caller's thread: use it only if budgets must hold across processes.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import closing, suppress
from pathlib import Path
from weakref import WeakSet

from genai_otel._support.locks import reentrant

_TABLE = """
CREATE TABLE IF NOT EXISTS spending (
    key TEXT NOT NULL, window INTEGER NOT NULL, amount REAL NOT NULL, PRIMARY KEY (key, window)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO spending VALUES (?, ?, ?)
ON CONFLICT (key, window) DO UPDATE SET amount = amount + excluded.amount RETURNING amount
"""
_PURGE = "DELETE FROM spending WHERE key = ? AND window < ?"
_SPENT = "SELECT amount FROM spending WHERE key = ? AND window = ?"
_MODE = 0o600
_FORK_WAITS = 5.0


class SqliteBudgetStore:
    """A budget store in the file ``path`` (mode 0600); waits up to ``timeout`` s for its lock.

    The constructor raises ``sqlite3.Error`` or ``OSError`` if the file is unusable. Later errors
    never reach the caller: a failed look-up counts as nothing spent.
    """

    def __init__(self, path: str | Path, *, timeout: float = 0.25) -> None:
        self._file = _File(Path(path), timeout)
        weakref.finalize(self, self._file.close)  # at process exit at the latest
        with self._file.lock, closing(self._file):
            self._file.connection().execute(_TABLE)

    def add(self, key: str, window: int, amount: float) -> float:
        with self._file.lock:
            connection = self._file.connection()
            with connection:
                (total,) = connection.execute(_ADD, (key, window, amount)).fetchone()
                if total == amount:  # the first of its window: purge older windows
                    connection.execute(_PURGE, (key, window))
        return float(total)

    def spent(self, key: str, window: int) -> float:
        with self._file.lock:
            row = self._file.connection().execute(_SPENT, (key, window)).fetchone()
        return 0.0 if row is None else float(row[0])

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()


class _File:
    """The connection of this process, used by one thread at a time.

    It is closed before a fork: a child can neither use nor close an inherited connection safely.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self.lock = reentrant()
        self._connection: sqlite3.Connection | None = None
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
        _ALL.add(self)

    def connection(self) -> sqlite3.Connection:
        """Return the open connection, or open one; the caller holds ``lock``."""
        if self._connection is None:
            new = sqlite3.connect(self._path, timeout=self._timeout, check_same_thread=False)
            try:
                new.execute("PRAGMA journal_mode = WAL")
                new.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                new.close()
                raise
            self._connection = new
        return self._connection

    def forget(self) -> None:
        """Keep an inherited connection in a child forever: it may be in the middle of a write."""
        if self._connection is not None:
            _INHERITED.append(self._connection)
            self._connection = None

    def close(self) -> None:
        with self.lock:
            known, self._connection = self._connection, None
            if known is not None:
                known.close()


_ALL: WeakSet[_File] = WeakSet()
_INHERITED: list[sqlite3.Connection] = []


def _before_fork() -> None:
    """Acquire the lock of each file and close it, so that it stays closed during the fork."""
    for each in list(_ALL):
        if each.lock.acquire(timeout=_FORK_WAITS):
            each.close()


def _after_fork() -> None:
    for each in list(_ALL):
        with suppress(RuntimeError):  # not acquired in time, or created meanwhile
            each.lock.release()


def _in_child() -> None:
    for each in list(_ALL):
        each.forget()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
