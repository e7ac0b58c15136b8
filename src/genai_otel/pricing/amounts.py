"""Format amounts for people, without an exponent."""

from __future__ import annotations

import math

_CENT = 0.01
_LARGE = 100
_DIGITS = 15


def figures(amount: float) -> str:
    """Format with at least two significant digits, unless the amount is 0."""
    if amount >= _LARGE or amount == 0:
        digits = 2
    elif amount >= _CENT:
        digits = 4
    else:
        digits = max(6, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}"


def in_unit(amount: float, unit: str) -> str:
    return f"${figures(amount)}" if unit == "usd" else f"{amount:,.0f} {unit}"


def plain(number: float) -> str:
    """Format all digits, as in a setting: 20, 0.0003, 1000000."""
    short = f"{number:.{_DIGITS}g}"
    if "e" not in short:
        return short
    from decimal import Decimal  # only for very large and very small numbers

    return f"{Decimal(repr(number)):f}"
