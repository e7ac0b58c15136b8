"""Context propagation from a synchronous FastAPI dependency to its request.

FastAPI enters a plain generator in a worker thread, in a copy of the request's context, where a
scope that it opens would be lost. Our part of that context is copied back to the request.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained
from genai_otel.instrumentation.adapter import Adapter, Patch
from genai_otel.recorder import context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.context import Context

    from genai_otel.instrumentation.tracker import CallTracker


def _carrying(original: Any, tracker: CallTracker) -> Any:
    @asynccontextmanager
    async def in_threadpool(cm: Any) -> AsyncIterator[Any]:
        noted = _Noted(cm)
        async with original(noted) as value:
            before = contained(noted.apply)
            try:
                yield value
            finally:
                contained(noted.undo, before)

    @wraps(original)
    def manager(cm: Any) -> Any:
        return in_threadpool(cm) if tracker.guard.enabled else original(cm)

    return manager


class _Noted:
    """A dependency's context manager, run in threads; keeps the context that it has set there."""

    def __init__(self, cm: Any) -> None:
        self._cm = cm
        self._set: Context | None = None

    def __enter__(self) -> Any:
        before = contained(context.inheritable)
        value = self._cm.__enter__()
        self._set = contained(_changed, before)
        return value

    def __exit__(self, *error: object) -> Any:
        return self._cm.__exit__(*error)

    def apply(self) -> Context | None:
        """Attach here the context that was set in the thread; return the previous one."""
        return None if self._set is None else context.exchange(self._set)

    def undo(self, before: Context | None) -> None:
        """Restore the previous context, if ours is current. No token: another task may end it."""
        if before is not None and self._set is not None and context.is_current(self._set):
            context.exchange(before)


def _changed(before: Context | None) -> Context | None:
    after = context.inheritable()
    return None if after is before else after


# No model call is made here, so status() does not list it.
ADAPTER = Adapter(
    "fastapi",
    "fastapi",
    ">=0.100,<2",
    patches=(Patch("fastapi.concurrency:contextmanager_in_threadpool", _carrying),),
)
