"""What is told by its digits: cards, phone numbers, bank accounts, addresses of machines."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from .keys import in_word, stands_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .keys import Finding

_DIGITS = re.compile(r"[0-9]+")
_JOINS = (":", "_")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6 = re.compile(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,8}")
_OF_NOBODY = ("127.0.0.1", "0.0.0.0", "255.255.255.255")  # noqa: S104 - told, not bound
_ABROAD = re.compile(r"\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}")
_AT_HOME = re.compile(
    r"(?:1[-. ])?(?:\([2-9][0-9]{2}\)[-. ]?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}"
)
_ACCOUNT = re.compile(r"[A-Z]{2}[0-9]{2}")
_LEAST_CARD, _MOST_CARD, _LEAST_GROUP = 13, 19, 3

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
    """The check that every card number passes, and one in ten of all others."""
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def _issued(digits: str) -> bool:
    """Whether an issuer of cards has numbers that begin so and are so long."""
    n, first = len(digits), digits[0]
    if first == "4":
        return n in (13, 16, 19)
    if first == "5":
        return n == 16 and digits[1] in "12345"  # noqa: PLR2004 - as everywhere here: lengths
    if first == "2":
        return n == 16 and "2221" <= digits[:4] <= "2720"  # noqa: PLR2004
    if first == "3":
        return (n == 15 and digits[1] in "47") or (n in (14, 16) and digits[1] in "0568")  # noqa: PLR2004
    return first == "6" and n in (16, 17, 18, 19)


def find_cards(window: str, base: int, text: str) -> Iterator[Finding]:
    """Card numbers, written at one go or in groups."""
    groups = [found.span() for found in _DIGITS.finditer(window)]
    done = 0
    for i, (start, _) in enumerate(groups):
        if start < done or not _begins(text, base + start):
            continue
        end = _card(window, groups[i : i + 7])
        if end and not _goes_on(text, base + end):
            done = end
            yield base + start, base + end, "CARD"


def _card(window: str, groups: list[tuple[int, int]]) -> int:
    """The end of the card number that begins with the first group, 0 where there is none."""
    digits, before = "", groups[0][0]
    for start, end in groups:
        if window[before:start] not in ("", " ", "-"):
            break
        if len(digits) % 4 and end - start < _LEAST_GROUP:
            break
        digits += window[start:end]
        before = end
        if len(digits) > _MOST_CARD:
            break
        if len(digits) >= _LEAST_CARD and _issued(digits) and luhn(digits):
            return end
    return 0


def find_phones(window: str, base: int, text: str) -> Iterator[Finding]:
    """With a country's code, or in the form of North America."""
    for found in _ABROAD.finditer(window):
        start, end = base + found.start(), base + found.end()
        more = _DIGITS.match(text, end)
        in_one_go = found[0][1:].isdigit()
        if stands_alone(text, start) and not (more and in_one_go):
            yield start, (more.end() if more else end), "PHONE"
    for found in _AT_HOME.finditer(window):
        start, end = base + found.start(), base + found.end()
        if _begins(text, start) and not _goes_on(text, end):
            yield start, end, "PHONE"


def find_ipv4(window: str, base: int, text: str) -> Iterator[Finding]:
    """Addresses of the internet, but not those that every machine has."""
    for found in _IPV4.finditer(window):
        start, end = base + found.start(), base + found.end()
        octets = found[0].split(".")
        if any(int(octet) > 255 for octet in octets) or found[0] in _OF_NOBODY:  # noqa: PLR2004
            continue
        if _begins(text, start) and not _goes_on(text, end):
            yield start, end, "IP"


def find_ipv6(text: str, start: int, end: int) -> Iterator[Finding]:
    """Addresses of the newer internet that are written with three colons at least."""
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
    """IBANs that begin in this stretch, by their country's length and their check digits."""
    for found in _ACCOUNT.finditer(text, start, end):
        length = _LENGTH.get(found[0][:2])
        if length is None or not stands_alone(text, found.start()):
            continue
        at, number = _gather(text, found.start(), length)
        if len(number) == length and not in_word(text[at : at + 1]) and _remainder(number) == 1:
            yield found.start(), at, "IBAN"


def _gather(text: str, at: int, length: int) -> tuple[int, str]:
    """So many letters and digits from ``at`` on, over single spaces, and where they end."""
    number = ""
    while len(number) < length and at < len(text):
        char = text[at]
        if char.isascii() and (char.isdigit() or char.isupper()):
            number += char
        elif char != " " or text[at - 1] == " ":
            break
        at += 1
    return at, number


def _remainder(number: str) -> int:
    return int("".join(str(int(char, 36)) for char in number[4:] + number[:4])) % 97


def _begins(text: str, start: int) -> bool:
    """Whether the number is not the end of something longer."""
    before = text[start - 1 : start] if start else ""
    return before not in (".", "-", "+") and stands_alone(text, start)


def _goes_on(text: str, end: int) -> bool:
    """Whether the number is the beginning of something longer."""
    after = text[end : end + 1]
    return in_word(after) or (after in (".", "-") and text[end + 1 : end + 2].isdigit())
