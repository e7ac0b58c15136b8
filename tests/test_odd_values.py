"""Any Python value as argument, result, item, id or hand-filled fact: no code of its own is run."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import json
import logging
import math
import types
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from pydantic import BaseModel

import genai_otel
from genai_otel import Verdict, agent, guardrail, operation, retriever, scope, step, tool, workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.testing import Capture


class Touched(Exception):
    """Some code of the host's was run."""


def _touched(*_: Any, **__: Any) -> Any:
    raise Touched


_SPECIAL = (
    "__repr__", "__str__", "__format__", "__bool__", "__len__", "__iter__", "__next__", "__eq__",
    "__ne__", "__hash__", "__getattr__", "__int__", "__index__", "__float__", "__bytes__",
    "__call__", "__contains__", "__getitem__", "__enter__", "__await__", "__aiter__", "__dir__",
    "__reduce_ex__", "__copy__", "__deepcopy__", "__array__", "keys", "items", "model_dump",
    "to_dict", "dict",
)  # fmt: skip

Poison = type("Poison", (), dict.fromkeys(_SPECIAL, _touched))
PoisonDict = type("PoisonDict", (dict,), dict.fromkeys(_SPECIAL, _touched))
PoisonList = type("PoisonList", (list,), dict.fromkeys(_SPECIAL, _touched))
PoisonText = type("PoisonText", (str,), dict.fromkeys(_SPECIAL, _touched))
PoisonInt = type("PoisonInt", (int,), dict.fromkeys(_SPECIAL, _touched))
PoisonFloat = type("PoisonFloat", (float,), dict.fromkeys(_SPECIAL, _touched))
PoisonDecimal = type("PoisonDecimal", (decimal.Decimal,), dict.fromkeys(_SPECIAL, _touched))
PoisonZone = type(
    "PoisonZone", (dt.tzinfo,), dict.fromkeys(("utcoffset", "tzname", "dst"), _touched)
)


class Lazy:
    """Like Django's lazy objects: even asking for the class evaluates it."""

    @property
    def __class__(self) -> Any:
        raise Touched

    def __getattribute__(self, name: str) -> Any:
        raise Touched(name)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: Any
    y: Any

    @property
    def length(self) -> float:
        raise Touched


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any = 1


class Model(BaseModel):
    word: str
    inner: Any = None

    @property
    def computed(self) -> str:
        raise Touched


def _cycle() -> Any:
    cycle: dict[str, Any] = {"list": []}
    cycle["list"].append(cycle)
    return cycle


def _deep(levels: int) -> Any:
    deep: Any = "bottom"
    for _ in range(levels):
        deep = [deep]
    return deep


def _numbers() -> Iterator[int]:
    yield from range(3)


# A value, and what is told of it where that is simple to say.
VALUES: dict[str, tuple[Callable[[], Any], Any]] = {
    "poison": (Poison, None),
    "poison dict": (lambda: PoisonDict(a=1), None),
    "poison list": (lambda: PoisonList([1]), None),
    "poison text": (lambda: PoisonText("text"), "text"),
    "poison int": (lambda: PoisonInt(7), 7),
    "poison float": (lambda: PoisonFloat(0.5), 0.5),
    "lazy": (Lazy, None),
    "poison inside": (lambda: {"a": [Poison(), (Lazy(),)]}, None),
    "poison key": (lambda: {1: 2, (3,): 4, None: 5, Colour.RED: 6}, None),
    "model of poison": (lambda: Model(word="w", inner=Poison()), None),
    "dataclass": (lambda: Point(1, [Poison()]), None),
    "slots": (Slotted, None),
    "cycle": (_cycle, None),
    "deep": (lambda: _deep(10_000), None),
    "nan": (lambda: math.nan, "nan"),
    "infinity": (lambda: -math.inf, "-inf"),
    "huge integer": (lambda: 10**5_000, "[integer of 16610 bits]"),
    "surrogate": (lambda: "half \ud83d", "half ?"),
    "nul": (lambda: "a\0b", "a\0b"),
    "bytes": (lambda: b"\xff\x00", "[2 bytes]"),
    "long text": (lambda: "x" * 3_000_000, None),
    "many values": (lambda: list(range(1_000_000)), None),
    "wide": (lambda: {str(n): "x" * 100 for n in range(20_000)}, None),
    "mock": (MagicMock, None),
    "async mock": (AsyncMock, None),
    "enum": (lambda: Colour.RED, "red"),
    "enum of poison": (lambda: enum.Enum("Odd", {"A": [Poison()]}).A, None),
    "decimal": (lambda: decimal.Decimal("1.5"), "1.5"),
    "decimal of the host's": (lambda: PoisonDecimal("1.5"), None),
    "date": (lambda: dt.date(2026, 11, 23), "2026-11-23"),
    "zone of the host's": (
        lambda: dt.datetime(2026, 1, 1, tzinfo=PoisonZone()),
        "2026-01-01T00:00:00",
    ),
    "set": (lambda: {1}, [1]),
    "deque": (lambda: collections.deque([1]), [1]),
    "ordered dict": (lambda: collections.OrderedDict(a=1), {"a": 1}),
    "mapping view": (lambda: types.MappingProxyType({"a": 1}), "[builtins.mappingproxy]"),
    "class": (lambda: Poison, "[builtins.type]"),
    "function": (lambda: _touched, "[builtins.function]"),
    "module": (lambda: json, "[builtins.module]"),
    "exception": (lambda: ValueError(Poison()), "[builtins.ValueError]"),
    "lock": (asyncio.Lock, None),
}
each_value = pytest.mark.parametrize("name", VALUES)


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry warns of attributes that it cannot take."""
    yield
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def attributes_are_fine(capture: Capture) -> None:
    """Every attribute is one that any backend takes, and no larger than it may be."""
    for span in capture.spans:
        for key, value in span.attributes.items():
            assert type(value) in (str, bool, int, float, tuple), key
            assert len(str(value).encode()) < 400_000, key
            if key.startswith("genai_otel.input") and isinstance(value, str):
                json.loads(value)


@each_value
@pytest.mark.parametrize("decorator", [workflow, agent, step, tool, retriever, guardrail])
def test_as_argument_and_result(
    genai_otel_capture: Capture, decorator: Callable[..., Any], name: str
) -> None:
    make, told = VALUES[name]
    value = make()
    assert decorator(lambda given, *, named: given)(value, named=value) is value
    span = genai_otel_capture.span()
    attributes_are_fine(genai_otel_capture)
    if told is not None and decorator is step:
        assert json.loads(span.attributes["genai_otel.input"])["named"] == told
        assert json.loads(span.attributes["genai_otel.output"]) == told


@each_value
def test_as_item_of_a_generator(genai_otel_capture: Capture, name: str) -> None:
    value = VALUES[name][0]()

    @step
    def items() -> Iterator[Any]:
        yield value

    assert next(iter(items())) is value
    assert len(genai_otel_capture.spans) == 1
    attributes_are_fine(genai_otel_capture)


@each_value
def test_as_argument_of_an_exception(genai_otel_capture: Capture, name: str) -> None:
    error = ValueError(VALUES[name][0](), "text")

    def fails() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        step(fails)()
    assert caught.value is error
    assert genai_otel_capture.span().attributes["error.type"] == "ValueError"
    attributes_are_fine(genai_otel_capture)


FIELDS = (
    "name", "provider", "model", "host", "port", "params", "stream", "output_type", "system",
    "input", "tools", "query", "arguments", "response_id", "response_model", "finish_reasons",
    "output", "documents", "dimensions", "result", "details", "verdict", "failure", "completed",
    "usage", "timing", "kind",
)  # fmt: skip


@pytest.mark.unconventional("nothing is known but one odd value", "[missing]", "[name]")
@each_value
def test_as_every_fact_filled_by_hand(genai_otel_capture: Capture, name: str) -> None:
    for field in FIELDS:
        with operation("chat", "by hand") as op:
            setattr(op, field, VALUES[name][0]())
    with operation("chat", "by hand") as op:
        for count in ("input", "output", "cache_read", "cache_write", "reasoning"):
            setattr(op.usage, count, VALUES[name][0]())
        op.verdict = Verdict("flag", VALUES[name][0](), VALUES[name][0](), VALUES[name][0]())
    assert len(genai_otel_capture.spans) == len(FIELDS) + 1
    attributes_are_fine(genai_otel_capture)
    durations = genai_otel_capture.metrics()["gen_ai.client.operation.duration"]
    assert sum(point.count for point in durations) >= len(FIELDS) - 1


@each_value
def test_as_fact_of_a_scope(genai_otel_capture: Capture, name: str) -> None:
    value = VALUES[name][0]()
    with scope(session_id=value, user_id=value, tags=[value], metadata={"key": value}):
        step(lambda: 1)()
    assert len(genai_otel_capture.spans) == 1
    attributes_are_fine(genai_otel_capture)


@each_value
def test_as_name(genai_otel_capture: Capture, name: str) -> None:
    with operation("step", VALUES[name][0]()):
        pass
    assert len(genai_otel_capture.spans) == 1


def test_generators_are_not_consumed(genai_otel_capture: Capture) -> None:
    numbers, mapped, opened = _numbers(), map(str, [1, 2]), iter([5])
    step(lambda *given: given)(numbers, mapped, opened)
    with operation("chat") as op:
        op.provider = "openai"
        op.arguments, op.result, op.input = numbers, mapped, opened
        op.documents = op.output = op.tools = numbers  # type: ignore[assignment]
    assert (list(numbers), list(mapped), list(opened)) == ([0, 1, 2], ["1", "2"], [5])
    attributes_are_fine(genai_otel_capture)


def test_what_is_filled_by_hand_stays_the_hosts(genai_otel_capture: Capture) -> None:
    """The span's JSON needs finish reasons in messages; the host's own messages get none."""
    output = [{"role": "assistant", "parts": [{"type": "text", "content": "x"}]}]
    with operation("chat") as op:
        op.provider = "openai"
        op.output = output  # type: ignore[assignment]
        op.finish_reasons = ["stop"]
    assert output == [{"role": "assistant", "parts": [{"type": "text", "content": "x"}]}]
    assert "x" in genai_otel_capture.span().attributes["gen_ai.output.messages"]


def test_coroutines_are_awaited_by_the_host_alone(genai_otel_capture: Capture) -> None:
    async def later() -> int:
        return 1

    @step
    def promise() -> Any:
        return later()

    made = promise()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CREATED
    assert not genai_otel_capture.spans
    assert asyncio.run(made) == 1
    assert json.loads(genai_otel_capture.span().attributes["genai_otel.output"]) == 1


def test_numpy(genai_otel_capture: Capture) -> None:
    numpy = pytest.importorskip("numpy")
    vector = numpy.zeros(3_072)
    assert step(lambda v: v)(vector) is vector
    with operation("embeddings") as op:
        op.provider = "openai"
        op.usage.input = numpy.int64(5)
    attributes_are_fine(genai_otel_capture)


def test_nobody_was_told_of_a_fault() -> None:
    assert genai_otel.status().internal_errors == {}
