"""What a call cost, or why nobody can say."""

from __future__ import annotations

from typing import NamedTuple

TOLD = "provider"
"""Stands for the version of a table where the provider itself says what the call cost."""


class Cost(NamedTuple):
    """Money for one call, or the reason why there is none: an unknown cost is never 0.

    ``status`` is ``priced``, ``free`` (somebody said so), ``estimated_usage`` (priced, but the
    tokens are an estimate), ``no_usage`` (the provider did not count), ``unknown_model``,
    ``unknown_biller`` (the host is nobody's that we know), ``unknown_price`` (of this model, but
    not for this tier, time, or for what ``missing`` names), ``override_failed``, ``not_ready``, or
    ``failed`` (the call, and nothing was counted). ``pending``: all that the price depends on,
    where it is not ready, for whoever has prices when the call is sent.
    """

    status: str
    amount: float | None = None
    currency: str = "USD"
    version: str | None = None
    input: float | None = None
    output: float | None = None
    missing: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
