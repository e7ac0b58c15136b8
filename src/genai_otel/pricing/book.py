"""What a call cost, or why nobody can say. See docs/cost.md.

The table of genai-prices is read by ``PriceBook.load()``, on a thread of its own.
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
    """Prices by model, provider and time: what the user gave first, then the bundled table.

    ``overrides`` is a dict, the path of a TOML or JSON file, a function
    ``(provider, model, usage, at) -> amount or None``, or a sequence of these, asked in order.
    Raises ``ValueError`` on prices that cannot be read.
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
        """Reads the bundled table from disk, so never on the way of a call.

        Does not raise: without the table all but overrides is unknown, and ``problem`` says why.
        """
        with self._lock:
            if self.ready:
                return
            prices, bundled = self._list, None
            try:
                prices = prices or _priced_by(())
                from .bundled import Bundled

                bundled = Bundled()
            except Exception as error:  # noqa: BLE001 - whatever an older or broken table raises
                self.problem = f"genai-prices cannot be used: {type(error).__name__}: {error}"
                logger.warning("genai_otel: %s", self.problem)
            if prices is not None:
                prices.complete(bundled)
            self._list = prices

    def load_if_read(self) -> None:
        """Takes the bundled table if this process has read it before; that takes no time."""
        module = sys.modules.get(f"{__package__}.bundled")
        is_read = getattr(module, "is_read", None)  # not yet, while another thread imports it
        if is_read is not None and is_read():
            self.load()

    @property
    def ready(self) -> bool:
        """Whether the bundled table is there, or was tried, or was never wanted."""
        return self._list is not None and self._list.ready

    @property
    def version(self) -> str:
        """The table's release and newest price, and a hash of what the user gave."""
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
        """What ``usage`` cost at the request's time. Never raises for a bad payload.

        ``model`` is what answered (``request_model`` what was asked for, where that differs). What
        the provider says that it charged comes after the user's own prices, before the table's.
        """
        if self._list is None:
            if usage.charged is not None:
                return Cost("priced", usage.charged, version=TOLD)
            return self.nothing("not_ready")
        key = (provider, model, request_model, host, tier, batch, region)
        return self._list.price(usage, at, key)

    def nothing(self, status: str) -> Cost:
        """No price, and why."""
        return Cost(status, version=self.version)

    def quotes(self, call: Call) -> tuple[list[Quote], str]:
        """The quotes for such calls in the order asked, and the status where none holds."""
        return ([], "not_ready") if self._list is None else self._list.quotes(call)

    def ids(self, biller: str | None = None) -> Iterator[tuple[str, str]]:
        """(biller, id) of the models that the bundled table knows."""
        yield from () if self._list is None else self._list.ids(biller)


def _priced_by(sources: Sequence[Any]) -> PriceList:
    from .price_list import PriceList

    return PriceList(sources)
