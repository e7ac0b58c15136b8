"""Detect card numbers, phone numbers, bank accounts and IP addresses."""

from __future__ import annotations

import re
import string
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from .keys import in_word, stands_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .keys import Finding

_DIGITS = re.compile(r"[0-9]+")
_MANY_DIGITS = re.compile(r"[0-9](?:[ -]?[0-9]){12,}+")
# Lengths of card numbers by first digit
_LENGTHS_OF_CARDS = {
    "2": (16,), "3": (14, 15, 16), "4": (13, 16, 19), "5": (16,), "6": (16, 17, 18, 19),
}  # fmt: skip
_VALUES = bytes(max(0, c - ord("0")) for c in range(256))
# The digit sum of each doubled digit
_DOUBLED = bytes(sum(divmod(2 * c, 10)) for c in range(10)) + bytes(246)
_JOINS, _BEFORE = (":", "_"), (".", "-", "+")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_IPV6 = re.compile(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,8}")
_OF_NOBODY = ("127.0.0.1", "0.0.0.0", "255.255.255.255")  # noqa: S104 - compared, not bound
_ABROAD = re.compile(r"\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}")
_AT_HOME = re.compile(
    r"(?:1[-. ])?(?:\([2-9][0-9]{2}\)[-. ]?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}"
)
_ACCOUNT = re.compile(r"[A-Z]{2}[0-9]{2}")
_NUMBER = re.compile(r"(?:[0-9A-Z] ?){1,34}")
_AS_DIGITS = {ord(char): str(int(char, 36)) for char in string.ascii_uppercase}
_LEAST_CARD, _AMEX, _MOST_CARD, _LEAST_GROUP = 13, 15, 19, 3

# Lengths of IBANs by country, from the registry of SWIFT.
_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA",
    30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH = {country: n for n, countries in _LENGTHS.items() for country in countries.split()}


def luhn(digits: str) -> bool:
    """Return whether the Luhn check passes, as it does for one in ten other numbers."""
    values = digits.encode().translate(_VALUES)
    return (sum(values[-1::-2]) + sum(values[-2::-2].translate(_DOUBLED))) % 10 == 0


def _issued(digits: str) -> bool:
    """Return whether an issuer uses this prefix with this length."""
    first, second = digits[0], digits[1]
    if first == "5":
        return second in "12345"
    if first == "2":
        return "2221" <= digits[:4] <= "2720"
    if first == "3":
        return second in "47" if len(digits) == _AMEX else second in "0568"
    return True


def find_cards(window: str, base: int, text: str) -> Iterator[Finding]:
    """Find card numbers, contiguous or in groups."""
    for stretch in _MANY_DIGITS.finditer(window):
        first, last = stretch.span()
        groups = [found.span() for found in _DIGITS.finditer(window, first, last)]
        done = 0
        for i, (start, _) in enumerate(groups):
            if start < done or window[start] not in _LENGTHS_OF_CARDS:
                continue
            end = _card(window, groups, i)
            if end and _begins(text, base + start) and not _goes_on(text, base + end):
                done = end
                yield base + start, base + end, "CARD"


def _card(window: str, groups: list[tuple[int, int]], i: int) -> int:
    """Return the end of the card number that begins with this group, 0 if there is none."""
    start, end = groups[i]
    length, last = end - start, len(groups)
    while length <= _MOST_CARD:
        if length >= _LEAST_CARD and length in _LENGTHS_OF_CARDS[window[start]]:
            digits = window[start:end].replace(" ", "").replace("-", "")
            if _issued(digits) and luhn(digits):
                return end
        i += 1
        if i == last:
            break
        size = groups[i][1] - groups[i][0]
        if length % 4 and size < _LEAST_GROUP:
            break
        length, end = length + size, groups[i][1]
    return 0


def find_phones(window: str, base: int, text: str) -> Iterator[Finding]:
    """Find phone numbers with a country code, or in the North American format."""
    done = -1
    for found in _ABROAD.finditer(window):
        start, end = base + found.start(), base + found.end()
        more = _DIGITS.match(text, end)
        if more and found[0][1:].isdigit():
            continue
        if start == done or stands_alone(text, start):
            done = more.end() if more else end
            yield start, done, "PHONE"
    done = -1
    for found in _AT_HOME.finditer(window):
        start, end = base + found.start(), base + found.end()
        if (start == done or _begins(text, start)) and not _goes_on(text, end):
            done = end
            yield start, end, "PHONE"


def find_ipv4(window: str, base: int, text: str) -> Iterator[Finding]:
    """Find IPv4 addresses, except those that every machine has."""
    for found in _IPV4.finditer(window):
        start, end = base + found.start(), base + found.end()
        if found[0] in _OF_NOBODY:
            continue
        if _begins(text, start) and not _goes_on(text, end):
            yield start, end, "IP"


def find_ipv6(text: str, start: int, end: int) -> Iterator[Finding]:
    """Find IPv6 addresses written with at least three colons."""
    for found in _IPV6.finditer(text, start, end):
        start, end = found.span()
        if text[start - 1 : start] in _JOINS or not stands_alone(text, start):
            continue
        if text[end : end + 1] in _JOINS or in_word(text[end : end + 1]):
            continue
        try:
            IPv6Address(found[0])
        except ValueError:
            continue
        yield start, end, "IP"


def find_accounts(text: str, start: int, end: int) -> Iterator[Finding]:
    """Find IBANs that begin in this range, by their country's length and check digits."""
    for found in _ACCOUNT.finditer(text, start, end):
        length = _LENGTH.get(found[0][:2])
        if length is None or not stands_alone(text, found.start()):
            continue
        at, number = _gather(text, found.start(), length)
        if len(number) == length and not in_word(text[at : at + 1]) and _remainder(number) == 1:
            yield found.start(), at, "IBAN"


def _gather(text: str, at: int, length: int) -> tuple[int, str]:
    """Return the end and the ``length`` letters and digits from ``at``, without single spaces."""
    found = _NUMBER.match(text, at)
    number = found[0].replace(" ", "") if found is not None else ""
    end, taken = at + length, length - text.count(" ", at, at + length)
    while taken < length and end < len(text):  # one more for each space
        taken += text[end] != " "
        end += 1
    return end, number[:length]


def _remainder(number: str) -> int:
    return int((number[4:] + number[:4]).translate(_AS_DIGITS)) % 97


def _begins(text: str, start: int) -> bool:
    """Return whether the number is not the end of a longer token."""
    return text[start - 1 : start] not in _BEFORE and stands_alone(text, start)


def _goes_on(text: str, end: int) -> bool:
    """Return whether the number is the beginning of a longer token."""
    after = text[end : end + 1]
    return in_word(after) or (after in (".", "-") and text[end + 1 : end + 2].isdigit())
