"""Stored values as text for a terminal.

Names and content come from models, tools and users: they may not contain control sequences.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from genai_otel.pricing.amounts import figures

# CSI, OSC and the other string sequences, two-byte escapes; each also in its one-byte (C1) form.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_BIDI = (0x61C, *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), *_BIDI)),
    ord("\t"): "    ",
    ord("\n"): "\n",
    0x2028: "\n",
    0x2029: "\n",
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clean(text: str) -> str:
    """Remove escape sequences and control characters; keep line breaks."""
    return _ESCAPES.sub("", text.replace("\r\n", "\n")).translate(_CONTROLS)


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def shortened(text: str, limit: int) -> str:
    """Keep head and tail, with the number of characters removed between them."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 4, limit // 4
    return f"{text[:head]} […{len(text) - head - tail:,} characters…] {text[-tail:]}"


def duration(nanoseconds: float) -> str:
    """A duration with about three significant digits."""
    for unit, name in ((_SECOND, "s"), (_SECOND // 1000, "ms")):
        if unit <= nanoseconds < _MINUTE:
            return f"{_three_digits(nanoseconds / unit)} {name}"
    if nanoseconds < _MINUTE:
        return f"{nanoseconds / 1000:.0f} us"
    minutes, rest = divmod(round(nanoseconds / _SECOND), 60)
    return f"{minutes:,} min {rest:02} s"


def money(amount: float, currency: str = "USD") -> str:
    digits = figures(amount)
    return f"${digits}" if currency == "USD" else f"{digits} {one_line(currency)[:8]}"


def sums(amounts: dict[str, float]) -> str:
    """Amounts by currency as one text; empty if there are none."""
    return " + ".join(money(amount, currency) for currency, amount in sorted(amounts.items()))


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004


def local_time(nanoseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(nanoseconds / _SECOND, tz=UTC).astimezone()
    except (OverflowError, OSError, ValueError):  # a file may contain any number
        return "-"
    return moment.strftime("%Y-%m-%d %H:%M:%S")
