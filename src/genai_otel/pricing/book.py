"""The price book: the cost of a call, or why it is unknown. See docs/cost.md.

``PriceBook.load()`` reads the table of genai-prices, on a background thread.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from genai_otel._support.locks import reentrant

from .cost import TOLD, Cost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from genai_otel.record import Usage

    from .price_list import PriceList
    from .resolver import Call, Override, Quote

__all__ = ["Cost", "PriceBook"]

logger = logging.getLogger("genai_otel")

Source: TypeAlias = "Mapping[str, Any] | str | Path | Override"


class PriceBook:
    """Prices by model, provider and time: overrides first, then the bundled table.

    ``overrides`` is a dict, the path of a TOML or JSON file, a function ``(provider, model, usage,
    at) -> amount or None``, or a sequence of these, in order of precedence. Raises ``ValueError``
    on prices that cannot be read.
    """

    def __init__(self, overrides: Source | Sequence[Source] = (), *, bundled: bool = True) -> None:
        one = isinstance(overrides, str | Mapping) or not isinstance(overrides, Sequence)
        sources: Sequence[Any] = [overrides] if one else overrides  # type: ignore[assignment]
        self._lock = reentrant()
        self._list: PriceList | None = None
        self.problem: str | None = None
        if sources or not bundled:
            self._list = _priced_by(sources)
            if not bundled:
                self._list.complete(None)

    def load(self) -> None:
        """Read the bundled table from disk, never while a call waits.

        Does not raise: without the table only overrides have prices, and ``problem`` is the reason.
        """
        with self._lock:
            if self.ready:
                return
            prices, bundled = self._list, None
            try:
                prices = prices or _priced_by(())
                from .bundled import Bundled

                bundled = Bundled()
            except Exception as error:  # noqa: BLE001 - an older or broken table may raise anything
                self.problem = f"genai-prices cannot be used: {type(error).__name__}: {error}"
                logger.warning("genai_otel: %s", self.problem)
            if prices is not None:
                prices.complete(bundled)
            self._list = prices

    def load_if_read(self) -> None:
        """Use the bundled table if this process has read it already; this takes no time."""
        module = sys.modules.get(f"{__package__}.bundled")
        is_read = getattr(module, "is_read", None)  # missing while another thread imports it
        if is_read is not None and is_read():
            self.load()

    @property
    def ready(self) -> bool:
        """Whether the bundled table is loaded, has failed to load, or is not used."""
        return self._list is not None and self._list.ready

    @property
    def version(self) -> str:
        """The table's release and newest price, and a hash of the overrides."""
        return "none" if self._list is None else self._list.version

    def price(
        self,
        usage: Usage,
        *,
        provider: str | None,
        model: str | None,
        at: datetime | float,
        request_model: str | None = None,
        host: str | None = None,
        tier: str | None = None,
        batch: bool = False,
        region: str | None = None,
    ) -> Cost:
        """Return the cost of ``usage`` at the time of the request. Does not raise on a bad payload.

        ``model`` is the model that answered (``request_model`` the requested one, if different). A
        cost reported by the provider comes after the overrides and before the table.
        """
        if self._list is None:
            if usage.charged is not None:
                return Cost("priced", usage.charged, version=TOLD)
            return self.nothing("not_ready")
        key = (provider, model, request_model, host, tier, batch, region)
        return self._list.price(usage, at, key)

    def nothing(self, status: str) -> Cost:
        """Return a cost without a price."""
        return Cost(status, version=self.version)

    def quotes(self, call: Call) -> tuple[list[Quote], str]:
        """Return quotes for such calls in order of precedence, and the status if none applies."""
        return ([], "not_ready") if self._list is None else self._list.quotes(call)

    def ids(self, biller: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield (biller, id) of the models in the bundled table."""
        yield from () if self._list is None else self._list.ids(biller)


def _priced_by(sources: Sequence[Any]) -> PriceList:
    from .price_list import PriceList

    return PriceList(sources)
