"""What a program has to work with, and the table of all programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS: dict[str, Callable[[World], Any]] = {}


def program(function: Callable[[World], Any]) -> Callable[[World], Any]:
    """Puts a program on the table."""
    PROGRAMS[function.__name__] = function
    return function


class World:
    """A server, clients of it, and a few words to say."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.key = url, f"sk-{name}"
        self.ask: list[Any] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Wie geht's, \N{SNOWMAN}?"},
        ]

    def client(self, **options: Any) -> openai.OpenAI:
        settings = {"api_key": self.key, "base_url": self.url, "max_retries": 0, **options}
        return openai.OpenAI(**settings)

    def aclient(self, **options: Any) -> openai.AsyncOpenAI:
        settings = {"api_key": self.key, "base_url": self.url, "max_retries": 0, **options}
        return openai.AsyncOpenAI(**settings)
