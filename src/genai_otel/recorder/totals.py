"""Totals of the model calls inside a workflow or an agent run.

The totals have their own attribute names: under the names of usage and cost, backends would count
them twice. Values that no call reports are absent. If calls are missing from a total, their number
is recorded, or ``partial`` if the number is unknown: operations inside that are still open may make
further calls, and so may forked children, which set a byte in memory shared with their parent.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from genai_otel import _semconv as names
from genai_otel._support.errors import contained
from genai_otel._support.locks import reentrant
from genai_otel.record import Kind

from .context import OPERATION_KEY
from .costs import WITHOUT_OUTPUT, dollars, is_unknown

with suppress(ImportError):  # platforms without mmap have no fork
    from mmap import mmap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.record import Operation

ROLLED_UP = frozenset({Kind.WORKFLOW, Kind.AGENT})
_UNITS = ("images", "seconds", "characters", "pages", "search_units")
_REFUSALS = range(400, 500)
_TIMED_OUT = 408


class Totals:
    """The totals of one operation; ``around`` are those of the next enclosing operation with any.

    For each operation inside, call ``begin`` and then ``end``, or ``add`` for a model call, here
    and on the totals ``outwards``. ``priced``: whether calls are priced.
    """

    __slots__ = (
        *("_calls", "_cost", "_in_child", "_input", "_lock", "_missed", "_open", "_open_calls"),
        *("_output", "_priced", "_shared", "_uncounted", "_unpriced", "around"),
    )

    def __init__(self, around: Totals | None, *, priced: bool) -> None:
        self.around, self._priced = around, priced
        self._lock = reentrant()
        self._open = self._open_calls = 0
        self._calls = self._uncounted = self._unpriced = 0
        self._input: int | None = None
        self._output: int | None = None
        self._cost: float | None = None
        self._missed = self._in_child = False
        self._shared: mmap | None = None

    def begin(self, *, call: bool) -> None:
        """Count an operation that started inside; ``call``: whether it is a model call."""
        with self._lock:
            if call:
                self._open_calls += 1
            else:
                self._open += 1
        if self._in_child and call and self._shared is not None:
            self._shared[0] = 1

    def end(self) -> None:
        """Count the end of an operation that is not a model call."""
        with self._lock:
            self._open -= 1

    def add(self, op: Operation) -> None:
        """Add usage and cost of a model call that has ended and is priced."""
        with self._lock:
            self._open_calls -= 1
            self._calls += 1
            self._input = _plus(self._input, op.usage.input)
            self._output = _plus(self._output, op.usage.output)
            amount = dollars(op.cost)
            self._cost = _plus(self._cost, amount)
            lacks = _lacks_tokens(op)
            self._uncounted += lacks
            if op.cost is not None and amount is None:
                self._unpriced += lacks or op.cost.status != "failed"

    def miss(self) -> None:
        """Note that a model call inside is not recorded."""
        self._missed = True

    def tell(self, found: dict[str, Any]) -> None:
        """Add the attributes of the totals to ``found``, at the operation's end."""
        is_open = self._open_calls
        told = {
            names.GENAI_OTEL_TOTAL_MODEL_CALLS: self._calls + is_open or None,
            names.GENAI_OTEL_TOTAL_INPUT_TOKENS: self._input,
            names.GENAI_OTEL_TOTAL_OUTPUT_TOKENS: self._output,
            names.GENAI_OTEL_TOTAL_COST: self._cost,
            names.GENAI_OTEL_TOTAL_UNCOUNTED_CALLS: self._uncounted + is_open or None,
            names.GENAI_OTEL_TOTAL_UNPRICED_CALLS: (
                self._unpriced + (is_open if self._priced else 0) or None
            ),
            names.GENAI_OTEL_TOTAL_PARTIAL: self._may_lack_more() or None,
        }
        found.update((name, value) for name, value in told.items() if value is not None)

    def _may_lack_more(self) -> bool:
        return self._missed or self._open > 0 or (self._shared is not None and self._shared[0] > 0)

    # ------------------------------------------------------------------------------ forks

    def share(self) -> None:
        """Allocate the byte shared with a child process, before a fork inside the operation."""
        if self._shared is None:
            self._shared = mmap(-1, 1)

    def enter_child(self) -> None:
        """Mark these totals as a child process's copy, which is not recorded."""
        self._in_child = True


def outwards(totals: Totals | None) -> Iterator[Totals]:
    """Yield these totals and those around them, from the inside out."""
    while totals is not None:
        yield totals
        totals = totals.around


def _plus(known: Any, more: Any) -> Any:
    """Return the sum; ``None`` is unknown, not 0, and adds nothing."""
    return known if more is None else (known or 0) + more


def _lacks_tokens(op: Operation) -> bool:
    """Return whether the call used an unknown number of tokens.

    A rejected request used none, and some calls are billed by other units.
    """
    usage, failure = op.usage, op.failure
    status = None if failure is None else failure.status
    if not op.sent or (status in _REFUSALS and status != _TIMED_OUT):
        return False
    if is_unknown(usage):
        return all(getattr(usage, unit) is None for unit in _UNITS)
    return usage.input is None or (usage.output is None and op.kind not in WITHOUT_OUTPUT)


def _current() -> Totals | None:
    """Return the innermost totals around the code that forks."""
    layer: Any = otel_context.get_current().get(OPERATION_KEY)
    if layer is None:
        return None
    found: Totals | None = layer.totals or layer.around
    return found


def _before_fork() -> None:
    for totals in outwards(_current()):
        totals.share()


def _in_child() -> None:
    for totals in outwards(_current()):
        totals.enter_child()


if hasattr(os, "register_at_fork"):  # contained: Python prints an exception raised by a fork hook
    os.register_at_fork(
        before=lambda: contained(_before_fork), after_in_child=lambda: contained(_in_child)
    )
