"""Observability for generative-AI applications: ``import genai_otel; genai_otel.instrument()``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._sdk.lifecycle import flush, instrument, shutdown, status, uninstrument
    from ._sdk.status import Status
    from ._settings import Settings
    from .api.ambient import scope, suppress
    from .api.decorators import agent, guardrail, operation, retriever, step, tool, workflow
    from .api.prompts import prompt
    from .budgets.budget import Budget, BudgetExceeded, Spending
    from .budgets.sqlite_store import SqliteBudgetStore
    from .export.destination import Destination
    from .export.pipeline.tail_sampling import TailSampling
    from .pricing.book import PriceBook
    from .privacy import ContentPolicy
    from .record import Operation, Verdict
    from .recorder import current


_HOMES = {
    "Budget": ".budgets.budget",
    "BudgetExceeded": ".budgets.budget",
    "ContentPolicy": ".privacy",
    "Destination": ".export.destination",
    "Operation": ".record",
    "PriceBook": ".pricing.book",
    "TailSampling": ".export.pipeline.tail_sampling",
    "Settings": "._settings",
    "Spending": ".budgets.budget",
    "SqliteBudgetStore": ".budgets.sqlite_store",
    "Status": "._sdk.status",
    "Verdict": ".record",
    "agent": ".api.decorators",
    "current": ".recorder",
    "flush": "._sdk.lifecycle",
    "guardrail": ".api.decorators",
    "instrument": "._sdk.lifecycle",
    "operation": ".api.decorators",
    "prompt": ".api.prompts",
    "retriever": ".api.decorators",
    "scope": ".api.ambient",
    "shutdown": "._sdk.lifecycle",
    "status": "._sdk.lifecycle",
    "step": ".api.decorators",
    "suppress": ".api.ambient",
    "tool": ".api.decorators",
    "uninstrument": "._sdk.lifecycle",
    "workflow": ".api.decorators",
}

__all__ = [
    "Budget",
    "BudgetExceeded",
    "ContentPolicy",
    "Destination",
    "Operation",
    "PriceBook",
    "Settings",
    "Spending",
    "SqliteBudgetStore",
    "Status",
    "TailSampling",
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
    from ._support.fork import unforked

    with unforked():
        value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The API, and not what it is made of."""
    return sorted(__all__)
