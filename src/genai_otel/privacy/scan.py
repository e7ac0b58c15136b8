"""Finds what must not leave in a text.

Almost every text is clean, and telling that must cost next to nothing: a few passes of C code over
the bytes, each asking whether something that a finding needs is there at all (a long word, a group
of digits, an at sign). Only then is a pattern tried, and only near what was found. A text that is
encoded as JSON may be asked too: then more may be found than there is, never less.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .digits import find_accounts, find_cards, find_ipv4, find_ipv6, find_phones
from .keys import find_basic, find_keys, find_private_keys
from .national import find_national
from .words import find_addresses, find_passwords, find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .keys import Finding

GROUPS = ("secrets", "email", "phone", "card", "iban", "ip", "national_ids")
"""What can be looked for."""
DEFAULT = GROUPS[:-1]
"""National ids are mere digits in most countries, and so much else is too."""

# Letters, digits and what keys are made of besides become one letter, everything else a space.
_WORDS = bytes(
    ord("w" if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "_-+:") else " ")
    for c in range(256)
)
_LONG = b"w" * 20
# A name made of words, as programs are full of: no key is.
_COMPOUND = re.compile(
    r"[-_:+]*+(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})(?:[-_:+]++(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})?|[A-Z][a-z]{1,15})*+"
)  # fmt: skip
# A point in time is one, too.
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:Z|[-+][0-9:]{4,5})")
_BEFORE = 48
"""Characters before a long word that may belong to it: ``api_key: "``, ``Bearer ``."""

_CLASSES = {"0": "0123456789.", "-": " -()", "+": "+"}
_NUMBERS = bytes(
    ord(next((to for to, chars in _CLASSES.items() if chr(c) in chars), "x")) for c in range(256)
)
# Seven digits or dots in a row, a group of three and one of four, a plus sign before a digit.
_RUN, _PAIR, _PLUS = b"0000000", b"000-0000", b"+0"
_DOTS_IPV4, _DOTS_PHONE, _COLONS_IPV6 = 3, 2, 3
_LEAST_CARD, _LEAST_ACCOUNT = 13, 10
_BEFORE_ACCOUNT = 14


class Scanner:
    """Finds what belongs to the given groups."""

    __slots__ = ("_addresses", "_groups", "_national", "_numbers", "_secrets", "_tokens")

    def __init__(self, groups: Iterable[str] = DEFAULT) -> None:
        self._groups = frozenset(groups)
        self._addresses = frozenset(
            label
            for label, group in (("EMAIL", "email"), ("CREDENTIALS", "secrets"))
            if group in self._groups
        )
        self._secrets = "secrets" in self._groups
        self._national = "national_ids" in self._groups
        self._tokens = self._secrets or "ip" in self._groups
        self._numbers = not self._groups.isdisjoint(("phone", "card", "iban", "ip"))

    def suspects(self, text: str) -> bool:
        """Whether anything is found; ``text`` may be JSON."""
        return next(self.findings(text), None) is not None

    def findings(self, text: str) -> Iterator[Finding]:
        """Each finding, in no order; they may overlap."""
        raw = text.encode("latin-1", "replace")
        numbers = raw.translate(_NUMBERS)
        if "@" in text and self._addresses:
            yield from self._in_addresses(text)
        if self._tokens:
            words = raw.translate(_WORDS)
            if _LONG in words:
                yield from self._in_long_words(text, words, numbers)
        if self._numbers:
            for needle in (_RUN, _PAIR, _PLUS) if "+" in text else (_RUN, _PAIR):
                if needle in numbers:
                    yield from self._in_numbers(text, numbers, needle)
        if self._secrets:
            yield from self._in_words(text, raw.lower())
        if self._national:
            yield from find_national(text)

    @staticmethod
    def _in_words(text: str, lower: bytes) -> Iterator[Finding]:
        if b"assw" in lower or ("=" in text and b"pwd" in lower):
            yield from find_passwords(text)
        if b"basic " in lower:
            yield from find_basic(text)
        if "-----BEGIN" in text:
            yield from find_private_keys(text)

    def _in_addresses(self, text: str) -> Iterator[Finding]:
        for finding in find_addresses(text):
            if finding[2] in self._addresses:
                yield finding

    def _in_long_words(self, text: str, words: bytes, numbers: bytes) -> Iterator[Finding]:
        """Looks at the long words that are not made of short ones, and what stands before them."""
        near = []
        at = words.find(_LONG)
        while at >= 0:
            start = words.rfind(b" ", 0, at) + 1
            end = words.find(b" ", at)
            if end < 0:
                end = len(words)
            plain = _STAMP if numbers.find(b"0", start, end) >= 0 else _COMPOUND
            if not plain.fullmatch(text, start, end):
                near.append(text[max(0, start - _BEFORE) : end])
                if "ip" in self._groups and text.count(":", start, end) >= _COLONS_IPV6:
                    yield from find_ipv6(text, start, end)
            at = words.find(_LONG, end)
        if near and self._secrets:
            together = "\n".join(near)
            yield from find_keys(text, together)
            if any(find_secrets(together)):
                yield from find_secrets(text)

    def _in_numbers(self, text: str, numbers: bytes, needle: bytes) -> Iterator[Finding]:
        """Looks at each stretch of digits, and of what parts them, that holds the needle."""
        groups = self._groups
        at = numbers.find(needle)
        while at >= 0:
            start = numbers.rfind(b"x", 0, at) + 1
            end = numbers.find(b"x", at)
            if end < 0:
                end = len(numbers)
            if text[max(0, start - 2) : start] == "\\u":
                start += 4  # an escape of JSON, whose digits are not the text's
            window, size = text[start:end], end - start
            dots, pair = window.count("."), numbers.find(_PAIR, start, end) >= 0
            if dots >= _DOTS_IPV4 and "ip" in groups:
                yield from find_ipv4(window, start, text)
            if size >= _LEAST_CARD and (pair or not dots) and "card" in groups:
                yield from find_cards(window, start, text)
            if (pair or dots == _DOTS_PHONE or "+" in window) and "phone" in groups:
                yield from find_phones(window, start, text)
            if size >= _LEAST_ACCOUNT and text[start - 1].isupper() and "iban" in groups:
                yield from find_accounts(text, max(0, start - _BEFORE_ACCOUNT), end)
            at = numbers.find(needle, end)
