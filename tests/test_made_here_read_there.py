"""What is made in one place and read in another belongs to where it was made.

Generators, coroutines, tasks and streaming responses of decorated functions.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context

import genai_otel
from genai_otel import operation, scope, step, suppress, tool, workflow
from genai_otel.instrumentation.open_registry import OPEN
from tests.collected import collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from genai_otel.testing import Capture


@pytest.fixture(autouse=True)
def nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No stream stays open, no context is left in the wrong place."""
    yield
    collect()
    OPEN.drain_deferred()
    assert not len(OPEN)
    assert genai_otel.current() is None
    assert not otel_context.get_current()
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@step
def leaf() -> None: ...


@workflow
def pieces() -> Iterator[str]:
    leaf()
    yield "a"
    leaf()
    yield "b"


@workflow
async def pieces_later() -> AsyncIterator[str]:
    leaf()
    await asyncio.sleep(0)
    yield "a"
    leaf()
    yield "b"


@workflow
async def answer() -> str:
    leaf()
    await asyncio.sleep(0)
    leaf()
    return "ab"


async def drain(made: Any) -> str:
    if hasattr(made, "__anext__"):
        return "".join([piece async for piece in made])
    return "".join(made) if hasattr(made, "__next__") else str(await made)


def attributes(capture: Capture, name: str) -> dict[str, Any]:
    return dict(capture.span(name).attributes or {})


def parents(capture: Capture) -> dict[str, str | None]:
    names = {span.context.span_id: span.name for span in capture.spans}
    return {s.name: names.get(s.parent.span_id) if s.parent else None for s in capture.spans}


MAKERS = {"pieces": pieces, "pieces_later": pieces_later, "answer": answer}
each_maker = pytest.mark.parametrize("name", MAKERS)


# ------------------------------------------------------------------------- where it was made


@each_maker
def test_scope_and_parent_are_those_of_the_call(genai_otel_capture: Capture, name: str) -> None:
    with scope(session_id="made"), operation("workflow", "outer"):
        made = MAKERS[name]()
    with scope(session_id="read"), operation("workflow", "reader"):
        assert asyncio.run(drain(made)) == "ab"
    assert parents(genai_otel_capture) == {
        "invoke_workflow outer": None,
        f"invoke_workflow {name}": "invoke_workflow outer",
        "task leaf": f"invoke_workflow {name}",
        "invoke_workflow reader": None,
    }
    for span in genai_otel_capture.spans:
        session = "read" if span.name.endswith("reader") else "made"
        assert (span.attributes or {})["session.id"] == session


@each_maker
def test_made_in_a_scope_alone(genai_otel_capture: Capture, name: str) -> None:
    with scope(session_id="made"):
        made = MAKERS[name]()
    with operation("workflow", "reader"):
        assert asyncio.run(drain(made)) == "ab"
    assert attributes(genai_otel_capture, f"invoke_workflow {name}")["session.id"] == "made"
    assert parents(genai_otel_capture)[f"invoke_workflow {name}"] is None


@each_maker
def test_made_where_nothing_is_recorded(genai_otel_capture: Capture, name: str) -> None:
    with suppress():
        made = MAKERS[name]()
    assert asyncio.run(drain(made)) == "ab"
    assert not [s for s in genai_otel_capture.spans if s.name.startswith("invoke")]


@each_maker
def test_read_in_another_thread(genai_otel_capture: Capture, name: str) -> None:
    read: list[str] = []
    with scope(session_id="made"), operation("workflow", "outer"):
        made = MAKERS[name]()
    thread = threading.Thread(target=lambda: read.append(asyncio.run(drain(made))))
    thread.start()
    thread.join()
    assert read == ["ab"]
    assert parents(genai_otel_capture)[f"invoke_workflow {name}"] == "invoke_workflow outer"
    assert attributes(genai_otel_capture, f"invoke_workflow {name}")["session.id"] == "made"


@each_maker
def test_never_begun_is_never_recorded(genai_otel_capture: Capture, name: str) -> None:
    made = MAKERS[name]()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del made
        collect()
    never = [str(each.message) for each in told]
    assert never == (["coroutine 'answer' was never awaited"] if name == "answer" else [])
    assert not genai_otel_capture.spans


def test_a_coroutine_that_is_closed_is_not_complained_of(genai_otel_capture: Capture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer().close()
        collect()
    assert not genai_otel_capture.spans


@pytest.mark.parametrize("function", [pieces, pieces_later, answer])
def test_wrong_arguments_are_refused_at_the_call(function: Callable[..., Any]) -> None:
    for decorated in (function, step(function), step(partial(function))):
        with pytest.raises(TypeError, match="takes 0 positional arguments"):
            decorated(1)


def test_decorated_twice_one_is_in_the_other(genai_otel_capture: Capture) -> None:
    for name, maker in MAKERS.items():
        with operation("workflow", "outer"):
            made = step(name="twice")(partial(maker))()
        assert asyncio.run(drain(made)) == "ab"
        assert parents(genai_otel_capture) == {
            "invoke_workflow outer": None,
            "task twice": "invoke_workflow outer",
            f"invoke_workflow {name}": "task twice",
            "task leaf": f"invoke_workflow {name}",
        }
        genai_otel_capture.clear()


# ---------------------------------------------------------------------------- each step's context


def test_what_a_body_sets_is_there_in_its_next_step(genai_otel_capture: Capture) -> None:
    @step
    def sync() -> Iterator[None]:
        with scope(user_id="u1"), operation("step", "inner"):
            leaf()
            yield
            leaf()

    @step
    async def coroutine() -> None:
        with scope(user_id="u1"), operation("step", "inner"):
            leaf()
            await asyncio.sleep(0)
            leaf()

    @step
    async def later() -> AsyncIterator[None]:
        with scope(user_id="u1"), operation("step", "inner"):
            leaf()
            await asyncio.sleep(0)
            yield
            leaf()

    for made in (sync(), coroutine(), later()):
        if hasattr(made, "__next__"):
            for _ in made:
                assert genai_otel.current() is None
        elif hasattr(made, "__anext__"):
            asyncio.run(_read(made))
        else:
            asyncio.run(made)
        leaves = [s for s in genai_otel_capture.spans if s.name == "task leaf"]
        inner = genai_otel_capture.span("task inner")
        assert [s.parent and s.parent.span_id for s in leaves] == [inner.context.span_id] * 2
        assert [(s.attributes or {})["user.id"] for s in leaves] == ["u1"] * 2
        genai_otel_capture.clear()


async def _read(made: Any) -> None:
    async for _ in made:
        assert genai_otel.current() is None


def test_a_coroutine_stepped_by_hand_leaves_no_context(genai_otel_capture: Capture) -> None:
    """Each step in a context of its own, and one in none: as schedulers of all sorts do it."""
    running = answer()
    assert running.send(None) is None
    assert genai_otel.current() is None
    with pytest.raises(StopIteration, match="ab"):
        contextvars.copy_context().run(running.send, None)
    assert parents(genai_otel_capture)["task leaf"] == "invoke_workflow answer"


async def test_a_task_that_is_cancelled_between(genai_otel_capture: Capture) -> None:
    @step
    async def waits() -> None:
        await asyncio.sleep(60)

    with scope(session_id="made"):
        task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    told = attributes(genai_otel_capture, "task waits")
    assert told["session.id"] == "made"
    assert told["genai_otel.response.completed"] is False


# --------------------------------------------------------------------------- told by the result


async def _word(word: str = "tree") -> str:
    leaf()
    await asyncio.sleep(0)
    leaf()
    return word.upper()


class _Caller:
    async def __call__(self, word: str = "tree") -> str:
        return await _word(word)


def _task() -> Any:
    return asyncio.ensure_future(_word())


def _gathered() -> Any:
    return asyncio.gather(_word(), _word())


AWAITABLE: dict[str, tuple[Callable[[], Any], Any]] = {
    "coroutine": (lambda: _word(), "TREE"),  # noqa: PLW0108 - no coroutine function
    "task": (_task, "TREE"),
    "future": (_gathered, ["TREE", "TREE"]),
    "object": (_Caller(), "TREE"),
    "partial": (partial(_word, "tree"), "TREE"),
    "method": (_Caller().__call__, "TREE"),
}


@pytest.mark.parametrize("sort", AWAITABLE)
async def test_a_span_covers_what_is_awaited(genai_otel_capture: Capture, sort: str) -> None:
    function, expected = AWAITABLE[sort]
    with operation("workflow", "outer"):
        made = step(name="asks")(function)()
    assert not [s for s in genai_otel_capture.spans if s.name == "task asks"]
    assert await made == expected
    await asyncio.sleep(0)
    span = genai_otel_capture.span("task asks")
    leaves = [s for s in genai_otel_capture.spans if s.name == "task leaf"]
    assert {s.parent and s.parent.span_id for s in leaves} == {span.context.span_id}
    assert all(s.end_time <= span.end_time for s in leaves if s.end_time and span.end_time)
    assert json.loads((span.attributes or {})["genai_otel.output"]) == expected
    assert parents(genai_otel_capture)["task asks"] == "invoke_workflow outer"


async def test_a_hosts_own_task_is_handed_out(genai_otel_capture: Capture) -> None:
    """Nor is anybody kept from being told that its error was never looked at."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    async def fails() -> None:
        raise LookupError("not here")

    made = asyncio.ensure_future(fails())
    asks: Any = step(name="asks")(partial(dict.get, {"made": made}))
    assert asks("made") is made
    await asyncio.wait([made])
    await asyncio.sleep(0)
    assert attributes(genai_otel_capture, "task asks")["error.type"] == "LookupError"
    del made, asks
    collect()
    assert ["never retrieved" in told["message"] for told in complaints] == [True]


async def test_a_coroutine_that_a_plain_function_made(genai_otel_capture: Capture) -> None:
    """Named as the function's own; dropped, it is complained of once, and the span ends."""
    made = step(lambda: _word())()  # noqa: PLW0108
    assert (made.__name__, made.__qualname__) == ("_word", "_word")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del made
        collect()
    assert [str(each.message) for each in told] == ["coroutine '_word' was never awaited"]
    span = genai_otel_capture.span()
    assert (span.attributes or {})["genai_otel.response.completed"] is False


@pytest.mark.parametrize("function", [pieces, pieces_later])
def test_a_generator_that_a_plain_function_made(genai_otel_capture: Capture, function: Any) -> None:
    def maker() -> Any:
        return function.__wrapped__()

    bare = maker()
    made = tool(name="makes")(maker)()
    assert type(made) is type(bare)
    assert made.__name__ == bare.__name__
    assert asyncio.run(drain(made)) == "ab"
    told = attributes(genai_otel_capture, "execute_tool makes")
    assert json.loads(told["gen_ai.tool.call.result"]) == {"result": "ab"}
    assert parents(genai_otel_capture)["task leaf"] == "execute_tool makes"
    genai_otel_capture.clear()
    tool(name="makes")(maker)()
    collect()
    told = attributes(genai_otel_capture, "execute_tool makes")
    assert told["genai_otel.response.completed"] is False
