"""Takes what was found out of a text, and puts a word for it in its place."""

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

GROUPS = ("secrets", "email", "phone", "card", "iban", "ip", "national_ids")
"""What can be looked for."""
DEFAULT = GROUPS[:-1]
"""National ids are mere digits in most countries, and so much else is too."""
_PASSES = 4
_start = itemgetter(0)
MARGIN = 65_536
"""Characters; the longest key in the form of PEM has a fifth of it."""
_HEAD = 0.6
_IN_WORDS = "".join(map(chr, range(33, 127)))
"""Of which a secret may be made that is one word."""
_HASH = 10


class Mask(NamedTuple):
    """One masked place: where it was, what takes its place, and by which word."""

    start: int
    end: int
    label: str
    instead: str


class Masker:
    """Masks what belongs to ``groups``, and what matches one of ``patterns``.

    With a ``key`` the word is followed by a keyed hash, ``[EMAIL 3f2a9c1b04]``, so that equal
    values stay equal and cannot be guessed back without the key. Raises ``ValueError`` on a group
    that is not known.
    """

    __slots__ = ("_key", "_patterns", "_scanner", "plain")

    def __init__(
        self,
        groups: Iterable[str],
        patterns: Iterable[re.Pattern[str]] = (),
        key: bytes | None = None,
    ) -> None:
        from .detectors.scanner import (
            Scanner,  # its patterns are many: who masks nothing waits for none
        )

        self._scanner, self._patterns, self._key = Scanner(groups), tuple(patterns), key
        self.plain = not self._patterns
        """Whether JSON can be asked as it is: a pattern of somebody else's is for plain text."""

    def suspects(self, text: str) -> bool:
        """Whether there is something to mask; of JSON, whether there may be."""
        if self._scanner.suspects(text):
            return True
        return not self.plain and any(pattern.search(text) for pattern in self._patterns)

    def by_name(self, name: str, value: str) -> str | None:
        """The word for the value of a field of that name, ``None`` where it is no secret."""
        return self._scanner.by_name(name, value)

    def masks(self, text: str) -> list[Mask]:
        """What would be masked, from left to right; where findings overlap, their union."""
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
        """``text`` with everything masked; masking what comes back changes nothing.

        A mask may lay bare what its neighbour hid, so this is done until nothing is found.
        """
        for _ in range(_PASSES):
            found = self._found(text)
            if not found:
                return text
            text = self._replaced(text, found)
        return "[redaction failed: Unstable]" if self.suspects(text) else text

    def masked_ends(self, text: str, most: int) -> str:
        """Head and tail of a text of which ``most`` characters will be kept at most, masked.

        A text without end must not hold its caller up. Where it is cut there may be half of a
        secret, which nobody can tell: a word that is cut is left out whole, however long it is, and
        so is more than what is told in several words takes.
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
        """What the given patterns match, but not in what is masked already."""
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
    """In place of a ``Masker`` where nothing is masked."""

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
    """A short keyed hash: equal for equal values, and of no use without the key."""
    return hmac.new(key, value.encode("utf-8", "replace"), "sha256").hexdigest()[:_HASH]


def replaced(text: str, masks: Iterable[Mask]) -> str:
    """``text`` with each mask in place."""
    pieces: list[str] = []
    at = 0
    for start, end, _, instead in masks:
        pieces += (text[at:start], instead)
        at = end
    return "".join([*pieces, text[at:]])


def check_groups(names: Iterable[str]) -> None:
    """Raises ``ValueError`` on a group that is not known."""
    for name in names:
        if name not in GROUPS:
            raise ValueError(unknown("redaction", name, GROUPS))
