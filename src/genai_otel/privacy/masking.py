"""Replace findings in a text with placeholders."""

from __future__ import annotations

import hmac
import re
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from genai_otel.record.misuse import unknown

from .truncation import left_out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .detectors.keys import Finding

GROUPS = ("secrets", "email", "phone", "card", "iban", "ip", "national_ids")  # groups of detectors
# without national ids, which in most countries are mere digits, as many other values are
DEFAULT = GROUPS[:-1]
_PASSES = 4
_start = itemgetter(0)
MARGIN = 65_536  # characters; the longest PEM key has a fifth of it
_HEAD = 0.6
_IN_WORDS = "".join(map(chr, range(33, 127)))  # characters of a secret that is one word
_HASH = 10


class Mask(NamedTuple):
    """One masked range: start and end, the label, and the placeholder."""

    start: int
    end: int
    label: str
    instead: str


class Masker:
    """Masks findings of ``groups``, and matches of ``patterns``.

    With a ``key`` the label is followed by a keyed hash, ``[EMAIL 3f2a9c1b04]``, so that equal
    values stay equal and cannot be guessed without the key. Raises ``ValueError`` on an unknown
    group.
    """

    __slots__ = ("_key", "_patterns", "_scanner", "plain")

    def __init__(
        self,
        groups: Iterable[str],
        patterns: Iterable[re.Pattern[str]] = (),
        key: bytes | None = None,
    ) -> None:
        from .detectors.scanner import (
            Scanner,  # has many patterns, so imported only for masking
        )

        self._scanner, self._patterns, self._key = Scanner(groups), tuple(patterns), key
        # Whether JSON can be scanned as it is: a user's pattern expects plain text
        self.plain = not self._patterns

    def suspects(self, text: str) -> bool:
        """Return whether there is something to mask; for JSON, whether there may be."""
        if self._scanner.suspects(text):
            return True
        return not self.plain and any(pattern.search(text) for pattern in self._patterns)

    def by_name(self, name: str, value: str) -> str | None:
        """Return the label for the value of a field with that name; ``None`` if it is no secret."""
        return self._scanner.by_name(name, value)

    def masks(self, text: str) -> list[Mask]:
        """Return all masks from left to right; overlapping findings are merged."""
        return [
            Mask(s, e, label, self._instead(text[s:e], label)) for s, e, label in self._found(text)
        ]

    def _found(self, text: str) -> list[Finding]:
        found = [*self._scanner.findings(text), *self._matched(text)]
        found.sort(key=_start)
        merged: list[Finding] = []
        end = 0
        for finding in found:
            if finding[0] >= end:
                merged.append(finding)
                end = finding[1]
            elif finding[1] > end:
                start, _, label = merged[-1]
                end = finding[1]
                merged[-1] = (start, end, finding[2] if finding[0] == start else label)
        return merged

    def masked(self, text: str) -> str:
        """Return ``text`` with all findings masked; masking the result again changes nothing.

        A mask may expose a finding that its neighbour hid, so this repeats until nothing is found.
        """
        for _ in range(_PASSES):
            found = self._found(text)
            if not found:
                return text
            text = self._replaced(text, found)
        return "[redaction failed: Unstable]" if self.suspects(text) else text

    def masked_ends(self, text: str, most: int) -> str:
        """Mask head and tail of a text of which at most ``most`` characters will be kept.

        This bounds the time for an unbounded text. At a cut there may be half of a secret, which
        cannot be recognized: a word at a cut is dropped whole, however long it is, and so are
        ``MARGIN`` characters, more than a secret of several words takes.
        """
        head, tail = int(most * _HEAD), most - int(most * _HEAD)
        first = text[: head + MARGIN].rstrip(_IN_WORDS)
        last = text[len(text) - tail - MARGIN :].lstrip(_IN_WORDS)
        between = left_out(len(text))
        return f"{self.masked(first)[:-MARGIN]}{between}{self.masked(last)[MARGIN:]}"

    def _replaced(self, text: str, found: list[Finding]) -> str:
        pieces: list[str] = []
        at = 0
        for start, end, label in found:
            pieces.append(text[at:start])
            pieces.append(
                f"[{label}]" if self._key is None else self._instead(text[start:end], label)
            )
            at = end
        return "".join([*pieces, text[at:]])

    def _matched(self, text: str) -> Iterable[Finding]:
        """Yield matches of the given patterns, except inside placeholders."""
        if not self._patterns:
            return
        masked = {at for found in _MASKED.finditer(text) for at in range(*found.span())}
        for pattern in self._patterns:
            for found in pattern.finditer(text):
                if found.end() > found.start() and masked.isdisjoint(range(*found.span())):
                    yield *found.span(), "REDACTED"

    def _instead(self, value: str, label: str) -> str:
        if self._key is None:
            return f"[{label}]"
        return f"[{label} {digest(self._key, value)}]"


class Unmasked:
    """In place of a ``Masker`` if nothing is masked."""

    plain = True

    def suspects(self, _text: str) -> bool:
        return False

    def by_name(self, _name: str, _value: str) -> str | None:
        return None

    def masks(self, _text: str) -> list[Mask]:
        return []

    def masked_ends(self, text: str, _most: int) -> str:
        return text

    def masked(self, text: str) -> str:
        return text


_MASKED = re.compile(r"\[[A-Z_0-9]{2,40}(?: [0-9a-f]{10})?\]")


def digest(key: bytes, value: str) -> str:
    """Return a short keyed hash: equal for equal values, not reversible without the key."""
    return hmac.new(key, value.encode("utf-8", "replace"), "sha256").hexdigest()[:_HASH]


def replaced(text: str, masks: Iterable[Mask]) -> str:
    """Return ``text`` with each mask applied."""
    pieces: list[str] = []
    at = 0
    for start, end, _, instead in masks:
        pieces += (text[at:start], instead)
        at = end
    return "".join([*pieces, text[at:]])


def check_groups(names: Iterable[str]) -> None:
    """Raise ``ValueError`` on an unknown group."""
    for name in names:
        if name not in GROUPS:
            raise ValueError(unknown("redaction", name, GROUPS))
