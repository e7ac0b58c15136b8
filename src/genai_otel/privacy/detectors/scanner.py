"""Find secrets and PII in a text.

Almost every text is clean, so a clean text must cost next to nothing: a few passes of C code over
the bytes, each of which checks whether a prerequisite of a finding is present at all (a long word,
a group of digits, an at sign). Only then is a pattern tried, and only near that place. JSON-encoded
text may be scanned too: it may have false positives, but no false negatives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .digits import find_accounts, find_cards, find_ipv4, find_ipv6, find_phones
from .keys import find_basic, find_keys, find_private_keys
from .passwords import find_addresses, find_passwords, find_secrets, secret_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .keys import Finding

# Letters, digits and other characters of keys map to one letter, everything else to a space.
_WORDS = bytes(
    ord("w" if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "_-+:") else " ")
    for c in range(256)
)
_LONG = b"w" * 20
# A name made of words, as in source code, or a timestamp: no key is one.
_PLAIN = re.compile(
    r"[-_:+]*+(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})(?:[-_:+]++(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})?|[A-Z][a-z]{1,15})*+"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:Z|[-+][0-9:]{4,5})"
)  # fmt: skip
_BEFORE = 48  # characters before a long word that may belong to it: ``api_key: "``, ``Bearer ``

_CLASSES = {"0": "0123456789.", "-": " -()", "+": "+"}
_NUMBERS = bytes(
    ord(next((to for to, chars in _CLASSES.items() if chr(c) in chars), "x")) for c in range(256)
)
# Seven digits or dots in a row, a group of three and one of four, a plus sign before a digit.
_RUN, _PAIR, _PLUS = b"0000000", b"000-0000", b"+0"
_DOTS_IPV4, _DOTS_PHONE, _COLONS_IPV6 = 3, 2, 3
_LEAST_CARD, _LEAST_ACCOUNT, _LEAST_PHONE = 13, 10, 7
_BEFORE_ACCOUNT = 14


class Scanner:
    """Finds secrets and PII of the given groups."""

    __slots__ = ("_addresses", "_groups", "_national", "_numbers", "_secrets", "_tokens")

    def __init__(self, groups: Iterable[str]) -> None:
        self._groups = frozenset(groups)
        self._addresses = frozenset(
            label
            for label, group in (("EMAIL", "email"), ("CREDENTIALS", "secrets"))
            if group in self._groups
        )
        self._secrets = "secrets" in self._groups
        self._national: Callable[[str], Iterator[Finding]] | None = None
        if "national_ids" in self._groups:
            from .national import find_national

            self._national = find_national
        self._tokens = self._secrets or "ip" in self._groups
        self._numbers = not self._groups.isdisjoint(("phone", "card", "iban", "ip"))

    def suspects(self, text: str) -> bool:
        """Return whether anything is found; ``text`` may be JSON."""
        return next(self.findings(text), None) is not None

    def findings(self, text: str) -> Iterator[Finding]:
        """Yield each finding, in no order; findings may overlap."""
        raw = text.encode("latin-1", "replace")
        numbers = raw.translate(_NUMBERS)
        if "@" in text and self._addresses:
            yield from self._in_addresses(text)
        if self._tokens:
            words = raw.translate(_WORDS)
            if _LONG in words:
                yield from self._in_long_words(text, words)
        if self._numbers:
            needles = _needles(text, numbers)
            if needles:
                for start, end in _stretches(numbers, needles).items():
                    yield from self._in_numbers(text, numbers, start, end)
        if self._secrets:
            yield from self._in_words(text, raw.lower())
        if self._national is not None:
            yield from self._national(text)

    @staticmethod
    def by_name(name: str, value: str) -> str | None:
        """Return the label for the value of a field with that name; ``None`` if it is no secret."""
        return secret_by_name(name, value)

    @staticmethod
    def _in_words(text: str, lower: bytes) -> Iterator[Finding]:
        if _tells_of_passwords(text, lower):
            yield from find_passwords(text)
        if lower.rfind(b"basic ") >= 0:
            yield from find_basic(text)
        if text.rfind("-----BEGIN") >= 0:
            yield from find_private_keys(text)

    def _in_addresses(self, text: str) -> Iterator[Finding]:
        for finding in find_addresses(text):
            if finding[2] in self._addresses:
                yield finding

    def _in_long_words(self, text: str, words: bytes) -> Iterator[Finding]:
        """Scan the long words that are not made of short ones, and the text before them."""
        near = []
        ip = "ip" in self._groups
        find, plain, size = words.find, _PLAIN.fullmatch, len(words)
        at = find(_LONG)  # a word that began earlier is scanned already
        while at >= 0:
            end = find(b" ", at)
            if end < 0:
                end = size
            if not plain(text, at, end):
                near.append(text[max(0, at - _BEFORE) : end])
                if ip and text.count(":", at, end) >= _COLONS_IPV6:
                    yield from find_ipv6(text, at, end)
            at = find(_LONG, end)
        if near and self._secrets:
            together = "\n".join(near)
            yield from find_keys(text, together)
            if any(find_secrets(together)):
                yield from find_secrets(text)

    def _in_numbers(self, text: str, numbers: bytes, start: int, end: int) -> Iterator[Finding]:
        """Scan one run of digits and their separators."""
        groups = self._groups
        if text[max(0, start - 2) : start] == "\\u":
            start += 4  # a JSON escape, whose digits are not part of the text
        window, size = text[start:end], end - start
        dots = window.count(".")
        pair = size > _LEAST_PHONE and numbers.find(_PAIR, start, end) >= 0
        if dots >= _DOTS_IPV4 and "ip" in groups:
            yield from find_ipv4(window, start, text)
        if size >= _LEAST_CARD and (pair or not dots) and "card" in groups:
            yield from find_cards(window, start, text)
        if (pair or dots == _DOTS_PHONE or "+" in window) and "phone" in groups:
            yield from find_phones(window, start, text)
        if size >= _LEAST_ACCOUNT and text[start - 1].isupper() and "iban" in groups:
            yield from find_accounts(text, max(0, start - _BEFORE_ACCOUNT), end)


def _needles(text: str, numbers: bytes) -> list[bytes]:
    """Return the needles present. ``rfind``, here and below: CPython searches faster backwards."""
    found = [_RUN] if numbers.rfind(_RUN) >= 0 else []
    if numbers.rfind(_PAIR) >= 0:
        found.append(_PAIR)
    if "+" in text and numbers.rfind(_PLUS) >= 0:
        found.append(_PLUS)
    return found


def _tells_of_passwords(text: str, lower: bytes) -> bool:
    if ":" not in text and "=" not in text:
        return False
    stems = lower.rfind(b"assw"), lower.rfind(b"pwd"), lower.rfind(b"assphrase")
    return max(stems) >= 0


def _stretches(numbers: bytes, needles: Iterable[bytes]) -> dict[int, int]:
    """Return {start: end} of the digit runs that contain one of the needles."""
    found: dict[int, int] = {}
    size = len(numbers)
    for needle in needles:
        at = numbers.find(needle)
        while at >= 0:
            end = numbers.find(b"x", at)
            if end < 0:
                end = size
            found[numbers.rfind(b"x", 0, at) + 1] = end
            at = numbers.find(needle, end)
    return found
