"""Detect by context: email addresses, credentials in URLs, values of secret names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .keys import worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .keys import Finding

_DOMAIN = re.compile(r"@(?:[\w-]{1,63}+\.){1,8}[^\W\d_]{2,24}")
_LOCAL = re.compile(r"[\w.+%-]{1,64}")
_USER_INFO = re.compile(r"://([^\s\x00-\x1f/?#@\"'<>\\\[\]]{1,256}+)@")
_MOST_LOCAL = 64


def find_addresses(text: str) -> Iterator[Finding]:
    """Find email addresses, and the part before the host in a URL."""
    taken = set()
    if "://" in text:
        for found in _USER_INFO.finditer(text):
            taken.add(found.end(1))
            yield *found.span(1), "CREDENTIALS"
    for found in _DOMAIN.finditer(text):
        at = found.start()
        backwards = text[max(0, at - _MOST_LOCAL) : at][::-1]
        local = _LOCAL.match(backwards)
        if local is not None and at not in taken:
            yield at - local.end(), found.end(), "EMAIL"


# ---------------------------------------------------------------------------------- assignments

# After the stem of a name: the rest of it, a quote, "=" or ":", and the value in quotes or bare.
# Backslashes escape the next character, as in JSON; if the quote itself has backslashes, it is JSON
# in JSON, and an escaped quote within has twice as many and one more. A placeholder of redaction,
# whole or truncated, is no value.
_SET = re.compile(
    r"[\w-]{0,12}+\\{0,3}[\"']? {0,2}+(?P<sign>[:=]) {0,2}+"
    r"(?:(?P<open>\\{0,3})[\"'](?P<quoted>(?!\[[A-Z_]*(?: [0-9a-f]{0,10})?[\]…])"
    r"(?:[^\"'\\\x00-\x1f]|\\++[^\"'\\\x00-\x1f]|(?P=open)(?P=open)\\[\"']){4,2048}+)"
    r"|(?P<bare>[^\s\x00-\x1f\"'\\,;&<>{}()\[\]]{4,2048}+))"
)
_CUT = re.compile(r"\[[A-Z_]*(?: [0-9a-f]{0,10})?…")
_PASSWORDS = ("password", "passwd", "passphrase", "pwd")
_SECRETS = (
    "secret", "authorization", "api_key", "apikey", "api-key", "access_key", "access-key",
    "accesskey", "private_key", "privatekey", "subscription_key", "subscription-key",
    "subscriptionkey", "auth_token", "authtoken", "access_token", "access-token", "accesstoken",
    "refresh_token", "refreshtoken", "id_token", "bearer_token",
)  # fmt: skip
_STEMS = ("key", "secret", "token", "authorization")  # the suffix of each name of a secret
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.]*+")
_LEAST, _LEAST_LONG = 4, 20
_LONGEST_NAME = max(map(len, _SECRETS))
_LONGEST_HEAD = 64  # characters of a stem, and of the text between it and a value


def find_passwords(text: str) -> Iterator[Finding]:
    """Find ``password=...``, ``"password": "..."``: assigned values, not calls or expressions."""
    lower = lowered(text)
    for stem in _PASSWORDS:
        yield from _set_after(stem, text, lower, _password)


def _password(found: re.Match[str], text: str, _lower: str) -> str | None:
    bare, after = found["bare"], text[found.end() : found.end() + 1]
    if bare is None or after in (";", "&"):
        return "PASSWORD"
    named = _NAME.fullmatch(bare) or (found["sign"] == ":" and bare.isalpha())
    return None if named else "PASSWORD"


def find_secrets(text: str) -> Iterator[Finding]:
    """Find ``api_key=...`` and the like, with a long value that does not consist of words."""
    lower = lowered(text)
    for stem in _STEMS:
        yield from _set_after(stem, text, lower, _secret)


def _secret(found: re.Match[str], _text: str, lower: str) -> str | None:
    end = found.start()
    name = lower[max(0, end - _LONGEST_NAME) : end]
    kept = name.endswith(_SECRETS) and _is_secret(found[found.lastgroup or "bare"])
    return "SECRET" if kept else None


def secret_by_name(name: str, value: str) -> str | None:
    """Return the label for the value of a field with that name; ``None`` if it is no secret."""
    lower = name.lower()
    if _CUT.fullmatch(value):  # a truncated placeholder
        return None
    if len(value) >= _LEAST and any(word in lower for word in _PASSWORDS):
        return "PASSWORD"
    if _is_secret(value) and any(word in lower for word in _SECRETS):
        return "SECRET"
    return None


def lowered(text: str) -> str:
    """Return lower-case text of the same length: ``str.lower`` turns some characters into two."""
    return text.encode("latin-1", "replace").lower().decode("latin-1")


def _set_after(
    stem: str, text: str, lower: str, judge: Callable[[re.Match[str], str, str], str | None]
) -> Iterator[Finding]:
    """Yield each value assigned after ``stem`` that ``judge`` accepts.

    The end of a value may be a name itself; the text before that is scanned once.
    """
    at = lower.find(stem)
    while at >= 0:
        at += len(stem)
        found = _SET.match(text, at)
        if found is not None:
            label = judge(found, text, lower)
            if label is not None:
                yield *found.span(found.lastgroup or "bare"), label
                at = max(at, found.end() - _LONGEST_HEAD)
        at = lower.find(stem, at)


def _is_secret(value: str) -> bool:
    """Return whether a value may be a secret: long, without spaces, not made of words."""
    if len(value) < _LEAST_LONG or " " in value:
        return False
    return not worded(value) and _NAME.fullmatch(value) is None
