"""Validate the fields that an application fills, at the line that assigns them.

Only values that are certainly wrong are rejected, by the class of the value, or of the items of a
list. No code of the value's class is run.
"""

from __future__ import annotations

from enum import EnumMeta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from .known_types import plain_value
from .misuse import sort_of
from .operation import CATEGORIES, Failure, Kind, PromptTag, Timing, Verdict
from .snapshot import snapshot
from .usage import COUNTS, MOST, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = (
    "name",
    "action",
    "provider",
    "model",
    "host",
    "output_type",
    "query",
    "response_id",
    "response_model",
    "tier",
    "region",
)
OUTPUT_TYPES = ("text", "json", "image", "speech")
TYPES: dict[str, tuple[type, ...]] = {
    "usage": (Usage,),
    "timing": (Timing,),
    "failure": (Failure,),
    "prompt": (PromptTag,),
    "verdict": (Verdict,),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "kind": tuple(Kind),
    "category": CATEGORIES,
    "output_type": OUTPUT_TYPES,
}
_ITEMS_ASKED = 100


class Accepted(NamedTuple):
    """``holds`` returns whether a value is accepted; ``words`` describe accepted values."""

    holds: Callable[[Any], bool]
    words: str


def count(value: Any) -> int | None:
    """Return a non-negative integer of any numeric type as ``int``; ``None`` for other values."""
    if value is None or type(value) is bool:
        return None
    plain = snapshot(value)
    if type(plain) is float and plain.is_integer():
        plain = int(plain)
    return plain if type(plain) is int and 0 <= plain <= MOST else None


def is_word(value: Any) -> bool:
    cls = type(value)
    if issubclass(cls, str):
        return True
    enum = issubclass(type(cls), EnumMeta)
    return type(snapshot(value) if enum else plain_value(value, cls)) is str


def wrong(value: Any) -> str:
    """Describe a rejected value by its type, and whether it is negative."""
    plain = snapshot(value)
    if type(plain) in (int, float) and plain < 0:
        return f"negative, {sort_of(value)},"
    return sort_of(value)


def left_out(name: str, value: Any) -> str | None:
    """Describe the first item of a content list that cannot be recorded, or return ``None``."""
    items = islice(value, _ITEMS_ASKED) if type(value) in (list, tuple) else (value,)
    takes = _CONTENT[name]
    return next((sort_of(item) for item in items if not takes(item)), None)


def is_scored(item: Any) -> bool:
    """Return whether ``item`` is a pair of a document and its score."""
    return (
        type(item) in (list, tuple)
        and len(item) == 2  # noqa: PLR2004 - a pair
        and (type(item[0]) is str or type(item[0]) is dict)
        and type(item[1]) in (int, float)
    )


_NOT_CONTENT = (int, float, list, tuple, type(None))


def _is_item(item: Any) -> bool:
    return not issubclass(type(item), _NOT_CONTENT) or _has_fields(item)


def _has_fields(item: Any) -> bool:
    """Return whether ``item`` is a named tuple, which is recorded as its fields."""
    return issubclass(type(item), tuple) and hasattr(type(item), "_fields")


def _is_document(item: Any) -> bool:
    return _is_item(item) or is_scored(item)


def _is_definition(item: Any) -> bool:
    return _is_item(item) and not issubclass(type(item), str)


_CONTENT: dict[str, Callable[[Any], bool]] = {
    "system": _is_item,
    "input": _is_item,
    "output": _is_item,
    "tools": _is_definition,
    "documents": _is_document,
}
CONTENT = {
    **dict.fromkeys(("system", "input", "output"), "a str, dicts, or a list of them"),
    "tools": "a list of dicts",
    "documents": "a list of str, dicts, or pairs of one and its score",
}


def _is_count(value: Any) -> bool:
    return count(value) is not None


def _is_length(value: Any) -> bool:
    plain = snapshot(value)
    return type(plain) in (int, float) and 0 <= plain <= MOST


def _is_truth(value: Any) -> bool:
    return type(value) is bool


def _is_mapping(value: Any) -> bool:
    return not issubclass(type(value), (str, bytes, int, float, list, set, frozenset)) and (
        not issubclass(type(value), tuple) or _has_fields(value)
    )


def _is_reasons(value: Any) -> bool:
    return not issubclass(type(value), (int, float, dict))


def _is_priced(value: Any) -> bool:
    """Return whether ``value`` is a named tuple, as this package's ``Cost`` is."""
    return _has_fields(value)


def _of(types: tuple[type, ...]) -> Accepted:
    return Accepted(
        lambda value: issubclass(type(value), types), " or ".join(each.__name__ for each in types)
    )


_COUNT = Accepted(_is_count, "a whole number, 0 or more")
_LENGTH = Accepted(_is_length, "a number, 0 or more")

FIELDS: dict[str, Accepted] = {
    **{name: _of(types) for name, types in TYPES.items()},
    **dict.fromkeys(("port", "dimensions", "records", "rows"), _COUNT),
    **dict.fromkeys(("stream", "completed", "expired"), Accepted(_is_truth, "True or False")),
    **dict.fromkeys(("params", "details"), Accepted(_is_mapping, "a mapping")),
    "finish_reasons": Accepted(_is_reasons, "a list of str"),
    "cost": Accepted(
        _is_priced,
        "nothing: it is computed from usage; usage.charged is what the provider charged, in USD",
    ),
}
USAGE: dict[str, Accepted] = {
    **dict.fromkeys(COUNTS, _COUNT),
    **dict.fromkeys(("seconds", "charged"), _LENGTH),
    "estimated": Accepted(is_word, "a str"),
}
