"""A stream's chunk that the client refuses has been paid for: the span has what had come by then.

The chunk is the one with the usage, of each stream of each client, in either call style. Its JSON
was read where it holds an error, or what the client's classes do not allow: then it counts. Where
it is no JSON, what came before it does.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from genai_otel.adapters.clients import azure_ai_inference
from genai_otel.record import Kind, Operation
from tests.conformance.conftest import Bench
from tests.conformance.facts import USAGE
from tests.conformance.libraries import LIBRARIES
from tests.conformance.table import COLOURS, cells
from tests.provider import Provider
from tests.provider.answer import Answer, Part, marking_last
from tests.provider.wire import to_json
from tests.test_mutations import MODEL, VALIDATES_ABOVE, Served, messages_of, visits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.table import Cell, Endpoint, Library, Mode
    from tests.provider.wire import Ask, Frame

pytestmark = pytest.mark.slow
ERROR = {"message": "The model is overloaded.", "type": "server_error", "code": 503}
SAID_IN_WORDS = {"ollama", "huggingface_hub"}
"""Clients whose servers give an error as a text."""
INVALID: dict[str, dict[str, Any]] = {
    "chat": {"created": "yesterday"},
    "responses": {"sequence_number": "seven"},
    "messages": {"delta": "odd"},
    "mistral": {"model": 7},
    "mistral-agents": {"model": 7},
    "ollama-chat": {"done": "perhaps"},
    "ollama-generate": {"done": "perhaps"},
    "gemini": {"responseId": 7},
    "converse": {"metrics": ["odd"]},
    "azure_ai_inference": {"choices": {"odd": 1}},
}
"""By library or endpoint, what its classes refuse; Stainless's if they were told to validate."""
LEFT_OUT = {
    ("bedrock", "an error in it"): "an event has one key: errors are events of their own",
    ("bedrock", "half a JSON"): "events are binary, and have a length and a checksum",
    ("huggingface_hub", "of another type"): "its classes take any type",
    ("litellm", "an error in it"): "its own error has nothing of the client's; see reliability.md",
    ("litellm", "of another type"): "its classes take any type",
    ("together", "of another type"): "its classes refuse the provider's first chunk already",
}
"""Ways that a client cannot be gone, and why."""


KEPT = frozenset(USAGE) | {"texts", "reasoning", "tool calls"}


class _Damaged(Served):
    """Of one frame only half arrives, inside of what is around its JSON."""

    half: int | None = None

    def answer(self, endpoint: Any, ask: Ask) -> Answer:
        if self.half is None or not ask.stream:
            return super().answer(endpoint, ask)
        head = {"content-type": endpoint.stream_type}
        return Answer(headers=head, parts=self._parts(endpoint))

    def _parts(self, endpoint: Any) -> Iterator[Part]:
        for at, (frame, last) in enumerate(marking_last(self.messages)):
            data, whole = endpoint.encode(frame), to_json(frame.data)
            if at == self.half:
                data = data.replace(whole, whole[: len(whole) // 2])
            yield Part(data + (endpoint.end if last else b""))


class _Way(NamedTuple):
    """A stream that its client may refuse, and how far what it sends is known."""

    messages: list[Frame]
    came: list[Frame]
    half: int | None = None
    refused: bool = False
    """Whether every client does."""


def _counted(messages: list[Frame]) -> int:
    """Where the usage is."""
    return max((at for at, f in enumerate(messages) if f.usage), default=len(messages) - 1)


def _with(messages: list[Frame], at: int, data: dict[str, Any]) -> list[Frame]:
    return [replace(f, data=data) if i == at else f for i, f in enumerate(messages)]


def _an_error(library: Library, _endpoint: Endpoint, messages: list[Frame]) -> _Way:
    at = _counted(messages)
    error: Any = ERROR["message"] if library.name in SAID_IN_WORDS else ERROR
    data = {"error": error, **messages[at].data}
    return _Way(_with(messages, at, data), messages[: at + 1])


def _half(_library: Library, _endpoint: Endpoint, messages: list[Frame]) -> _Way:
    at = _counted(messages)
    return _Way(messages, messages[:at], half=at)


def _invalid(library: Library, endpoint: Endpoint, messages: list[Frame]) -> _Way:
    at = _counted(messages)
    data = messages[at].data
    inner = "metadata" if "metadata" in data else None
    wrong = {
        **(data[inner] if inner else data),
        **(INVALID.get(library.name) or INVALID[endpoint.name]),
    }
    changed = _with(messages, at, {inner: wrong} if inner else wrong)
    return _Way(changed, messages[: at + 1], refused=True)


WAYS = {"an error in it": _an_error, "half a JSON": _half, "of another type": _invalid}


def _rows() -> Iterator[Any]:
    for library in LIBRARIES.values():
        for endpoint in library.endpoints.values():
            for mode in endpoint.modes:
                if not (mode.stream and mode.usage and endpoint.served and endpoint.served.frames):
                    continue
                for way in _ways(library, endpoint):
                    name = f"{library.name}-{endpoint.name}-{mode.name}-{way}"
                    yield pytest.param(library, endpoint, mode, way, id=name)


def _ways(library: Library, endpoint: Endpoint) -> list[str]:
    ways = [way for way in WAYS if (library.name, way) not in LEFT_OUT]
    return [way for way in ways if way != "of another type" or endpoint.name in INVALID]


SERVED = _Damaged()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with asyncio.Runner() as runner, Provider(replay=SERVED) as provider:
        bench = Bench(provider, runner)
        bench.instrument()
        yield bench
        bench.close()


def _cells(library: Library, endpoint: Endpoint, mode: Mode) -> Iterator[Cell]:
    """One for each call style."""
    for colour in COLOURS:
        way = endpoint.name, mode.name, colour, "exhausted"
        found = (c for c in cells(library) if (c.endpoint, c.mode, c.colour, c.ending) == way)
        cell = next(found, None)
        if cell is not None:
            yield cell._replace(scenario=MODEL)


@pytest.mark.parametrize(("library", "endpoint", "mode", "way"), list(_rows()))
def test_what_had_come_is_recorded(
    bench: Bench, library: Library, endpoint: Endpoint, mode: Mode, way: str
) -> None:
    for cell in _cells(library, endpoint, mode):
        visit = bench.visit(library, cell)
        made = WAYS[way](library, endpoint, messages_of(visit, "reasoning"))
        ((_, right),) = visits(bench, SERVED, library, cell, [made.came])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SERVED, "half", made.half)
            patch.setitem(vars(visit.client), "_strict_response_validation", made.refused)
            ((saw, told),) = visits(bench, SERVED, library, cell, [made.messages])
        assert right is not None
        assert told is not None
        assert saw["error"] is not None or not made.refused
        assert {f: told[f] for f in KEPT if told[f] != right[f]} == {}, saw["error"]
        if saw["error"] is not None and library.name not in VALIDATES_ABOVE:
            assert told["error"] == saw["error"], cell
            assert told["status"] == "ERROR"


@pytest.mark.parametrize("last", ['{"id": "r", "choices": {"odd": 1}}', '{"id": "r", "cho'])
def test_a_block_of_which_azure_hands_out_nothing(last: str) -> None:
    """Which chunks come in one block the network decides; here all do."""
    client = pytest.importorskip("azure.ai.inference.models._patch")
    said = {"id": "r", "choices": [{"index": 0, "delta": {"content": "Hi."}}]}
    stream = client.BaseStreamingChatCompletions()
    block = b"data: " + to_json(said) + b"\n\ndata: " + last.encode() + b"\n\n"
    with pytest.raises(Exception, match=r"\w|^$") as raised:
        stream._deserialize_and_add_to_queue(block)
    op = Operation(Kind.CHAT)
    op.capture = True
    fold = azure_ai_inference._Updates(op)
    fold.add(azure_ai_inference._chunk_from_error(raised.value))
    fold.finish()
    assert op.output is not None
    assert op.output[0]["parts"] == [{"type": "text", "content": "Hi."}]
