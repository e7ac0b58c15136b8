"""What a worker of uvicorn's has recorded is delivered before it dies of SIGTERM.

It handles that signal itself while it serves, then puts back what was there before and sends it to
itself once more: in a worker that is the default action, which no Python code survives.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from .engine.adapter import Adapter, Patch
from .engine.imports import Installation

if TYPE_CHECKING:
    from .engine.observe import Observer


def servers() -> Installation:
    """What is replaced in uvicorn; it makes no model calls, and is no library to be listed."""
    patch = Patch("uvicorn.server:Server.shutdown", _delivering)
    return Installation(Adapter("uvicorn", "uvicorn", "0.15", "1", patches=(patch,)))


def _delivering(original: Any, observer: Observer) -> Any:
    @wraps(original)
    async def shutdown(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        if observer.guard.enabled:
            from ._setup import ENDS  # which imports this module

            ENDS.after_serving()
        return result

    return shutdown
