"""The table of genai-prices, read without the library: see ``read``.

Its module of data is executed, see ``tablemodule``, with readers of ours under the names of the
library's classes. They keep what prices a call, and that in tuples: 1 MB of 7.

What a later release says in words that are not known here is ``UNREAD``, and so is what it is a
part of: such a rule names nothing, and such a model has no price, but never a wrong one.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .tablemodule import executed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .matching import Clause

Price: TypeAlias = "float | tuple[float, tuple[tuple[int, float], ...]]"
"""Or a base, and (beyond so many input tokens, price), the highest first."""
Prices: TypeAlias = "tuple[tuple[str, Price], ...]"
When: TypeAlias = "tuple[float] | tuple[float, float] | None"
"""From a moment on, or daily from one second of the day to another; all in UTC."""

TOKEN_PRICES = {
    **{part: f"{part}_mtok" for part in ("input", "output", "cache_read", "cache_write")},
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "image_input": "input_image_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "cached_image": "cache_image_read_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_output": "output_audio_mtok",
    "image_output": "output_image_mtok",
}
"""The table's name for the price of each of our buckets."""
UNIT_PRICES = {
    "per_request": "requests_kcount",
    "per_web_search": "web_searches_kcount",
    "per_search_unit": "rerank_searches_kcount",
}
"""The same for units, of which the table has the price of a thousand."""
HOUR_PRICES = ("input_audio_hours", "audio_hours")
_BY_TOKENS = frozenset(TOKEN_PRICES.values())
_KEPT = frozenset((*_BY_TOKENS, *UNIT_PRICES.values(), *HOUR_PRICES))


class Variant(NamedTuple):
    """Prices that go before the standard ones, for requests of some kind."""

    kind: tuple[tuple[str, str], ...]
    when: When
    prices: Prices


class Model(NamedTuple):
    """One model; of ``prices`` the last whose time has come holds."""

    id: str
    prices: tuple[tuple[When, Prices], ...]
    variants: tuple[Variant, ...]


class Provider(NamedTuple):
    """Who bills for models: for those that a rule names in full, and by other rules in order."""

    id: str
    hosts: re.Pattern[str]
    lenders: tuple[str, ...]
    models: tuple[Model, ...]
    exact: Mapping[str, Model]
    rules: tuple[tuple[Clause, Model], ...]


UNREAD: Any = type("Unread", (), {"__slots__": ()})()


def read() -> dict[str, Provider]:
    """Providers by id. Raises ``ImportError`` without the package, else whatever it raises.

    A ``ValueError`` if nothing in it is known here.
    """
    found = executed(_Readers().by_name(), _unread).get("providers", ())
    providers = {each.id: each for each in found if type(each) is Provider}
    if not any(each.models for each in providers.values()):
        raise ValueError("the shape of its table is not known; a newer genai-otel may read it")
    return providers


def _unread(*_: Any, **__: Any) -> Any:
    return UNREAD


def _careful(reader: Callable[..., Any]) -> Callable[..., Any]:
    """A reader of what decides a price: a field that is not known here may make it another."""

    def careful(*args: Any, **fields: Any) -> Any:
        try:
            return reader(*args, **fields)
        except (ArithmeticError, AttributeError, TypeError, ValueError, re.error):
            return UNREAD

    return careful


def _whole(parts: Iterable[Any]) -> Any:
    """A tuple of them; one that is unread makes it so."""
    whole = tuple(parts)
    if UNREAD in whole:
        raise ValueError
    return whole


@_careful
def _number(text: Any) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


@_careful
def _tier(start: int, price: float) -> Any:
    if type(start) is not int:
        raise TypeError
    return _whole((start, price))


@_careful
def _tiered(base: float, tiers: Iterable[Any]) -> Any:
    return _whole((base, tuple(sorted(_whole(tiers), key=itemgetter(0), reverse=True))))


@_careful
def _conditional(constraint: When = None, *, prices: Prices) -> Any:
    return _whole((constraint, prices))


@_careful
def _variant(when: dict[str, str], prices: Prices, constraint: When = None) -> Variant:
    if not when:
        raise ValueError
    return Variant(*_whole((tuple(when.items()), constraint, prices)))


@_careful
def _from(start_date: dt.date) -> When:
    return (dt.datetime.combine(start_date, dt.time(), dt.UTC).timestamp(),)


@_careful
def _daily(start_time: dt.time, end_time: dt.time) -> When:
    return _second(start_time), _second(end_time)


def _second(clock: dt.time) -> float:
    """Of the day in UTC, which a time without a zone is in."""
    moment = dt.datetime.combine(dt.date(1970, 1, 1), clock)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() % 86400


@_careful
def _any_of(or_: Iterable[Any]) -> Clause:
    return "or", tuple(clause for clause in or_ if clause is not UNREAD)


@_careful
def _all_of(and_: Iterable[Any]) -> Clause:
    return "and", _whole(and_)


_SIMPLE: dict[str, Callable[..., Any]] = {
    "ConditionalPrice": _conditional,
    "PriceVariant": _variant,
    "StartDateConstraint": _from,
    "TimeOfDateConstraint": _daily,
    "TieredPrices": _tiered,
    "Tier": _tier,
    "ClauseOr": _any_of,
    "ClauseAnd": _all_of,
    "ClauseStartsWith": _careful(lambda starts_with: ("starts", starts_with.lower())),
    "ClauseEndsWith": _careful(lambda ends_with: ("ends", ends_with.lower())),
    "ClauseContains": _careful(lambda contains: ("contains", contains.lower())),
    "ClauseRegex": _careful(lambda regex: ("regex", re.compile(regex))),
}
"""Readers of the library's classes, by their parameters' names."""


class _Readers:
    """With those that keep equal values once, as most of the table is said many times."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def by_name(self) -> dict[str, Callable[..., Any]]:
        return {
            **_SIMPLE,
            "Decimal": cache(_number),  # of 8,000 prices 600 are different
            "ClauseEquals": _careful(self._equals),
            "ModelPrice": _careful(self._prices),
            "ModelInfo": self._model,
            "Provider": self._provider,
        }

    def _one(self, value: Any) -> Any:
        return self._known.setdefault(value, value)

    def _equals(self, equals: str) -> Clause:
        return "equals", self._one(equals.lower())

    def _prices(self, **prices: Any) -> Any:
        kept = [each for each in prices.items() if each[0] in _KEPT and each[1] is not None]
        return self._one(tuple([self._priced(*each) for each in kept]))

    def _priced(self, key: str, price: Any) -> Any:
        stepped = type(price) is tuple and key in _BY_TOKENS
        return self._one(_whole((key, price if stepped else _number(price))))

    def _model(
        self,
        id: str,  # noqa: A002 - the library's name
        match: Any,
        prices: Any = (),
        price_variants: Any = None,
        **_: Any,
    ) -> tuple[Any, Model]:
        if not isinstance(prices, list):  # the same at all times
            prices = () if prices is UNREAD else [(None, prices)]
        return match, Model(self._one(id), self._rows(prices), self._rows(price_variants or ()))

    def _rows(self, rows: Iterable[Any]) -> tuple[Any, ...]:
        """None of them, if one is unread: it may be the one that holds."""
        found = tuple(rows)
        return () if UNREAD in found else self._one(found)

    def _provider(
        self,
        id: str,  # noqa: A002 - the library's name
        api_pattern: str,
        models: Iterable[Any] = (),
        fallback_model_providers: Iterable[str] | None = None,
        **_: Any,
    ) -> Provider:
        """Of two models with the same full name the first wins, as in the library."""
        read = [each for each in models if each is not UNREAD]
        exact: dict[str, Model] = {}
        rules: list[tuple[Clause, Model]] = []
        for match, model in read:
            for clause in _clauses(match):
                if clause[0] == "equals":
                    exact.setdefault(clause[1], model)
                else:
                    rules.append((clause, model))
        names = tuple(fallback_model_providers or ())
        models = tuple(model for _, model in read)
        return Provider(id, re.compile(api_pattern), names, models, exact, tuple(rules))


def _clauses(match: Any) -> Any:
    if match is UNREAD:
        return ()
    return match[1] if match[0] == "or" else (match,)
