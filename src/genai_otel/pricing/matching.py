"""Decide whether a rule of genai-prices really names a model.

The library's rules are prefixes and substrings. A match counts only if the rest of the name is a
version: a date, a number of three or four digits, ``-latest``, ``-preview``, ``-v1:0``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# The rule's field in the library, and a lower-case text, a pattern, or the rules that it combines
Clause: TypeAlias = tuple[str, Any]

_VERSION = re.compile(
    r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d|\d\d-\d\d|\d\d-20\d\d|\d{3,4}|latest|preview|default|v\d))*"
    r"(?::\d)?"
)
_FINE_TUNED = re.compile(_VERSION.pattern + "(?::[^:]*){0,3}")
_TUNED_ON_AZURE = re.compile(r"[\w-]+")
# Prefixes allowed before a substring that names a model: region and vendor on Bedrock.
_BEFORE = {
    "aws": re.compile(
        r"(?:(?:us|eu|ap|apac|au|jp|in|ca|sa|me|il|mx|af)\.)?"
        r"(?:(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\.)?"
    ),
    "google": re.compile("(?:anthropic/)?"),
}
_NOTHING = re.compile("")
_VERSION_BEGUN = re.compile(r"[-@]\d*$")


def names(clause: Clause, ref: str, biller: str) -> bool:
    """Return whether ``clause``, a rule for the models of ``biller``, names ``ref``."""
    kind, value = clause
    return _NAMING[kind](value, ref, biller)


def _any(clauses: Sequence[Clause], ref: str, biller: str) -> bool:
    return any(names(each, ref, biller) for each in clauses)


def _all(clauses: Sequence[Clause], ref: str, biller: str) -> bool:
    """Return whether all rules match and one names the model: the others only exclude models."""
    return all(_holds(each, ref) for each in clauses) and _any(clauses, ref, biller)


def _pattern(pattern: re.Pattern[str], ref: str, _: str) -> bool:
    found = pattern.match(ref) if pattern.pattern.startswith("^") else None
    return found is not None and found.end() > 0 and _begins(found[0], ref)


def _holds(clause: Clause, ref: str) -> bool:
    """Return whether the rule matches by the library's definition."""
    kind, value = clause
    return _HOLDING[kind](value, ref)


_HOLDING: Mapping[str, Callable[[Any, str], bool]] = {
    "or_": lambda clauses, ref: any(_holds(each, ref) for each in clauses),
    "and_": lambda clauses, ref: all(_holds(each, ref) for each in clauses),
    "equals": lambda text, ref: ref == text,
    "starts_with": lambda text, ref: ref.startswith(text),
    "ends_with": lambda text, ref: ref.endswith(text),
    "contains": lambda text, ref: text in ref,
    "regex": lambda pattern, ref: pattern.search(ref) is not None,
}


def _within(text: str, ref: str, biller: str) -> bool:
    """Return whether ``ref`` is an allowed prefix, the text, and a version."""
    start = ref.find(text)
    if start < 0 or not _BEFORE.get(biller, _NOTHING).fullmatch(ref, 0, start):
        return False
    return _begins(text, ref[start:])


def _begins(rule: str, ref: str) -> bool:
    """Return whether ``ref`` is ``rule`` and a version; ``gpt-5-nano-`` ends within one."""
    if not ref.startswith(rule):
        return False
    version = _FINE_TUNED if rule.startswith("ft:") else _VERSION
    if rule.endswith(".ft-"):
        version = _TUNED_ON_AZURE
    return any(version.fullmatch(ref, at) for at in {len(rule), _version_start(rule)})


def _version_start(rule: str) -> int:
    found = _VERSION_BEGUN.search(rule)
    return found.start() if found else len(rule)


_NAMING: Mapping[str, Callable[[Any, str, str], bool]] = {
    "or_": _any,
    "and_": _all,
    "equals": lambda text, ref, _: ref == text,
    "starts_with": lambda text, ref, _: _begins(text, ref),
    "ends_with": _within,
    "contains": _within,
    "regex": _pattern,
}
