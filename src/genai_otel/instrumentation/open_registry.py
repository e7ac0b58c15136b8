"""The streams whose end has not come yet, whatever may bring it."""

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

    from .tracker import Call

MAX_OPEN_STREAMS = 10_000
"""Streams watched at once; beyond that the oldest is ended as left early."""
IDLE = 3_600.0
"""Seconds without a sign of life, after which nobody believes that there will be another."""
LOOK_EVERY = 60.0
AT_ONCE = 16
"""So many are ended by somebody who has come for something else."""


class OpenStreams:
    """The streams whose end has not come. Being taken out of here is what ends one: once.

    A key stands for a call wherever the call must not be kept alive; it is never used again.
    """

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._keys = count()
        self._left: deque[Callable[[], Any]] = deque()
        self._collecting = False
        self._looked = 0.0
        self.by_source: dict[int, Call] = {}
        """Open calls by the ``id`` of what their chunks come from."""

    def __reduce__(self) -> str:
        """The one of the process that loads it: ``dill`` follows what a function refers to."""
        return "OPEN"

    def add(self, call: Call, source: Any) -> None:
        """Begins to watch ``call``, whose chunks come from ``source``."""
        self.settle()
        self.attend()
        now = perf_counter()
        if now - self._looked >= 2 * LOOK_EVERY:  # nobody else does
            self.expire(now, AT_ONCE)
        call.stir(now)
        call.key = next(self._keys)
        call.source = source  # kept, so that its id stays its own
        self._calls[call.key] = self.by_source[id(source)] = call
        if len(self._calls) > MAX_OPEN_STREAMS:
            self.end(next(iter(self._calls)), completed=False)

    def attend(self) -> None:
        """From now on it is known when the collector runs."""
        if self._on_gc not in gc.callbacks:
            gc.callbacks.append(self._on_gc)

    def get(self, key: int) -> Call | None:
        """The open call of that key."""
        return self._calls.get(key)

    def end(
        self,
        key: int,
        error: BaseException | None = None,
        *,
        completed: bool | None = True,
        at: float | None = None,
    ) -> None:
        """Ends the call, now or when it was ``at``, if this is its first end."""
        call = self._calls.pop(key, None)
        if call is None:
            return
        self._let_go(call)
        call.finish(error, completed=completed, at=at)

    def release(self, call: Call) -> None:
        """Watches it no more: whoever calls this ends it."""
        if self._calls.pop(call.key, None) is not None:
            self._let_go(call)

    def expire(self, now: float, most: float = inf) -> None:
        """Ends the streams that nobody has read from for long, ``most`` of them."""
        for key in list(self._calls):
            call = self._calls.get(key)
            if call is None or (contained(call.idle, now) or 0.0) < IDLE:
                continue
            if most <= 0:
                return
            most -= 1
            if self._calls.pop(key, None) is not None:
                self._let_go(call)
                call.expire()
        self._looked = now

    def leave(self, key: int) -> None:
        """Ends a call whose stream was dropped.

        When the collector finds it, that may be long after: it ended with its last chunk.
        """
        call = self._calls.get(key)
        if call is None:
            return
        if self.later(partial(self.end, key, completed=False, at=call.last_seen)):
            self._let_go(call)
        else:
            self.end(key, completed=False)

    def later(self, end: Callable[[], Any]) -> bool:
        """Whether the collector is running; then ``end`` is called later.

        It may run in the middle of anything, with locks of the SDK's held by this very thread; so
        another thread makes the ends, unless a call, flush or shutdown comes before it.
        """
        if self._collecting:
            self._left.append(end)
        return self._collecting

    def _let_go(self, call: Call) -> None:
        """Keeps nothing of the host's alive."""
        self.by_source.pop(id(call.source), None)
        if call.release is not None:
            contained(call.release)
        call.source = call.release = call.holder = call.pulse = None

    def hold(self, call: Call, holder: Any) -> None:
        """Ends the call when ``holder``, what the host was given, is no more."""
        key = call.key
        call.holder = ref(holder, lambda _: contained(self.leave, key))

    def settle(self) -> None:
        """Ends what the garbage collector found."""
        while self._left:
            try:
                end = self._left.popleft()
            except IndexError:  # another thread was faster
                return
            contained(end)

    def end_all(self) -> None:
        """Ends every stream that is still open, as left early."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)
        self._collecting = False
        self.settle()
        for key in list(self._calls):
            self.end(key, completed=False)

    def forget(self) -> None:
        """Drops all without ending it: in a forked child the calls belong to the parent."""
        calls = list(self._calls.values())
        self._calls.clear()
        for call in calls:
            self._let_go(call)
        self.by_source.clear()
        self._left.clear()

    def __len__(self) -> int:
        return len(self._calls)

    def _on_gc(self, phase: str, _info: dict[str, int]) -> None:
        self._collecting = phase == "start"
        if self._left and not self._collecting:
            # ``threading`` takes a lock to start a thread, which the interrupted code may hold.
            with suppress(RuntimeError):  # the interpreter is ending: its exit settles
                start_new_thread(self.settle, ())


OPEN = OpenStreams()
