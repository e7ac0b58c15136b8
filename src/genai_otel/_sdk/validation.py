"""Checks the types of the arguments of ``instrument()``.

Names, files and content modes are checked where they are used; here is what would fail there with
an error that does not help the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

from genai_otel._settings import Settings
from genai_otel.record.misuse import sort_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def check(given: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` that names the argument and what is accepted."""
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


_LONGEST_WAIT = 366 * 86_400.0  # seconds; a lock cannot wait for ever by a timeout


def seconds(function: str, timeout: Any) -> float:
    """Return a timeout in seconds; raise ``TypeError`` if it is not a number."""
    if not isinstance(timeout, SupportsFloat):
        raise TypeError(f"{function}: timeout must be a number of seconds, not {sort_of(timeout)}")
    return min(float(timeout), _LONGEST_WAIT)
