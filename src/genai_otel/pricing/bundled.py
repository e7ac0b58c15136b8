"""The price table of genai-prices, with strict matching, as plain numbers.

The library matches by prefixes and substrings, so ``gemini-1.5-flash-8b`` gets the price of
``gemini-1.5-flash``; it ignores an unknown price context, and returns 0 for a missing price. Here
an id matches only if a rule names it (see ``matching``), and prices are read directly.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from time import time
from typing import TYPE_CHECKING, Any

from .matching import names
from .rates import Rates
from .table import HOUR_PRICES, TOKEN_PRICES, UNIT_PRICES, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .table import Model, Price, Provider, Variant, When

_BEDROCK_ARN = re.compile(
    r"arn:aws:bedrock:([a-z0-9-]*):\d*:(?:foundation-model|inference-profile)/([^/]+)"
)
_VERTEX_PATH = re.compile(r"(?:projects/.*/)?(?:publishers/[^/]+/)?models/([^/]+)")
_DATED = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|\d{4})$")
# Partitions that the commercial regions' table does not cover.
_OTHER_PARTITIONS = re.compile(r"us-gov[.-]|cn-")

_STANDARD = frozenset(("default", "standard", "auto", "on_demand", "on-demand", "standard_only"))
_SAME_TIERS = {"on_demand_priority": "priority", "on_demand_flex": "flex"}  # values of Vertex AI
_HOUR, _DAY = 3600, 86400
_LEAST_SECONDS = 10.0  # Groq bills at least ten seconds of audio
_THOUSAND = 1000
# Grounding with Google Search is billed per prompt up to Gemini 2.5, per query from Gemini 3 on:
# ai.google.dev/gemini-api/docs/pricing.
_SEARCHES_PER_CALL = re.compile(r"gemini-[12](?!\d)")


def tier_of(told: str | None) -> str | None:
    """Return the tier's name in price tables; ``None`` is the standard tier."""
    word = (told or "standard").lower()
    return None if word in _STANDARD else _SAME_TIERS.get(word, word)


def is_dated(model: str) -> bool:
    """Return whether the name has a version: other Azure deployments have arbitrary names."""
    return _DATED.search(model) is not None


_table = cache(read)  # shared by all books of a process, so a new set-up has prices at once


def is_read() -> bool:
    """Return whether this process has read the table."""
    return _table.cache_info().currsize > 0


class Bundled:
    """The table of the installed genai-prices, read on a background thread."""

    def __init__(self) -> None:
        self._providers = _table()
        newest = max(_past_changes(self._providers.values()), default=None)
        told = "unknown" if newest is None else datetime.fromtimestamp(newest, UTC).date()
        self.version = f"genai-prices/{version('genai-prices')} to {told}"

    def knows(self, biller: str) -> bool:
        return biller in self._providers

    def biller(self, host: str) -> str | None:
        """Return the biller of ``host``: the whole host must match, not only a prefix."""
        address = f"https://{host}/"
        for provider in self._providers.values():
            found = provider.hosts.match(address)
            if found and found.end() >= len(address) - 1:
                return provider.id
        return None

    def ids(self, biller: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield (biller, id) of every model."""
        for pid, provider in self._providers.items():
            if biller is None or pid == biller:
                yield from ((pid, model.id) for model in provider.models)

    def find(
        self, biller: str, model: str, *, region: str | None = None, mapped: bool = False
    ) -> BundledModel | None:
        """Return the model with this name at ``biller``. ``mapped``: an override names it."""
        ref = _normal(biller, model.strip().lower()) if self.knows(biller) else None
        if ref is None or _OTHER_PARTITIONS.match(region or ""):
            return None
        if biller == "azure" and not mapped and not is_dated(ref):
            return None  # the name of a deployment is arbitrary, possibly that of another model
        for pid in (biller, *self._providers[biller].lenders):
            known = self._find_own(pid, ref) if self.knows(pid) else None
            if known is not None:
                return BundledModel(pid, known, own=pid == biller)
        return None

    def _find_own(self, biller: str, ref: str) -> Model | None:
        provider = self._providers[biller]
        exact = provider.exact.get(ref)
        if exact is not None:
            return exact
        return next((model for clause, model in provider.rules if names(clause, ref, biller)), None)


def _normal(biller: str, ref: str) -> str | None:
    """Return the id within a model's address; ``None`` if it contains no model name."""
    if biller == "aws" and ref.startswith("arn:"):
        found = _BEDROCK_ARN.fullmatch(ref)
        return None if found is None or _OTHER_PARTITIONS.match(found[1]) else found[2]
    if biller == "google":
        found = _VERTEX_PATH.fullmatch(ref)
        return found[1] if found else ref
    return ref


class BundledModel:
    """One model of the table."""

    def __init__(self, biller: str, model: Model, *, own: bool) -> None:
        self.biller, self.id = biller, f"{biller}/{model.id}"
        self._model, self._own = model, own

    def schedule(self, tier: str | None, *, batch: bool) -> Schedule | None:
        """Return prices by time for such requests; ``None`` if the table has none for them.

        A model from a fallback provider has only standard prices, whatever its variants are.
        """
        wanted = _context(tier, batch=batch)
        variants = [v for v in self._model.variants if self._own and _is_for(v, wanted)]
        if wanted and not variants:
            return None
        return Schedule(self._model, variants, self.biller, needs_variant=bool(wanted))


def _is_for(variant: Variant, wanted: list[dict[str, str]]) -> bool:
    return any(all(part in each.items() for part in variant.kind) for each in wanted)


def _context(tier: str | None, *, batch: bool) -> list[dict[str, str]]:
    """Return the library's names for the kind of request, in each spelling."""
    word = "batch" if batch else tier_of(tier)
    if word is None:
        return []
    if word == "batch":
        return [{"processing": "batch"}]
    return [{"service_tier": word}, {"speed": word}]


class Schedule:
    """The prices of a model as they change with time."""

    def __init__(
        self,
        model: Model,
        variants: Sequence[Variant],
        biller: str,
        *,
        needs_variant: bool,
    ) -> None:
        self._standard, self._variants = model.prices, variants
        self._needs_variant = needs_variant
        self._least_seconds = _LEAST_SECONDS if biller == "groq" else 0.0
        self._audio_as_text = biller == "google"  # Google lists audio only if it is more expensive
        self._searches_per_call = _SEARCHES_PER_CALL.match(model.id) is not None
        self._known: dict[tuple[int, ...], Rates] = {}
        times = [when for when, _ in model.prices] + [variant.when for variant in variants]
        self._always = self._at(0.0) if set(times) == {None} else None

    def at(self, moment: float) -> Rates | None:
        """Return the prices at ``moment`` (seconds since 1970); ``None`` if there was none."""
        return self._always or self._at(moment)

    def _at(self, moment: float) -> Rates | None:
        standard = [i for i, (when, _) in enumerate(self._standard) if _holds(when, moment)]
        variants = [i for i, each in enumerate(self._variants) if _holds(each.when, moment)]
        if not standard or (self._needs_variant and not variants):
            return None
        key = (standard[-1], *variants)
        rates = self._known.get(key)
        if rates is None:
            rates = self._known[key] = self._rates(*key)
        return None if rates.empty else rates

    def _rates(self, standard: int, *variants: int) -> Rates:
        prices = dict(self._standard[standard][1])
        for index in reversed(variants):  # the first of several variants wins, as in the library
            prices |= self._variants[index].prices
        return _as_rates(
            prices,
            self._least_seconds,
            audio_as_text=self._audio_as_text,
            searches_per_call=self._searches_per_call,
        )


def _as_rates(
    prices: Mapping[str, Price],
    least_seconds: float,
    *,
    audio_as_text: bool,
    searches_per_call: bool = False,
) -> Rates:
    known = {bucket: prices[key] for bucket, key in TOKEN_PRICES.items() if key in prices}
    if audio_as_text and "audio_input" not in known:
        same = {"audio_input": "input", "cached_audio": "cache_read"}
        known |= {audio: known[text] for audio, text in same.items() if text in known}
    units: dict[str, Any] = {u: prices[key] for u, key in UNIT_PRICES.items() if key in prices}
    hours: Any = next((prices[key] for key in HOUR_PRICES if key in prices), None)
    return Rates(
        tokens={
            bucket: price[0] if isinstance(price, tuple) else price
            for bucket, price in known.items()
        },
        steps={bucket: price[1] for bucket, price in known.items() if isinstance(price, tuple)},
        per_second=None if hours is None else hours / _HOUR,
        least_seconds=least_seconds,
        searches_per_call=searches_per_call,
        **{unit: price / _THOUSAND for unit, price in units.items()},
    )


def _holds(when: When, moment: float) -> bool:
    """Return whether prices with this constraint apply at ``moment`` (seconds since 1970)."""
    if when is None:
        return True
    if len(when) == 1:
        return when[0] <= moment
    start, end = when
    second = moment % _DAY
    return start <= second < end if start <= end else second >= start or second < end


def _past_changes(providers: Iterable[Provider]) -> Iterator[float]:
    """Yield the times of past price changes: the table also has announced changes."""
    now = time()
    for provider in providers:
        for model in provider.models:
            for when, _ in model.prices:
                if when is not None and len(when) == 1 and when[0] <= now:
                    yield when[0]
