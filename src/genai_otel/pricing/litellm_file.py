"""Read litellm's ``model_prices_and_context_window.json`` as list prices."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .billers import biller_of_litellm
from .rates import Rates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .overrides import Entry
    from .rates import Steps

_MILLION = 1_000_000
# Our bucket, and litellm's keys of its price per token; the first that is present applies.
_TOKENS = {
    "input": ("input_cost_per_token",),
    "output": ("output_cost_per_token",),
    "cache_read": ("cache_read_input_token_cost",),
    "cache_write": ("cache_creation_input_token_cost",),
    "cache_write_1h": ("cache_creation_input_token_cost_above_1hr",),
    "audio_input": ("input_cost_per_audio_token",),
    "image_input": ("input_cost_per_image_token",),
    "cached_audio": (
        "cache_read_input_audio_token_cost",
        "cache_read_input_token_cost_per_audio_token",
    ),
    "reasoning": ("output_cost_per_reasoning_token",),
    "audio_output": ("output_cost_per_audio_token",),
    "image_output": ("output_cost_per_image_token",),
}
_UNITS = {
    "per_request": ("input_cost_per_request",),
    "per_image": ("output_cost_per_image", "input_cost_per_image"),
    "per_second": ("output_cost_per_second", "input_cost_per_second"),
    "per_character": ("input_cost_per_character",),
    "per_page": ("ocr_cost_per_page",),
    "per_search_unit": ("input_cost_per_query",),
}
_INSTEAD_OF_TOKENS = ("per_image", "per_second", "per_character")
_TIERS = {"": None, "_batches": "batch", "_flex": "flex", "_priority": "priority"}
_ABOVE = re.compile(r"_above_(\d+)k_tokens")
# For these models its price of a search is that of a grounded prompt: see ``bundled``.
_SEARCHES_PER_CALL = re.compile(r"(?:.*/)?gemini-[12](?!\d)")
_REGIONAL = re.compile(r"bedrock/((?:us|eu|ap|ca|sa|me|af|il|mx)-[a-z-]+-\d)/(?:.*/)?([^/]+)")


def is_litellm(data: Mapping[str, Any]) -> bool:
    return "models" not in data and any(
        isinstance(entry, dict) and "litellm_provider" in entry for entry in data.values()
    )


def litellm_entries(data: Mapping[str, Any], name: str) -> Iterator[Entry]:
    """Yield entries per model and tier. Models with no price, or only zeros, stay unknown."""
    for model, said in data.items():
        if model == "sample_spec" or not isinstance(said, dict):
            continue
        provider = said.get("litellm_provider")
        if not isinstance(provider, str):
            raise ValueError(f'{name}: "{model}": litellm_provider must be the name of a provider')  # noqa: TRY004 - a wrong value
        for suffix, tier in _TIERS.items():
            rates = _rates(said, suffix, f'{name}: "{model}"')
            if rates is not None and _SEARCHES_PER_CALL.match(model):
                rates = replace(rates, searches_per_call=True)
            if rates is not None:
                yield from _named(model, provider, tier, rates)


def _named(model: str, provider: str, tier: str | None, rates: Rates) -> Iterator[Entry]:
    """Yield the entry under litellm's name, and under the provider's own name."""
    from .overrides import Entry

    regional = _REGIONAL.fullmatch(model)
    region, plain = (regional[1], regional[2]) if regional else (None, model)
    own = plain.removeprefix(f"{provider}/").removeprefix(f"{provider.partition('_')[0]}/")
    for each in {model, plain, own}:
        yield Entry(
            each,
            rates,
            provider=biller_of_litellm(provider),
            region=region,
            tier=tier,
            general=True,
        )


def _rates(said: Mapping[str, Any], suffix: str, place: str) -> Rates | None:
    tokens: dict[str, float] = {}
    steps: dict[str, Steps] = {}
    for bucket, keys in _TOKENS.items():
        key = next((key for key in keys if key + suffix in said), None)
        price = None if key is None else _number(said, key + suffix, place)
        if key is not None and price is not None:
            tokens[bucket] = price * _MILLION
            steps[bucket] = _steps(said, key, suffix, place)
    units: dict[str, Any] = {} if suffix else _units(said, place)
    if not any(tokens.values()):  # zeros mean "not priced by tokens"
        tokens, steps = {}, {}
    else:  # with token prices, those of images and seconds are the same price in other units
        units = {unit: price for unit, price in units.items() if unit not in _INSTEAD_OF_TOKENS}
    if not tokens and not any(units.values()):
        return None
    searches = said.get("search_context_cost_per_query")
    if isinstance(searches, dict) and searches:
        price = _number(searches, "search_context_size_medium", place)
        units |= {} if price is None else {"per_web_search": price}
    return Rates(tokens=tokens, steps={k: v for k, v in steps.items() if v}, **units)


def _units(said: Mapping[str, Any], place: str) -> dict[str, float]:
    found = {
        unit: next((_number(said, key, place) for key in keys if said.get(key)), None)
        for unit, keys in _UNITS.items()
    }
    return {unit: price for unit, price in found.items() if price is not None}


def _steps(said: Mapping[str, Any], key: str, suffix: str, place: str) -> Steps:
    found = []
    for name in said:
        limit = _ABOVE.fullmatch(name.removeprefix(key).removesuffix(suffix))
        if name.startswith(key) and name.endswith(suffix) and limit:
            price = _number(said, name, place)
            if price is not None:
                found.append((int(limit[1]) * 1000, price * _MILLION))
    return tuple(sorted(found, reverse=True))


def _number(said: Mapping[str, Any], key: str, place: str) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MILLION:
        raise ValueError(f"{place}: {key} must be a price per unit in USD, not {value!r}")
    return float(value)
