"""A made-up client that has every kind of function, for the tests of the family of functions.

``events`` tells what it did itself: what was sent, and what was cleaned up.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

events: list[str] = []
WORDS = ["", "one ", "two ", "three"]


class BrokenError(Exception):
    pass


def _send(model: str) -> dict[str, Any]:
    events.append(f"sent {model}")
    if model == "refused":
        raise BrokenError(model)
    return {"model": f"{model}-1", "text": "".join(WORDS), "usage": 4}


def _words(model: str) -> Iterator[str]:
    try:
        for word in WORDS:
            if model == "cut" and word == "two ":
                raise BrokenError(model)
            yield word
    finally:
        events.append("cleaned up")


async def _later_words(model: str) -> AsyncIterator[str]:
    try:
        for word in WORDS:
            if model == "cut" and word == "two ":
                raise BrokenError(model)
            yield word
    finally:
        events.append("cleaned up")


def ask(model: str, prompt: str = "", **options: Any) -> dict[str, Any]:
    return _send(model)


async def ask_later(model: str, prompt: str = "") -> dict[str, Any]:
    return _send(model)


def ask_soon(model: str, prompt: str = "") -> Coroutine[Any, Any, dict[str, Any]]:
    return ask_soon_indeed(model)


async def ask_soon_indeed(model: str) -> dict[str, Any]:
    return _send(model)


def pieces(model: str) -> Iterator[str]:
    """A generator function: sends at its first step."""
    _send(model)
    yield from _words(model)


async def pieces_later(model: str) -> AsyncIterator[str]:
    _send(model)
    async for word in _later_words(model):
        yield word


def eager(model: str, stream: bool = False) -> Any:
    """Sends at once, and returns a generator."""
    reply = _send(model)
    return _words(model) if stream else reply


async def eager_later(model: str, stream: bool = False) -> Any:
    reply = _send(model)
    return _later_words(model) if stream else reply


def lazy(*args: Any, stream: bool = False) -> Any:
    """Sends when the generator it returns is asked."""
    return pieces(args[0]) if stream else _send(args[0])


async def lazy_later(*args: Any, stream: bool = False) -> Any:
    return pieces_later(args[0]) if stream else _send(args[0])


class Stream:
    """Keeps a private iterator."""

    def __init__(self, model: str) -> None:
        _send(model)
        self._words: Any = _words(model)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        return str(next(self._words))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        events.append("closed")


class Reply:
    def __init__(self, words: Any) -> None:
        self.words = words


@contextmanager
def block(model: str) -> Iterator[Reply]:
    _send(model)
    try:
        yield Reply(_words(model))
    finally:
        events.append("closed")


@asynccontextmanager
async def block_later(model: str) -> AsyncIterator[Reply]:
    _send(model)
    try:
        yield Reply(_later_words(model))
    finally:
        events.append("closed")


class Stubborn:
    """Makes its words in its own steps, so that nothing in it can be exchanged."""

    def __init__(self, model: str) -> None:
        _send(model)
        self._left = list(WORDS)
        self._cut = model == "cut"

    def __iter__(self) -> Stubborn:
        return self

    __aiter__ = __iter__

    def __next__(self) -> str:
        if not self._left:
            raise StopIteration
        if self._cut and self._left[0] == "two ":
            raise BrokenError
        return self._left.pop(0)

    async def __anext__(self) -> str:
        if not self._left:
            raise StopAsyncIteration
        if self._cut and self._left[0] == "two ":
            raise BrokenError
        return self._left.pop(0)

    def close(self) -> None:
        events.append("closed")

    async def aclose(self) -> None:
        events.append("closed")


class Client:
    def __init__(self, name: str = "lumen") -> None:
        self.name = name

    def ask(self, model: str) -> dict[str, Any]:
        return _send(model)

    def stream(self, model: str) -> Stream:
        return Stream(model)

    def stubborn(self, model: str) -> Stubborn:
        return Stubborn(model)


bound = Client("bound").ask
