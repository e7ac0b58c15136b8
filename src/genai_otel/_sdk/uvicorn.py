"""What a worker of uvicorn's has recorded is delivered before it dies of SIGTERM.

It handles that signal itself while it serves, then puts back what was there before and sends it to
itself once more: in a worker that is the default action, which no Python code survives. Tasks that
it has cancelled do not run any more, as a rule; so the streams that are open in them end here.
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
    # Before 0.29 uvicorn returns instead, and the process goes on to an end of its own.
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
