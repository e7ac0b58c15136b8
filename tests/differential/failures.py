"""Calls that fail, are retried, time out or are given up."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import openai

from tests.differential.world import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.differential.world import World


@program
def refused(world: World) -> Any:
    """Every status, with the exception as the client makes it."""
    names = ("err400", "err401", "err403", "err404", "err429", "err500", "err502-page", "error-200")
    with world.client() as client:
        return [_caught(client, model, world) for model in names]


def _caught(client: openai.OpenAI, model: str, world: World) -> Any:
    try:
        return client.chat.completions.create(model=model, messages=world.ask)
    except openai.OpenAIError as error:
        return error


@program
def raised_through(world: World) -> Any:
    with world.client() as client:
        client.chat.completions.create(model="err400", messages=world.ask)


@program
async def raised_through_async(world: World) -> Any:
    async with world.aclient() as client:
        try:
            await client.chat.completions.create(model="err404", messages=world.ask)
        except openai.NotFoundError as error:
            error.add_note("seen")
            raise RuntimeError("given up") from error


@program
def retried(world: World) -> Any:
    with world.client(max_retries=2) as client:
        first = client.chat.completions.create(model="retry-429", messages=world.ask)
        second = client.chat.completions.with_raw_response.create(
            model="retry-500", messages=world.ask
        )
        return [first, second.retries_taken, second.parse()]


@program
def retried_in_vain(world: World) -> Any:
    with world.client(max_retries=2) as client:
        client.chat.completions.create(model="err500", messages=world.ask)


@program
def timed_out(world: World) -> Any:
    with world.client(timeout=0.15) as client:
        client.chat.completions.create(model="hang", messages=world.ask)


@program
def unreachable(world: World) -> Any:
    with world.client(base_url="http://127.0.0.1:9/v1") as client:
        client.chat.completions.create(model="ok", messages=world.ask)


@program
async def cancelled_waiting(world: World) -> Any:
    async with world.aclient() as client:
        call = client.chat.completions.create(model="hang", messages=world.ask)
        async with asyncio.timeout(0.15):
            await call


@program
def wrong_arguments(world: World) -> Any:
    calls: list[Callable[[openai.OpenAI], Any]] = [
        lambda client: client.chat.completions.create(model="ok"),  # type: ignore[call-overload]
        lambda client: client.chat.completions.create(model="ok", messages=[], nonsense=1),  # type: ignore[call-overload]
        lambda client: client.chat.completions.create(model="ok", messages=[{"role": object()}]),  # type: ignore[list-item]
        lambda client: client.request(object),  # type: ignore[call-overload]
    ]
    found: list[Any] = []
    with world.client() as client:
        for call in calls:
            try:
                found.append(call(client))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
                found.append(error)
    return found


@program
def interrupted(world: World) -> Any:
    """Ctrl-C arrives somewhere inside the client."""

    class Interrupting(openai.OpenAI):
        def _prepare_request(self, request: Any) -> None:
            raise KeyboardInterrupt("now")

    with Interrupting(api_key=world.key, base_url=world.url) as client:
        client.chat.completions.create(model="ok", messages=world.ask)


@program
def nothing_is_held(world: World) -> Any:
    """When the host lets go of an exception it is gone."""
    with world.client() as client:
        try:
            client.chat.completions.create(model="err400", messages=world.ask)
        except openai.BadRequestError as error:
            trace = weakref.ref(error)
        gc.collect()
        return trace() is None
