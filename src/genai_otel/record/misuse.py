"""Warn of wrong uses of the API, at the line of the application; never raise."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("genai_otel")

_PACKAGE = __name__.partition(".")[0]
_BETWEEN = frozenset({"contextlib", "functools", _PACKAGE})
_MOST = 200
_REPORTED: set[tuple[str, int, str]] = set()


def misused(message: str, place: tuple[str, int] | None = None) -> None:
    """Warn of a mistake, once per message and place: the caller's line by default.

    ``place`` is a file name and a line. If warnings are errors, log the mistake instead: a running
    program must not be stopped.
    """
    file, line = place or caller()
    if (file, line, message) in _REPORTED or len(_REPORTED) >= _MOST:
        return
    _REPORTED.add((file, line, message))
    try:
        warnings.warn_explicit(f"genai_otel: {message}", UserWarning, file, line)
    except Warning as warning:
        logger.warning("%s (%s:%d)", warning, file, line)


def caller() -> tuple[str, int]:
    """Return file name and line of the nearest frame outside of this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings and logging do
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__")):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _is_between(module: object) -> bool:
    return type(module) is str and (module in _BETWEEN or module.startswith(f"{_PACKAGE}."))


_VOWELS = frozenset("aeio")


def sort_of(value: object) -> str:
    """Return a value's type with its article for a message; never the value, maybe content."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in _VOWELS else 'a'} {name}"


_LONGEST = 40


def unknown(what: str, given: object, accepted: Iterable[str], where: str = "") -> str:
    """Return the message for a value that is not accepted; the nearest match comes first."""
    word = repr(given) if type(given) is str and len(given) <= _LONGEST else sort_of(given)
    place = where and f" {where}"
    return f"unknown {what} {word}{place}: {_choices(given, accepted)}"


def _choices(given: object, accepted: Iterable[str]) -> str:
    names = [str(each) for each in accepted]
    near = nearest(given, names) if type(given) is str else None
    hint = f"did you mean {near!r}? " if near else ""
    return f"{hint}expected one of {', '.join(names)}"


def nearest(given: str, accepted: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the accepted name most similar to ``given``, ignoring case, or ``None``."""
    from difflib import get_close_matches  # imported only after a mistake

    names = {name.lower(): name for name in accepted}
    near = get_close_matches(given.lower(), names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None
