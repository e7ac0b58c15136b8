"""What ended before the price table was there: its spans and points come when it is.

The table is read on a thread of its own, which takes a few hundred milliseconds; a first call may
be over before. What ends meanwhile is held in the order of the ends, so that parents come after
their children with the sums of them; that thread concludes it, or a flush, or the process as it
ends.
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
    """Conclusions that wait for something that is being loaded; ``run`` contains their errors."""

    def __init__(self, run: Callable[[Callable[[], None]], object]) -> None:
        self._run = run
        self._lock = reentrant()  # a collection of garbage may end something anywhere
        self._turn = reentrant()  # one thread at a time concludes, in order
        self._held: deque[Callable[[], None]] = deque()
        self._busy = 0
        self._loaded = threading.Event()
        self._loader: int | None = None
        self.open = False
        """Whether anything is awaited."""

    def hold(self, conclude: Callable[[], None], *, needs: bool) -> bool:
        """Whether ``conclude`` is called later: it ``needs`` to, or others before it are not done.

        Where many wait already the oldest is concluded now, as it is.
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
        """It is loaded, or never will be: what waits is concluded, and nothing waits any more."""
        self._loader = threading.get_ident()
        self._loaded.set()
        with self._turn:
            if self._conclude_many():
                return
            with self._lock:  # they end faster than this thread can follow
                self.open = False
            while self._conclude_next():
                pass

    def loaded(self, timeout: float) -> bool:
        """Whether it is there, or will never be, after at most ``timeout`` seconds."""
        return self._loaded.wait(timeout)

    def drain(self, timeout: float) -> None:
        """Waits for at most ``timeout`` seconds, then concludes what still waits as it is."""
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
        """Whether all were concluded that waited: others may come as fast as they go."""
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
