"""Sum up stored model calls by group, span by span.

Only model calls count, not the spans above them, where frameworks repeat their figures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from .traces import MODEL_CALLS, is_uncounted, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .decoder import StoredSpan

_NONE = "(none)"
_MOST_GROUPS = 20_000
_BEYOND = "(beyond the first groups)"
_SECOND = 1_000_000_000


@dataclass
class Sum:
    """Sums over calls: tokens, and the cost of the priced ones by currency.

    A figure that no call reports is ``None``; the tokens of ``uncounted`` calls are missing.
    """

    calls: int = 0
    unpriced: int = 0
    uncounted: int = 0
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost: dict[str, float] = field(default_factory=dict)

    def add(self, other: Sum) -> None:
        self.calls += other.calls
        self.unpriced += other.unpriced
        self.uncounted += other.uncounted
        self.input_tokens = _plus(self.input_tokens, other.input_tokens)
        self.cached_tokens = _plus(self.cached_tokens, other.cached_tokens)
        self.output_tokens = _plus(self.output_tokens, other.output_tokens)
        for currency, amount in other.cost.items():
            self.cost[currency] = self.cost.get(currency, 0.0) + amount

    def share(self, total: Sum) -> float | None:
        """The share of the total cost; ``None`` if nothing is priced, or in several currencies."""
        if len(total.cost) != 1:
            return None
        ((currency, whole),) = total.cost.items()
        return self.cost.get(currency, 0.0) / whole if whole else None

    def plain(self) -> dict[str, Any]:
        return vars(self) | {"cost": dict(self.cost)}


class Report:
    """Rows by group, the total, and why calls have no simple price."""

    def __init__(self, by: str, *, since: float | None = None) -> None:
        self.by, self.since = by, since
        self.total = Sum()
        self.reasons: dict[tuple[str, str], Sum] = {}
        self.repeats = False
        self._groups: dict[str, Sum] = {}

    def add(self, span: StoredSpan) -> None:
        facts = span.attributes
        if facts.get(names.GEN_AI_OPERATION_NAME) not in MODEL_CALLS:
            return
        if self.since is not None and span.start_ns < self.since * _SECOND:
            return
        one = _sum(facts)
        self.total.add(one)
        groups = GROUPS[self.by](span)
        self.repeats = self.repeats or len(groups) > 1
        for group in groups:
            _row(self._groups, group, _BEYOND).add(one)
        status = facts.get(names.GENAI_OTEL_COST_STATUS)
        if status is not None or one.unpriced:
            reason = (str(status or "not_recorded"), _model(span)[0])
            _row(self.reasons, reason, (reason[0], _BEYOND)).add(one)

    def ranked(self, top: int | None) -> list[tuple[str, Sum]]:
        """Return the most expensive rows first (days in order); those after ``top`` are one row."""
        ordered = sorted(self._groups.items(), key=_dearest)
        shown, rest = ordered[:top], ordered[top:] if top else []
        if self.by == "day":
            shown.sort()
        if rest:
            others = Sum()
            for _, each in rest:
                others.add(each)
            shown.append((f"{len(rest):,} others", others))
        return shown


def _dearest(item: tuple[str, Sum]) -> tuple[float, float, int, str]:
    name, row = item
    dollars = row.cost.get("USD", 0.0)
    tokens = (row.input_tokens or 0) + (row.output_tokens or 0)
    return -dollars, -sum(row.cost.values()), -tokens, name


def _row(rows: dict[Any, Sum], key: Any, beyond: Any) -> Sum:
    """Return the row of a key; bounded, as the number of names in a file is not."""
    if key not in rows and len(rows) >= _MOST_GROUPS:
        key = beyond
    return rows.setdefault(key, Sum())


def _sum(facts: dict[str, Any]) -> Sum:
    amount = number(facts.get(names.GEN_AI_USAGE_COST))
    currency = facts.get(names.GENAI_OTEL_COST_CURRENCY)
    known = amount is not None and amount >= 0
    return Sum(
        calls=1,
        unpriced=0 if known else 1,
        uncounted=int(is_uncounted(facts)),
        input_tokens=_tokens(facts.get(names.GEN_AI_USAGE_INPUT_TOKENS)),
        cached_tokens=_tokens(facts.get(names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS)),
        output_tokens=_tokens(facts.get(names.GEN_AI_USAGE_OUTPUT_TOKENS)),
        cost={str(currency or "USD"): amount} if amount is not None and known else {},
    )


def _tokens(value: Any) -> int | None:
    known = number(value)
    return None if known is None else max(0, int(known))


def _plus(known: int | None, more: int | None) -> int | None:
    """Add two counts; ``None`` is unknown, not 0."""
    return known if more is None else (known or 0) + more


def _fact(*keys: str) -> Callable[[StoredSpan], Sequence[str]]:
    """Return a function that groups by the first of these attributes that the span has."""

    def group(span: StoredSpan) -> Sequence[str]:
        for key in keys:
            value = span.attributes.get(key)
            if isinstance(value, str) and value:
                return (value,)
        return (_NONE,)

    return group


def _tags(span: StoredSpan) -> Sequence[str]:
    tags = span.attributes.get(names.GENAI_OTEL_TAGS)
    known = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return list(dict.fromkeys(known)) or (_NONE,)


def _day(span: StoredSpan) -> Sequence[str]:
    try:
        start = datetime.fromtimestamp(span.start_ns / _SECOND, tz=UTC).astimezone()
    except (OverflowError, OSError, ValueError):  # a file may contain any number
        return (_NONE,)
    return (start.strftime("%Y-%m-%d"),)


_model = _fact(names.GEN_AI_RESPONSE_MODEL, names.GEN_AI_REQUEST_MODEL)
GROUPS: dict[str, Callable[[StoredSpan], Sequence[str]]] = {
    "model": _model,
    "provider": _fact(names.GEN_AI_PROVIDER_NAME),
    "user": _fact("user.id", "enduser.id"),
    "session": _fact("session.id", names.GEN_AI_CONVERSATION_ID),
    "tag": _tags,
    "prompt": _fact(names.GEN_AI_PROMPT_NAME),
    "day": _day,
}
