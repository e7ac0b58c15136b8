"""Decorated generators keep the whole protocol, and leave no context behind wherever they end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import genai_otel
from genai_otel import step, tool
from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from genai_otel.testing import Capture

Log = list[Any]


def talk(log: Log) -> Generator[Any, Any, str]:
    """Takes what is sent and thrown, and says so; returns at ``"stop"``, tidies up at the end."""
    got: Any = None
    try:
        while got != "stop":
            try:
                got = yield ("got", got)
            except LookupError as error:
                got = f"caught {error}"
        return "done"
    finally:
        log.append("tidied up")


def stubborn(log: Log) -> Generator[Any, Any, None]:
    """Does not let itself be closed the first time."""
    while "ignored" not in log:
        try:
            yield "still here"
        except GeneratorExit:
            log.append("ignored")
    yield "gone too far"


def swallows(log: Log) -> Generator[Any, Any, str]:
    """Ends well when it is closed."""
    try:
        yield "first"
    except GeneratorExit:
        log.append("asked to go")
    return "gone"


def fails_at_the_end(log: Log) -> Generator[Any, Any, None]:
    try:
        yield "first"
    finally:
        raise RuntimeError("no way out")


def _outcome(act: Callable[[], Any]) -> Any:
    try:
        return "value", act()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__, str(error), getattr(error, "value", None)


ACTS: dict[str, list[Callable[[Any], Any]]] = {
    "sends": [next, lambda g: g.send(1), lambda g: g.send("stop"), next],
    "sends too early": [lambda g: g.send(1), next],
    "throws what is caught": [next, lambda g: g.throw(LookupError("x")), lambda g: g.send("stop")],
    "throws a class": [next, lambda g: g.throw(LookupError), next],
    "throws what is not caught": [next, lambda g: g.throw(ValueError("x")), next],
    "throws StopIteration": [next, lambda g: g.throw(StopIteration("x"))],
    "throws GeneratorExit": [next, lambda g: g.throw(GeneratorExit), next],
    "throws into a new one": [lambda g: g.throw(ValueError("x")), next],
    "closes": [next, lambda g: g.close(), next, lambda g: g.close()],
    "closes a new one": [lambda g: g.close(), next],
}


@pytest.mark.parametrize("acts", ACTS)
@pytest.mark.parametrize("function", [talk, stubborn, swallows, fails_at_the_end])
def test_behaves_as_it_does_bare(
    genai_otel_capture: Capture, function: Callable[[Log], Any], acts: str
) -> None:
    bare_log: Log = []
    log: Log = []
    bare, decorated = function(bare_log), step(function)(log)
    for act in ACTS[acts]:
        assert _outcome(lambda act=act: act(decorated)) == _outcome(lambda act=act: act(bare))
    assert log == bare_log
    with contextlib.suppress(RuntimeError):
        decorated.close()
    with contextlib.suppress(RuntimeError):
        bare.close()
    assert len(genai_otel_capture.spans) <= 1


async def atalk(log: Log) -> Any:
    got: Any = None
    try:
        while got != "stop":
            try:
                got = yield ("got", got)
                await asyncio.sleep(0)
            except LookupError as error:
                got = f"caught {error}"
    finally:
        await asyncio.sleep(0)
        log.append("tidied up")


async def aswallows(log: Log) -> Any:
    try:
        yield "first"
    except GeneratorExit:
        log.append("asked to go")


async def _aoutcome(awaitable: Any) -> Any:
    try:
        return "value", await awaitable
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__, str(error)


AACTS: dict[str, list[Callable[[Any], Any]]] = {
    "sends": [anext, lambda g: g.asend(1), lambda g: g.asend("stop"), anext],
    "sends too early": [lambda g: g.asend(1), anext],
    "throws what is caught": [anext, lambda g: g.athrow(LookupError("x")), anext],
    "throws what is not caught": [anext, lambda g: g.athrow(ValueError("x")), anext],
    "throws GeneratorExit": [anext, lambda g: g.athrow(GeneratorExit)],
    "closes": [anext, lambda g: g.aclose(), anext, lambda g: g.aclose()],
    "closes a new one": [lambda g: g.aclose(), anext],
}


@pytest.mark.parametrize("acts", AACTS)
@pytest.mark.parametrize("function", [atalk, aswallows])
async def test_behaves_as_it_does_bare_async(
    genai_otel_capture: Capture, function: Callable[[Log], Any], acts: str
) -> None:
    bare_log: Log = []
    log: Log = []
    bare, decorated = function(bare_log), step(function)(log)
    for act in AACTS[acts]:
        assert await _aoutcome(act(decorated)) == await _aoutcome(act(bare))
    assert log == bare_log
    await decorated.aclose()
    await bare.aclose()
    assert len(genai_otel_capture.spans) <= 1


# ---------------------------------------------------------------------------- what is recorded


@tool
def counts(number: int) -> Generator[Any, None, str]:
    for at in range(number):
        yield {"at": at}
    return "all"


def test_items_are_the_output(genai_otel_capture: Capture) -> None:
    assert list(counts(2)) == [{"at": 0}, {"at": 1}]
    told = genai_otel_capture.span().attributes
    assert json.loads(told["gen_ai.tool.call.result"]) == {"result": [{"at": 0}, {"at": 1}]}


def test_texts_are_joined(genai_otel_capture: Capture) -> None:
    assert "".join(step(lambda: (yield from ("Good ", "day")))()) == "Good day"
    assert genai_otel_capture.span().attributes["genai_otel.output"] == '"Good day"'


def test_left_early(genai_otel_capture: Capture) -> None:
    left = counts(9)
    next(left)
    left.close()
    span = genai_otel_capture.span()
    assert span.attributes["genai_otel.response.completed"] is False
    assert json.loads(span.attributes["gen_ai.tool.call.result"]) == {"result": [{"at": 0}]}
    assert span.status.status_code is StatusCode.UNSET


def test_never_asked_is_never_recorded(genai_otel_capture: Capture) -> None:
    counts(3)
    assert not genai_otel_capture.spans


def test_failed(genai_otel_capture: Capture) -> None:
    @step
    def fails() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    with pytest.raises(ValueError, match="two"):
        list(fails())
    span = genai_otel_capture.span()
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["genai_otel.output"] == "[1]"


def test_endless_is_bounded(genai_otel_capture: Capture) -> None:
    for number in step(lambda: iter(range(50_000)))():
        assert number == 0
        break
    for _ in counts(20_000):
        pass
    told = genai_otel_capture.span("execute_tool counts").attributes
    assert len(told["gen_ai.tool.call.result"]) < 64 * 1024


# ---------------------------------------------------------------------------------- the context


def here() -> Any:
    """What is current for this code: our operation, and OpenTelemetry's span."""
    op = genai_otel.current()
    return (op.name if op else None), trace.get_current_span().get_span_context().span_id


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody complains: not OpenTelemetry about contexts, not asyncio about generators."""
    caplog.set_level(logging.DEBUG)
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    yield
    sys.unraisablehook = hook
    assert not unraisable
    loud = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert not loud


@pytest.mark.usefixtures("quiet")
def test_current_inside_and_nowhere_else(genai_otel_capture: Capture) -> None:
    seen: Log = []

    @step
    def inner() -> Iterator[int]:
        try:
            seen.append(here()[0])
            yield 1
            seen.append(here()[0])
            yield 2
        finally:
            seen.append(here()[0])

    for make in (inner(), inner()):
        assert here() == (None, 0)
        assert next(make) == 1
        assert here() == (None, 0)
    assert next(make) == 2
    make.close()
    assert here() == (None, 0)
    assert set(seen) == {"inner"}


@pytest.mark.usefixtures("quiet")
def test_interleaved_generators_have_their_own_children(genai_otel_capture: Capture) -> None:
    @step
    def child() -> None: ...

    @step
    def walk(name: str) -> Iterator[str]:
        op = genai_otel.current()
        assert op is not None
        op.name = name
        for _ in range(3):
            child()
            yield name

    assert list(zip(walk("one"), walk("two"), strict=True)) == [("one", "two")] * 3
    spans = genai_otel_capture.spans
    parents = {s.context.span_id: s.name for s in spans if s.name != "task child"}
    children = [parents[s.parent.span_id] for s in spans if s.name == "task child"]
    assert children == ["task one", "task two"] * 3


@pytest.mark.usefixtures("quiet")
def test_finished_by_another_thread(genai_otel_capture: Capture) -> None:
    walker = counts(5)
    next(walker)
    thread = threading.Thread(target=walker.close)
    thread.start()
    thread.join()
    assert genai_otel_capture.span().attributes["genai_otel.response.completed"] is False
    assert here() == (None, 0)


@pytest.mark.usefixtures("quiet")
def test_finished_by_the_collector(genai_otel_capture: Capture) -> None:
    walker: Any = counts(5)
    next(walker)
    cycle = [walker]
    cycle.append(cycle)
    del walker, cycle
    collect()
    assert genai_otel_capture.span().attributes["genai_otel.response.completed"] is False


@step
async def letters() -> AsyncIterator[str]:
    for letter in "abc":
        await asyncio.sleep(0)
        yield letter


@pytest.mark.usefixtures("quiet")
async def test_finished_by_another_task(genai_otel_capture: Capture) -> None:
    walker: Any = letters()
    token = otel_context.attach(otel_context.set_value("mine", 1))
    await anext(walker)
    await asyncio.create_task(walker.aclose())
    assert otel_context.get_value("mine") == 1
    otel_context.detach(token)
    assert genai_otel_capture.span().attributes["genai_otel.response.completed"] is False
    assert here() == (None, 0)


@pytest.mark.usefixtures("quiet")
async def test_each_step_in_a_task_of_its_own(genai_otel_capture: Capture) -> None:
    walker: Any = letters()
    steps = [await asyncio.create_task(anext(walker, None)) for _ in range(4)]
    assert steps == ["a", "b", "c", None]
    assert "genai_otel.response.completed" not in genai_otel_capture.span().attributes


@pytest.mark.usefixtures("quiet")
def test_dropped_with_its_loop(genai_otel_capture: Capture) -> None:
    async def leave() -> None:
        async for _ in letters():
            break

    asyncio.run(leave())
    assert len(genai_otel_capture.spans) == 1


@pytest.mark.usefixtures("quiet")
def test_as_a_context_manager(genai_otel_capture: Capture) -> None:
    """contextlib's decorator needs the protocol to the letter."""

    @contextlib.contextmanager
    @step
    def opened() -> Iterator[str]:
        with contextlib.suppress(LookupError):
            yield "inside"

    with opened() as word:
        assert word == "inside"
    with opened():
        raise LookupError
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, opened():
        raise error
    assert caught.value is error
    assert len(genai_otel_capture.spans) == 3


# ------------------------------------------------------------------------------- nothing is kept


class Thing:
    """Something of the host's, large perhaps, in a function that an exception comes through."""


def _watched_thing() -> tuple[Thing, weakref.ref[Thing]]:
    thing = Thing()
    return thing, weakref.ref(thing)


def _thrown() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    made = letters_of(thing)
    next(made)
    with contextlib.suppress(ValueError):
        made.throw(ValueError("x"))
    return kept


def _closed() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    made = letters_of(thing)
    next(made)
    made.close()
    return kept


def _dropped() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    next(letters_of(thing))
    return kept


def _failed() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    with contextlib.suppress(LookupError):
        fails(thing)
    return kept


async def _cancelled() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    task = asyncio.create_task(waits(thing))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return kept


async def _thrown_async() -> weakref.ref[Thing]:
    thing, kept = _watched_thing()
    made = aletters_of(thing)
    await anext(made)
    with contextlib.suppress(ValueError):
        await made.athrow(ValueError("x"))
    return kept


@step
def letters_of(_thing: Thing) -> Generator[str, None, None]:
    yield "a"
    yield "b"


@step
async def aletters_of(_thing: Thing) -> Any:
    yield "a"
    yield "b"


@step
async def waits(_thing: Thing) -> None:
    await asyncio.sleep(60)


@step
def fails(_thing: Thing) -> None:
    raise LookupError


@pytest.mark.parametrize("act", [_thrown, _closed, _dropped, _failed, _cancelled, _thrown_async])
@pytest.mark.usefixtures("genai_otel_capture")
def test_an_exception_keeps_nothing_until_the_next_collection(act: Callable[[], Any]) -> None:
    """A frame of ours that holds what goes through it would be a cycle, with all that is in it."""
    collect()
    gc.disable()
    try:
        if asyncio.iscoroutinefunction(act):
            with asyncio.Runner() as runner:
                kept = runner.run(act())
        else:
            kept = act()
        assert kept() is None
    finally:
        gc.enable()


async def slow_to_end(ended: list[str]) -> Any:
    try:
        yield "first"
        yield "second"
    finally:
        await asyncio.sleep(0.01)
        ended.append("tidied up")


@pytest.mark.usefixtures("genai_otel_capture")
def test_left_open_when_the_loop_is_closed() -> None:
    """The loop closes all generators that it knows at once, which complain of one another."""
    said: list[Any] = []
    ended: list[str] = []

    async def leave() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, told: said.append(told))
        made = step(slow_to_end)(ended)
        await anext(made)
        return made  # the loop finds it open

    for _ in range(5):  # in what order is chance
        asyncio.run(leave())
    assert said == []
    assert ended == ["tidied up"] * 5
