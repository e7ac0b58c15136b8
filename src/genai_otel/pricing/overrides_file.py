"""Read custom prices from a dict, or a TOML or JSON file. See docs/cost.md for the format."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genai_otel.record.misuse import sort_of

from .overrides import ITSELF, Book, Entry, compiled
from .rates import TOKENS, UNITS, Rates

if TYPE_CHECKING:
    from collections.abc import Iterator

_WILD = re.compile(r"[*?]")
_CURRENCY = re.compile("[A-Z]{3}")
_PRICES = (*TOKENS, *UNITS, "above")
_CONDITIONS = ("provider", "region", "tier", "from", "until", "currency")
_ANSWERS = ("same_as", "factor", "free")
_KEYS = frozenset((*_PRICES, *_CONDITIONS, *_ANSWERS))
_SOURCES = "a dict, a file's path, a function, or a list of these"
_TOP = frozenset(("models", "billers", "currency"))


def read_prices(source: Mapping[str, Any] | str | Path) -> Book:
    """Read a source; a ``ValueError`` names the file, the line or key, and what is accepted."""
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return _book(_parsed(path), str(path))
    if not isinstance(source, Mapping):
        raise ValueError(f"prices must be {_SOURCES}, not {sort_of(source)}")  # noqa: TRY004
    return _book(source, "prices")


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    try:
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None
    except ValueError as error:  # both parsers report the line
        kind = "TOML" if path.suffix == ".toml" else "JSON (name a TOML file .toml)"
        raise ValueError(f"{path}: not valid {kind}: {error}") from None


def _book(data: Any, name: str) -> Book:
    from .litellm_file import is_litellm, litellm_entries

    if not isinstance(data, dict):
        raise ValueError(f"{name}: must contain models, billers or currency")  # noqa: TRY004 - a wrong value
    digest = _digest(data, name)
    _table(data, name)
    if is_litellm(data):
        return Book(name, digest, _grouped(litellm_entries(data, name)))
    _refuse_unknown(data, _TOP, name)
    currency = _currency(data.get("currency", "USD"), f"{name}: currency")
    models = _table(data.get("models", {}), f"{name}: models")
    grouped = _grouped(_entries(models, currency, name))
    patterns = [key for key in grouped if _WILD.search(key)]
    billers = _table(data.get("billers", {}), f"{name}: billers")
    book = Book(
        name,
        digest,
        {key: entries for key, entries in grouped.items() if key not in patterns},
        tuple((re.compile(translate(key)), grouped[key]) for key in patterns),
        tuple(_billers(billers, name)),
        tuple(billers),
    )
    _refuse_circles(book)
    return book


def _digest(data: Mapping[str, Any], name: str) -> str:
    try:
        said = json.dumps(data, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: cannot be read: {error}") from None
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def _grouped(entries: Iterator[Entry]) -> dict[str, tuple[Entry, ...]]:
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.model.strip().lower(), []).append(entry)
        for condition in (entry.provider, entry.region, entry.tier):
            if condition is not None:
                compiled(condition)
    return {model: tuple(several) for model, several in grouped.items()}


def _entries(models: Mapping[str, Any], currency: str, name: str) -> Iterator[Entry]:
    for model, said in models.items():
        several = said if isinstance(said, list) else [said]
        for number, each in enumerate(several, 1):
            count = f" (number {number})" if len(several) > 1 else ""
            yield _entry(model, each, currency, f'{name}: models."{model}"{count}')


def _entry(model: str, said: Any, currency: str, place: str) -> Entry:
    said = _table(said, place)
    _refuse_unknown(said, _KEYS, place)
    window = _window(said, place)
    entry = Entry(
        model,
        provider=_text(said, "provider", place),
        region=_text(said, "region", place),
        tier=_text(said, "tier", place),
        currency=_currency(said.get("currency", currency), f"{place}: currency"),
        window=window,
    )
    priced = [key for key in _PRICES if key in said]
    same_as = _text(said, "same_as", place)
    if "factor" in said and not (priced or same_as or "free" in said):
        same_as = ITSELF
    if [bool(priced), same_as is not None, "free" in said].count(True) != 1:
        raise ValueError(f"{place}: write exactly one of prices, same_as, factor and free = true")
    if "factor" in said and same_as is None:
        raise ValueError(f"{place}: factor can be combined only with same_as")
    if same_as is not None:
        factor = _number(said["factor"], f"{place}: factor") if "factor" in said else 1.0
        return entry._replace(same_as=same_as, factor=factor)
    if not priced:
        if said["free"] is not True:
            raise ValueError(f"{place}: free must be true, or omitted")
        return entry
    return entry._replace(rates=_rates(said, place))


def _rates(said: Mapping[str, Any], place: str) -> Rates:
    tokens = {key: _number(said[key], f"{place}: {key}") for key in TOKENS if key in said}
    units: dict[str, Any] = {
        key: _number(said[key], f"{place}: {key}") for key in UNITS if key in said
    }
    if not any(tokens.values()) and not any(units.values()):
        raise ValueError(f"{place}: all prices are 0; for a free model write free = true")
    return Rates(tokens=tokens, steps=_steps(said, tokens, place), **units)


def _steps(
    said: Mapping[str, Any], tokens: Mapping[str, float], place: str
) -> dict[str, tuple[tuple[int, float], ...]]:
    above = said.get("above", [])
    if not isinstance(above, list):
        raise ValueError(f"{place}: above must be a list of tables")  # noqa: TRY004 - a wrong value
    steps: dict[str, list[tuple[int, float]]] = {}
    for number, each in enumerate(above, 1):
        where = f"{place}: above (number {number})"
        _refuse_unknown(_table(each, where), frozenset(("tokens", *TOKENS)), where)
        limit = each.get("tokens")
        if type(limit) is not int or limit < 0:
            raise ValueError(f"{where}: tokens must be a whole number, not {limit!r}")
        for key in TOKENS:
            if key in each and key not in tokens:
                raise ValueError(f"{where}: {key} has no price below {limit}")
            if key in each:
                steps.setdefault(key, []).append((limit, _number(each[key], f"{where}: {key}")))
    return {key: tuple(sorted(pairs, reverse=True)) for key, pairs in steps.items()}


def _window(said: Mapping[str, Any], place: str) -> tuple[float, float]:
    since = _moment(said["from"], f"{place}: from") if "from" in said else -math.inf
    until = _moment(said["until"], f"{place}: until") if "until" in said else math.inf
    if since >= until:
        raise ValueError(f"{place}: from must be before until")
    return since, until


def _moment(value: Any, place: str) -> float:
    """Return a date or time as seconds since 1970; UTC if it has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{place}: {value!r} is not a date such as 2026-01-31") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if not isinstance(value, datetime):
        raise ValueError(f"{place}: {value!r} is not a date such as 2026-01-31")  # noqa: TRY004 - a wrong value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _billers(said: Mapping[str, Any], name: str) -> Iterator[tuple[re.Pattern[str], str]]:
    for host, biller in said.items():
        if not isinstance(biller, str) or not biller:
            raise ValueError(f'{name}: billers."{host}" must be the name of a provider')
        yield re.compile(translate(host.lower())), biller


def _refuse_circles(book: Book) -> None:
    for entry in book.all():
        seen, current = [entry.model], entry
        while current.follows is not None:
            followed = next((e for e in book.entries(current.follows) if e.follows), None)
            if followed is None:
                break
            current = followed
            if current.model in seen:
                circle = " -> ".join([*seen, current.model])
                raise ValueError(f"{book.name}: same_as is circular: {circle}")
            seen.append(current.model)


def _refuse_unknown(said: Mapping[str, Any], accepted: frozenset[str], place: str) -> None:
    for key in said:
        if key not in accepted:
            raise ValueError(f"{place}: unknown key {key!r}; expected one of {_listed(accepted)}")


def _listed(accepted: frozenset[str]) -> str:
    return ", ".join(sorted(accepted))


def _table(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: must be a table, not {value!r}")  # noqa: TRY004 - a wrong value
    if not all(isinstance(key, str) for key in value):
        raise ValueError(f"{place}: keys must be strings")
    return value


def _text(said: Mapping[str, Any], key: str, place: str) -> str | None:
    value = said.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"{place}: {key} must be a string, not {value!r}")
    return value


def _number(value: Any, place: str) -> float:
    sane = isinstance(value, int | float) and not isinstance(value, bool)
    if not sane or not math.isfinite(value) or value < 0:
        raise ValueError(f"{place}: must be a number that is not negative, not {value!r}")
    return float(value)


def _currency(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise ValueError(f"{place}: must be three capital letters such as EUR, not {value!r}")
    return value
