"""Run the user's redaction functions on a thread: they may raise, sleep or call a model."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from genai_otel._support.locks import has_gone, reentrant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("genai_otel")

_SAY_EVERY = 60.0
# Limit of threads blocked in a function; at the limit no function is called until one returns
_MOST_STUCK = 4


def failed(why: str) -> str:
    """Return the placeholder of a text whose redaction failed."""
    return f"[redaction failed: {why}]"


class CustomFunctions:
    """Runs the user's functions over texts, in order, on a background thread, with a deadline.

    ``prepare`` is called on that thread first. If a function raises or returns no text, that text
    is withheld; if it misses the deadline, that text and the following ones are.
    """

    def __init__(
        self,
        functions: Sequence[Callable[[str], str]],
        deadline: float,
        prepare: Callable[[], Any] | None = None,
    ) -> None:
        self._functions, self._deadline, self._prepare = tuple(functions), deadline, prepare
        self._lock = reentrant()
        self._process = 0
        self._worker: _Worker | None = None
        self._stuck: list[_Worker] = []
        self._said: dict[str, float] = {}
        self.failures: dict[str, int] = {}  # failures by type of error
        _ALL.add(self)

    def __del__(self) -> None:
        """End the thread."""
        if self._worker is not None:
            self._worker.asked.put(None)

    def __bool__(self) -> bool:
        return bool(self._functions)

    def begin(self) -> float:
        """Return the deadline of an operation that begins now (``monotonic`` seconds)."""
        return time.monotonic() + self._deadline

    def masked(self, text: str, until: float) -> str:
        """Return ``text`` after all functions, or a placeholder."""
        if not self._functions:
            return text
        if threading.current_thread().name == _THREAD:
            return self._note("RecursionError")
        left = until - time.monotonic()
        try:
            worker = self._take() if left > 0 else None
        except RuntimeError:  # no thread can be started, and none is free
            return self._note("NoThread")
        if worker is None:
            return self._note("DeadlineExceeded")
        worker.asked.put(text)
        try:
            came, value = worker.answered.get(timeout=left)
        except Empty:
            with self._lock:
                self._stuck.append(worker)
                worker.asked.put(None)
            return self._note("DeadlineExceeded")
        self._give_back(worker)
        return value if came else self._note(value)

    def ready(self) -> None:
        """Start the thread early: at interpreter exit none can be started."""
        with suppress(RuntimeError):
            worker = self._take() if self._functions else None
            if worker is not None:
                self._give_back(worker)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if self._worker is None:
                self._worker = worker
            else:
                worker.asked.put(None)

    def _take(self) -> _Worker | None:
        """Return a free worker, or a new one; ``None`` if too many are blocked."""
        with self._lock:
            if self._process != os.getpid():  # threads do not survive a fork
                self._process, self._worker, self._stuck = os.getpid(), None, []
            worker, self._worker = self._worker, None
            self._stuck = [each for each in self._stuck if each.is_alive()]
            if worker is None and len(self._stuck) < _MOST_STUCK:
                worker = _Worker(self._functions, self._prepare)
                worker.start()
            return worker

    def rest(self, until: float) -> None:
        """End the free thread before ``until`` (``monotonic``); the next text starts another."""
        if not self._lock.acquire(timeout=max(0.0, until - time.monotonic())):
            return
        worker, self._worker = self._worker, None
        self._lock.release()
        if worker is not None:
            worker.asked.put(None)
            has_gone(worker, until)

    def _note(self, why: str) -> str:
        self.failures[why] = self.failures.get(why, 0) + 1
        now = time.monotonic()
        if now - self._said.get(why, -_SAY_EVERY) >= _SAY_EVERY:
            self._said[why] = now
            logger.warning("genai_otel: custom redaction function failed: %s", why)
        return failed(why)


_THREAD = "genai-otel-redaction"
_ALL: WeakSet[CustomFunctions] = WeakSet()


def rest(until: float) -> None:
    """End idle threads before a fork; wait until ``until`` (``monotonic`` seconds)."""
    for each in list(_ALL):
        each.rest(until)


class _Worker(threading.Thread):
    def __init__(
        self, functions: Sequence[Callable[[str], str]], prepare: Callable[[], Any] | None
    ) -> None:
        super().__init__(name=_THREAD, daemon=True)
        self.asked: SimpleQueue[str | None] = SimpleQueue()
        self.answered: SimpleQueue[tuple[bool, str]] = SimpleQueue()
        self._functions, self._prepare = functions, prepare

    def run(self) -> None:
        if self._prepare is not None:
            self._prepare()
        while (text := self.asked.get()) is not None:
            self.answered.put(self._masked(text))

    def _masked(self, text: str) -> tuple[bool, str]:
        """Return (True, redacted text) or (False, type of the error)."""
        try:
            for function in self._functions:
                text = function(text)
                if type(text) is not str:
                    return False, "TypeError"
        except BaseException as error:  # noqa: BLE001 - on any error the text is withheld
            return False, type(error).__name__
        return True, text


def presidio(analyzer: Any, *, language: str = "en", **options: Any) -> Callable[[str], str]:
    """Return a function for ``ContentPolicy(redactor=...)`` that masks what Presidio finds.

    ``analyzer`` is a configured ``AnalyzerEngine``; ``options`` are passed to its ``analyze``
    (``entities``, ``score_threshold`` ...). A finding becomes ``[PERSON]`` and the like.
    """

    def mask(text: str) -> str:
        pieces, at = [], 0
        found = analyzer.analyze(text=text, language=language, **options)
        for result in sorted(found, key=lambda result: (result.start, -result.end)):
            if result.start >= at:
                pieces += [text[at : result.start], f"[{result.entity_type}]"]
            at = max(at, result.end)
        return "".join([*pieces, text[at:]])

    return mask
