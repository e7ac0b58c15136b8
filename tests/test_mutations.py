"""Answers of odd form: each key of each fixture deleted, nulled and retyped in turn.

The host sees exactly what it sees without us, and the span keeps every fact that does not hang on
the key (`Library.touches` says which do). Where the client itself cannot use what came, and raises,
the span has what was paid for: of a stream all that had come, the refused chunk included. One key
in three, or fewer, is changed in one way in turn; every key in all three ways by `make test-all`.
Of endpoints with one wire format the first stands for all.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import genai_otel
from genai_otel.adapters.catalogue import CATALOGUE
from tests.conformance.conftest import Bench
from tests.conformance.facts import USAGE, found
from tests.conformance.libraries import LIBRARIES, ROWS
from tests.conformance.share import WHOLE
from tests.conformance.table import COLOURS, Cell, cells, listed
from tests.provider import SCENARIOS, Provider, Replay
from tests.provider.answer import Answer, stream_parts
from tests.provider.wire import Ask, Frame, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.conformance.facts import Facts
    from tests.conformance.table import Endpoint, Library, Mode
    from tests.conformance.visits import Visit

pytestmark = pytest.mark.slow
MODEL = "replay-odd"
FIXTURES = ("tools", "reasoning", "cached", "filtered")
"""What between them has every key that is read."""
WAYS = ("deleted", "nulled", "retyped")
_SHARES = {3: 3, 2: 6, 1: 12}
"""Without `WHOLE` one key of so many is changed, by the library's own share."""
VALIDATES_ABOVE = {"google_genai": "it makes its objects above the call that is recorded"}
"""Clients whose refusals are no errors of the span, and why; see docs/reliability.md."""
_IN_PROCESS = "runs in this process: there is no reply to refuse"
_NO_MODEL = "calls no model itself"
ELSEWHERE = {
    "litellm": "in an environment of its own: tests/adapters/test_litellm.py",
    "xai_sdk": "protocol buffers, whose fields are of their type or the call has no reply; only"
    " `parse` reads what was said: tests/adapters/test_xai_sdk.py",
    "vertexai": "protocol buffers, as above; a session's validation comes after the call, and"
    " embeddings are read from free objects: tests/adapters/test_vertexai.py",
    "watsonx": "hands out the JSON as it is, and refuses only what is none, and pieces of text"
    " without one: tests/adapters/test_watsonx.py",
    "voyageai": "three endpoints: tests/adapters/test_more_clients.py",
    "replicate": "its replies count nothing",
    **dict.fromkeys(("transformers", "llama_cpp", "vllm", "xllamacpp"), _IN_PROCESS),
    **dict.fromkeys(("langchain", "chroma", "qdrant"), _NO_MODEL),
}
"""Libraries that are not in the table, and why, or where what they refuse is tested."""
_ITEMS = 2
"""Of a list so many items are changed: the others are alike."""


class Odd(NamedTuple):
    """One change: where in which message of the answer, and what hung on it."""

    at: int
    path: tuple[str | int, ...]
    way: str

    def __str__(self) -> str:
        return f"{self.way}: {self.at}/{'/'.join(map(str, self.path))}"


def odds(messages: list[Frame]) -> Iterator[Odd]:
    keys = [(at, path) for at, message in enumerate(messages) for path in _paths(message.data)]
    for turn, (at, path) in enumerate(keys):
        for way in WAYS if WHOLE else (WAYS[turn % len(WAYS)],):
            yield Odd(at, path, way)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value[:_ITEMS]):
            yield from _paths(inner, (*path, at))


def changed(frame: Frame, odd: Odd) -> Frame:
    """The event bears the name that its message has, where that has one."""
    message = copy.deepcopy(frame.data)
    *way, last = odd.path
    holder: Any = message
    for key in way:
        holder = holder[key]
    if odd.way == "deleted":
        del holder[last]
    else:
        holder[last] = None if odd.way == "nulled" else _retyped(holder[last])
    event = frame.event
    if event == frame.data.get("type"):
        event = kind if isinstance(kind := message.get("type"), str) else ""
    return replace(frame, data=message, event=event)


def _retyped(value: Any) -> Any:
    return {
        str: 7,
        bool: "maybe",
        int: "seven",
        float: "seven",
        list: {"odd": 1},
        dict: ["odd"],
    }.get(type(value), "odd")


def hanging(library: Library, message: Frame, odd: Odd) -> set[str]:
    """The facts that may be told otherwise: those of the key, and of all that lies in it."""
    value: Any = message.data
    for key in odd.path:
        value = value[key]
    keys = {*odd.path, *(key for path in _paths(value) for key in path)}
    return {fact for key in keys for fact in listed(library.touches.get(str(key), ""))}


# ------------------------------------------------------------------------------------ the provider


class Served(Replay):
    """Answers with the messages that it is given."""

    def __init__(self) -> None:
        self.messages: list[Frame] = []

    def answer(self, endpoint: Any, ask: Ask) -> Answer:
        if not ask.stream:
            body = to_json(self.messages[0].data)
            return Answer(headers={"content-type": "application/json"}, body=body)
        frames = self.messages
        head = {"content-type": endpoint.stream_type}
        return Answer(headers=head, parts=stream_parts(iter(frames), endpoint, SCENARIOS["ok"]))


def messages_of(visit: Visit, scenario: str) -> list[Frame]:
    """The messages that the fixture's answer consists of; none where it is no JSON."""
    endpoint, row = visit.endpoint.served, SCENARIOS[scenario]
    if endpoint is None:
        return []
    ask = Ask(MODEL, endpoint.name, visit.mode.stream, visit.mode.usage, body=visit.arguments)
    if visit.mode.stream:
        return list(endpoint.frames(ask, row)) if endpoint.frames else []
    whole = endpoint.whole(ask, row)
    return [Frame(whole)] if isinstance(whole, dict) else []


# ----------------------------------------------------------------------------------------- visits


def test_each_library_is_here_or_has_a_reason() -> None:
    here = {name for name, library in LIBRARIES.items() if library.touches}
    here |= {name for name in ROWS if name not in LIBRARIES and name not in ELSEWHERE}
    assert here | set(ELSEWHERE) == {entry.name for entry in CATALOGUE}
    assert not here & set(ELSEWHERE)


def _rows() -> Iterator[Any]:
    for library in LIBRARIES.values():
        for endpoint in library.endpoints.values() if library.touches else ():
            for mode in endpoint.modes if not endpoint.wire else ():
                if not mode.usage:  # the same messages but for the one with the usage
                    continue
                yield pytest.param(
                    library, endpoint, mode, id=f"{library.name}-{endpoint.name}-{mode.name}"
                )


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


@pytest.fixture(scope="module")
def bench(served: Served) -> Iterator[Bench]:
    import asyncio

    with asyncio.Runner() as runner, Provider(replay=served) as provider:
        bench = Bench(provider, runner)
        yield bench
        bench.close()


@pytest.mark.parametrize(("library", "endpoint", "mode"), list(_rows()))
def test_an_odd_answer_costs_the_host_nothing_and_the_span_one_field(
    bench: Bench, served: Served, library: Library, endpoint: Endpoint, mode: Mode
) -> None:
    way = endpoint.name, mode.name, "sync", "exhausted"
    cell = next(c for c in cells(library) if _way(c) == way)._replace(scenario=MODEL)
    asked = list(asked_of(bench.visit(library, cell), library))
    genai_otel.uninstrument()
    bare = [visits(bench, served, library, cell, each.answers) for each in asked]
    bench.instrument()
    watched = [visits(bench, served, library, cell, each.answers) for each in asked]
    for each, unseen, seen in zip(asked, bare, watched, strict=True):
        usual = seen[0][1]
        assert usual is not None
        for odd, (seen_bare, _), (saw, told) in zip(each.odds, unseen[1:], seen[1:], strict=True):
            assert saw == seen_bare, f"{each.scenario}, {odd}"
            if saw["error"] is None or not mode.stream:
                assert told is not None, f"{each.scenario}, {odd}"
                loose = hanging(library, each.answers[0][odd.at], odd)
                kept = {*usual} if saw["error"] is None else {*USAGE}
                lost = {f: told[f] for f in kept - loose if told[f] != usual[f]}
                assert lost == {}, f"{each.scenario}, {odd}, {saw['error']}"
    if mode.stream:
        for colour in COLOURS:
            _has_what_came(bench, served, library, cell._replace(colour=colour), asked, watched)
    else:
        _is_counted_where_refused(bench, served, library, cell, zip(asked, watched, strict=True))


def _has_what_came(
    bench: Bench, served: Served, library: Library, cell: Cell, asked: list[Asked], sync: list[Any]
) -> None:
    """Each stream over which the client raised has the facts of what was sent up to there."""
    if not any(_way(each) == _way(cell) for each in cells(library)):
        return
    for each, (_, *seen) in zip(asked, sync, strict=True):
        whole = each.answers[0]
        found = zip(each.odds, each.answers[1:], seen, strict=True)
        refused = [(odd, answer) for odd, answer, (saw, _) in found if saw["error"] is not None]
        sent = sorted({odd.at for odd, _ in refused})
        came = visits(bench, served, library, cell, [whole[: at + 1] for at in sent])
        until = {at: told for at, (_, told) in zip(sent, came, strict=True)}
        told_of = visits(bench, served, library, cell, [answer for _, answer in refused])
        for (odd, _), (saw, told) in zip(refused, told_of, strict=True):
            what, right = f"{each.scenario}, {odd}, {saw['error']}", until[odd.at]
            assert told is not None, what
            assert right is not None, what
            kept = {*USAGE, "texts", "reasoning"} - hanging(library, whole[odd.at], odd)
            assert {f: told[f] for f in kept if told[f] != right[f]} == {}, what
            if library.name not in VALIDATES_ABOVE:
                assert told["error"] == saw["error"], what


def _is_counted_where_refused(
    bench: Bench, served: Served, library: Library, cell: Cell, sync: Iterable[tuple[Asked, Any]]
) -> None:
    """The first answer that the client could not use, given to its asynchronous twin."""
    later = cell._replace(colour="async")
    if not any(_way(each) == _way(later) for each in cells(library)):
        return
    for asked, ((_, usual), *seen) in sync:
        pairs = zip(asked.odds, asked.answers[1:], seen, strict=True)
        refused = [(odd, answer) for odd, answer, (saw, _) in pairs if saw["error"] is not None]
        loose = [hanging(library, asked.answers[0][odd.at], odd) for odd, _ in refused]
        for (odd, answer), hung in zip(refused, loose, strict=True):
            if hung.isdisjoint(USAGE):
                ((saw, told),) = visits(bench, served, library, later, [answer])
                assert saw["error"] is not None
                assert told is not None
                assert {f: told[f] for f in USAGE} == {f: usual[f] for f in USAGE}, odd
                return


class Asked(NamedTuple):
    """A fixture as it is, first, and with each of its changes."""

    scenario: str
    odds: list[Odd]
    answers: list[list[Frame]]


def asked_of(visit: Visit, library: Library) -> Iterator[Asked]:
    seen: set[str] = set()
    for scenario in FIXTURES:
        messages = messages_of(visit, scenario)
        fresh = [odd for odd in odds(messages) if _key(messages, odd) not in seen]
        fresh = fresh if WHOLE else fresh[:: _SHARES[library.share]]
        seen |= {_key(messages, odd) for odd in fresh}
        if fresh:
            yield Asked(scenario, fresh, [messages, *(_with(messages, odd) for odd in fresh)])


def _way(cell: Cell) -> tuple[str, ...]:
    return cell.endpoint, cell.mode, cell.colour, cell.ending


def _key(messages: list[Frame], odd: Odd) -> str:
    """What has been changed in another message or fixture of the same form is not changed again."""
    frame = messages[odd.at]
    kind = frame.event or frame.data.get("type", odd.at if odd.at < _ITEMS else "later")
    return f"{odd.way} {kind} {'/'.join(map(str, odd.path))}"


def _with(messages: list[Frame], odd: Odd) -> list[Frame]:
    return [changed(m, odd) if at == odd.at else m for at, m in enumerate(messages)]


def visits(
    bench: Bench, served: Served, library: Library, cell: Cell, answers: list[list[Frame]]
) -> list[tuple[dict[str, Any], Facts | None]]:
    bench.visit(library, cell)  # makes the clients, of which some make calls of their own first
    bench.forget()
    told: list[tuple[dict[str, Any], Facts | None]] = []
    for served.messages in answers:
        visit = bench.visit(library, cell)
        bench.go(visit)
        spans = bench.spans()
        assert len(spans) < _ITEMS
        told.append((visit.seen(), found(spans[0]) if spans else None))
    return told
