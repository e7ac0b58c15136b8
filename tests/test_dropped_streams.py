"""A stream that is left and dropped ends there and then."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

import genai_otel
from genai_otel.cli import main
from tests.closing import closing
from tests.collected import collect
from tests.receiver import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from genai_otel.testing import Capture
    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Hello"}]
CHAT: Any = {"model": "ok", "messages": ASK, "stream": True}
KIN = {
    "openai": ("openai", "OpenAI", "/v1"),
    "groq": ("groq", "Groq", "/groq"),
    "together": ("together", "Together", "/together/v1"),
    "fireworks": ("fireworks", "Fireworks", "/fireworks"),
    "cerebras": ("cerebras.cloud.sdk", "Cerebras", "/cerebras"),
}


def _client(provider: Provider, name: str, colour: str) -> Any:
    module, cls, path = KIN.get(name, ("anthropic", "Anthropic", ""))
    made = getattr(import_module(module), f"{'Async' if colour == 'async' else ''}{cls}")
    client = made(api_key="sk", base_url=f"{provider.root}{path}", max_retries=0)
    return client if colour == "async" else closing(client)


def _chat(client: Any) -> Any:
    return client.chat.completions.create(**CHAT)


def _chat_raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(**CHAT).parse()


def _respond(client: Any) -> Any:
    return client.responses.create(model="ok", input="Hello", stream=True)


def _say(client: Any) -> Any:
    return client.messages.create(max_tokens=9, **CHAT)


def _say_raw(client: Any) -> Any:
    return client.messages.with_raw_response.create(max_tokens=9, **CHAT).parse()


WAYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **{name: (name, _chat) for name in KIN},
    "openai, raw": ("openai", _chat_raw),
    "responses": ("openai", _respond),
    "anthropic": ("anthropic", _say),
    "anthropic, raw": ("anthropic", _say_raw),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def opened(provider: Provider, way: str) -> Any:
    name, ask = WAYS[way]
    return ask(_client(provider, name, "sync"))


# ------------------------------------------------------------------------------------- its end


@EVERY_WAY
def test_it_ends_as_it_is_dropped(
    provider: Provider, genai_otel_capture: Capture, uncollected: None, way: str
) -> None:
    """No collection, no later call and no flush is needed."""
    stream = opened(provider, way)
    next(iter(stream))
    assert genai_otel_capture.spans == ()
    del stream
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})["genai_otel.response.completed"] is False
    assert genai_otel.status().open_streams == 0


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_an_asynchronous_one_ends_as_the_loop_goes_on(
    provider: Provider, genai_otel_capture: Capture, uncollected: None, name: str
) -> None:
    client = _client(provider, name, "async")
    stream = await (_chat(client) if name == "openai" else _say(client))
    async for _ in stream:
        break
    del stream
    for _ in range(6_000):
        if genai_otel_capture.spans:
            break
        await asyncio.sleep(0.01)
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})["genai_otel.response.completed"] is False
    await client.close()


def _closings(provider: Provider, way: str) -> list[bool]:
    """Whether the response is closed: as its stream is dropped, and as the collector has run."""
    stream = opened(provider, way)
    response = stream.response
    next(iter(stream))
    del stream
    told = [response.is_closed]
    collect()
    return [*told, response.is_closed]


@EVERY_WAY
def test_its_connection_is_closed_when_it_would_have_been(
    provider: Provider, genai_otel_capture: Capture, uncollected: None, way: str
) -> None:
    with_us = _closings(provider, way)
    genai_otel.uninstrument()
    assert with_us == _closings(provider, way)


@EVERY_WAY
def test_one_that_the_collector_finds_ended_with_its_last_chunk(
    provider: Provider, genai_otel_capture: Capture, uncollected: None, way: str
) -> None:
    """And nobody has to call or flush: a thread of ours ends it as soon as it was found."""
    stream = opened(provider, way)
    next(iter(stream))
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    del stream, cycle
    assert genai_otel_capture.spans == ()
    time.sleep(0.02)
    collect()
    assert until(lambda: genai_otel_capture.spans)
    (span,) = genai_otel_capture.spans
    facts = span.attributes or {}
    assert facts["genai_otel.response.consumer_time"] == pytest.approx(0)  # none after the chunk
    assert facts["genai_otel.response.completed"] is False


def test_it_is_listed_as_incomplete(
    provider: Provider, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    genai_otel.instrument()
    stream = opened(provider, "openai")
    next(iter(stream))
    del stream
    assert genai_otel.shutdown()
    assert main(["traces"]) == 0
    assert "incomplete" in capsys.readouterr().out
    assert main(["traces", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["incomplete"] == 1


GENERATOR_CLOSED = {
    "close": lambda generator: generator.close(),
    "throw": lambda generator: generator.throw(KeyError("of the program's")),
}
GENERATOR_CLOSED_ASYNC = {
    "aclose": lambda generator: generator.aclose(),
    "athrow": lambda generator: generator.athrow(KeyError("of the program's")),
}


@pytest.mark.parametrize("how", GENERATOR_CLOSED)
def test_who_closes_its_generator_closes_the_connection(
    genai_otel_capture: Capture, provider: Provider, how: str
) -> None:
    with _client(provider, "openai", "sync") as client:
        stream = _chat(client)
        next(stream)
        with suppress(KeyError):
            GENERATOR_CLOSED[how](stream._iterator)
        assert stream.response.is_closed
    assert len(genai_otel_capture.spans) == 1


@pytest.mark.parametrize("how", GENERATOR_CLOSED_ASYNC)
async def test_who_closes_its_generator_closes_the_connection_async(
    genai_otel_capture: Capture, provider: Provider, how: str
) -> None:
    async with _client(provider, "openai", "async") as client:
        stream = await _chat(client)
        await stream.__anext__()
        with suppress(KeyError):
            await GENERATOR_CLOSED_ASYNC[how](stream._iterator)
        assert stream.response.is_closed
    assert len(genai_otel_capture.spans) == 1


async def test_a_stream_that_the_program_has_begun_to_read(
    genai_otel_capture: Capture, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below us, where a program's own stand-in wants to see whether anything comes."""
    async with _client(provider, "openai", "async") as client:
        given = client._process_response

        async def processed(**of_client: Any) -> Any:
            stream = await given(**of_client)
            firsts.append(await stream.__anext__())
            return stream

        firsts: list[Any] = []
        monkeypatch.setattr(client, "_process_response", processed)
        rest = [chunk async for chunk in await _chat(client)]
    assert firsts[0].choices[0].delta.role == "assistant"
    assert rest[-1].choices[0].finish_reason == "stop"
    (span,) = genai_otel_capture.spans
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_stream_of_a_class_with_an_end_of_its_own(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    ended = []

    class Counted(openai.Stream[Any]):
        def __del__(self) -> None:
            ended.append(self)

    with _client(provider, "openai", "sync") as client:
        stream = client.post(
            "/chat/completions",
            body=CHAT,
            cast_to=ChatCompletionChunk,
            stream=True,
            stream_cls=Counted,
        )
        assert len([*stream]) > 2
        del stream
        collect()
    assert len(ended) == 1
    assert len(genai_otel_capture.spans) == 1
