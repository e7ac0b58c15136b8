"""Apply a content policy to attributes of any signal.

The recorder has one filter for the process, applied before a span, an event or a metric gets its
attributes. Each destination with a stricter policy has another one, applied on its worker thread.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from . import attribute_classes
from .attribute_classes import FULL, NONE, REDACTED, WITHHELD
from .custom_functions import failed
from .json_walk import SEAM, TALK, JsonWalk
from .masking import digest
from .text_redactor import LEAST_CARD, TextRedactor
from .truncation import fitted, shorten, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .policy import ContentPolicy
    from .uploads.messages import MessageUploads

_WORDS_KEPT, _LONGEST_WORD = 2_000, 256
_PROCESS_KEY = os.urandom(32)
_PSEUDONYM = re.compile(r"user-([0-9a-f]{10})-([0-9a-f]{6})")
_PROOF = 6


class AttributeFilter:
    """The filter of one policy.

    ``prepare`` is called on the thread that runs the user's functions. ``note`` is called with an
    internal error; the value that caused it is withheld. ``uploaded``: the attributes may refer to
    uploads, which not every destination may see. ``message_uploads`` uploads filtered messages.
    """

    def __init__(
        self,
        policy: ContentPolicy,
        prepare: Callable[[], Any] | None = None,
        note: Callable[[str, BaseException], Any] | None = None,
        *,
        uploaded: bool = False,
        message_uploads: MessageUploads | None = None,
    ) -> None:
        self.policy, self._note, self.message_uploads = policy, note, message_uploads
        self._redactor = redactor = TextRedactor(policy, prepare, uploaded=uploaded)
        self._modes, self._masker = redactor.modes, redactor.masker
        self._may_pass = redactor.uniform and not redactor.thorough
        self._key = redactor.key or _PROCESS_KEY
        self._facts = FULL if self._modes["metadata"] == FULL else REDACTED
        self._refs = attribute_classes.REFS if uploaded else {}
        classified = (
            *attribute_classes.CONTENT,
            *attribute_classes.REFS,
            *attribute_classes.AMBIENT,
        )
        self._withheld = frozenset(
            [name for name in classified if self._mode(name) == NONE]
            + [name for name in _elsewhere(policy) if uploaded]
        )
        self._words: dict[str, str] = {}
        self._clean: set[str] = set(attribute_classes.FIXED)
        self._terse = policy.messages == NONE
        self.records_content = policy.content
        self.records_errors = policy.errors != NONE

    @property
    def failures(self) -> dict[str, int]:
        """Failures of the user's functions, by type of error."""
        return self._redactor.failures

    def redact_name(self, text: Any) -> Any:
        """Redact the name of a model, an agent, a tool. Names recur, so results are cached."""
        if self._facts == FULL or type(text) is not str:
            return text
        known = self._words.get(text)
        if known is None:
            known = self._masker.masked(text)
            if len(text) <= _LONGEST_WORD:
                if len(self._words) >= _WORDS_KEPT:
                    self._words.clear()
                self._words[text] = known
        return known

    def redact_provider_value(self, value: Any) -> Any:
        """Redact a name in a response; withhold free text if ``messages`` is ``none``."""
        if self._terse and type(value) is str and not attribute_classes.WORD.fullmatch(value):
            return WITHHELD
        return self.redact_name(value)

    def redact_text(self, text: str, kind: str) -> str | None:
        """Redact and truncate a text of an attribute class; return ``None`` if it is withheld."""
        mode = self._modes[kind]
        if mode == NONE:
            return None
        return self._shorter(self._redactor.text(text, mode, self._redactor.begin(mode)))

    def filter(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the redacted attributes for export; the same mapping if nothing changes."""
        if self._may_pass and self._passes(found):
            return found
        until = self._redactor.begin()
        kept = {}
        for name, value in found.items():
            mode = self._mode(name)
            if mode != NONE and name not in self._withheld:
                safe_name = name if name in attribute_classes.FIXED else self.redact_name(name)
                kept[safe_name] = self._attribute(name, value, mode, until)
        return kept

    # -------------------------------------------------------------------------------- inside

    def _passes(self, found: Mapping[str, Any]) -> bool:
        """Return whether all attributes pass unchanged: the common case, so it must be fast."""
        if not self._withheld.isdisjoint(found):
            return False
        if self.policy.hash_users and names.USER_ID in found:
            return False
        texts: list[str] = []
        if self._facts == FULL:
            texts += [found[name] for name in found.keys() & attribute_classes.CONTENT.keys()]
        elif not self._known(found, texts):
            return False
        most = self.policy.max_chars
        for text in texts:
            if len(text) > most:
                return False
        return self._facts == FULL or not texts or not self._masker.suspects("\n".join(texts))

    def _known(self, found: Mapping[str, Any], texts: list[str]) -> bool:
        """Return whether all values are known to be clean; append content to scan to ``texts``.

        Names and short values recur, so clean ones are cached.
        """
        clean = self._clean
        for name, value in found.items():
            if name not in clean and not self._is_clean_name(name):
                return False
            kind = type(value)
            if kind is str:
                if value not in clean and not self._is_clean(name, value, texts):
                    return False
            elif kind is list or kind is tuple:
                for item in value:
                    if type(item) is not str or item in clean:
                        continue
                    if not self._is_clean(name, item, texts):
                        return False
            elif kind is int and value >= LEAST_CARD:
                return False
        return True

    def _is_clean_name(self, name: str) -> bool:
        """Return whether the name of an attribute, chosen by the application, is clean."""
        return self._mode(name) != NONE and self._masker.masked(name) == name and self._keep(name)

    def _is_clean(self, name: str, value: str, texts: list[str]) -> bool:
        """Return whether a value passes unchanged; append content and unusual ids to ``texts``."""
        if name in attribute_classes.CONTENT:
            texts.append(value)
            if SEAM in value:
                texts.append(value.replace(SEAM, ""))
            return True
        if name in self._refs:
            return True
        if (
            self._terse
            and name in attribute_classes.TOLD
            and not attribute_classes.WORD.fullmatch(value)
        ):
            return False
        if name in attribute_classes.OPAQUE:
            if not attribute_classes.PLAIN_ID.fullmatch(value):
                texts.append(value)
            return True
        return bool(self.redact_name(value) == value) and self._keep(value)

    def _keep(self, word: str) -> bool:
        """Cache a clean value."""
        if len(self._clean) >= _WORDS_KEPT:
            self._clean = set(attribute_classes.FIXED)
        if len(word) <= _LONGEST_WORD:
            self._clean.add(word)
        return True

    def _mode(self, name: str) -> str:
        kind = attribute_classes.class_of(name)
        return self._facts if kind is None else self._modes[kind]

    def _attribute(self, name: str, value: Any, mode: str, until: float) -> Any:
        try:
            if name == names.USER_ID:
                return self._user(str(value), mode, until)
            if type(value) is str and name not in self._refs:
                judge = self._json if name in attribute_classes.JSON else self._plain
                return judge(name, value, mode, until)
            if type(value) in (list, tuple):
                items = [
                    self._plain(name, item, mode, until) if type(item) is str else item
                    for item in value
                ]
                return fitted(tuple(items), self.policy.max_chars)
            return self._redactor.number(value, mode)
        except Exception as error:  # noqa: BLE001 - on any error the value is withheld
            if self._note is not None:
                self._note("AttributeFilter.filter", error)
            return failed(type(error).__name__)

    def _user(self, value: str, mode: str, until: float) -> str:
        """Hash a user id if configured, or if it would be masked: users stay distinguishable."""
        if self.policy.hash_users or (mode == REDACTED and self._masker.suspects(value)):
            return self._pseudonym(value)
        return self._redactor.text(value, mode, until)

    def _pseudonym(self, user: str) -> str:
        """Hash a user id; idempotent, as a pseudonym ends in a proof that it is one.

        A span may be filtered twice.
        """
        given = _PSEUDONYM.fullmatch(user)
        if given is not None and given[2] == digest(self._key, given[1])[:_PROOF]:
            return user
        short = digest(self._key, user)
        return f"user-{short}-{digest(self._key, short)[:_PROOF]}"

    def _plain(self, name: str, value: str, mode: str, until: float) -> str:
        if (
            self._terse
            and name in attribute_classes.TOLD
            and not attribute_classes.WORD.fullmatch(value)
        ):
            return WITHHELD
        if attribute_classes.class_of(name) is None:
            return self._redactor.masked(value, mode)
        return self._shorter(self._redactor.text(value, mode, until))

    def _shorter(self, text: str) -> str:
        most = self.policy.max_chars
        return text if len(text) <= most else str(fitted(text, most))

    def _json(self, name: str, value: str, mode: str, until: float) -> str:
        """Redact each text of a JSON value, unless the whole is clean and short enough."""
        long = len(value) > self.policy.max_chars
        mixed = name in TALK and self._redactor.mixed
        asks = (
            bool(self._redactor.functions[mode])
            or mixed
            or (self._redactor.changes_media and '"media"' in value)
        )
        masks = mode == REDACTED and (
            not self._masker.plain
            or self._masker.suspects(value)
            or (SEAM in value and self._masker.suspects(value.replace(SEAM, "")))
        )
        if not asks and not masks:
            return str(fitted(value, self.policy.max_chars)) if long else value
        try:
            parsed = json.loads(value)
        except ValueError:  # truncated by the SDK's own limit
            return self._plain(name, value, mode, until)
        redacted = JsonWalk(self._redactor, mode, until).attribute(name, parsed)
        return to_json(shorten(redacted, self.policy.max_chars))


def _elsewhere(policy: ContentPolicy) -> Iterable[str]:
    """Return attributes recorded for other destinations: messages, or references to them."""
    if policy.message_storage == "span":
        return attribute_classes.REFS
    return attribute_classes.CONTENT if policy.message_storage == "upload" else ()
