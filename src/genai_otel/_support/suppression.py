"""Suppress instrumentation in our own work, such as export requests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context

if TYPE_CHECKING:
    from collections.abc import Iterator

# The constants of the API, if it has them, and the plain keys of older instrumentations.
_KEYS = {
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"),
    "suppress_instrumentation",
    "suppress_http_instrumentation",
}


def _quiet() -> context.Context:
    current = context.get_current()
    for key in _KEYS:
        current = context.set_value(key, True, current)  # noqa: FBT003 - the API's signature
    return current


def attach() -> None:
    """Suppress instrumentation for the rest of the current thread, which must be ours."""
    context.attach(_quiet())


@contextmanager
def suppressed() -> Iterator[None]:
    """Suppress instrumentation inside a ``with`` block, on any thread."""
    token = context.attach(_quiet())
    try:
        yield
    finally:
        context.detach(token)
