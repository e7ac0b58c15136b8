"""Streams: read, left, closed, dropped; raw and through the client's own helpers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import openai

from tests.differential.world import program

if TYPE_CHECKING:
    from tests.differential.world import World

_USAGE: Any = {"include_usage": True}


def _open(world: World, client: openai.OpenAI, model: str = "reasoning") -> Any:
    return client.chat.completions.create(
        model=model, messages=world.ask, stream=True, stream_options=_USAGE
    )


@program
def stream(world: World) -> Any:
    with world.client() as client:
        opened = _open(world, client)
        surface = [isinstance(opened, openai.Stream), opened.response.status_code, iter(opened)]
        return [opened, [type(each).__name__ for each in surface], list(opened), list(opened)]


@program
async def stream_async(world: World) -> Any:
    async with world.aclient() as client:
        opened = await client.chat.completions.create(
            model="tools", messages=world.ask, stream=True, stream_options=_USAGE
        )
        surface = isinstance(opened, openai.AsyncStream)
        return [opened, surface, [chunk async for chunk in opened]]


@program
def step_by_step(world: World) -> Any:
    """With next() and a default, across two loops, beyond the end."""
    with world.client() as client:
        opened = _open(world, client)
        first = next(opened)
        some = [chunk for chunk, _ in zip(opened, range(3), strict=False)]
        rest = list(opened)
        return [first, some, rest, next(opened, "nothing")]


@program
def left_early(world: World) -> Any:
    found: list[Any] = []
    with world.client() as client:
        with _open(world, client) as opened:
            found.append(next(opened))
        found.append(opened.response.is_closed)
        with contextlib.closing(_open(world, client)) as opened:
            found.append(next(iter(opened)))
        found.append(opened.response.is_closed)
        opened = _open(world, client)
        opened.close()
        opened.close()
        found.append([opened.response.is_closed, vars(opened.response).get("close")])
    return found


@program
def read_after_close(world: World) -> Any:
    with world.client() as client:
        opened = _open(world, client)
        opened.close()
        return list(opened)


@program
def dropped(world: World) -> Any:
    """A stream that nobody holds is gone, with everything it held.

    With us it may be gone before the collector has run; its response, and so the connection, not.
    """
    with world.client() as client:
        opened = _open(world, client)
        next(opened)
        gone, response = weakref.ref(opened), weakref.ref(opened.response)
        del opened
        at_once = response() is None
        untouched = _open(world, client)
        trace = weakref.ref(untouched.response)
        del untouched
        gc.collect()
        gc.collect()  # with older clients the response is a cycle of its own
        return [at_once, gone() is None, response() is None, trace() is None]


@program
async def left_early_async(world: World) -> Any:
    found: list[Any] = []
    async with world.aclient() as client:
        create = client.chat.completions.create
        async with await create(model="ok", messages=world.ask, stream=True) as opened:
            async for chunk in opened:
                found.append(chunk)
                break
        found.append(opened.response.is_closed)
        opened = await create(model="ok", messages=world.ask, stream=True)
        async with contextlib.aclosing(aiter(opened)) as reader:
            found.append(await anext(reader))
        await opened.close()
        found.append(opened.response.is_closed)
    return found


@program
async def cancelled(world: World) -> Any:
    async with world.aclient() as client:
        opened = await client.chat.completions.create(
            model="endless", messages=world.ask, stream=True
        )
        read = asyncio.Event()

        async def reader() -> None:
            async for _ in opened:
                read.set()

        task = asyncio.create_task(reader())
        await read.wait()
        task.cancel("enough")
        outcome = await asyncio.gather(task, return_exceptions=True)
        return [outcome, task.cancelled(), opened.response.is_closed]


@program
def thrown_into(world: World) -> Any:
    """What is raised in the body of a loop is the host's, and arrives as it is."""
    with world.client() as client, _open(world, client) as opened:
        for chunk in opened:
            raise LookupError("mine", len(chunk.choices))


@program
def helper(world: World) -> Any:
    with world.client() as client:
        with client.chat.completions.stream(model="tools", messages=world.ask) as opened:
            events = [event.type for event in opened]
            final = opened.get_final_completion()
        with client.chat.completions.stream(model="ok", messages=world.ask) as left:
            first = next(iter(left)).type
        return [events, final, first, left]


@program
async def helper_async(world: World) -> Any:
    async with (
        world.aclient() as client,
        client.chat.completions.stream(model="ok", messages=world.ask) as opened,
    ):
        await opened.until_done()
        return await opened.get_final_completion()


@program
def responses_stream(world: World) -> Any:
    with world.client() as client:
        plain = list(client.responses.create(model="reasoning", input="Hello", stream=True))
        with client.responses.stream(model="ok", input="Hello") as opened:
            events = [event.type for event in opened]
            return [plain, events, opened.get_final_response()]


@program
def raw_stream(world: World) -> Any:
    with world.client() as client:
        chats = client.chat.completions
        answer = chats.with_raw_response.create(model="ok", messages=world.ask, stream=True)
        chunks = list(answer.parse())
        ask: Any = {"model": "ok", "messages": world.ask, "stream": True}
        with chats.with_streaming_response.create(**ask) as streamed:
            lines = list(streamed.iter_lines())
        with chats.with_streaming_response.create(**ask) as streamed:
            parsed = list(streamed.parse())
        return [answer, chunks, lines, parsed]


@program
def cut(world: World) -> Any:
    with world.client() as client:
        for _ in _open(world, client, "cut"):
            pass


@program
def error_event(world: World) -> Any:
    with world.client() as client:
        return list(_open(world, client, "error-event"))


@program
async def cut_async(world: World) -> Any:
    async with world.aclient() as client:
        opened = await client.chat.completions.create(model="cut", messages=world.ask, stream=True)
        return [chunk async for chunk in opened]
