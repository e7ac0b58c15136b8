"""Our errors never reach the caller: contained, counted, said at most once a minute.

Under ``GENAI_OTEL_STRICT=1``, which our own test suite sets, they are raised again instead.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    _T = TypeVar("_T")

logger = logging.getLogger("genai_otel")

_BREAK_AFTER = 20
_BREAK_WINDOW = 60.0
_SAY_EVERY = 60.0
_KINDS_KEPT = 200


class CallRefused(Exception):
    """Raised for the host to see, which has asked for it: the call is not made."""


class Faults:
    """What went wrong on our side, by place and type; one for the process."""

    def __init__(self) -> None:
        self.strict = False
        self.counts: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def note(self, where: str, error: BaseException) -> None:
        """Counts ``error``; logs it if this kind was not logged within the last minute."""
        if self.strict:
            raise error
        kind = f"{where}: {type(error).__name__}"
        if kind not in self.counts and len(self.counts) >= _KINDS_KEPT:
            kind = "other"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        now = time.monotonic()
        if now - self._said.get(kind, -_SAY_EVERY) < _SAY_EVERY:
            return
        self._said[kind] = now
        # Neither message nor traceback: both may quote the host's content.
        logger.warning("genai_otel: internal error contained in %s", kind)


FAULTS = Faults()


def contained(function: Callable[..., _T], *args: Any) -> _T | None:
    """``function(*args)``, or ``None`` where it raised; ``CallRefused`` is for the host."""
    try:
        return function(*args)
    except CallRefused:
        raise
    except Exception as error:  # noqa: BLE001 - this is the one place where our errors stop
        FAULTS.note(getattr(function, "__qualname__", "?"), error)
        return None


_ODD = frozenset((AttributeError, KeyError, IndexError, TypeError, ValueError))


def is_odd_form(error: Exception, first: TracebackType | None) -> bool:
    """Whether a short way has met a value that is not of the form it is for, and no fault of ours.

    It looks at values without asking first what they are, so it may raise itself, and so may code
    of the values; functions of ours that it calls may not. ``first`` is where the short way stands
    in the error's traceback.
    """
    if first is None or first.tb_next is None:  # mostly: it has raised it itself
        return type(error) in _ODD
    last = first.tb_next
    while last.tb_next is not None:
        last = last.tb_next
    if not str(last.tb_frame.f_globals.get("__name__")).startswith("genai_otel."):
        return True
    raised_itself = last.tb_frame.f_code.co_name == first.tb_frame.f_code.co_name
    return raised_itself and type(error) in _ODD


class Guard:
    """Runs one adapter's functions; switches the adapter off when it keeps failing."""

    __slots__ = ("_failures", "_since", "broken", "enabled", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = True
        self.broken = False
        self._failures = 0
        self._since = 0.0

    def reset(self) -> None:
        """Switched on again, as new."""
        self.enabled, self.broken, self._failures = True, False, 0

    def run(self, function: Callable[..., _T], *args: Any) -> _T | None:
        """``function(*args)``, or ``None`` where it raised; ``CallRefused`` is for the host."""
        try:
            return function(*args)
        except CallRefused:
            raise
        except Exception as error:  # noqa: BLE001 - as in contained()
            self.note(getattr(function, "__qualname__", "?"), error)
            return None

    def note(self, where: str, error: BaseException) -> None:
        """Counts a failure and breaks the circuit after too many within a minute."""
        now = time.monotonic()
        if now - self._since > _BREAK_WINDOW:
            self._since, self._failures = now, 0
        self._failures += 1
        if self._failures >= _BREAK_AFTER and not self.broken:
            self.broken, self.enabled = True, False
            logger.warning(
                "genai_otel: instrumentation of %s is disabled after repeated internal errors",
                self.name,
            )
        FAULTS.note(f"{self.name}.{where}", error)


MANUAL_GUARD = Guard("decorators")
"""The guard of everything that is recorded by hand; set up anew with everything else."""
