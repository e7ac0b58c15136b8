"""Observability for generative-AI applications: ``import genai_otel; genai_otel.instrument()``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._settings import Settings
    from ._setup import flush, instrument, shutdown, status, uninstrument
    from ._status import Status
    from .api.ambient import scope, suppress
    from .api.decorators import agent, guardrail, operation, retriever, step, tool, workflow
    from .api.prompts import prompt
    from .destinations.destination import Destination
    from .destinations.sampling import Sample
    from .enrich.budget import Budget, BudgetExceeded, Spending
    from .enrich.pricing import PriceBook
    from .enrich.sqlite_store import SqliteBudgetStore
    from .privacy import ContentPolicy
    from .record import Operation, Verdict
    from .recorder import current

__version__ = "0.1.0"

_HOMES = {
    "Budget": ".enrich.budget",
    "BudgetExceeded": ".enrich.budget",
    "ContentPolicy": ".privacy",
    "Destination": ".destinations.destination",
    "Operation": ".record",
    "PriceBook": ".enrich.pricing",
    "Sample": ".destinations.sampling",
    "Settings": "._settings",
    "Spending": ".enrich.budget",
    "SqliteBudgetStore": ".enrich.sqlite_store",
    "Status": "._status",
    "Verdict": ".record",
    "agent": ".api.decorators",
    "current": ".recorder",
    "flush": "._setup",
    "guardrail": ".api.decorators",
    "instrument": "._setup",
    "operation": ".api.decorators",
    "prompt": ".api.prompts",
    "retriever": ".api.decorators",
    "scope": ".api.ambient",
    "shutdown": "._setup",
    "status": "._setup",
    "step": ".api.decorators",
    "suppress": ".api.ambient",
    "tool": ".api.decorators",
    "uninstrument": "._setup",
    "workflow": ".api.decorators",
}

__all__ = [
    "Budget",
    "BudgetExceeded",
    "ContentPolicy",
    "Destination",
    "Operation",
    "PriceBook",
    "Sample",
    "Settings",
    "Spending",
    "SqliteBudgetStore",
    "Status",
    "Verdict",
    "agent",
    "current",
    "flush",
    "guardrail",
    "instrument",
    "operation",
    "prompt",
    "retriever",
    "scope",
    "shutdown",
    "status",
    "step",
    "suppress",
    "tool",
    "uninstrument",
    "workflow",
]


def __getattr__(name: str) -> Any:
    """Loads a public name's home when it is first asked for: importing us costs next to nothing.

    A fork of another thread waits for it: its child could not load that module any more.
    """
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .destinations.forking import unforked

    with unforked():
        value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The API, and not what it is made of."""
    return sorted(__all__)
