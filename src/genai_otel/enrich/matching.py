"""Whether a rule of genai-prices really names a model.

The library's rules are prefixes and substrings. Here one counts only if nothing is left over but
a version: a date, a number of three or four digits, ``-latest``, ``-preview``, ``-v1:0``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VERSION = re.compile(
    r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d|\d\d-\d\d|\d\d-20\d\d|\d{3,4}|latest|preview|default|v\d))*"
    r"(?::\d)?"
)
_FINE_TUNED = re.compile(_VERSION.pattern + "(?::[^:]*){0,3}")
_TUNED_ON_AZURE = re.compile(r"[\w-]+")
# What may stand before a substring that names a model: region and maker on Bedrock.
_BEFORE = {
    "aws": re.compile(
        r"(?:(?:us|eu|ap|apac|au|jp|in|ca|sa|me|il|mx|af)\.)?"
        r"(?:(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\.)?"
    ),
    "google": re.compile("(?:anthropic/)?"),
}
_NOTHING = re.compile("")


def names(clause: Any, ref: str, biller: str) -> bool:
    """Whether ``clause``, a rule about the models that ``biller`` sells, names ``ref``."""
    rule = _RULES.get(type(clause).__name__)
    return rule is not None and rule(clause, ref, biller)


def _any(clause: Any, ref: str, biller: str) -> bool:
    return any(names(each, ref, biller) for each in clause.or_)


def _all(clause: Any, ref: str, biller: str) -> bool:
    """All must hold, and one must name the model: the others are there to leave some out."""
    return clause.is_match(ref) and any(names(each, ref, biller) for each in clause.and_)


def _pattern(clause: Any, ref: str, _: str) -> bool:
    found = re.match(clause.regex, ref) if clause.regex.startswith("^") else None
    return found is not None and found.end() > 0 and _begins(found[0], ref)


_RULES: Mapping[str, Callable[[Any, str, str], bool]] = {
    "ClauseOr": _any,
    "ClauseAnd": _all,
    "ClauseEquals": lambda clause, ref, _: ref == clause.equals.lower(),
    "ClauseStartsWith": lambda clause, ref, _: _begins(clause.starts_with.lower(), ref),
    "ClauseEndsWith": lambda clause, ref, biller: _within(clause.ends_with.lower(), ref, biller),
    "ClauseContains": lambda clause, ref, biller: _within(clause.contains.lower(), ref, biller),
    "ClauseRegex": _pattern,
}


def _within(text: str, ref: str, biller: str) -> bool:
    """Whether ``ref`` is a place that sells, the text, and a version."""
    start = ref.find(text)
    if start < 0 or not _BEFORE.get(biller, _NOTHING).fullmatch(ref, 0, start):
        return False
    return _begins(text, ref[start:])


def _begins(rule: str, ref: str) -> bool:
    """Whether ``ref`` is ``rule`` and a version. A rule may stop within one: ``gpt-5-nano-``."""
    if not ref.startswith(rule):
        return False
    version = _FINE_TUNED if rule.startswith("ft:") else _VERSION
    if rule.endswith(".ft-"):
        version = _TUNED_ON_AZURE
    return any(version.fullmatch(ref, at) for at in {len(rule), _version_start(rule)})


def _version_start(rule: str) -> int:
    found = re.search(r"[-@]\d*$", rule)
    return found.start() if found else len(rule)
