"""Coroutines that are awaited elsewhere than made: scope and parent are those of the call."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any
from weakref import ref

import openai
import pytest
from google import genai
from openai.types.chat import ChatCompletion
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

import genai_otel
from genai_otel import operation, scope
from genai_otel.instrumentation.call_context import CALL_CONTEXTS
from tests.collected import collect
from tests.conformance.libraries import LIBRARIES
from tests.conformance.table import cells
from tests.conformance.visits import Visit, closed, now, run_plainly
from tests.provider.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider


ASK: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def _asynchronous() -> Iterator[Any]:
    for library in LIBRARIES.values():
        wanted = (
            cell
            for cell in cells(library)
            if cell.colour == "async" and cell.scenario == "ok" and cell.mode == "whole"
        )
        cell = next(wanted)
        yield pytest.param(library, cell, id=library.name)


each_library = pytest.mark.parametrize(("library", "cell"), [*_asynchronous()])


async def _begun(library: Any, cell: Any, provider: Provider) -> tuple[Any, Any, dict[str, Any]]:
    """The clients, the method to be called and its arguments."""
    clients = await now(library.clients(provider, "async"))
    visit = Visit(library, cell, clients[cell.client])
    return clients, visit.method(), visit.arguments


async def _close(clients: Any) -> None:
    for client in clients.values():
        await closed(client)


@each_library
async def test_scope_and_parent_are_those_of_the_call(
    genai_otel_capture: Capture, provider: Provider, library: Any, cell: Any
) -> None:
    clients, method, arguments = await _begun(library, cell, provider)
    made = []
    for user in ("ada", "bob"):
        with scope(user_id=user), operation("workflow", user):
            made.append(method(**arguments))
    with scope(user_id="eve"), operation("workflow", "eve"):
        await asyncio.gather(*made)
    await _close(clients)
    spans = genai_otel_capture.spans
    names = {span.context.span_id: span.name for span in spans}
    calls = [span for span in spans if span.parent is not None]  # one client warms up
    assert sorted((s.attributes["user.id"], names[s.parent.span_id]) for s in calls) == [
        ("ada", "invoke_workflow ada"),
        ("bob", "invoke_workflow bob"),
    ]


# --------------------------------------------------------------------------------- each way in

NOT_BY_METHOD = ("post", "openai", "chat")
"""Doors that go to the client by other ways than its resource's method."""
SAME = ("raw unparsed", "lines", "bytes", "unread")
"""Doors whose methods are those of others."""


def _doors() -> Iterator[Any]:
    for library in LIBRARIES.values():
        found: dict[Any, Any] = {}
        for cell in cells(library):
            plain = (cell.client, cell.scenario, cell.ending) == ("plain", "ok", "exhausted")
            if plain and cell.door not in (*NOT_BY_METHOD, *SAME):
                found.setdefault((cell.door, cell.mode == "whole", cell.colour), cell)
        for cell in found.values():
            yield pytest.param(library, cell, id=str(cell))


class Made(Visit):
    """What its method hands out is made by one user; all that follows is another's."""

    def method(self, name: str = "") -> Any:
        found = super().method(name)

        def made(**arguments: Any) -> Any:
            with scope(user_id="ada"), operation("workflow", "ada"):
                return found(**arguments)

        return made


@pytest.mark.parametrize(("library", "cell"), [*_doors()])
async def test_whichever_way_it_is_made(
    genai_otel_capture: Capture, provider: Provider, library: Any, cell: Any
) -> None:
    clients = await now(library.clients(provider, cell.colour))
    before = len(genai_otel_capture.spans)  # one client warms up
    visit = Made(library, cell, clients[cell.client])
    with scope(user_id="eve"), operation("workflow", "eve"):
        if cell.colour == "sync":
            run_plainly(visit.door.go(visit))
        else:
            await visit.door.go(visit)
    await _close(clients)
    spans = genai_otel_capture.spans[before:]
    names = {span.context.span_id: span.name for span in spans}
    calls = [span for span in spans if span.kind is SpanKind.CLIENT]
    under = [(s.attributes["user.id"], names[s.parent.span_id]) for s in calls]
    assert under == [("ada", "invoke_workflow ada")]
    del visit
    collect()
    assert not CALL_CONTEXTS


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
async def test_what_a_chat_streams(genai_otel_capture: Capture, provider: Provider) -> None:
    client = genai.Client(api_key="sk", http_options={"base_url": provider.root})
    with scope(user_id="ada"):
        chat: Any = client.chats.create(model="gemini-2.5-flash")
        stream = chat.send_message_stream("hi")
        later: Any = client.aio.chats.create(model="gemini-2.5-flash")
        coroutine = later.send_message_stream("hi")
    assert inspect.isgenerator(stream)
    with scope(user_id="eve"):
        assert [chunk.text for chunk in stream]
        assert [chunk.text async for chunk in await coroutine]
    await client.aio.aclose()
    client.close()
    users = [dict(span.attributes or {})["user.id"] for span in genai_otel_capture.spans]
    assert users == ["ada", "ada"]
    del stream, coroutine
    collect()
    assert not CALL_CONTEXTS


@pytest.mark.xfail(reason="every call goes through it, and would pay for it", strict=True)
async def test_the_method_for_other_endpoints(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    async with openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url) as client:
        with scope(user_id="ada"):
            made = client.post("/chat/completions", body=ASK, cast_to=ChatCompletion)
        await made
    assert dict(genai_otel_capture.span().attributes or {})["user.id"] == "ada"


async def test_a_block_that_is_entered_again(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url) as client:
        with scope(user_id="ada"):
            block = client.chat.completions.with_streaming_response.create(**ASK)
        with scope(user_id="eve"):
            for _ in range(2):
                with block as response:
                    response.read()
    users = [dict(span.attributes or {})["user.id"] for span in genai_otel_capture.spans]
    assert users == ["ada", "ada"]
    assert not CALL_CONTEXTS


class Meeting(Sampler):
    """Is asked by two threads at once."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=60)

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        self.both.wait()
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "meeting"


def test_a_block_that_two_threads_enter_at_once(provider: Provider) -> None:
    kept, spans = InMemorySpanExporter(), TracerProvider(sampler=Meeting(), shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(kept))
    genai_otel.instrument(tracer_provider=spans)
    with openai.OpenAI(api_key="sk", base_url=provider.base_url) as client:
        with scope(user_id="ada"):
            block = client.chat.completions.with_streaming_response.create(**ASK)

        def enter(_: int) -> bytes:
            with closing(block.__enter__()) as response:
                return bytes(response.read())

        with ThreadPoolExecutor(2) as pool:
            assert all(pool.map(enter, range(2)))
    users = [dict(span.attributes or {})["user.id"] for span in kept.get_finished_spans()]
    assert users == ["ada", "ada"]
    assert not CALL_CONTEXTS
    genai_otel.uninstrument()
    spans.shutdown()


async def test_what_was_made_with_us_is_inert_without(provider: Provider) -> None:
    """An object of a client keeps methods that it was given when it was made."""
    genai_otel.instrument(destinations="console")
    client = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)
    create = client.chat.completions.with_raw_response.create
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        made = create(**ASK)
        assert len(CALL_CONTEXTS) == 1
        del made
        assert not CALL_CONTEXTS
        genai_otel.uninstrument()
        made = create(**ASK)
        assert not CALL_CONTEXTS
        del made
    await client.close()
    genai_otel.shutdown()


@pytest.mark.parametrize("name", ["with_raw_response", "with_streaming_response"])
async def test_methods_are_what_they_were(provider: Provider, name: str) -> None:
    async with openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url) as client:
        bare = getattr(client.chat.completions, name)
        genai_otel.instrument(destinations="console")
        ours = getattr(openai.AsyncOpenAI.copy(client).chat.completions, name)
        genai_otel.uninstrument()
        genai_otel.shutdown()
    assert [*vars(ours)] == [*vars(bare)]
    for method in ("create", "parse"):
        with_us, without = getattr(ours, method), getattr(bare, method)
        assert type(with_us) is type(without)
        for ask in (inspect.iscoroutinefunction, inspect.signature, inspect.getdoc):
            assert ask(with_us) == ask(without)
        assert (with_us.__name__, with_us.__module__) == (without.__name__, without.__module__)


# ------------------------------------------------------------------------------ as it was


@pytest.mark.parametrize("name", ["openai", "mistralai", "cohere"])
async def test_a_coroutine_is_what_it_was(
    genai_otel_capture: Capture, provider: Provider, name: str
) -> None:
    library = LIBRARIES[name]
    cell = next(c for c in cells(library) if c.colour == "async" and c.scenario == "ok")
    clients, method, arguments = await _begun(library, cell, provider)
    before = genai_otel_capture.spans
    with_us = _seen(method, arguments)
    assert genai_otel_capture.spans == before
    genai_otel.uninstrument()
    clients_bare, method, arguments = await _begun(library, cell, provider)
    assert _seen(method, arguments) == with_us
    await _close(clients)
    await _close(clients_bare)
    assert not CALL_CONTEXTS


def _seen(method: Any, arguments: dict[str, Any]) -> list[Any]:
    """What shows of a call that is never awaited."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made = method(**arguments)
        told = [inspect.iscoroutinefunction(method), type(made), made.__name__, made.__qualname__]
        del made
    mine = [str(each.message) for each in warned if each.category is RuntimeWarning]
    return [*told, mine]


class Incomparable:
    """As an array is, which raises where it is compared."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")


async def test_values_in_a_context_are_not_compared(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    library = LIBRARIES["openai"]
    cell = next(c for c in cells(library) if c.colour == "async" and c.scenario == "ok")
    clients, method, arguments = await _begun(library, cell, provider)
    held: ContextVar[Incomparable] = ContextVar("held")
    held.set(Incomparable())
    made = method(**arguments)
    held.set(Incomparable())
    await made
    await _close(clients)
    assert len(genai_otel_capture.spans) == 1


async def test_in_a_task(genai_otel_capture: Capture, provider: Provider) -> None:
    library = LIBRARIES["openai"]
    cell = next(c for c in cells(library) if c.colour == "async" and c.scenario == "ok")
    clients, method, arguments = await _begun(library, cell, provider)
    with operation("workflow", "outer"):
        task = asyncio.create_task(method(**arguments))
    await task
    await _close(clients)
    outer, call = genai_otel_capture.spans
    assert call.parent is not None
    assert call.parent.span_id == outer.context.span_id


# ------------------------------------------------------------------- what contexts hold, and where

MINE: ContextVar[Any] = ContextVar("mine")


def test_made_where_no_variable_is_set(genai_otel_capture: Capture, provider: Provider) -> None:
    async def elsewhere(client: Any, made: Any) -> None:
        with operation("workflow", "elsewhere"):
            await made
            await client.close()

    client = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)
    made = Context().run(client.chat.completions.create, **ASK)
    asyncio.run(elsewhere(client, made))
    assert [span.parent for span in genai_otel_capture.spans] == [None, None]


class _Request:
    task: asyncio.Task[Any]


async def test_a_context_that_leads_back_to_its_task_is_collected(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    async def serve() -> ref[_Request]:
        request = _Request()
        MINE.set(request)
        async with openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url) as client:
            request.task = asyncio.create_task(client.chat.completions.create(**ASK))
            await request.task
        return ref(request)

    served = await asyncio.create_task(serve())
    await asyncio.sleep(0)  # the loop lets go of the step
    collect()
    assert served() is None
    assert not CALL_CONTEXTS
    assert genai_otel_capture.span().attributes


def _tool_call_first(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"functionCall": {"name": "look_up", "args": {}}}], [{"text": "Good day"}]
    bodies = iter(said)

    def answer(request: Any) -> Answer:
        if "gemini" not in request.path:
            return usual(request)
        content = {"role": "model", "parts": next(bodies)}
        body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]})
        return Answer(headers={"content-type": "application/json"}, body=body.encode())

    usual = provider.answer
    monkeypatch.setattr(provider, "answer", answer)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
async def test_what_a_client_calls_of_the_programs_is_where_it_is(
    genai_otel_capture: Capture, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that the model asks for makes calls of its own; the chat is called in between."""
    _tool_call_first(provider, monkeypatch)
    client = genai.Client(api_key="sk", http_options={"base_url": provider.root})
    other = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)

    async def look_up() -> str:
        """Looks it up."""
        with operation("tool", "look_up"):
            await other.post("/chat/completions", body=ASK, cast_to=ChatCompletion)
        return "found"

    with operation("workflow", "made"):
        chat = client.aio.chats.create(model="gemini-2.5-flash", config={"tools": [look_up]})
        made = chat.send_message("hi")
    with operation("workflow", "awaited"):
        await made
    await client.aio.aclose()
    client.close()
    await other.close()
    spans = genai_otel_capture.spans
    names = {span.context.span_id: span.name for span in spans}
    under = [(span.name, names[span.parent.span_id]) for span in spans if span.parent is not None]
    assert sorted(under) == [
        ("chat gemini-2.5-flash", "invoke_workflow made"),
        ("chat gemini-2.5-flash", "invoke_workflow made"),
        ("chat gpt-4o", "execute_tool look_up"),
        ("execute_tool look_up", "invoke_workflow awaited"),
    ]
