"""Find the prices that apply to a call: overrides in their order, then the bundled table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .billers import biller_of_host, biller_of_provider
from .bundled import Bundled, Schedule, is_dated, tier_of
from .overrides import FOREVER, ITSELF, Book, Entry, matches
from .regions import is_elsewhere, region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from genai_otel.record import Usage

    from .rates import Rates

# A user's function: (provider, model, usage, time) -> an amount in USD, or ``None``
Override: TypeAlias = 'Callable[[str | None, str | None, "Usage", datetime], float | None]'
_DEEPEST = 8


class Call(NamedTuple):
    """Everything that selects prices, except the time."""

    provider: str | None
    model: str | None
    request_model: str | None = None
    host: str | None = None
    tier: str | None = None
    batch: bool = False
    region: str | None = None

    @property
    def names(self) -> list[str]:
        """The requested name, then the one that answered: a map of deployments has the former."""
        return [name for name in (self.request_model, self.model) if name]

    @property
    def answered(self) -> str | None:
        """The name to look up in a table of list prices."""
        return self.model or self.request_model

    @property
    def kind(self) -> str | None:
        """The tier as named in overrides; ``None`` for standard requests."""
        if self.batch:
            return "batch"
        return tier_of(self.tier)


class Quote(NamedTuple):
    """Prices that may apply, and their origin; without prices the call is free."""

    matched: str
    prices: Schedule | Rates | None
    window: tuple[float, float] = FOREVER
    factor: float = 1.0
    currency: str = "USD"

    def at(self, moment: float) -> Rates | None:
        return self.prices.at(moment) if isinstance(self.prices, Schedule) else self.prices


class Resolved(NamedTuple):
    """The overrides (quotes and functions) in their order, and the bundled table's quote.

    ``otherwise`` is the status if none applies, ``missing`` the reason why the table's does not.
    """

    steps: tuple[Quote | Override, ...]
    listed: Quote | None
    otherwise: str
    missing: tuple[str, ...] = ()


class Resolver:
    """Finds the prices of calls; immutable after construction."""

    def __init__(
        self, sources: Sequence[Book | Override], bundled: Bundled | None, *, ready: bool
    ) -> None:
        self.bundled, self.ready = bundled, ready
        self._sources = sources
        self._books = [source for source in sources if isinstance(source, Book)]

    def resolve(self, call: Call) -> Resolved:
        if call.region is None:
            call = call._replace(region=region_of(call.host, call.provider))
        biller = self._biller(call)
        steps = tuple(self._overrides(call, biller))
        if not self.ready:
            return Resolved(steps, None, "not_ready")
        if biller is None:
            return Resolved(steps, None, "unknown_biller")
        quote, otherwise = self._listed(call.answered, call, biller, mapped=False)
        if quote is not None and is_elsewhere(biller, quote.matched, call.answered, call.region):
            return Resolved(steps, None, "unknown_price", ("region",))
        return Resolved(steps, quote, otherwise)

    def _biller(self, call: Call) -> str | None:
        """Return the biller. An unknown host is a self-hosted server."""
        if not call.host:
            return self._named_biller(call.provider)
        host = call.host.lower()
        for book in self._books:
            for pattern, name in book.billers:
                if pattern.fullmatch(host):
                    return self._named_biller(name)
        return biller_of_host(host) or (self.bundled and self.bundled.biller(host)) or None

    def _named_biller(self, name: str | None) -> str | None:
        known = biller_of_provider(name)
        if known is None and name and self.bundled and self.bundled.knows(name.lower()):
            return name.lower()
        return known

    def _overrides(self, call: Call, biller: str | None) -> Iterator[Quote | Override]:
        for source in self._sources:
            if not isinstance(source, Book):
                yield source
                continue
            for entry in source.entries(*call.names):
                if self._applies(entry, call, biller):
                    yield from self._quotes(entry, call, biller)

    def _applies(self, entry: Entry, call: Call, biller: str | None) -> bool:
        if not matches(entry.region, call.region):
            return False
        if entry.rates is not None and entry.tier is None and call.kind is not None:
            return False  # a price without a tier is the standard price
        if entry.tier is not None and not matches(entry.tier, call.kind or "standard"):
            return False
        if not entry.general:
            return matches(entry.provider, call.provider) or matches(entry.provider, biller)
        name = (call.answered or "").strip().lower()
        if biller == "azure" and not is_dated(name):
            return False
        return entry.provider == biller and entry.model.lower() == name

    def _quotes(
        self, entry: Entry, call: Call, biller: str | None, depth: int = _DEEPEST
    ) -> Iterator[Quote]:
        """Yield an entry's own prices, or those of its ``same_as``, while both apply."""
        if entry.same_as is None:
            yield Quote(entry.model, entry.rates, entry.window, 1.0, entry.currency)
            return
        if entry.same_as == ITSELF:
            targets = self._list_prices(call, biller, anywhere=entry.region is not None)
        else:
            targets = self._targets(entry.same_as, call, biller, depth)
        for quote in targets:
            since = max(entry.window[0], quote.window[0])
            until = min(entry.window[1], quote.window[1])
            if since < until:
                yield quote._replace(window=(since, until), factor=entry.factor * quote.factor)

    def _list_prices(self, call: Call, biller: str | None, *, anywhere: bool) -> Iterator[Quote]:
        """Yield list prices of the called model: the user's tables, then the bundled one.

        ``anywhere``: an override covers the call's region, so list prices apply there, too.
        """
        for book in self._books:
            for entry in book.entries(*call.names):
                if entry.general and self._applies(entry, call, biller):
                    yield from self._quotes(entry, call, biller)
        if biller is not None:
            quote, _ = self._listed(call.answered, call, biller, mapped=False)
            if quote is not None and (
                anywhere or not is_elsewhere(biller, quote.matched, call.answered, call.region)
            ):
                yield quote

    def _targets(self, name: str, call: Call, biller: str | None, depth: int) -> Iterator[Quote]:
        """Yield targets of ``same_as``: the user's entries, then a model of the bundled table."""
        again = call._replace(model=name, request_model=None)
        for book in self._books if depth else ():
            for entry in book.entries(name):
                own = entry.same_as is not None and entry.follows is None
                if not (own or entry.general) and self._applies(entry, again, biller):
                    yield from self._quotes(entry, call, biller, depth - 1)
        prefix, _, rest = name.partition("/")
        named = self._named_biller(prefix) if rest else None
        if named is not None:
            biller, name = named, rest
        biller = biller or self._named_biller(call.provider)
        quote = self._listed(name, call, biller, mapped=True)[0] if biller else None
        if quote is not None:
            yield quote

    def _listed(
        self, name: str | None, call: Call, biller: str, *, mapped: bool
    ) -> tuple[Quote | None, str]:
        """Return the bundled table's quote, and the status if there is none or none applies."""
        if self.bundled is None or name is None:
            return None, "unknown_model"
        model = self.bundled.find(biller, name, region=call.region, mapped=mapped)
        if model is None:
            return None, "unknown_model"
        schedule = model.schedule(call.tier, batch=call.batch)
        return Quote(model.id, schedule) if schedule else None, "unknown_price"
