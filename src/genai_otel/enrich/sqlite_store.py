"""Spending in a SQLite file that several processes share.

It is asked on the caller's thread: choose it only where budgets have to hold across processes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

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


class SqliteBudgetStore:
    """A budget store in the file ``path`` (mode 0600); waits at most ``timeout`` s for others.

    A file that cannot be used raises ``sqlite3.Error`` or ``OSError`` when it is made, never later:
    from then on a failing look counts as nothing spent.
    """

    def __init__(self, path: str | Path, *, timeout: float = 0.25) -> None:
        self._path, self._timeout = Path(path), timeout
        self._local = threading.local()
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, _MODE))
        self._connection().execute(_TABLE)

    def add(self, key: str, window: int, amount: float) -> float:
        connection = self._connection()
        with connection:
            (total,) = connection.execute(_ADD, (key, window, amount)).fetchone()
            if total == amount:  # the first of its window: those before it are over
                connection.execute(_PURGE, (key, window))
        return float(total)

    def spent(self, key: str, window: int) -> float:
        row = self._connection().execute(_SPENT, (key, window)).fetchone()
        return 0.0 if row is None else float(row[0])

    def _connection(self) -> sqlite3.Connection:
        """One a thread and process: a connection must not cross either."""
        known = getattr(self._local, "connection", None)
        if known is None or self._local.pid != os.getpid():
            known = sqlite3.connect(self._path, timeout=self._timeout)
            known.execute("PRAGMA journal_mode = WAL")
            known.execute("PRAGMA synchronous = NORMAL")
            self._local.connection, self._local.pid = known, os.getpid()
        return known
