"""Read the table of genai-prices without importing the library: see ``read``.

Its data module is executed (see ``table_source``) with most classes of the library replaced by
``dict``. Models and providers are converted at once, and only what determines prices is kept, in
tuples: 1 MB of 7.

A later release may have new classes or fields. A rule with one matches nothing, and a model with
one has no price, but never a wrong price.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .table_source import executed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .matching import Clause

# A price, or a base and (price beyond so many input tokens) steps, the highest first
Price: TypeAlias = "float | tuple[float, tuple[tuple[int, float], ...]]"
Prices: TypeAlias = "tuple[tuple[str, Price], ...]"
# From a moment on, or daily between two seconds of the day; all in UTC
When: TypeAlias = "tuple[float] | tuple[float, float] | None"

# The table's name for the price of each of our buckets
TOKEN_PRICES = {
    **{part: f"{part}_mtok" for part in ("input", "output", "cache_read", "cache_write")},
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "image_input": "input_image_mtok",
    "video_input": "input_video_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "cached_image": "cache_image_read_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_output": "output_audio_mtok",
    "image_output": "output_image_mtok",
    "video_output": "output_video_mtok",
}
# The table's name for units, as the price of a thousand
UNIT_PRICES = {
    "per_request": "requests_kcount",
    "per_web_search": "web_searches_kcount",
    "per_search_unit": "rerank_searches_kcount",
    "per_file_search": "storage_searches_kcount",
}
HOUR_PRICES = ("input_audio_hours", "audio_hours")
_BY_TOKENS = frozenset(TOKEN_PRICES.values())
_KEPT = frozenset((*_BY_TOKENS, *UNIT_PRICES.values(), *HOUR_PRICES))


class Variant(NamedTuple):
    """Prices that take precedence over the standard ones, for one kind of request."""

    kind: tuple[tuple[str, str], ...]
    when: When
    prices: Prices


class Model(NamedTuple):
    """One model; the last of ``prices`` whose time has come applies."""

    id: str
    prices: tuple[tuple[When, Prices], ...]
    variants: tuple[Variant, ...]


class Provider(NamedTuple):
    """A biller and its models: by exact name, and by other rules in order."""

    id: str
    hosts: re.Pattern[str]
    lenders: tuple[str, ...]
    models: tuple[Model, ...]
    exact: Mapping[str, Model]
    rules: tuple[tuple[Clause, Model], ...]


_UNKNOWN = object()
_MISREAD = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, re.error)


def read() -> dict[str, Provider]:
    """Return providers by id.

    Raises ``ImportError`` without the package, ``ValueError`` if nothing in the table is known
    here, and any error that the package raises.
    """
    found = executed(_Readers().by_name(), lambda *_, **__: _UNKNOWN).get("providers", ())
    providers = {each.id: each for each in found if type(each) is Provider}
    if not any(each.models for each in providers.values()):
        raise ValueError("unknown table format; a newer genai-otel may support it")
    return providers


# Classes of the library that are read as their fields only
_AS_SAID = (
    *("ModelPrice", "ConditionalPrice", "PriceVariant", "TieredPrices", "Tier"),
    *("StartDateConstraint", "TimeOfDateConstraint", "ClauseOr", "ClauseAnd", "ClauseEquals"),
    *("ClauseStartsWith", "ClauseEndsWith", "ClauseContains", "ClauseRegex"),
    *("UsageExtractor", "UsageExtractorMapping", "ArrayMatch"),
)


class _Readers:
    """Converts models and providers; equal values are shared, as most occur many times."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def by_name(self) -> dict[str, Callable[..., Any]]:
        return {
            **dict.fromkeys(_AS_SAID, dict),
            "Decimal": cache(_decimal),  # 600 of 8,000 prices are different
            "ModelInfo": self._model,
            "Provider": self._provider,
        }

    def _one(self, value: Any) -> Any:
        return self._known.setdefault(value, value)

    def _model(
        self,
        id: str,  # noqa: A002 - the library's name
        match: Any,
        prices: Any = None,
        price_variants: Any = None,
        **_: Any,
    ) -> tuple[Clause | None, Model]:
        rows = prices if isinstance(prices, list) else [{"prices": prices}]
        variants = self._all(self._variant, price_variants or ())
        return _clause(match), Model(self._one(id), self._all(self._row, rows), variants)

    def _all(self, reader: Callable[..., Any], said: Iterable[Any]) -> Any:
        """Return all, or none if one has an unknown form: it may be the one that applies."""
        try:
            return self._one(tuple([reader(**each) for each in said]))
        except _MISREAD:
            return ()

    def _row(self, *, prices: Any, constraint: Any = None) -> Any:
        return self._one((_when(constraint), self._prices(prices)))

    def _variant(self, *, when: Any, prices: Any, constraint: Any = None) -> Variant:
        if not when:
            raise ValueError
        return Variant(tuple(when.items()), _when(constraint), self._prices(prices))

    def _prices(self, said: Mapping[str, Any]) -> Any:
        prices = tuple(
            [
                (key, price if type(price) is float else _price(key, price))
                for key, price in said.items()
                if price is not None and key in _KEPT
            ]
        )
        return self._known.get(prices) or self._one(tuple(map(self._one, prices)))

    def _provider(
        self,
        id: str,  # noqa: A002 - the library's name
        api_pattern: str,
        models: Iterable[Any] = (),
        fallback_model_providers: Iterable[str] | None = None,
        **_: Any,
    ) -> Provider:
        """Of several models with the same full name the first wins, as in the library."""
        read = [each for each in models if each is not _UNKNOWN]
        exact: dict[str, Model] = {}
        rules: list[tuple[Clause, Model]] = []
        for match, model in read:
            for clause in _alternatives(match):
                if clause[0] == "equals":
                    exact.setdefault(self._one(clause[1]), model)
                else:
                    rules.append((clause, model))
        names = tuple(fallback_model_providers or ())
        models = tuple([model for _, model in read])
        return Provider(id, re.compile(api_pattern), names, models, exact, tuple(rules))


def _decimal(text: Any) -> Any:
    try:
        return _amount(text)
    except _MISREAD:
        return _UNKNOWN


def _amount(said: Any) -> float:
    value = float(said)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def _price(key: str, said: Any) -> Price:
    return _stepped(**said) if type(said) is dict and key in _BY_TOKENS else _amount(said)


def _stepped(*, base: Any, tiers: Iterable[Any]) -> Price:
    steps = [_step(**each) for each in tiers]
    return _amount(base), tuple(sorted(steps, key=itemgetter(0), reverse=True))


def _step(*, start: int, price: Any) -> tuple[int, float]:
    if type(start) is not int:
        raise TypeError
    return start, _amount(price)


def _when(said: Any) -> When:
    if said is None:
        return None
    return _from(**said) if "start_date" in said else _daily(**said)


def _from(*, start_date: dt.date) -> When:
    return (dt.datetime.combine(start_date, dt.time(), dt.UTC).timestamp(),)


def _daily(*, start_time: dt.time, end_time: dt.time) -> When:
    return _second(start_time), _second(end_time)


def _second(clock: dt.time) -> float:
    """Return the second of the day in UTC, which is also the zone of a time without one."""
    moment = dt.datetime.combine(dt.date(1970, 1, 1), clock)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() % 86400


def _clause(said: Any) -> Clause | None:
    """Return ``None`` for an unknown rule."""
    try:
        ((kind, value),) = said.items()
        return kind, _CLAUSES[kind](value)
    except _MISREAD:
        return None


def _any_of(said: Iterable[Any]) -> tuple[Clause, ...]:
    return tuple([clause for clause in map(_clause, said) if clause is not None])


def _all_of(said: Sequence[Any]) -> tuple[Clause, ...]:
    known = _any_of(said)
    if len(known) < len(said):
        raise ValueError
    return known


_CLAUSES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("equals", "starts_with", "ends_with", "contains"), str.lower),
    "regex": re.compile,
    "or_": _any_of,
    "and_": _all_of,
}


def _alternatives(match: Clause | None) -> Any:
    if match is None:
        return ()
    return match[1] if match[0] == "or_" else (match,)
