"""Hold operations that end before the price table is loaded, with their spans and metrics.

The table is loaded on a separate thread within a few hundred milliseconds; a first call may end
earlier. Operations that end meanwhile are held in the order of their ends, so that parents follow
their children, whose totals they include. The loading thread, a flush or the exit of the process
concludes them.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from genai_otel._support.locks import reentrant

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 256
_ROUNDS = 4


class Waiting:
    """A queue of functions that wait until loading is done; ``run`` contains their errors."""

    def __init__(self, run: Callable[[Callable[[], None]], object]) -> None:
        self._run = run
        self._lock = reentrant()  # garbage collection may end an operation at any point
        self._turn = reentrant()  # only one thread at a time concludes, to keep the order
        self._held: deque[Callable[[], None]] = deque()
        self._busy = 0
        self._loaded = threading.Event()
        self._loader: int | None = None
        # Whether loading is in progress and operations are held.
        self.open = False

    def hold(self, conclude: Callable[[], None], *, needs: bool) -> bool:
        """Queue ``conclude`` if it ``needs`` to wait or others before it wait; return whether.

        If many are waiting, conclude the oldest one now, without prices.
        """
        with self._lock:
            waits = needs or self._held or self._busy
            if not (self.open and waits) or len(self._held) >= _ROUNDS * _MOST:
                return False
            self._held.append(conclude)
            full = len(self._held) > _MOST and not self._busy
        if full and self._turn.acquire(blocking=False):
            try:
                self._conclude_next()
            finally:
                self._turn.release()
        return True

    def release(self) -> None:
        """Conclude all that wait, since loading succeeded or failed, and hold no more."""
        self._loader = threading.get_ident()
        self._loaded.set()
        with self._turn:
            if self._conclude_many():
                return
            with self._lock:  # operations end faster than this thread concludes them
                self.open = False
            while self._conclude_next():
                pass

    def loaded(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; return whether loading is done or has failed."""
        return self._loaded.wait(timeout)

    def drain(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds, then conclude all that wait, if need be without prices.

        Do nothing on the loading thread.
        """
        if not (self._held or self._busy) or self._loader == threading.get_ident():
            return
        deadline = monotonic() + timeout
        self._loaded.wait(timeout)
        if self._turn.acquire(timeout=max(0.0, deadline - monotonic()) + _GRACE):
            try:
                self._conclude_many()
            finally:
                self._turn.release()

    def _conclude_many(self) -> bool:
        """Conclude a bounded number; return whether none is left, as others may be added."""
        return not all(self._conclude_next() for _ in range(_ROUNDS * _MOST))

    def _conclude_next(self) -> bool:
        with self._lock:
            if not self._held:
                self.open = self.open and not self._loaded.is_set()
                return False
            conclude = self._held.popleft()
            self._busy += 1
        try:
            self._run(conclude)
        finally:
            with self._lock:
                self._busy -= 1
        return True


_GRACE = 0.05
