"""The prices of a book in order of precedence: overrides, then the bundled table.

Separate from ``pricing.book`` because its imports take as long as those of a tracer.
"""

from __future__ import annotations

import hashlib
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genai_otel._support.locks import reentrant

from .cost import TOLD, Cost
from .overrides import Book
from .rates import charge
from .resolver import Call, Quote, Resolved, Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from genai_otel.record import Usage

    from .bundled import Bundled
    from .resolver import Override

logger = logging.getLogger("genai_otel")

_MOST_KNOWN = 1000


class PriceList:
    """Prices from ``sources`` (dicts, files or functions), and from ``bundled``.

    ``ready``: no further source will be added. Raises ``ValueError`` on prices that cannot be read.
    """

    def __init__(self, sources: Sequence[Any]) -> None:
        self._sources = [_source(source) for source in sources]
        self._resolver = Resolver(self._sources, None, ready=False)
        self._lock = reentrant()
        self._known: dict[tuple[Any, ...], Resolved] = {}
        self._said: set[int] = set()
        self.version = self._version()

    def complete(self, bundled: Bundled | None) -> None:
        """Add the bundled table, if there is one, as the last source."""
        with self._lock:
            self._resolver = Resolver(self._sources, bundled, ready=True)
            self.version = self._version()
            self._known = {}

    @property
    def ready(self) -> bool:
        return self._resolver.ready

    def price(self, usage: Usage, at: datetime | float, key: tuple[Any, ...]) -> Cost:
        """As ``PriceBook.price``; ``key`` has the fields of a ``Call``."""
        resolved = self._known.get(key) or self._resolve(Call(*key))
        moment = at.timestamp() if isinstance(at, datetime) else at
        for step in resolved.steps:
            if isinstance(step, Quote):
                if step.window[0] <= moment < step.window[1]:
                    return self._charged(step, usage, moment)
            else:
                answer = self._asked(step, Call(*key), usage, moment)
                if answer is not None:
                    return answer
        if usage.charged is not None:
            return Cost("priced", usage.charged, version=TOLD)
        if resolved.listed is not None:
            return self._charged(resolved.listed, usage, moment)
        return Cost(resolved.otherwise, version=self.version, missing=resolved.missing)

    def quotes(self, call: Call) -> tuple[list[Quote], str]:
        """As ``PriceBook.quotes``."""
        resolved = self._resolve(call)
        steps = (*resolved.steps, resolved.listed)
        return [step for step in steps if isinstance(step, Quote)], resolved.otherwise

    def ids(self, biller: str | None = None) -> Iterator[tuple[str, str]]:
        """As ``PriceBook.ids``."""
        bundled = self._resolver.bundled
        yield from () if bundled is None else bundled.ids(biller)

    def _charged(self, quote: Quote, usage: Usage, moment: float) -> Cost:
        if quote.prices is None:
            return Cost("free", 0.0, quote.currency, self.version, 0.0, 0.0)
        rates = quote.at(moment)
        if rates is None:
            return Cost("unknown_price", version=self.version)
        money = charge(rates, usage)
        if not money.counted:
            return Cost("no_usage", version=self.version)
        amount = money.total * quote.factor
        if money.missing or not math.isfinite(amount):
            return Cost("unknown_price", version=self.version, missing=money.missing)
        return Cost(
            "priced" if usage.estimated is None else "estimated_usage",
            amount,
            quote.currency,
            self.version,
            money.input * quote.factor,
            money.output * quote.factor,
        )

    def _asked(self, function: Override, call: Call, usage: Usage, moment: float) -> Cost | None:
        """Return the result of a user's function; its exceptions do not reach the caller."""
        at = datetime.fromtimestamp(moment, tz=UTC)
        try:
            amount = function(call.provider, call.model or call.request_model, usage, at)
            if amount is None:
                return None
            value = float(amount)
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            return self._failed(function, type(error).__name__)
        if not math.isfinite(value) or value < 0:
            return self._failed(function, "the amount is negative or not finite")
        status = "priced" if usage.estimated is None else "estimated_usage"
        return Cost(status, value, version=self.version)

    def _failed(self, function: Override, what: str) -> Cost:
        if id(function) not in self._said:
            self._said.add(id(function))
            logger.warning("genai_otel: custom price function failed: %s", what)
        return Cost("override_failed", version=self.version)

    def _resolve(self, call: Call) -> Resolved:
        resolver = self._resolver
        resolved = resolver.resolve(call)
        if resolver.ready:
            self._remember(call, resolved)
        return resolved

    def _remember(self, call: Call, resolved: Resolved) -> None:
        """Cache a result; bounded, because model names may be untrusted."""
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[call] = resolved

    def _version(self) -> str:
        """Return the table's release and newest price, and a hash of the overrides."""
        bundled = self._resolver.bundled
        parts = [] if bundled is None else [bundled.version]
        if self._sources:
            parts.append(version_of(self._sources))
        return "; ".join(parts) or "none"


def version_of(sources: Sequence[Book | Override]) -> str:
    """Return the version of the overrides, as spans have it beside the table's."""
    said = [each.digest if isinstance(each, Book) else _name_of(each) for each in sources]
    return f"overrides {hashlib.sha256(' '.join(said).encode()).hexdigest()[:8]}"


def _source(given: Any) -> Book | Override:
    if callable(given):
        function: Override = given
        return function
    from .overrides_file import read_prices

    return read_prices(given)


def _name_of(function: Override) -> str:
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"
