"""Clients and their attributes, looked at from outside; and functions recorded by hand."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai

import genai_otel
from genai_otel.adapters.catalogue import load
from tests.differential.world import program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.differential.world import World


def _replaced() -> dict[str, Any]:
    """Everything of the client's, and of Python's, that has a stand-in under instrumentation."""
    found = {"threading:Thread.start": threading.Thread.start}
    for patch in load("openai").patches:
        owner, name = patch.path
        found[patch.target] = getattr(getattr(import_module(patch.module), owner), name)
    return found


@program
def introspection(world: World) -> Any:
    """What is replaced looks like what it replaced."""
    found = {}
    for name, function in _replaced().items():
        found[name] = [
            str(inspect.signature(function)), inspect.isfunction(function),
            inspect.iscoroutinefunction(function), asyncio.iscoroutinefunction(function),
            inspect.isasyncgenfunction(function), inspect.isgeneratorfunction(function),
            function.__name__, function.__qualname__, function.__module__, function.__doc__,
            sorted(function.__annotations__),
            inspect.getsource(function), pickle.loads(pickle.dumps(function)) is function,
            copy.deepcopy(function) is function,
        ]  # fmt: skip
    return found


@program
def surfaces(world: World) -> Any:
    with world.client() as client:
        classes = [openai.OpenAI, openai.AsyncOpenAI, openai.Stream, openai.AsyncStream]
        return [client, client.chat.completions, *([sorted(dir(each))] for each in classes)]


@program
def copies(world: World) -> Any:
    """Whatever can be copied or pickled without us can be with us, and nothing else."""
    with world.client() as client:
        reply = client.chat.completions.create(model="ok", messages=world.ask)
        copied = copy.copy(client).chat.completions.create(model="ok", messages=world.ask)
        opened = client.chat.completions.create(model="ok", messages=world.ask, stream=True)
        attempts: list[Any] = [
            reply == copy.deepcopy(reply), pickle.loads(pickle.dumps(reply)) == reply, copied,
        ]  # fmt: skip
        for subject in (client, opened):
            for attempt in (copy.deepcopy, pickle.dumps):
                try:
                    attempts.append(type(attempt(subject)).__name__)
                except Exception:  # noqa: BLE001 - that it fails is compared
                    attempts.append("cannot")
        opened.close()
        return attempts


@program
def subclass(world: World) -> Any:
    """A host's own client, which overrides what we replace."""
    seen: list[Any] = []

    class Mine(openai.OpenAI):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            seen.append([len(args), sorted(kwargs)])
            return super().request(*args, **kwargs)

    with Mine(api_key=world.key, base_url=world.url) as client:
        reply = client.chat.completions.create(model="ok", messages=world.ask)
    return [seen, reply]


class Desk:
    """Functions that the host has decorated, used in both runs."""

    @genai_otel.workflow
    def open(self, day: str, *, hour: int = 9) -> str:
        """Opens the desk."""
        print(f"open on {day}")
        return f"{day} {hour}"

    @genai_otel.tool(name="counter")
    @staticmethod
    def count(*things: int) -> int:
        return sum(things)

    @genai_otel.step
    def lines(self, number: int) -> Iterator[int]:
        got = 0
        for line in range(number):
            got = yield line + (got or 0)

    @genai_otel.agent
    async def think(self) -> AsyncIterator[str]:
        for word in ("well", "so"):
            await asyncio.sleep(0)
            yield word

    @genai_otel.retriever
    async def find(self, query: str) -> list[str]:
        if not query:
            raise KeyError(query)
        return [query]


@program
async def by_hand(world: World) -> Any:
    desk = Desk()
    lines = desk.lines(3)
    found = [desk.open("monday"), desk.open(day="tuesday", hour=8), Desk.count(1, 2), desk.count(3)]
    found += [next(lines), lines.send(10), list(lines), [word async for word in desk.think()]]
    found += [await desk.find("x"), [inspect.signature(getattr(Desk, n)) for n in _METHODS]]
    await desk.find("")
    return found


_METHODS = ("open", "count", "lines", "think", "find")


@program
def by_hand_wrong_arguments(world: World) -> Any:
    Desk().open(1, 2, 3)  # type: ignore[call-arg, arg-type]
