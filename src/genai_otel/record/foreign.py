"""Looking into objects that a client made."""

from __future__ import annotations

from typing import Any

_NOTHING: dict[str, Any] = {}


def fields(value: Any) -> dict[str, Any]:
    """The fields of an object: a dict's, or a model's with those that its class does not know."""
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
