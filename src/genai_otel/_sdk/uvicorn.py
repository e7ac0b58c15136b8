"""Exports before a uvicorn worker dies of SIGTERM.

uvicorn handles SIGTERM while it serves, then restores the previous handler and sends the signal to
itself again: in a worker that is the default action, after which no Python code runs. Tasks that it
has cancelled usually do not run again, so streams that are open in them end here.
"""

from __future__ import annotations

import signal
from functools import wraps
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import contained
from genai_otel.instrumentation.adapter import Adapter, Patch
from genai_otel.instrumentation.open_registry import OPEN

from .exit import EXIT_HANDLERS

if TYPE_CHECKING:
    from genai_otel.instrumentation.tracker import CallTracker


def _delivering(original: Any, tracker: CallTracker) -> Any:
    @wraps(original)
    async def shutdown(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        if tracker.guard.enabled:
            contained(_deliver, *args[:1])
        return result

    return shutdown


def _deliver(server: Any) -> None:
    if EXIT_HANDLERS.ends_at_sigterm():
        return
    # Before 0.29 uvicorn returns instead, and the process exits in its own way.
    if signal.SIGTERM in getattr(server, "_captured_signals", ()):
        OPEN.end_all()
    EXIT_HANDLERS.before_sigterm()


# No model call is made here, so status() does not list it.
ADAPTER = Adapter(
    "uvicorn",
    "uvicorn",
    ">=0.15,<1",
    patches=(Patch("uvicorn.server:Server.shutdown", _delivering),),
)
