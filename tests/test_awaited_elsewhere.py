"""Coroutines that are awaited elsewhere than made: scope and parent are those of the call."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import operation, scope
from genai_otel.engine.wrap import _MADE
from tests.conformance.libraries import LIBRARIES
from tests.conformance.table import cells
from tests.conformance.visits import Visit, closed, now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider


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
    gc.collect()
