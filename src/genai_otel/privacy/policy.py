"""The content policy: which content may be recorded and exported."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genai_otel.record.misuse import nearest

from .masking import DEFAULT, check_groups

MODES = ("none", "redacted", "full")  # from the strictest to the most permissive
CLASSES = ("messages", "system", "tools", "retrieved", "errors", "metadata")
MEDIA = ("drop", "hash", "upload")
STORAGE = ("span", "upload", "both")

Mask = Callable[[str], str]  # returns the redacted text


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentPolicy:
    """Which content may be recorded and exported, for the process or for one destination.

    ``messages``, ``system`` (instructions), ``tools`` (definitions, arguments, results),
    ``retrieved`` (queries and documents), ``errors`` (messages and stack traces) and ``metadata``
    (given to ``scope``) are each ``"full"``, ``"redacted"`` or ``"none"``.

    ``redact`` lists what is masked under ``"redacted"``: names of groups (docs/privacy.md),
    compiled patterns, functions from text to text. ``redactor`` is one more such function, applied
    to all recorded content, also under ``"full"``. Functions run on a separate thread, with
    ``deadline`` seconds for one operation; a text whose function fails or is late becomes
    ``[redaction failed: TypeName]``.

    ``max_chars`` (characters) limits each attribute. ``media`` is ``"hash"`` (images, audio and
    files become type, length and hash), ``"drop"`` (their type only) or ``"upload"`` (written to
    ``upload_to``, a ``file:///`` address or any other that fsspec knows). ``message_storage`` is
    ``"span"``, ``"upload"`` (messages are written to ``upload_to``, after redaction, and the span
    refers to them) or ``"both"``.

    ``hash_users`` replaces ``user.id`` by a hash. ``hash_key`` is its key, and makes placeholders
    of equal values equal; without it each process makes a key.

    Raises ``ValueError`` on values that are not accepted.
    """

    messages: str = "redacted"
    system: str = "redacted"
    tools: str = "redacted"
    retrieved: str = "redacted"
    errors: str = "redacted"
    metadata: str = "redacted"
    redact: Sequence[str | re.Pattern[str] | Mask] = DEFAULT
    redactor: Mask | None = None
    deadline: float = 0.25
    max_chars: int = 262_144
    media: str = "hash"
    message_storage: str = "span"
    upload_to: str | None = None
    hash_users: bool = False
    hash_key: str | bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in CLASSES:
            _one_of("content mode", getattr(self, name), MODES, f" of {name}")
        _one_of("media mode", self.media, MEDIA)
        _one_of("message storage", self.message_storage, STORAGE)
        _check_redact(self.redact)
        if self.redactor is not None and not callable(self.redactor):
            raise ValueError(f"redactor must be a function of one str, not {self.redactor!r}")
        for name, least in (("max_chars", 256), ("deadline", 0.001)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ValueError(f"{name} must be a number of at least {least}, not {value!r}")
        if self.hash_key is not None and not self.hash_key:
            raise ValueError("hash_key must not be empty: omit it, or pass secret bytes")
        if self.uploads:
            _check_upload(self.upload_to)

    @property
    def content(self) -> bool:
        """Whether any content is recorded."""
        return any(mode != "none" for mode in self._modes())

    @property
    def uploads(self) -> bool:
        """Whether anything is written to ``upload_to``."""
        return self.media == "upload" or self.message_storage != "span"

    @property
    def word(self) -> str:
        """The common mode of all content, or ``mixed``."""
        modes = set(self._modes())
        return modes.pop() if len(modes) == 1 else "mixed"

    def without_functions(self) -> ContentPolicy:
        """Return the policy for content that its functions have already been applied to."""
        rules = [rule for rule in self.redact if not callable(rule)]
        return replace(self, redact=rules, redactor=None)

    def _modes(self) -> tuple[str, ...]:
        return self.messages, self.system, self.tools, self.retrieved


def preset(mode: str) -> ContentPolicy:
    """Return the policy of a mode: ``redacted``, ``none`` or ``full``; ``none`` redacts metadata.

    Raises ``ValueError`` on another mode.
    """
    _one_of("content mode", mode, MODES)
    metadata = "redacted" if mode == "none" else mode
    return ContentPolicy(
        messages=mode, system=mode, tools=mode, retrieved=mode, errors=mode, metadata=metadata
    )


def as_policy(given: str | ContentPolicy) -> ContentPolicy:
    """Return the policy of a ``content=`` argument; raises ``ValueError`` if it is invalid."""
    if isinstance(given, ContentPolicy):
        return given
    if isinstance(given, str):
        return preset(given)
    raise ValueError(
        f"unknown content mode {given!r}: expected one of {', '.join(MODES)} or a ContentPolicy"
    )


def loosest(policies: Sequence[ContentPolicy]) -> ContentPolicy:
    """Return a policy for recording that keeps what any destination may receive.

    Rules common to all policies are applied while recording; the others per destination.
    """
    first, *others = policies
    for other in others:
        first = _joined(first, other)
    return first


def _joined(one: ContentPolicy, two: ContentPolicy) -> ContentPolicy:
    if one == two:
        return one
    modes = {name: max(getattr(one, name), getattr(two, name), key=MODES.index) for name in CLASSES}
    masking = [policy for policy in (one, two) if _masks(policy)]
    common = [rule for rule in masking[0].redact if rule in masking[-1].redact] if masking else ()
    media = max(one.media, two.media, key=MEDIA.index)
    uploading = one if one.uploads and (one.media == media or not two.uploads) else two
    return replace(
        one,
        **modes,
        redact=tuple(common),
        redactor=one.redactor if one.redactor is two.redactor else None,
        max_chars=max(one.max_chars, two.max_chars),
        media=media,
        message_storage=(
            one.message_storage if one.message_storage == two.message_storage else "both"
        ),
        upload_to=uploading.upload_to,
        hash_users=one.hash_users and two.hash_users,
        hash_key=one.hash_key if one.hash_key == two.hash_key else None,
    )


def strictest(one: ContentPolicy, two: ContentPolicy) -> ContentPolicy:
    """Allow what both allow, redacted by the rules of both; uploads go where ``one`` sends them."""
    modes = {name: min(getattr(one, name), getattr(two, name), key=MODES.index) for name in CLASSES}
    masking = [policy for policy in (one, two) if _masks(policy)]
    rules = tuple(dict.fromkeys(rule for policy in masking for rule in policy.redact))
    return replace(
        one,
        **modes,
        redact=rules if set(rules) != set(one.redact) and masking else one.redact,
        redactor=_both(one.redactor, two.redactor),
        max_chars=min(one.max_chars, two.max_chars),
        media=min(one.media, two.media, key=MEDIA.index),
        hash_users=one.hash_users or two.hash_users,
        hash_key=one.hash_key or two.hash_key,
    )


def _both(one: Mask | None, two: Mask | None) -> Mask | None:
    if one is None or two is None or one is two:
        return one or two
    first, second = one, two
    return lambda text: second(first(text))


def elsewhere(base: str) -> ContentPolicy:
    """Upload redacted content below ``base`` (a path or an address); record none on spans.

    Error messages are recorded nowhere.
    """
    return ContentPolicy(
        message_storage="upload", errors="none", media="upload", upload_to=address_of(base)
    )


def address_of(base: str) -> str:
    """Return the URL of a path; a URL is returned unchanged."""
    return base if "://" in base else Path(base).absolute().as_uri()


def _masks(policy: ContentPolicy) -> bool:
    return any(getattr(policy, name) == "redacted" for name in CLASSES)


def _check_redact(rules: Any) -> None:
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        raise ValueError(  # noqa: TRY004 - documented
            f"redact must be a list of names, patterns and functions, not {rules!r}"
        )
    check_groups(rule for rule in rules if isinstance(rule, str))
    for rule in rules:
        text = isinstance(rule, re.Pattern) and isinstance(rule.pattern, str)
        if not isinstance(rule, str) and not text and not callable(rule):
            raise ValueError(f"redact may contain only names, patterns and functions, not {rule!r}")


def _check_upload(address: str | None) -> None:
    if not address:
        raise ValueError('"upload" requires upload_to, such as "file:///var/lib/media"')
    parts = urlsplit(address)
    if len(parts.scheme) < 2:  # noqa: PLR2004 - a drive letter is no scheme
        raise ValueError(f"upload_to {address!r} is not a URL: use file:///... or s3://...")
    if "@" in parts.netloc or parts.query:
        raise ValueError(
            f"upload_to {parts.scheme}://... contains a user or a query: set credentials in"
            " the environment, where fsspec reads them"
        )
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ValueError(f"upload_to {address!r} has a host: use file:///{parts.netloc}")


def _one_of(what: str, given: Any, accepted: Sequence[str], where: str = "") -> None:
    if given in accepted:
        return
    near = nearest(str(given), accepted, 0.4)
    hint = f"did you mean {near!r}? " if near else ""
    raise ValueError(
        f"unknown {what} {given!r}{where}: {hint}expected one of {', '.join(accepted)}"
    )
