"""Redact one text, number or media part by a content policy."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from . import attribute_classes
from .attribute_classes import FULL, NONE, REDACTED
from .custom_functions import CustomFunctions
from .masking import MARGIN, Masker, Unmasked
from .policy import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .policy import ContentPolicy

LEAST_CARD = 10**11  # the smallest integer that may be a card number
_TALK = (attribute_classes.MESSAGES, attribute_classes.SYSTEM, attribute_classes.TOOLS)


class TextRedactor:
    """Detectors, patterns and functions of one policy.

    ``prepare`` is called on the thread that runs the user's functions. ``uploaded``: media parts
    may refer to uploads, which the policy may have to withhold.
    """

    def __init__(
        self,
        policy: ContentPolicy,
        prepare: Callable[[], Any] | None = None,
        *,
        uploaded: bool = False,
    ) -> None:
        self.modes: dict[str, str] = {name: getattr(policy, name) for name in CLASSES}
        modes = set(self.modes.values())
        # The modes differ, so the parts of a message are redacted one by one.
        self.mixed = len({self.modes[kind] for kind in _TALK}) > 1
        self.uniform = len(modes - {NONE}) == 1 and not self.mixed
        self.key = policy.hash_key.encode() if isinstance(policy.hash_key, str) else policy.hash_key
        self.masker: Masker | Unmasked = Unmasked()
        if modes != {FULL}:
            self.masker = Masker(
                [rule for rule in policy.redact if isinstance(rule, str)],
                [rule for rule in policy.redact if isinstance(rule, re.Pattern)],
                self.key,
            )
        own = [] if policy.redactor is None else [policy.redactor]
        given: list[Any] = [rule for rule in policy.redact if callable(rule)]
        self.functions = {
            FULL: CustomFunctions(own, policy.deadline, prepare),
            REDACTED: CustomFunctions([*given, *own], policy.deadline, prepare),
        }
        for mode in modes & self.functions.keys():
            self.functions[mode].ready()
        self._max_chars = policy.max_chars
        self._drops_media = policy.media == "drop"
        self.changes_media = self._drops_media or (uploaded and policy.media != "upload")
        # Whether a clean text may also change.
        self.thorough = (
            self.changes_media
            or any(self.functions.values())
            or (REDACTED in modes and not self.masker.plain)
        )

    @property
    def failures(self) -> dict[str, int]:
        """Failures of the user's functions, by type of error."""
        return {k: n for each in self.functions.values() for k, n in each.failures.items()}

    def begin(self, mode: str = REDACTED) -> float:
        """Return the deadline of the functions for one operation (``monotonic`` seconds)."""
        return self.functions[mode].begin()

    def masked(self, text: str, mode: str) -> str:
        """Apply detectors and patterns to ``text``."""
        if mode != REDACTED:
            return text
        if len(text) > 2 * (self._max_chars + MARGIN):
            return self.masker.masked_ends(text, self._max_chars)
        return self.masker.masked(text)

    def text(self, text: str, mode: str, until: float) -> str:
        """Apply detectors, patterns and the user's functions to ``text``."""
        return self.functions[mode].masked(self.masked(text, mode), until)

    def part(self, text: str, mode: str, until: float, *, structural: bool) -> str:
        """Redact one text of a message; roles and types skip the user's functions."""
        return self.masked(text, mode) if structural else self.text(text, mode, until)

    def number(self, value: Any, mode: str) -> Any:
        """Redact a value other than text: a card number becomes a masked text."""
        if type(value) is not int or abs(value) < LEAST_CARD:
            return value
        masked = self.masked(str(value), mode)
        return value if masked == str(value) else masked

    def placeholder(self, name: str, value: str) -> str | None:
        """Return the placeholder for a field's value, by the field's name; ``None``: no secret."""
        return self.masker.by_name(name, value)

    def finds_across(self, texts: list[str]) -> bool:
        """Return whether a detector finds something that spans several of these texts."""
        texts = [each if len(each) <= 2 * MARGIN else _ends(each) for each in texts]
        seams = list(accumulate(map(len, texts)))[:-1]
        if not seams:
            return False
        found = self.masker.masks("".join(texts))
        return any(mask.start < seam < mask.end for mask in found for seam in seams)

    def media(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return a media part as far as the policy allows; an uploaded one keeps its hash."""
        if not self.changes_media:
            return part
        if self._drops_media:
            return {key: part[key] for key in ("type", "modality", "mime_type") if key in part}
        if "sha256" in part:
            return {key: value for key, value in part.items() if key != "uri"}
        return part


def _ends(text: str) -> str:
    return text[:MARGIN] + text[-MARGIN:]
