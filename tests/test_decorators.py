"""The decorators, on every sort of function: what is recorded, and that the host sees no change."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
from functools import cached_property, lru_cache, partial, singledispatchmethod
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

import genai_otel
from genai_otel import agent, guardrail, operation, retriever, step, tool, workflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from genai_otel.testing import Capture

DECORATORS: dict[str, Callable[..., Any]] = {
    "invoke_workflow": workflow,
    "invoke_agent": agent,
    "task": step,
    "execute_tool": tool,
    "retrieval": retriever,
    "apply_guardrail": guardrail,
}
SUBJECTS = {
    "invoke_workflow": "gen_ai.workflow.name",
    "invoke_agent": "gen_ai.agent.name",
    "execute_tool": "gen_ai.tool.name",
    "retrieval": "gen_ai.data_source.id",
    "apply_guardrail": "gen_ai.guardrail.component.name",
}
each_decorator = pytest.mark.parametrize("kind", DECORATORS)


def said(span: Any, kind: str, what: str) -> Any:
    """A span's input or output, wherever its kind keeps it."""
    names = {"input": "gen_ai.tool.call.arguments", "output": "gen_ai.tool.call.result"}
    name = names[what] if kind == "execute_tool" else f"genai_otel.{what}"
    text = span.attributes.get(name)
    return None if text is None else json.loads(text)


# -------------------------------------------------------------------------- sorts of functions


@each_decorator
def test_plain_function(genai_otel_capture: Capture, kind: str) -> None:
    @DECORATORS[kind]
    def lookup(word: str, *, limit: int = 3) -> dict[str, Any]:
        """Looks a word up.

        More about it.
        """
        return {"word": word, "limit": limit}

    assert lookup("tree", limit=2) == {"word": "tree", "limit": 2}
    span = genai_otel_capture.span(f"{kind} lookup")
    assert span.attributes["gen_ai.operation.name"] == kind
    assert span.kind is SpanKind.INTERNAL
    assert span.status.status_code is StatusCode.UNSET
    if kind in SUBJECTS:
        assert span.attributes[SUBJECTS[kind]] == "lookup"
    if kind == "execute_tool":
        assert span.attributes["gen_ai.tool.description"] == "Looks a word up."
    if kind == "retrieval":
        assert span.attributes["gen_ai.retrieval.query.text"] == "tree"
    else:
        assert said(span, kind, "input") == {"word": "tree", "limit": 2}
    if kind not in ("retrieval", "apply_guardrail"):
        assert said(span, kind, "output") == {"word": "tree", "limit": 2}


@each_decorator
async def test_coroutine_function(genai_otel_capture: Capture, kind: str) -> None:
    @DECORATORS[kind](name="slow")
    async def lookup(word: str) -> str:
        await asyncio.sleep(0)
        return word.upper()

    assert await lookup("tree") == "TREE"
    span = genai_otel_capture.span(f"{kind} slow")
    if kind not in ("retrieval", "apply_guardrail"):
        assert said(span, kind, "output") in ("TREE", {"result": "TREE"})


@each_decorator
def test_generator_function(genai_otel_capture: Capture, kind: str) -> None:
    @DECORATORS[kind]
    def words(count: int) -> Iterator[str]:
        yield from ("a", "b", "c")[:count]

    assert list(words(2)) == ["a", "b"]
    genai_otel_capture.span(f"{kind} words")


@each_decorator
async def test_async_generator_function(genai_otel_capture: Capture, kind: str) -> None:
    @DECORATORS[kind]
    async def words(count: int) -> AsyncIterator[str]:
        for word in ("a", "b", "c")[:count]:
            yield word

    assert [word async for word in words(2)] == ["a", "b"]
    genai_otel_capture.span(f"{kind} words")


class Desk:
    @tool
    def method(self, number: int) -> int:
        return number + 1

    @tool
    @classmethod
    def of_class(cls, number: int) -> int:
        return number + 2

    @classmethod
    @tool
    def of_class_inside(cls, number: int) -> int:
        return number + 3

    @tool(name="counter")
    @staticmethod
    def static(number: int) -> int:
        return number + 4

    @staticmethod
    @tool
    def static_inside(number: int) -> int:
        return number + 5

    @tool
    async def waits(self, number: int) -> int:
        return number + 6

    @property
    @tool
    def front(self) -> str:
        return "front"


async def test_methods(genai_otel_capture: Capture) -> None:
    desk = Desk()
    numbers = [desk.method(0), desk.of_class(0), Desk.of_class_inside(0), desk.static(0)]
    numbers += [Desk.static_inside(0), await desk.waits(0), Desk.method(desk, 6)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7]
    assert desk.front == "front"
    names = [span.attributes["gen_ai.tool.name"] for span in genai_otel_capture.spans]
    assert names == [
        "method", "of_class", "of_class_inside", "counter", "static_inside", "waits", "method",
        "front",
    ]  # fmt: skip
    inputs = {
        span.attributes.get("gen_ai.tool.call.arguments") for span in genai_otel_capture.spans
    }
    assert inputs == {'{"number":0}', '{"number":6}', None}, "neither self nor cls is an argument"


def test_callable_objects(genai_otel_capture: Capture) -> None:
    class Adder:
        def __call__(self, one: int, *more: int) -> int:
            return one + sum(more)

    assert step(partial(max, 3))(2) == 3
    assert step(name="adder")(Adder())(1, 2, 3) == 6
    assert step(len)("four") == 4
    names = [span.name for span in genai_otel_capture.spans]
    assert names == ["task partial", "task adder", "task len"]


def test_what_was_decorated_twice_is_recorded_twice(genai_otel_capture: Capture) -> None:
    assert workflow(step(lambda: 1))() == 1
    inner, outer = genai_otel_capture.spans
    assert (outer.name, inner.name) == ("invoke_workflow <lambda>", "task <lambda>")
    assert inner.parent.span_id == outer.context.span_id


# ------------------------------------------------------------------------------- introspection


def plain(number: int, *rest: str, flag: bool = False, **more: Any) -> str:
    """Does it."""
    return f"{number}{rest}{flag}{more}"


async def coroutine(number: int) -> str:
    """Does it later."""
    return str(number)


def generator(number: int) -> Iterator[int]:
    """Does it piece by piece."""
    yield number


async def async_generator(number: int) -> AsyncIterator[int]:
    """Does it piece by piece, later."""
    yield number


FUNCTIONS = (plain, coroutine, generator, async_generator)


@each_decorator
@pytest.mark.parametrize("function", FUNCTIONS)
def test_looks_like_what_it_decorates(kind: str, function: Any) -> None:
    decorated = DECORATORS[kind](function)
    for ask in (
        inspect.signature, inspect.getdoc, inspect.iscoroutinefunction, inspect.isfunction,
        inspect.isgeneratorfunction, inspect.isasyncgenfunction, asyncio.iscoroutinefunction,
        inspect.getsource, inspect.get_annotations,
    ):  # fmt: skip
        assert ask(decorated) == ask(function), ask
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(decorated, name) == getattr(function, name)
    assert decorated.__wrapped__ is function


picklable = step(partial(pow, 2))


@tool
def pickled(number: int) -> int:
    return number


def test_decorated_functions_pickle_by_reference() -> None:
    assert pickle.loads(pickle.dumps(pickled)) is pickled


def test_attributes_of_the_function_stay() -> None:
    def function() -> None: ...

    function.mark = "mine"  # type: ignore[attr-defined]
    assert step(function).mark == "mine"  # type: ignore[attr-defined]


def test_a_cache_stays_one(genai_otel_capture: Capture) -> None:
    cached: Any = step(lru_cache(lambda number: number))
    assert [cached(1), cached(1)] == [1, 1]
    assert cached.cache_info().hits == 1
    cached.cache_clear()
    assert len(genai_otel_capture.spans) == 2


def test_what_is_no_function_stays_as_it_is() -> None:
    with pytest.warns(UserWarning, match="decorators accept functions only") as told:
        _decorate_oddly()
    assert (str(told[0].message), told[0].filename) == (
        "genai_otel: decorators accept functions only: a property is not recorded",
        __file__,
    )
    assert len(told) == 4


def _decorate_oddly() -> None:
    class Host:
        @step  # type: ignore[type-var]
        @property
        def one(self) -> int:
            return 1

        @step  # type: ignore[type-var]
        @cached_property
        def two(self) -> int:
            return 2

        @step  # type: ignore[type-var]
        @singledispatchmethod
        def any(self, _given: object) -> str:
            return "any"

        @property
        @step
        def three(self) -> int:
            return 3

    @tool
    class Plain: ...

    host: Any = Host()
    assert (host.one, host.two, host.three, host.any(1)) == (1, 2, 3, "any")
    assert isinstance(Plain(), Plain)


def test_nothing_is_recorded_before_and_after() -> None:
    """Decorators are older than instrument() and outlive it."""
    genai_otel.shutdown()
    assert step(lambda: 1)() == 1
    with operation("step", "alone") as op:
        op.result = 1
    assert genai_otel.current() is None


# -------------------------------------------------------------------------------------- errors


def test_exceptions_are_the_functions_own(genai_otel_capture: Capture) -> None:
    cause = OSError("disk")
    error = ValueError("bad value")

    @workflow
    def fails() -> None:
        raise error from cause

    with pytest.raises(ValueError, match="bad value") as caught:
        fails()
    assert caught.value is error
    assert error.__cause__ is cause
    span = genai_otel_capture.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.message"] == "bad value"
    assert "in fails" in event.attributes["exception.stacktrace"]


def test_wrong_arguments_fail_as_they_would(genai_otel_capture: Capture) -> None:
    for function in FUNCTIONS:
        with pytest.raises(TypeError) as bare:
            _run(function, 1, 2, nonsense=3)
        with pytest.raises(TypeError) as decorated:
            _run(step(function), 1, 2, nonsense=3)
        assert str(decorated.value) == str(bare.value)
    assert genai_otel.status().open_streams == 0


def _run(function: Any, *args: Any, **kwargs: Any) -> Any:
    if function.__name__ == "plain":
        kwargs["number"] = 1
    made = function(*args, **kwargs)
    if inspect.isgenerator(made):
        return list(made)
    return asyncio.run(_await(made))


async def _await(made: Any) -> Any:
    return [item async for item in made] if inspect.isasyncgen(made) else await made


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_exception_passes_too(genai_otel_capture: Capture, error: BaseException) -> None:
    @step
    def leaves() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        leaves()
    assert caught.value is error
    assert len(genai_otel_capture.spans) == 1


async def test_cancellation_is_no_error(genai_otel_capture: Capture) -> None:
    started = asyncio.Event()

    @agent
    async def waits() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(waits())
    await started.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    span = genai_otel_capture.span()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["genai_otel.response.completed"] is False
    assert "error.type" not in span.attributes


def test_an_operation_that_fails(genai_otel_capture: Capture) -> None:
    def look() -> None:
        with operation("retrieval", "archive") as op:
            op.query = "tower"
            raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        look()
    span = genai_otel_capture.span("retrieval archive")
    assert span.attributes["gen_ai.retrieval.query.text"] == "tower"
    assert span.attributes["error.type"] == "LookupError"


# ------------------------------------------------------------------------------------- by hand


def test_operation_tells_what_it_is_given(genai_otel_capture: Capture) -> None:
    with operation("chat") as op:
        op.provider, op.model = "mine", "small-1"
        op.input, op.output = "Hello", "Good day"
        op.usage.input, op.usage.output = 3, 4
        op.params = {"temperature": 0.5}
        op.finish_reasons = ["stop"]
        assert genai_otel.current() is op
    assert genai_otel.current() is None
    told = genai_otel_capture.span("chat small-1").attributes
    assert told["gen_ai.provider.name"] == "mine"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 4)
    assert told["gen_ai.request.temperature"] == 0.5
    (message,) = json.loads(told["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": "Good day"}]


def test_current_is_told_until_the_end(genai_otel_capture: Capture) -> None:
    """What the function writes wins over what is read from its arguments and result."""

    @retriever(name="archive")
    def search(query: str) -> list[str]:
        op = genai_otel.current()
        assert op is not None
        op.query = f"{query}, rewritten"
        op.documents = [{"id": "leaflet-7", "score": 0.5}]
        return ["something else"]

    @step
    def named() -> int:
        op = genai_otel.current()
        assert op is not None
        op.name, op.result = "better", {"told": True}
        return 1

    assert search("tower") == ["something else"]
    assert named() == 1
    found = genai_otel_capture.span("retrieval archive").attributes
    assert found["gen_ai.retrieval.query.text"] == "tower, rewritten"
    assert json.loads(found["gen_ai.retrieval.documents"])[0]["id"] == "leaflet-7"
    assert json.loads(genai_otel_capture.span("task better").attributes["genai_otel.output"]) == {
        "told": True
    }


def test_arguments_are_told_as_they_were_given(genai_otel_capture: Capture) -> None:
    @step
    def spoils(words: list[str]) -> list[str]:
        words.append("late")
        return words

    words = ["early"]
    assert spoils(words) is words
    words.append("later")
    told = genai_otel_capture.span().attributes
    assert json.loads(told["genai_otel.input"]) == {"words": ["early"]}
    assert json.loads(told["genai_otel.output"]) == ["early", "late"]


def test_unknown_kind_is_a_step(
    genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.counts", {})
    with operation("chatt", "typo") as op:
        op.result = 1
    genai_otel_capture.span("task typo")


def test_messages_by_hand_may_be_written_as_providers_take_them(
    genai_otel_capture: Capture,
) -> None:
    with operation("chat") as op:
        op.provider, op.system = "my-own-server", "Be brief."
        op.input = [{"role": "user", "content": "Hello"}, "Anyone there?"]  # type: ignore[typeddict-item,list-item]
        op.tools = [{"type": "function", "function": {"name": "clock", "description": "Time."}}]
        op.output, op.finish_reasons = "Hi.", ["stop"]  # type: ignore[assignment]
    told = genai_otel_capture.span().attributes
    assert json.loads(told["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
        {"role": "user", "parts": [{"type": "text", "content": "Anyone there?"}]},
    ]
    assert json.loads(told["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "clock", "description": "Time."}
    ]
    (answer,) = json.loads(told["gen_ai.output.messages"])
    assert answer["parts"] == [{"type": "text", "content": "Hi."}]
