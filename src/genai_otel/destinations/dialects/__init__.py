"""Dialects: the canonical span in the words that a backend reads.

Each is a pure function from a span to a span, called on the export thread. A span that carries a
backend's own words already, because somebody else wrote them, keeps them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    Dialect = Callable[[ReadableSpan], ReadableSpan]

NAMES = ("openinference", "langfuse", "langsmith", "mlflow", "aws")


def load(name: str) -> Dialect:
    """The dialect of this name, imported now; raises ``ValueError`` on another."""
    if name not in NAMES:
        raise ValueError(f"unknown dialect {name!r}: accepted are {', '.join(NAMES)}")
    project: Dialect = import_module(f".{name}", __name__).project
    return project
