"""Find the body of a streaming response of a web framework."""

from __future__ import annotations

from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

_LITESTAR = "to_asgi_response"
_INSIDE = {"iter": "__aexit__", "_iter": "write"}  # Quart, aiohttp
# The attribute in which a streaming response stores its body, and another attribute by which such
# a response is recognized.
_BODIES = (
    ("body_iterator", "status_code"),  # Starlette, FastAPI, sse-starlette
    ("_iterator", "streaming_content"),  # Django
    ("response", "is_streamed"),  # Werkzeug, Flask
    ("response", "iterable_body_class"),  # Quart: the body object holds the iterator (_INSIDE)
    ("iterator", _LITESTAR),
    ("_body", "_compressed_body"),  # aiohttp: the payload holds the iterator (_INSIDE)
)


def body_of(response: Any) -> tuple[Any, str] | None:
    """Return the object that holds the unsent body and the attribute's name, or ``None``."""
    found, kind = attributes(response), type(response)
    for name, mark in _BODIES:
        if name in found and (mark in found or has(kind, mark)):
            owner, inside, body = _innermost(response, name, found[name])
            there = has(type(body), "__next__") or has(type(body), "__aiter__")
            return (owner, inside) if there or (mark == _LITESTAR and makes(body)) else None
    return None


def _innermost(owner: Any, name: str, body: Any) -> tuple[Any, str, Any]:
    for inside, mark in _INSIDE.items():
        if has(type(body), mark) and inside in (found := attributes(body)):
            return body, inside, found[inside]
    return owner, name, body


def makes(body: Any) -> bool:
    """Return whether ``body`` is a function that makes the body when the response is sent."""
    there = any(has(type(body), name) for name in ("__iter__", "__aiter__", "__next__"))
    return has(type(body), "__call__") and not there


def attributes(value: Any) -> dict[str, Any]:
    """Return the instance attributes of ``value`` without running code of its class."""
    found: dict[str, Any] = {}
    for base in type(value).__mro__:
        slot = vars(base).get("__dict__")
        if type(slot) is GetSetDescriptorType:
            found.update(slot.__get__(value))
        slot = vars(base).get("iterator")
        if type(slot) is MemberDescriptorType:
            with suppress(AttributeError):
                found["iterator"] = slot.__get__(value)
    return found


def has(kind: type, name: str) -> bool:
    """Return whether a class has that attribute, without running the application's code."""
    return any(name in vars(base) for base in kind.__mro__)


def each(inner: Any) -> Generator[Any, None, None]:
    yield from inner


async def each_async(inner: Any) -> AsyncGenerator[Any, None]:
    async for item in inner:
        yield item
