"""Reading foreign JSON: each function takes one field, or says that it is not there.

A value of another type than expected counts as missing, so that it costs one field and not the
record. Sources are plain dicts, as JSON decoders make them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_NOTHING: Json = {}


def string(source: Json, key: str) -> str | None:
    """A text."""
    value = source.get(key)
    return value if type(value) is str else None


def integer(source: Json, key: str) -> int | None:
    """A whole number, not a truth value; never negative, since all that we count is counts."""
    value = source.get(key)
    return value if type(value) is int and value >= 0 else None


def mapping(source: Json, key: str) -> Json:
    """An object, empty where there is none."""
    value = source.get(key)
    return value if type(value) is dict else _NOTHING


def mappings(source: Json, key: str) -> list[Json]:
    """The objects of a list."""
    return [item for item in listed(source, key) if type(item) is dict]


def listed(source: Json, key: str) -> list[Any]:
    """A list, empty where there is none."""
    value = source.get(key)
    return value if type(value) is list else []


def pick(source: Json, names: Mapping[str, str]) -> Json:
    """The given fields that are there, under their neutral names."""
    return {
        neutral: source[theirs]
        for theirs, neutral in names.items()
        if source.get(theirs) is not None
    }


def parsed(arguments: Any) -> Any:
    """JSON text decoded, anything else as it is; half a JSON stays text."""
    if type(arguments) is not str:
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def as_json(value: Any) -> Json:
    """The value itself if it is an object, else nothing."""
    return value if type(value) is dict else _NOTHING
