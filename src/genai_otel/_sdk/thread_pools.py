"""Context propagation to thread pools: work belongs to where it was submitted.

A worker outlives the task that happened to start it, so a context belongs to the submitted function
and not to the thread. ``submit`` and its equivalents are replaced on the pools' classes, which
covers ``map``, ``run_in_executor`` and the pools inside libraries. Only OpenTelemetry's context is
carried, and only if it holds anything of ours.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained
from genai_otel.instrumentation.adapter import Adapter, Patch
from genai_otel.instrumentation.installer import Installation
from genai_otel.recorder import context

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from genai_otel.instrumentation.tracker import CallTracker

_EXECUTORS = "concurrent.futures.thread"


class Pools(Installation):
    """The wrapped methods of Python's thread pools; process pools are not wrapped."""

    def __init__(self) -> None:
        super().__init__(
            Adapter(
                name="thread pools",
                distribution="",
                patches=(
                    Patch(f"{_EXECUTORS}:ThreadPoolExecutor.submit", _carrying),
                    # None of these calls another of them, so that no function is carried twice.
                    *(
                        Patch(f"multiprocessing.pool:ThreadPool.{name}", _carrying)
                        for name in (
                            *("apply_async", "imap", "imap_unordered"),
                            *("map", "map_async", "starmap", "starmap_async"),
                        )
                    ),
                ),
            )
        )

    def is_supported(self) -> bool:
        """The standard library is always supported."""
        return True


def _carrying(original: Any, tracker: CallTracker) -> Any:
    """Wrap ``original``, a pool's method whose first argument is the function to run."""

    @wraps(original)
    def submit(*args: Any, **kwargs: Any) -> Any:
        if tracker.guard.enabled:
            if len(args) > 1:
                pool, function, *rest = args
                args = (pool, contained(_carried, pool, function) or function, *rest)
            elif args and _FUNCTION in kwargs:
                function = kwargs[_FUNCTION]
                kwargs[_FUNCTION] = contained(_carried, args[0], function) or function
        return original(*args, **kwargs)

    return submit


_FUNCTION = "func"
"""What ``multiprocessing`` calls it; ``submit`` takes it by position only."""


def _carried(pool: Any, function: Any) -> Callable[..., Any] | None:
    """Return ``function`` bound to the current context; ``None`` if there is none."""
    inherited = context.inheritable()
    if inherited is None or not callable(function) or _pickles(pool):
        return None
    return _inside(function, inherited)


def _pickles(pool: Any) -> bool:
    """Whether its threads run interpreters of their own, as one pool of Python 3.14 does."""
    kind = getattr(
        sys.modules.get("concurrent.futures.interpreter"), "InterpreterPoolExecutor", None
    )
    return kind is not None and isinstance(pool, kind)


def _inside(function: Callable[..., Any], inherited: Context) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        token = contained(context.attach, inherited)
        try:
            return function(*args, **kwargs)
        finally:
            if token is not None:
                contained(context.detach, token)

    return run
