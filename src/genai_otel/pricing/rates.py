"""Prices of one model at one time, and the cost of usage by them. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from genai_otel.record import Usage

MILLION = 1_000_000
_CACHE_PARTS = ("cache_read", "cache_write", "cache_write_1h")
_MEDIA_PARTS = (
    ("audio_input", "cached_audio"),
    ("image_input", "cached_image"),
    ("video_input", "cached_video"),
)
INPUT_PARTS = (*_CACHE_PARTS, *(name for pair in _MEDIA_PARTS for name in pair))
OUTPUT_PARTS = ("reasoning", "audio_output", "image_output", "video_output")
TOKENS = ("input", *INPUT_PARTS, "output", *OUTPUT_PARTS)  # buckets with a price per million tokens
# Other quantities with a price
UNITS = (
    *("per_request", "per_image", "per_second", "per_character", "per_page"),
    *("per_web_search", "per_search_unit"),
    *("per_file_search", "per_map_search", "per_container", "per_tool_image"),
)
# Usage of the provider's tools, and its price: a call with an unpriced one has no cost
_CHARGES = (
    ("web_searches", "per_web_search"),
    ("file_searches", "per_file_search"),
    ("map_searches", "per_map_search"),
    ("containers", "per_container"),
    ("tool_images", "per_tool_image"),
    ("other_charges", None),
)

# (threshold, price per million for the whole request beyond so many input tokens), descending
Steps = tuple[tuple[int, float], ...]
_TOTALS = frozenset({"input", "output", "estimated", "web_fetches"})
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices per million tokens by bucket, and prices by unit.

    ``steps`` has prices that depend on the length of the input: beyond a threshold, its price
    applies to all tokens of the request, as providers bill it.
    """

    tokens: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    steps: Mapping[str, Steps] = field(default_factory=lambda: _EMPTY)
    per_request: float | None = None
    per_image: float | None = None
    per_second: float | None = None
    per_character: float | None = None
    per_page: float | None = None
    per_web_search: float | None = None
    per_search_unit: float | None = None
    per_file_search: float | None = None
    per_map_search: float | None = None
    per_container: float | None = None
    per_tool_image: float | None = None
    searches_per_call: bool = False  # one call is billed as one web search, however many it runs
    least_seconds: float = 0.0

    # prices of input and output, if a call without parts has no other costs
    plain: tuple[float, float] | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        prices = (self.tokens.get("input"), self.tokens.get("output"))
        if None not in prices and not self.steps and self.per_request is None:
            object.__setattr__(self, "plain", prices)

    @property
    def empty(self) -> bool:
        """Whether there is no price at all, which differs from a price of 0."""
        return not self.tokens and all(getattr(self, unit) is None for unit in UNITS)

    def of(self, bucket: str, context: int) -> float | None:
        """Return the price per million in a request with ``context`` input tokens.

        A part without a price has the price of the whole, unless that is implausible: audio costs
        many times more than text, a one-hour cache write more than a short one.
        """
        if bucket not in self.tokens:
            parent = _PARENTS.get(bucket)
            doubt = _DOUBTS.get(bucket)
            if parent is None or doubt in self.tokens:
                return None
            return self.of(parent, context)
        for beyond, price in self.steps.get(bucket, ()):
            if context > beyond:
                return price
        return self.tokens[bucket]


_PARENTS = {
    **dict.fromkeys((*_CACHE_PARTS, "image_input", "video_input"), "input"),
    **dict.fromkeys(("reasoning", "image_output", "video_output"), "output"),
    **dict.fromkeys(("cached_image", "cached_video"), "cache_read"),
}
_DOUBTS = {
    "cache_write_1h": "cache_write",
    "cached_image": "image_input",
    "cached_video": "video_input",
}


class Charge(NamedTuple):
    """An amount, or why there is none: ``missing`` names the used quantities without a price."""

    input: float = 0.0
    output: float = 0.0
    total: float = 0.0
    missing: tuple[str, ...] = ()
    counted: bool = True  # False: the usage is not reported


NOT_COUNTED = Charge(counted=False)


def charge(rates: Rates, usage: Usage) -> Charge:
    """Return the cost of ``usage``. Impossible counts are dropped; the others are kept."""
    known = vars(usage)
    if rates.plain is not None and _is_plain(known):
        return _plainly(rates.plain, known)
    units = _units(rates, known)
    if units is None:
        return NOT_COUNTED
    missing: list[str] = []
    units += _tools(rates, known, missing)
    if not rates.tokens:
        return Charge(total=units, missing=tuple(missing))
    sent, made = _count(known.get("input")), _count(known.get("output"))
    if sent is None or (made is None and rates.tokens.get("output")):
        return NOT_COUNTED
    incoming = _priced(rates, _input_pieces(known, sent), sent, missing)
    outgoing = _priced(rates, _output_pieces(known, made or 0), sent, missing)
    if known.get("seconds") and rates.per_second is None:
        missing.append("seconds")
    total = (incoming + outgoing) / MILLION + units
    return Charge(incoming / MILLION, outgoing / MILLION, total, tuple(missing))


def _is_plain(known: Mapping[str, Any]) -> bool:
    for name, count in known.items():  # noqa: SIM110 - a generator takes four times as long
        if count and name not in _TOTALS:
            return False
    return True


def _plainly(plain: tuple[float, float], known: Mapping[str, Any]) -> Charge:
    """Charge the common case: input and output tokens without parts."""
    sent, made = known.get("input"), known.get("output")
    if not type(sent) is type(made) is int or sent < 0 or made < 0:
        sent, made = _count(sent), _count(made)
        if sent is None or (made is None and plain[1]):
            return NOT_COUNTED
    incoming, outgoing = sent * plain[0] / MILLION, (made or 0) * plain[1] / MILLION
    return Charge(incoming, outgoing, incoming + outgoing)


def _priced(
    rates: Rates, pieces: Sequence[tuple[str, int]], context: int, missing: list[str]
) -> float:
    """Return the cost of the pieces in millionths; add pieces without a price to ``missing``."""
    amount = 0.0
    for bucket, count in pieces:
        price = rates.of(bucket, context)
        if price is None:
            missing.append(bucket)
        else:
            amount += count * price
    return amount


def _input_pieces(known: Mapping[str, Any], rest: int) -> list[tuple[str, int]]:
    """Return pieces of the input that do not overlap and add up to ``rest``.

    Cached audio is in ``cache_read`` and in ``audio_input``: it is subtracted from both. If the
    cached share of audio is not reported, the audio beyond the cache is not cached.
    """
    pieces = []
    for name in _CACHE_PARTS:
        size = _count(known.get(name))
        if size and size <= rest:  # otherwise it contradicts the total
            rest -= size
            pieces.append((name, size))
    for name, cached_name in _MEDIA_PARTS:
        size = _count(known.get(name))
        if size:
            cached = _count(known.get(cached_name)) or 0
            if cached and pieces and pieces[0][0] == "cache_read" and pieces[0][1] >= cached:
                pieces[0] = ("cache_read", pieces[0][1] - cached)
                pieces.append((cached_name, cached))
                size = max(size - cached, 0)
            size = min(size, rest)
            rest -= size
            pieces.append((name, size))
    pieces.append(("input", rest))
    return [piece for piece in pieces if piece[1]]


def _output_pieces(known: Mapping[str, Any], rest: int) -> list[tuple[str, int]]:
    pieces = []
    for name in OUTPUT_PARTS:
        size = _count(known.get(name))
        if size and size <= rest:
            rest -= size
            pieces.append((name, size))
    if rest:
        pieces.append(("output", rest))
    return pieces


def _units(rates: Rates, known: Mapping[str, Any]) -> float | None:
    """Return the cost of non-token units; ``None`` if the only price is of an unreported unit."""
    total = rates.per_request or 0.0
    seconds = _amount(known.get("seconds"))
    counts = (
        (rates.per_image, _count(known.get("images"))),
        (rates.per_second, None if seconds is None else max(seconds, rates.least_seconds)),
        (rates.per_character, _count(known.get("characters"))),
        (rates.per_page, _count(known.get("pages"))),
        (rates.per_search_unit, _count(known.get("search_units"))),
    )
    for price, count in counts:
        if price is not None and count is not None:
            total += price * count
        elif price is not None and not rates.tokens:
            return None
    return total


def _tools(rates: Rates, known: Mapping[str, Any], missing: list[str]) -> float:
    """Return the cost of the provider's tools."""
    missing.extend(known.get("unclear") or ())
    total = 0.0
    for name, unit in _CHARGES:
        count = _count(known.get(name))
        if not count or name in missing:
            continue
        price: float | None = None if unit is None else getattr(rates, unit)
        if price is None:
            missing.append(name)
        elif name == "web_searches" and rates.searches_per_call:
            total += price
        else:
            total += price * count
    return total


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _amount(value: Any) -> float | None:
    return value if type(value) in (int, float) and value >= 0 else None
