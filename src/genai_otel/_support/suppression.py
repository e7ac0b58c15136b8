"""What a worker does is nobody's telemetry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context

if TYPE_CHECKING:
    from collections.abc import Iterator

# The API's constants, where it has them, and the plain keys that older instrumentations look for.
_KEYS = {
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"),
    "suppress_instrumentation",
    "suppress_http_instrumentation",
}


def _quiet() -> context.Context:
    current = context.get_current()
    for key in _KEYS:
        current = context.set_value(key, True, current)  # noqa: FBT003 - the API's
    return current


def attach() -> None:
    """For the rest of a thread that is ours."""
    context.attach(_quiet())


@contextmanager
def suppressed() -> Iterator[None]:
    """For a moment on somebody else's."""
    token = context.attach(_quiet())
    try:
        yield
    finally:
        context.detach(token)
