"""Read the fields of objects that a client library created."""

from __future__ import annotations

from typing import Any

_NOTHING: dict[str, Any] = {}


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dict itself, or a model's fields, including those that its class does not declare.

    Values of other types give an empty dict.
    """
    if type(value) is dict:
        return value
    try:
        own: dict[str, Any] = value.__dict__
    except AttributeError:  # text, a number, a list
        return _NOTHING
    try:
        extra = value.__pydantic_extra__
    except AttributeError:
        return own
    return {**own, **extra} if extra else own
