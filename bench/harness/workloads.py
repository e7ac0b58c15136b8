"""The workloads: the real client over canned bytes, without network."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai

from .canned import (
    CHAT_SHORT,
    CHAT_TOOLS,
    EMBEDDINGS,
    HEADERS,
    INPUTS,
    LARGE_MESSAGES,
    MODEL,
    SHORT_MESSAGES,
    TOOLS,
    chunks,
)

# openai 3 moved to httpx2, which keeps the names.
httpx: Any = importlib.import_module(
    "httpx2" if int(openai.__version__.split(".", 1)[0]) > 2 else "httpx"  # noqa: PLR2004
)

Wrap = Callable[[Any], Any]
Run = Callable[[int], None]

TOGETHER = 64
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)


class _Events(httpx.SyncByteStream, httpx.AsyncByteStream):  # type: ignore[misc]
    """A server-sent event stream, one event a read; read once, as a socket is.

    The asynchronous client drains the body after the last event, for at most a moment: a stream
    that began anew there would make the counts depend on the machine's load.
    """

    def __init__(self, events: list[bytes]) -> None:
        self._rest = iter(events)

    def __iter__(self) -> Iterator[bytes]:
        return self._rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._rest:
            yield event

    def close(self) -> None:
        return None

    async def aclose(self) -> None:
        return None


def _transport(body: bytes | list[bytes]) -> Any:
    def handler(request: Any) -> Any:  # noqa: ARG001 - given by httpx
        if isinstance(body, bytes):
            return httpx.Response(200, headers=HEADERS, content=body)
        headers = {**HEADERS, "content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=_Events(body))

    return httpx.MockTransport(handler)


def client(body: bytes | list[bytes], wrap: Wrap) -> Any:
    """A synchronous client that always gets ``body``."""
    http = httpx.Client(transport=_transport(body))
    return wrap(openai.OpenAI(api_key="sk-bench", max_retries=0, http_client=http))


def async_client(body: bytes | list[bytes], wrap: Wrap) -> Any:
    """An asynchronous client that always gets ``body``."""
    http = httpx.AsyncClient(transport=_transport(body))
    return wrap(openai.AsyncOpenAI(api_key="sk-bench", max_retries=0, http_client=http))


def _stream_arguments() -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": SHORT_MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _chat_short(wrap: Wrap) -> Run:
    api = client(CHAT_SHORT, wrap)

    def run(n: int) -> None:
        for _ in range(n):
            api.chat.completions.create(model=MODEL, messages=SHORT_MESSAGES, temperature=0.2)

    return run


def _chat_large(wrap: Wrap) -> Run:
    api = client(CHAT_TOOLS, wrap)

    def run(n: int) -> None:
        for _ in range(n):
            api.chat.completions.create(
                model=MODEL, messages=LARGE_MESSAGES, tools=TOOLS, temperature=0.2
            )

    return run


def _stream(count: int) -> Callable[[Wrap], Run]:
    def make(wrap: Wrap) -> Run:
        api, arguments = client(chunks(count), wrap), _stream_arguments()

        def run(n: int) -> None:
            for _ in range(n):
                for _chunk in api.chat.completions.create(**arguments):
                    pass

        return run

    return make


def _stream_async(count: int) -> Callable[[Wrap], Run]:
    def make(wrap: Wrap) -> Run:
        api, arguments = async_client(chunks(count), wrap), _stream_arguments()

        async def many(n: int) -> None:
            for _ in range(n):
                async for _chunk in await api.chat.completions.create(**arguments):
                    pass

        return lambda n: LOOP.run_until_complete(many(n))

    return make


def _embeddings(wrap: Wrap) -> Run:
    api = client(EMBEDDINGS, wrap)

    def run(n: int) -> None:
        for _ in range(n):
            api.embeddings.create(model="text-embedding-3-small", input=INPUTS)

    return run


def _async_64(wrap: Wrap) -> Run:
    api = async_client(CHAT_SHORT, wrap)

    async def together(n: int) -> None:
        create = api.chat.completions.create
        await asyncio.gather(
            *(create(model=MODEL, messages=SHORT_MESSAGES, temperature=0.2) for _ in range(n))
        )

    def run(n: int) -> None:
        for _ in range(n // TOGETHER):
            LOOP.run_until_complete(together(TOGETHER))

    return run


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload, and how often it runs in a block."""

    name: str
    make: Callable[[Wrap], Run]
    counted: int
    """Calls in a block under callgrind."""
    calls: int
    """Calls in a timed block."""
    share: float
    """Of the timed pairs asked for; long blocks need fewer."""


WORKLOADS: dict[str, Workload] = {
    w.name: w
    for w in (
        Workload("chat_short", _chat_short, counted=12, calls=6, share=1.0),
        Workload("chat_large", _chat_large, counted=6, calls=3, share=0.6),
        Workload("stream_20", _stream(20), counted=6, calls=3, share=0.6),
        Workload("stream_200", _stream(200), counted=2, calls=1, share=0.4),
        Workload("async_stream_20", _stream_async(20), counted=6, calls=3, share=0.6),
        Workload("async_stream_200", _stream_async(200), counted=2, calls=1, share=0.4),
        Workload("embeddings", _embeddings, counted=2, calls=2, share=0.5),
        Workload("async_64", _async_64, counted=TOGETHER, calls=TOGETHER, share=0.3),
    )
}


def first_chunk(wrap: Wrap) -> Callable[[], float]:
    """Measures the seconds from a call to the first chunk of its stream."""
    api, arguments = client(chunks(20), wrap), _stream_arguments()

    def once() -> float:
        start = time.perf_counter()
        stream = iter(api.chat.completions.create(**arguments))
        next(stream)
        elapsed = time.perf_counter() - start
        for _chunk in stream:
            pass
        return elapsed

    return once
