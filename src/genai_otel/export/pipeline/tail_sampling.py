"""Keep traces that matter, and a share of the others, decided when they end (tail sampling)."""

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

_BITS = 1 << 56  # the random part of a trace id, by https://www.w3.org/TR/trace-context-2/
_REMEMBERED = 10_000


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
            raise ValueError(f"a sample's rate is between 0 and 1, not {self.rate!r}")
        if not 0.0 < self.window <= 3600.0:  # noqa: PLR2004 - an hour
            raise ValueError(f"a sample's window is a number of seconds, not {self.window!r}")

    def keeps(self, spans: list[ReadableSpan], trace_id: int) -> bool:
        """Whether to keep a trace, by the spans that are there."""
        if trace_id % _BITS < self.rate * _BITS:
            return True
        if self.errors and any(s.status.status_code is StatusCode.ERROR for s in spans):
            return True
        if self.guardrail_denied and any(_denied(span) for span in spans):
            return True
        if self.min_duration is not None and _seconds(spans) > self.min_duration:
            return True
        return self.min_cost is not None and _cost(spans) > self.min_cost

    def tail(self, most: int) -> TailSampler:
        """The sampler of one worker, which holds at most ``most`` bytes."""
        return TailSampler(self, most)


def sample_of(given: float | TailSampling) -> TailSampling:
    """A plain number is a rate. Raises ``ValueError`` on anything else."""
    if isinstance(given, TailSampling):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"sample is a rate between 0 and 1 or a TailSampling, not {given!r}")  # noqa: TRY004
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
    """Holds the spans of open traces; used by one worker.

    ``gone`` counts spans that were not kept, ``gone_bytes`` their bytes since last asked.
    """

    def __init__(self, sample: TailSampling, most: int) -> None:
        self.gone = self.gone_bytes = 0
        self._sample, self._most, self._bytes = sample, most, 0
        self._open: OrderedDict[int, tuple[float, list[Item]]] = OrderedDict()
        self._decided: OrderedDict[int, bool] = OrderedDict()

    def add(self, item: Item, now: float) -> list[Item]:
        """The spans that can be exported now."""
        span, weight = item
        context = span.get_span_context()
        trace_id = context.trace_id if context is not None else 0
        known = self._decided.get(trace_id)
        if known is not None:
            return self._sorted(known, [item])
        _, items = self._open.setdefault(trace_id, (now, []))
        items.append(item)
        self._bytes += weight
        out: list[Item] = []
        if span.parent is None or span.parent.is_remote:
            out += self._decide(trace_id)
        while self._bytes > self._most:
            out += self._decide(next(iter(self._open)))
        return out

    @property
    def held(self) -> int:
        """Bytes of the spans that are held."""
        return self._bytes

    def due(self) -> float:
        """When the window of the oldest open trace ends (``inf`` without one)."""
        oldest = next(iter(self._open.values()), None)
        return inf if oldest is None else oldest[0] + self._sample.window

    def overdue(self, now: float) -> list[Item]:
        out: list[Item] = []
        while self._open and self.due() <= now:
            out += self._decide(next(iter(self._open)))
        return out

    def _decide(self, trace_id: int) -> list[Item]:
        _, items = self._open.pop(trace_id)
        self._bytes -= sum(weight for _, weight in items)
        kept = self._sample.keeps([span for span, _ in items], trace_id)
        self._decided[trace_id] = kept
        if len(self._decided) > _REMEMBERED:
            self._decided.popitem(last=False)
        return self._sorted(kept, items)

    def _sorted(self, kept: bool, items: list[Item]) -> list[Item]:  # noqa: FBT001 - a decision
        if kept:
            return items
        self.gone += len(items)
        self.gone_bytes += sum(weight for _, weight in items)
        return []

    def weight_gone(self) -> int:
        """Bytes dropped since this was last asked."""
        gone, self.gone_bytes = self.gone_bytes, 0
        return gone
