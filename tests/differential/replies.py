"""Whole replies: every door of the client, raw modes, one-shot arguments."""

from __future__ import annotations

import copy
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tests.differential.world import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.differential.world import World

_TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


class Weather(BaseModel):
    city: str
    celsius: int


@program
def chat(world: World) -> Any:
    with world.client() as client:
        return client.chat.completions.create(model="ok", messages=world.ask, temperature=0.5)


@program
async def chat_async(world: World) -> Any:
    async with world.aclient() as client:
        coroutine = client.chat.completions.create(model="reasoning", messages=world.ask)
        return [inspect.iscoroutine(coroutine), await coroutine]


@program
def odd_replies(world: World) -> Any:
    """Gateways answer 200 with nulls; what the client makes of them is the client's business."""
    names = ("null-choices", "null-message", "null-usage", "future", "surrogates", "azure", "gzip")
    with world.client() as client:
        replies = [client.chat.completions.create(model=m, messages=world.ask) for m in names]
    return [repr(reply) for reply in replies]


@program
def parsed(world: World) -> Any:
    with world.client() as client:
        reply = client.chat.completions.parse(
            model="json", messages=world.ask, response_format=Weather
        )
        response = client.responses.parse(model="json", input="Where?", text_format=Weather)
    return [reply, reply.choices[0].message.parsed, response.output_parsed]


@program
def responses(world: World) -> Any:
    with world.client() as client:
        first = client.responses.create(model="ok", input="Hello", instructions="Be kind.")
        second = client.responses.create(
            model="ok", input=[{"role": "user", "content": "Again"}], previous_response_id=first.id
        )
    return [first, first.output_text, second]


@program
def other_endpoints(world: World) -> Any:
    with world.client() as client:
        return [
            client.embeddings.create(model="ok", input=["one", "two"]),
            client.embeddings.create(model="ok", input="one", encoding_format="float"),
            client.completions.create(model="ok", prompt="Once upon"),
            client.moderations.create(model="ok", input="Hello"),
            client.images.generate(model="ok", prompt="A snowman"),
            client.audio.transcriptions.create(model="ok", file=("a.wav", b"RIFF")),
            client.models.list().data,
        ]


@program
def speech(world: World) -> Any:
    with world.client() as client:
        whole = client.audio.speech.create(model="ok", input="Hello", voice="alloy")
        with client.audio.speech.with_streaming_response.create(
            model="ok", input="Hello", voice="alloy"
        ) as streamed:
            pieces = b"".join(streamed.iter_bytes(7))
        return [type(whole).__qualname__, whole.content, pieces]


@program
def raw(world: World) -> Any:
    with world.client() as client:
        answer = client.chat.completions.with_raw_response.create(model="ok", messages=world.ask)
        body = answer.http_response
        body.encoding = "latin-1"  # httpx allows it until somebody has asked for the text
        kept = {k: v for k, v in answer.headers.items() if k != "date"}
        return [
            kept, answer.status_code, answer.parse(), answer.parse() is answer.parse(),
            body.text, answer.request_id, answer.retries_taken, answer.is_closed, answer,
            type(answer.elapsed).__name__,
        ]  # fmt: skip


@program
async def raw_async(world: World) -> Any:
    async with world.aclient() as client:
        answer = await client.responses.with_raw_response.create(model="ok", input="Hello")
        return [answer.status_code, answer.parse(), answer.text, answer.content]


@program
def streamed_raw(world: World) -> Any:
    """The body as lines, as bytes, whole, parsed, and not read at all."""
    found: list[Any] = []
    with world.client() as client:
        create = client.chat.completions.with_streaming_response.create
        with create(model="ok", messages=world.ask) as answer:
            found.append(list(answer.iter_lines()))
        with create(model="ok", messages=world.ask) as answer:
            found.append(b"".join(answer.iter_bytes()))
        with create(model="ok", messages=world.ask) as answer:
            found.append(answer.read())
            found.append(answer.json())
        with create(model="ok", messages=world.ask) as answer:
            found.append([answer.parse(), answer.parse()])
        with create(model="ok", messages=world.ask) as answer:
            found.append([answer.is_closed, answer.headers["content-type"]])
        found.append(answer.is_closed)
    return found


@program
def one_shot_arguments(world: World) -> Any:
    """Messages that can be iterated once, and only the client does."""

    def messages() -> Iterator[Any]:
        yield from world.ask

    with world.client() as client:
        return [
            client.chat.completions.create(model="echo", messages=messages()),
            client.chat.completions.create(model="echo", messages=map(dict, world.ask)),
            client.chat.completions.create(model="ok", messages=world.ask, tools=iter([_TOOL])),
            client.embeddings.create(model="ok", input=(w for w in ("a", "b"))),  # type: ignore[arg-type]
        ]


@program
def arguments_stay(world: World) -> Any:
    """What was passed in is as it was, and may be changed as soon as the call is back."""
    messages, tools = copy.deepcopy(world.ask), [copy.deepcopy(_TOOL)]
    with world.client() as client:
        client.chat.completions.create(model="tools", messages=messages, tools=tools)
        same = messages == world.ask and tools == [_TOOL]
        messages.append({"role": "user", "content": "later"})
        again = client.chat.completions.create(model="tools", messages=messages, tools=tools)
    return [same, messages, again]


@program
def options(world: World) -> Any:
    """Per-call options, deprecated spellings and a URL of one's own."""
    with world.client() as client:
        create = client.chat.completions.create
        return [
            create(
                model="ok", messages=world.ask, extra_headers={"x-mine": "1"},
                extra_query={"q": "1"}, extra_body={"mine": {"a": 1}}, timeout=9,
            ),
            client.with_options(timeout=5).chat.completions.create(model="ok", messages=world.ask),
            client.post("/chat/completions", cast_to=object,
                        body={"model": "ok", "messages": world.ask}),
            client.get("/models", cast_to=object),
        ]  # fmt: skip


@program
def threads(world: World) -> Any:
    with world.client() as client, ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(client.chat.completions.create, model="echo", messages=[
                {"role": "user", "content": str(number)}])
            for number in range(20)
        ]  # fmt: skip
        return [call.result().choices[0].message.content for call in calls]
