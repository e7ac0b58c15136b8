"""The cost of a call, or why it is unknown."""

from __future__ import annotations

from typing import NamedTuple

TOLD = "provider"  # in place of the table's version, if the provider reported the cost itself


class Cost(NamedTuple):
    """Cost of one call, or the reason why there is none: an unknown cost is never 0.

    ``status`` is ``priced``, ``free`` (by an override), ``estimated_usage`` (priced, with estimated
    tokens), ``no_usage`` (the provider reported no tokens), ``unknown_model``, ``unknown_biller``
    (the host is unknown), ``unknown_price`` (the model is known, but has no price for this tier,
    time, or the quantities in ``missing``), ``override_failed``, ``not_ready``, or ``failed`` (the
    call failed without usage). ``pending``: if the price is not ready, everything it depends on,
    for a later stage that has prices when the call is exported.
    """

    status: str
    amount: float | None = None
    currency: str = "USD"
    version: str | None = None
    input: float | None = None
    output: float | None = None
    missing: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
