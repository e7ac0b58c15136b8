"""Coroutines that are awaited elsewhere than made: scope and parent are those of the call."""

from __future__ import annotations

import asyncio
import inspect
import json
import warnings
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any
from weakref import ref

import openai
import pytest
from google import genai
from openai.types.chat import ChatCompletion

import genai_otel
from genai_otel import operation, scope
from genai_otel.engine.wrap import _MADE
from tests.collected import collect
from tests.conformance.libraries import LIBRARIES
from tests.conformance.table import cells
from tests.conformance.visits import Visit, closed, now
from tests.provider.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider


ASK: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
LATER = {"cohere": "its client puts coroutine functions of its own around those of its class"}
"""Libraries whose calls are still those of where they are awaited, and why."""


def _asynchronous() -> Iterator[Any]:
    for library in LIBRARIES.values():
        wanted = (
            cell
            for cell in cells(library)
            if cell.colour == "async" and cell.scenario == "ok" and cell.mode == "whole"
        )
        cell = next(wanted)
        late = LATER.get(library.name)
        marks = [] if late is None else [pytest.mark.xfail(reason=late, strict=True)]
        yield pytest.param(library, cell, id=library.name, marks=marks)


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


@pytest.mark.parametrize("name", ["openai", "mistralai"])
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
    assert not _MADE


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
    assert not _MADE
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
