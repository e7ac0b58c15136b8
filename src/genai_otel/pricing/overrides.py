"""Custom prices (overrides), ready for look-up; ``overrides_file`` reads them."""

from __future__ import annotations

import math
import re
from fnmatch import translate
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .rates import Rates

FOREVER = (-math.inf, math.inf)
ITSELF = "*"  # in place of a name: the list prices of the called model


class Entry(NamedTuple):
    """One answer to "what does this model cost", and when it applies."""

    model: str
    rates: Rates | None = None
    same_as: str | None = None
    factor: float = 1.0
    provider: str | None = None
    region: str | None = None
    tier: str | None = None
    currency: str = "USD"
    window: tuple[float, float] = FOREVER
    general: bool = False  # from a table of list prices, not for the user's own deployments

    @property
    def follows(self) -> str | None:
        """The other name whose prices apply; its own name means that of the bundled table."""
        own = self.same_as is not None and self.same_as.lower() == self.model.lower()
        return None if own or self.same_as == ITSELF else self.same_as


class Book(NamedTuple):
    """The contents of one dict or file, ready for look-up."""

    name: str
    digest: str
    exact: Mapping[str, tuple[Entry, ...]]
    patterns: tuple[tuple[re.Pattern[str], tuple[Entry, ...]], ...] = ()
    billers: tuple[tuple[re.Pattern[str], str], ...] = ()
    hosts: tuple[str, ...] = ()  # hosts of the billers, as written

    def entries(self, *models: str) -> Iterator[Entry]:
        """Yield the entries of the first known name, exact names before patterns."""
        names = [model.strip().lower() for model in models]
        for name in names:
            yield from self.exact.get(name, ())
        for name in names:
            for pattern, entries in self.patterns:
                if pattern.fullmatch(name):
                    yield from entries

    def all(self) -> Iterator[Entry]:
        for entries in (*self.exact.values(), *(entries for _, entries in self.patterns)):
            yield from entries


def matches(pattern: str | None, value: str | None) -> bool:
    """Return whether a condition matches; a missing condition always does."""
    if pattern is None:
        return True
    return value is not None and compiled(pattern)(value.lower()) is not None


@cache
def compiled(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Compile a condition; called when prices are read, so that calls hit the cache."""
    return re.compile(translate(pattern.lower())).match
