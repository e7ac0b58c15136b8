"""Dialects: the canonical span in the attributes that a backend reads.

Each is a pure function from a span to a span, called on the export thread. A span that carries a
backend's own attributes already, from another instrumentation, keeps them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

NAMES = ("openinference", "langfuse", "langsmith", "mlflow", "aws")


class Dialect(NamedTuple):
    """``log_records`` makes the log records of a span, as it was before ``project``.

    A record has ``time_ns``, ``body``, ``attributes``, ``event_name``, ``trace_id``, ``span_id``,
    ``resource`` and ``instrumentation_scope``.
    """

    project: Callable[[ReadableSpan], ReadableSpan]
    log_records: Callable[[ReadableSpan], Sequence[Any]] | None = None


def load(name: str) -> Dialect:
    """The dialect of this name, imported now; raises ``ValueError`` on another."""
    if name not in NAMES:
        raise ValueError(f"unknown dialect {name!r}: expected one of {', '.join(NAMES)}")
    module = import_module(f".{name}", __name__)
    return Dialect(module.project, getattr(module, "log_records", None))
