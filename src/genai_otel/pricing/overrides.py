"""What a person said of prices, ready for look-up; ``prices_file`` reads it."""

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
ITSELF = "*"
"""In place of a name: whatever is listed for the model that was called."""


class Entry(NamedTuple):
    """One answer to "what does this model cost", and when it holds."""

    model: str
    rates: Rates | None = None
    same_as: str | None = None
    factor: float = 1.0
    provider: str | None = None
    region: str | None = None
    tier: str | None = None
    currency: str = "USD"
    window: tuple[float, float] = FOREVER
    general: bool = False
    """From a table of list prices, not about this person's own deployments."""

    @property
    def follows(self) -> str | None:
        """The other name that it is the same as; its own name is that of the bundled table."""
        own = self.same_as is not None and self.same_as.lower() == self.model.lower()
        return None if own or self.same_as == ITSELF else self.same_as


class Book(NamedTuple):
    """All that one dict or file says, ready for look-up."""

    name: str
    digest: str
    exact: Mapping[str, tuple[Entry, ...]]
    patterns: tuple[tuple[re.Pattern[str], tuple[Entry, ...]], ...] = ()
    billers: tuple[tuple[re.Pattern[str], str], ...] = ()
    hosts: tuple[str, ...] = ()
    """Those of the billers, as they were written."""

    def entries(self, *models: str) -> Iterator[Entry]:
        """What is said of the first of these names, an exact name before any pattern."""
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
    """Whether a condition holds; one that was not given always does."""
    if pattern is None:
        return True
    return value is not None and compiled(pattern)(value.lower()) is not None


@cache
def compiled(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Of a condition; whoever reads prices has it made, so that a call finds it here."""
    return re.compile(translate(pattern.lower())).match
