"""Contain internal errors: count them and log each kind at most once a minute.

With ``GENAI_OTEL_STRICT=1``, which our own test suite sets, internal errors are raised again.
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
    """Raised to the application on its own request: the call is not made."""


class Faults:
    """Internal errors of this process, counted by place and type."""

    def __init__(self) -> None:
        self.strict = False
        self.counts: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def note(self, where: str, error: BaseException) -> None:
        """Count ``error``; log it unless this kind was logged within the last minute."""
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
        # Log neither message nor traceback: both may contain the application's content.
        logger.warning("genai_otel: internal error contained in %s", kind)


FAULTS = Faults()


def contained(function: Callable[..., _T], *args: Any) -> _T | None:
    """Return ``function(*args)``, or ``None`` if it raised; ``CallRefused`` is raised again."""
    try:
        return function(*args)
    except CallRefused:
        raise
    except Exception as error:  # noqa: BLE001 - internal errors are contained here
        FAULTS.note(getattr(function, "__qualname__", "?"), error)
        return None


_ODD = frozenset((AttributeError, KeyError, IndexError, TypeError, ValueError))


def is_odd_form(error: Exception, first: TracebackType | None) -> bool:
    """Return whether a fast path failed on a value of another shape, not on a bug of ours.

    A fast path does not check the shapes of values, so it may raise, and so may code of the values;
    functions of this package that it calls may not. ``first`` is the frame of the fast path in the
    traceback of the error.
    """
    if first is None or first.tb_next is None:  # the usual case: raised by the fast path itself
        return type(error) in _ODD
    last = first.tb_next
    while last.tb_next is not None:
        last = last.tb_next
    if not str(last.tb_frame.f_globals.get("__name__")).startswith("genai_otel."):
        return True
    raised_itself = last.tb_frame.f_code.co_name == first.tb_frame.f_code.co_name
    return raised_itself and type(error) in _ODD


class Guard:
    """Runs the functions of one adapter; disables the adapter if it fails repeatedly."""

    __slots__ = ("_failures", "_since", "broken", "enabled", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = True
        self.broken = False
        self._failures = 0
        self._since = 0.0

    def reset(self) -> None:
        """Enable the adapter and clear its failures."""
        self.enabled, self.broken, self._failures = True, False, 0

    def run(self, function: Callable[..., _T], *args: Any) -> _T | None:
        """Return ``function(*args)``, or ``None`` if it raised; ``CallRefused`` is raised again."""
        try:
            return function(*args)
        except CallRefused:
            raise
        except Exception as error:  # noqa: BLE001 - as in contained()
            self.note(getattr(function, "__qualname__", "?"), error)
            return None

    def note(self, where: str, error: BaseException) -> None:
        """Count a failure; disable the adapter after too many failures within a minute."""
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


MANUAL_GUARD = Guard("decorators")  # guard of all manual instrumentation; reset at each set-up
