"""What ``instrument()`` is given is of the types that it takes, or it is refused at once.

Names, files and contents are judged where they are used; here is what would fail there with an
error that says nothing to the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

from genai_otel._settings import Settings
from genai_otel.record.misuse import sort_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def check(given: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` that names the argument and what is accepted."""
    for name, (fits, accepted) in _ACCEPTED.items():
        value = given[name]
        if value is not None and not fits(value):
            raise ValueError(f"{name} must be {accepted}, not {sort_of(value)}")
    for each in given["budgets"] or ():
        if not _is_budget(each):
            raise ValueError(f"budgets must be a list of Budget, but contains {sort_of(each)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_names(value: Any) -> bool:
    return isinstance(value, str | list | tuple | set | frozenset)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_budget(value: Any) -> bool:
    from genai_otel.budgets.budget import Budget

    return isinstance(value, Budget)


def _has(method: str) -> Callable[[Any], bool]:
    return lambda value: callable(getattr(value, method, None))


_ACCEPTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "service_name": (_is_text, "a str"),
    "environment": (_is_text, "a str"),
    "libraries": (_are_names, "a library's name or a list of names"),
    "exclude": (_are_names, "a library's name or a list of names"),
    "tracer_provider": (_has("get_tracer"), "an OpenTelemetry TracerProvider"),
    "meter_provider": (_has("get_meter"), "an OpenTelemetry MeterProvider"),
    "budgets": (_is_list, "a list of Budget"),
    "settings": (lambda value: isinstance(value, Settings), "a Settings object"),
}


_LONGEST_WAIT = 366 * 86_400.0
"""Infinity is more than a lock can wait."""


def seconds(function: str, timeout: Any) -> float:
    """A time limit; raises ``TypeError`` on what is no number."""
    if not isinstance(timeout, SupportsFloat):
        raise TypeError(f"{function}: timeout must be a number of seconds, not {sort_of(timeout)}")
    return min(float(timeout), _LONGEST_WAIT)
