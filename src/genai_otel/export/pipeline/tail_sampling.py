"""Tail sampling: which traces are exported is decided when they have ended."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from genai_otel import _semconv as names
from genai_otel.export.readable import attributes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    Item = tuple[ReadableSpan, int]

_RANDOM_RANGE = 1 << 56  # the random part of a trace id, by https://www.w3.org/TR/trace-context-2/
_MAX_DECISIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSampling:
    """Which traces a destination is sent; a trace is sent whole, or not at all.

    A trace is kept if a span of it failed (``errors``), a guardrail denied something
    (``guardrail_denied``), it took longer than ``min_duration`` (seconds), or its model calls cost
    more than ``min_cost`` (USD). Of the others a share, ``rate`` (0 to 1), is kept by trace id, so
    every process keeps the same ones. The decision is made when the root span ends, or ``window``
    seconds after the first span of the trace ended. Raises ``ValueError`` on values out of range.
    """

    rate: float = 1.0
    errors: bool = True
    guardrail_denied: bool = True
    min_duration: float | None = None
    min_cost: float | None = None
    window: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"rate must be between 0 and 1, not {self.rate!r}")
        if not 0.0 < self.window <= 3600.0:  # noqa: PLR2004 - an hour
            raise ValueError(f"window must be a number of seconds, not {self.window!r}")

    def keeps(self, spans: list[ReadableSpan], trace_id: int) -> bool:
        """Whether a trace is kept, of which these spans have ended."""
        if trace_id % _RANDOM_RANGE < self.rate * _RANDOM_RANGE:
            return True
        if self.errors and any(s.status.status_code is StatusCode.ERROR for s in spans):
            return True
        if self.guardrail_denied and any(_denied(span) for span in spans):
            return True
        if self.min_duration is not None and _seconds(spans) > self.min_duration:
            return True
        return self.min_cost is not None and _cost(spans) > self.min_cost

    def sampler(self, max_bytes: int) -> TailSampler:
        """A sampler for one worker, which holds at most ``max_bytes``."""
        return TailSampler(self, max_bytes)


def sample_of(given: float | TailSampling) -> TailSampling:
    """A plain number is a rate. Raises ``ValueError`` on anything else."""
    if isinstance(given, TailSampling):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"sample must be a rate between 0 and 1 or a TailSampling, not {given!r}")  # noqa: TRY004
    return TailSampling(rate=float(given))


def _denied(span: ReadableSpan) -> bool:
    return attributes_of(span).get(names.GEN_AI_GUARDRAIL_RESULT_TYPE) == "deny"


def _seconds(spans: list[ReadableSpan]) -> float:
    first = min((span.start_time or 0 for span in spans), default=0)
    return (max((span.end_time or 0 for span in spans), default=0) - first) / 1e9


def _cost(spans: list[ReadableSpan]) -> float:
    costs = (attributes_of(span).get(names.GEN_AI_USAGE_COST) for span in spans)
    return sum(cost for cost in costs if isinstance(cost, int | float))


class TailSampler:
    """Holds the spans of unfinished traces; used by one worker.

    ``dropped`` counts spans that were not kept, ``dropped_bytes`` their size.
    """

    def __init__(self, sample: TailSampling, max_bytes: int) -> None:
        self.dropped = self.dropped_bytes = 0
        self._sample, self._max_bytes, self._held_bytes = sample, max_bytes, 0
        self._open: OrderedDict[int, tuple[float, list[Item]]] = OrderedDict()
        self._decided: OrderedDict[int, bool] = OrderedDict()

    def add(self, item: Item, now: float) -> list[Item]:
        """Add a span; return the spans that can be exported now."""
        span, size = item
        context = span.get_span_context()
        trace_id = context.trace_id if context is not None else 0
        known = self._decided.get(trace_id)
        if known is not None:
            return self._apply(known, [item])
        _, items = self._open.setdefault(trace_id, (now, []))
        items.append(item)
        self._held_bytes += size
        out: list[Item] = []
        if span.parent is None or span.parent.is_remote:
            out += self._decide(trace_id)
        while self._held_bytes > self._max_bytes:
            out += self._decide(next(iter(self._open)))
        return out

    @property
    def held_bytes(self) -> int:
        """Bytes of the spans that wait."""
        return self._held_bytes

    def due(self) -> float:
        """When the window of the oldest trace ends; ``inf`` if there is none."""
        oldest = next(iter(self._open.values()), None)
        return inf if oldest is None else oldest[0] + self._sample.window

    def expire(self, now: float) -> list[Item]:
        out: list[Item] = []
        while self._open and self.due() <= now:
            out += self._decide(next(iter(self._open)))
        return out

    def _decide(self, trace_id: int) -> list[Item]:
        _, items = self._open.pop(trace_id)
        self._held_bytes -= sum(size for _, size in items)
        kept = self._sample.keeps([span for span, _ in items], trace_id)
        self._decided[trace_id] = kept
        if len(self._decided) > _MAX_DECISIONS:
            self._decided.popitem(last=False)
        return self._apply(kept, items)

    def _apply(self, keep: bool, items: list[Item]) -> list[Item]:  # noqa: FBT001 - a decision
        if keep:
            return items
        self.dropped += len(items)
        self.dropped_bytes += sum(size for _, size in items)
        return []

    def take_dropped_bytes(self) -> int:
        """Bytes of the spans dropped since the last call."""
        dropped, self.dropped_bytes = self.dropped_bytes, 0
        return dropped
