"""Open operations: streams, bodies and sessions that have not ended yet."""

from __future__ import annotations

import gc
from _thread import start_new_thread
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import count
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from genai_otel._support.errors import contained

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tracker import ObservedCall

# Beyond this many open operations the oldest is ended as incomplete.
MAX_OPEN = 10_000
# Seconds without activity after which an operation is ended as incomplete.
IDLE = 3_600.0
EXPIRE_EVERY = 60.0
# The most operations that a call of the host's expires on its way.
MAX_EXPIRED_AT_ONCE = 16


class OpenRegistry:
    """The open calls. Removing one from here is what ends it, exactly once.

    A key represents a call wherever the call must not be kept alive; keys are never reused.
    """

    def __init__(self) -> None:
        self._calls: dict[int, ObservedCall] = {}
        self._keys = count()
        self._deferred: deque[Callable[[], Any]] = deque()
        self._collecting = False
        self._last_expired = 0.0
        # Open calls by the ``id`` of what their chunks come from.
        self.by_source: dict[int, ObservedCall] = {}

    def __reduce__(self) -> str:
        """Unpickle to the registry of the loading process; ``dill`` follows references."""
        return "OPEN"

    def add(self, call: ObservedCall, source: Any) -> None:
        """Register ``call``, whose chunks come from ``source``."""
        self.drain_deferred()
        self.watch_gc()
        now = perf_counter()
        if now - self._last_expired >= 2 * EXPIRE_EVERY:  # nobody else does
            self.expire(now, MAX_EXPIRED_AT_ONCE)
        call.touch(now)
        call.key = next(self._keys)
        call.source = source  # kept, so that its id stays its own
        self._calls[call.key] = self.by_source[id(source)] = call
        if len(self._calls) > MAX_OPEN:
            self.end(next(iter(self._calls)), completed=False)

    def watch_gc(self) -> None:
        """Install the callback that tells when the garbage collector runs."""
        if self._on_gc not in gc.callbacks:
            gc.callbacks.append(self._on_gc)

    def get(self, key: int) -> ObservedCall | None:
        """Return the open call of that key."""
        return self._calls.get(key)

    def end(
        self,
        key: int,
        error: BaseException | None = None,
        *,
        completed: bool | None = True,
        at: float | None = None,
    ) -> None:
        """End the call, now or at the time ``at``; a second end does nothing."""
        call = self._calls.pop(key, None)
        if call is None:
            return
        self._release(call)
        call.finish(error, completed=completed, at=at)

    def release(self, call: ObservedCall) -> None:
        """Remove the call without ending it: the caller ends it."""
        if self._calls.pop(call.key, None) is not None:
            self._release(call)

    def expire(self, now: float, most: float = inf) -> None:
        """End at most ``most`` calls without activity for ``IDLE`` seconds."""
        for key in list(self._calls):
            call = self._calls.get(key)
            if call is None or (contained(call.idle_seconds, now) or 0.0) < IDLE:
                continue
            if most <= 0:
                return
            most -= 1
            if self._calls.pop(key, None) is not None:
                self._release(call)
                call.expire()
        self._last_expired = now

    def abandon(self, key: int) -> None:
        """End a call whose stream was dropped by the host.

        The garbage collector may find that late, so the call ends at the time of its last chunk.
        """
        call = self._calls.get(key)
        if call is None:
            return
        if self.defer_during_gc(partial(self.end, key, completed=False, at=call.last_seen)):
            self._release(call)
        else:
            self.end(key, completed=False)

    def defer_during_gc(self, end: Callable[[], Any]) -> bool:
        """Queue ``end`` if the garbage collector is running; return whether it was queued.

        The collector may run anywhere, while this very thread holds locks of the SDK; so another
        thread drains the queue, unless a call, flush or shutdown comes first.
        """
        if self._collecting:
            self._deferred.append(end)
        return self._collecting

    def _release(self, call: ObservedCall) -> None:
        """Drop all references to the host's objects."""
        self.by_source.pop(id(call.source), None)
        if call.restore is not None:
            contained(call.restore)
        call.source = call.restore = call.holder = call.progress = None

    def tie_to(self, call: ObservedCall, holder: Any) -> None:
        """End the call when ``holder``, the object that the host was given, is collected."""
        key = call.key
        call.holder = ref(holder, lambda _: contained(self.abandon, key))

    def drain_deferred(self) -> None:
        """Run the ends that were queued during garbage collection."""
        while self._deferred:
            try:
                end = self._deferred.popleft()
            except IndexError:  # another thread was faster
                return
            contained(end)

    def end_all(self) -> None:
        """End every open call as incomplete."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)
        self._collecting = False
        self.drain_deferred()
        for key in list(self._calls):
            self.end(key, completed=False)

    def clear(self) -> None:
        """Drop all calls without ending them: in a forked child they belong to the parent."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            self._release(call)
        self.by_source.clear()
        self._deferred.clear()

    def __len__(self) -> int:
        return len(self._calls)

    def _on_gc(self, phase: str, _info: dict[str, int]) -> None:
        self._collecting = phase == "start"
        if self._deferred and not self._collecting:
            # ``threading`` takes a lock to start a thread, which the interrupted code may hold.
            with suppress(RuntimeError):  # the interpreter is ending: its exit settles
                start_new_thread(self.drain_deferred, ())


OPEN = OpenRegistry()
