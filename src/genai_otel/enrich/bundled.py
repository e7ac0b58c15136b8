"""The price table of genai-prices: found strictly, and read as plain numbers.

The library matches by prefixes and substrings, so that ``gemini-1.5-flash-8b`` costs what
``gemini-1.5-flash`` does; it ignores a price context that it does not know, and gives 0 where it
has no price. Here an id is found only if a rule names it, see ``matching``, and prices are read.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

from .matching import names
from .rates import Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.machinery import ModuleSpec

_BEDROCK_ARN = re.compile(
    r"arn:aws:bedrock:([a-z0-9-]*):\d*:(?:foundation-model|inference-profile)/([^/]+)"
)
_VERTEX_PATH = re.compile(r"(?:projects/.*/)?(?:publishers/[^/]+/)?models/([^/]+)")
_DATED = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|\d{4})$")
# The commercial regions' table says nothing of these.
_OTHER_PARTITIONS = re.compile(r"us-gov[.-]|cn-")

_KEYS = {
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
_STANDARD = frozenset(("default", "standard", "auto", "on_demand", "on-demand", "standard_only"))
_SAME_TIERS = {"on_demand_priority": "priority", "on_demand_flex": "flex"}  # as Vertex says it
_HOUR = 3600
_LEAST_SECONDS = 10.0  # Groq bills ten seconds of audio at least
_THOUSAND = 1000


def tier_of(told: str | None) -> str | None:
    """The tier in the words of price tables; ``None`` is the standard one."""
    word = (told or "standard").lower()
    return None if word in _STANDARD else _SAME_TIERS.get(word, word)


def is_dated(model: str) -> bool:
    """Whether the name has a version: on Azure others are names that somebody gave."""
    return _DATED.search(model) is not None


_FETCHING = "genai_prices.update_prices"
"""What fetches newer prices, which we never do. It imports an HTTP client (httpx2)."""


def _without_fetching() -> Any:
    """The library, imported without the HTTP client; whoever asks for what fetches gets that.

    We import on a thread of our own, and openai 2 looks at a half-imported httpx2 as it is called.
    In place of the module stands one that becomes it at its first use. It stays: others look
    through the modules at any time (a notebook's autoreload), and must not see one go away.
    """
    if "genai_prices" not in sys.modules and "httpx2" not in sys.modules:
        package = find_spec("genai_prices")
        places = None if package is None else package.submodule_search_locations
        spec = PathFinder.find_spec(_FETCHING, places)
        if spec is not None:
            _stand_in(spec)
    import genai_prices

    for name in [name for name, value in vars(genai_prices).items() if type(value) is _Later]:
        delattr(genai_prices, name)
        vars(genai_prices).update(__getattr__=_fetching, update_prices=sys.modules[_FETCHING])
    return genai_prices


def _stand_in(spec: ModuleSpec) -> None:
    module: Any = module_from_spec(spec)
    module.__getattr__ = lambda name: _later(module, name)
    sys.modules[_FETCHING] = module


class _Later:
    """One of its names, for who has imported it before it was there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _fetching(self._name)(*args, **kwargs)


def _later(module: Any, name: str) -> Any:
    """While genai_prices is being imported, a promise; afterwards the module's own, read now."""
    if name.startswith("__"):
        raise AttributeError(name)
    package = sys.modules.get("genai_prices")
    if package is None or getattr(package.__spec__, "_initializing", False):
        return _Later(name)
    waiting = vars(module).pop("__getattr__", None)
    try:
        if waiting is not None:
            module.__spec__.loader.exec_module(module)
    except BaseException:
        module.__getattr__ = waiting
        raise
    return getattr(module, name)


def _fetching(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module(_FETCHING), name)


class Bundled:
    """What genai-prices knows; making one imports it, which takes half a second."""

    def __init__(self) -> None:
        genai_prices = _without_fetching()
        from genai_prices.data_snapshot import get_snapshot

        self._providers: dict[str, Any] = {p.id: p for p in get_snapshot().providers}
        self._exact = {pid: dict(_exact_ids(p)) for pid, p in self._providers.items()}
        self._rules = {pid: list(_other_rules(p)) for pid, p in self._providers.items()}
        self._hosts = [(pid, re.compile(p.api_pattern)) for pid, p in self._providers.items()]
        newest = max(_start_dates(self._providers.values()), default="unknown")
        self.version = f"genai-prices/{genai_prices.__version__} to {newest}"

    def knows(self, biller: str) -> bool:
        return biller in self._providers

    def biller(self, host: str) -> str | None:
        """Who bills calls to ``host``: the whole host must match, not its beginning."""
        address = f"https://{host}/"
        for biller, pattern in self._hosts:
            found = pattern.match(address)
            if found and found.end() >= len(address) - 1:
                return biller
        return None

    def ids(self, biller: str | None = None) -> Iterator[tuple[str, str]]:
        """(biller, id) of every model."""
        for pid, provider in self._providers.items():
            if biller is None or pid == biller:
                yield from ((pid, model.id) for model in provider.models)

    def find(
        self, biller: str, model: str, *, region: str | None = None, mapped: bool = False
    ) -> BundledModel | None:
        """The model that ``biller`` calls so. ``mapped``: a person said that it is this one."""
        ref = _normal(biller, model.strip().lower()) if self.knows(biller) else None
        if ref is None or _OTHER_PARTITIONS.match(region or ""):
            return None
        if biller == "azure" and not mapped and not is_dated(ref):
            return None  # the name of a deployment may be any name, also that of another model
        for pid in (biller, *(self._providers[biller].fallback_model_providers or ())):
            known = self._find_own(pid, ref)
            if known is not None:
                return BundledModel(pid, known, own=pid == biller)
        return None

    def _find_own(self, biller: str, ref: str) -> Any:
        exact = self._exact[biller].get(ref)
        if exact is not None:
            return exact
        rules = self._rules[biller]
        return next((model for clause, model in rules if names(clause, ref, biller)), None)


def _normal(biller: str, ref: str) -> str | None:
    """The id within an address of the model; ``None`` for one that holds no model's name."""
    if biller == "aws" and ref.startswith("arn:"):
        found = _BEDROCK_ARN.fullmatch(ref)
        return None if found is None or _OTHER_PARTITIONS.match(found[1]) else found[2]
    if biller == "google":
        found = _VERTEX_PATH.fullmatch(ref)
        return found[1] if found else ref
    return ref


def _exact_ids(provider: Any) -> Iterator[tuple[str, Any]]:
    """Ids that a rule names in full; the first of two models wins, as in the library."""
    for model in reversed(provider.models):
        for clause in _clauses(model):
            if hasattr(clause, "equals"):
                yield clause.equals.lower(), model


def _other_rules(provider: Any) -> Iterator[tuple[Any, Any]]:
    for model in provider.models:
        for clause in _clauses(model):
            if not hasattr(clause, "equals"):
                yield clause, model


def _clauses(model: Any) -> Any:
    return getattr(model.match, "or_", (model.match,))


class BundledModel:
    """One model of the table."""

    def __init__(self, biller: str, model: Any, *, own: bool) -> None:
        self.biller, self.id = biller, f"{biller}/{model.id}"
        self._model, self._own = model, own

    def schedule(self, tier: str | None, *, batch: bool) -> Schedule | None:
        """Prices by time for such requests; ``None`` where the table has none for them.

        A model that another provider lends has only standard prices, whatever its variants say.
        """
        wanted = _context(tier, batch=batch)
        known = getattr(self._model, "price_variants", None)  # since 0.2
        variants = [v for v in known or () if self._own and wanted]
        matching = [v for v in variants if any(c.items() >= v.when.items() for c in wanted)]
        if wanted and not matching:
            return None
        prices = self._model.prices
        standard = prices if isinstance(prices, list) else [_Always(prices)]
        return Schedule(standard, matching, self.biller, needs_variant=bool(wanted))


def _context(tier: str | None, *, batch: bool) -> list[dict[str, str]]:
    """The library's words for the kind of request, in each of its spellings."""
    word = "batch" if batch else tier_of(tier)
    if word is None:
        return []
    if word == "batch":
        return [{"processing": "batch"}]
    return [{"service_tier": word}, {"speed": word}]


class _Always:
    constraint = None

    def __init__(self, prices: Any) -> None:
        self.prices = prices


class Schedule:
    """The prices of a model as they change with time."""

    def __init__(
        self, standard: list[Any], variants: list[Any], biller: str, *, needs_variant: bool
    ) -> None:
        self._standard = [(_when(each.constraint), each.prices) for each in standard]
        self._variants = [(_when(each.constraint), each.prices) for each in variants]
        self._needs_variant = needs_variant
        self._least_seconds = _LEAST_SECONDS if biller == "groq" else 0.0
        self._audio_as_text = biller == "google"  # which lists audio only where it is dearer
        self._known: dict[tuple[int, ...], Rates] = {}
        changes = any(when for when, _ in (*self._standard, *self._variants))
        self._always = None if changes else self._at(0.0)

    def at(self, moment: float) -> Rates | None:
        """What held at ``moment`` (seconds since 1970); ``None`` where no price did."""
        return self._always or self._at(moment)

    def _at(self, moment: float) -> Rates | None:
        standard = [i for i, (when, _) in enumerate(self._standard) if when is None or when(moment)]
        variants = [i for i, (when, _) in enumerate(self._variants) if when is None or when(moment)]
        if not standard or (self._needs_variant and not variants):
            return None
        key = (standard[-1], *variants)
        rates = self._known.get(key)
        if rates is None:
            rates = self._known[key] = self._rates(*key)
        return None if rates.empty else rates

    def _rates(self, standard: int, *variants: int) -> Rates:
        prices = _present(self._standard[standard][1])
        for index in reversed(variants):  # of two variants the first wins, as in the library
            prices |= _present(self._variants[index][1])
        return _as_rates(prices, self._least_seconds, audio_as_text=self._audio_as_text)


def _present(prices: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _as_rates(prices: Mapping[str, Any], least_seconds: float, *, audio_as_text: bool) -> Rates:
    known = {bucket: prices[key] for bucket, key in _KEYS.items() if key in prices}
    if audio_as_text and "audio_input" not in known:
        same = {"audio_input": "input", "cached_audio": "cache_read"}
        known |= {audio: known[text] for audio, text in same.items() if text in known}
    hours = prices.get("input_audio_hours", prices.get("audio_hours"))
    thousands = {
        unit: float(prices[key]) / _THOUSAND
        for unit, key in (
            ("per_request", "requests_kcount"),
            ("per_web_search", "web_searches_kcount"),
            ("per_search_unit", "rerank_searches_kcount"),
        )
        if key in prices
    }
    return Rates(
        tokens={bucket: float(getattr(price, "base", price)) for bucket, price in known.items()},
        steps={
            bucket: tuple((tier.start, float(tier.price)) for tier in reversed(price.tiers))
            for bucket, price in known.items()
            if hasattr(price, "tiers")
        },
        per_second=None if hours is None else float(hours) / _HOUR,
        least_seconds=least_seconds,
        **thousands,
    )


def _when(constraint: Any) -> Callable[[float], bool] | None:
    """The library's condition as a function of seconds since 1970."""
    if constraint is None:
        return None
    from datetime import UTC, datetime

    start = getattr(constraint, "start_date", None)
    if start is not None:
        since = datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()
        return since.__le__
    return lambda moment: bool(constraint.active(datetime.fromtimestamp(moment, tz=UTC)))


def _start_dates(providers: Any) -> Iterator[str]:
    """When prices changed, as far as that is past: the table also has announced changes."""
    from datetime import UTC, datetime

    today = datetime.now(tz=UTC).date()
    for provider in providers:
        for model in provider.models:
            for each in model.prices if isinstance(model.prices, list) else ():
                start = getattr(each.constraint, "start_date", None)
                if start is not None and start <= today:
                    yield start.isoformat()
