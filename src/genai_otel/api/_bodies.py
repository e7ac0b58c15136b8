"""Responses of web frameworks whose body is still to come, and where they keep it."""

from __future__ import annotations

from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

_LITESTAR = "to_asgi_response"
_INSIDE = {"iter": "__aexit__", "_iter": "write"}  # Quart's, aiohttp's
_BODIES = (
    ("body_iterator", "status_code"),  # Starlette, FastAPI, sse-starlette
    ("_iterator", "streaming_content"),  # Django
    ("response", "is_streamed"),  # Werkzeug, Flask
    ("response", "iterable_body_class"),  # Quart, whose bodies have it in turn
    ("iterator", _LITESTAR),
    ("_body", "_compressed_body"),  # aiohttp, whose payloads have it in turn
)
"""Where a streaming response keeps what it will send, and what else such a response has."""


def body_of(response: Any) -> tuple[Any, str] | None:
    """What has a response's body, if that is still to come, and the attribute's name."""
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
    """Whether it is a function that makes the body when the response is sent."""
    there = any(has(type(body), name) for name in ("__iter__", "__aiter__", "__next__"))
    return has(type(body), "__call__") and not there


def attributes(value: Any) -> dict[str, Any]:
    """An instance's own, without asking it for them."""
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
    """Whether a class has that attribute, without asking it: no code of the host's is run."""
    return any(name in vars(base) for base in kind.__mro__)


def each(inner: Any) -> Generator[Any, None, None]:
    yield from inner


async def each_async(inner: Any) -> AsyncGenerator[Any, None]:
    async for item in inner:
        yield item
