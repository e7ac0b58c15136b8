"""Snapshots: any nesting of any values, bounded, JSON, and never a word said to the host's code."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from genai_otel.record import snapshot
from genai_otel.recorder.semconv import to_json
from tests.test_odd_values import Poison, PoisonDict, PoisonInt, PoisonList, PoisonText

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = (type(None), bool, int, float, str, list, dict)


@dataclasses.dataclass
class Pair:
    one: Any
    other: Any


class Model(BaseModel):
    one: Any = None


def _into_itself(items: list[Any]) -> list[Any]:
    items.append(items)
    return items


# By name, since hypothesis looks at what it samples from.
ODD: dict[str, Callable[[], Any]] = {
    "poison": Poison,
    "integer": lambda: PoisonInt(3),
    "text": lambda: PoisonText("p"),
    "class": lambda: Poison,
    "function": lambda: len,
    "ellipsis": lambda: ...,
}
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20)
    | st.text(st.characters(), max_size=20)  # lone surrogates included
    | st.complex_numbers() | st.dates() | st.decimals() | st.uuids()
    | st.sampled_from(sorted(ODD)).map(lambda name: ODD[name]())
)  # fmt: skip
KEYS = st.text(max_size=5) | st.integers() | st.none() | st.tuples(st.integers())
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=5)
        | st.builds(Pair, inner, inner)
        | st.builds(Model, one=inner)
        | st.lists(inner, max_size=2).map(PoisonList)
        | inner.map(lambda value: PoisonDict(a=value))
        | st.lists(inner, min_size=1, max_size=3).map(_into_itself)
    ),
    max_leaves=40,
)


def _count(value: Any) -> tuple[int, int, int]:
    """Values, characters and levels of a snapshot; fails on anything that is not plain."""
    assert type(value) in PLAIN
    if type(value) is float:
        assert math.isfinite(value)
    if type(value) is int:
        assert -(2**63) <= value < 2**63
    if type(value) is str:
        return 1, len(value), 0
    children = [*value.values()] if type(value) is dict else value if type(value) is list else []
    counts = [_count(child) for child in children]
    names = sum(len(key) for key in value) if type(value) is dict else 0
    nodes, chars, levels = (
        (list(each) for each in zip(*counts, strict=True)) if counts else ([],) * 3
    )
    return 1 + sum(nodes), names + sum(chars), 1 + max(levels, default=0)


@given(VALUES)
def test_any_value(value: Any) -> None:
    plain = snapshot(value)
    _count(plain)
    json.dumps(plain, allow_nan=False)
    to_json(plain).encode()


@given(VALUES, st.integers(1, 8), st.integers(1, 30), st.integers(0, 50))
def test_within_its_budgets(value: Any, depth: int, nodes: int, chars: int) -> None:
    plain = snapshot(value, depth=depth, nodes=nodes, chars=chars)
    found_nodes, found_chars, found_depth = _count(plain)
    marks = depth + 2  # each open level may say once that something was left out
    assert found_nodes <= nodes + marks
    assert found_depth <= depth + 1
    longest_note = 60  # what stands in the place of a value names its type, or what is missing
    assert found_chars <= chars + (found_nodes + nodes) * longest_note


@given(
    st.recursive(st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i))
)
def test_plain_values_are_told_whole_and_are_not_touched(value: Any) -> None:
    before = copy.deepcopy(value)
    plain = snapshot(value, depth=50, chars=10**6)
    assert value == before
    expected = json.loads(json.dumps(value), parse_int=_told)
    assert plain == expected
    if type(value) in (list, dict):
        assert plain is not value


def _told(digits: str) -> Any:
    number = int(digits)
    small = -(2**63) <= number < 2**63
    return number if small else f"[integer of {number.bit_length()} bits]"


@settings(max_examples=20)
@given(st.integers(0, 3_000))
def test_depth_does_not_matter(levels: int) -> None:
    deep: Any = "bottom"
    for _ in range(levels):
        deep = [deep]
    text = json.dumps(snapshot(deep))
    assert ("bottom" in text) is (levels <= 16)


def test_cycles_are_marked_and_shared_values_are_not() -> None:
    shared = [1]
    cycle: dict[str, Any] = {"a": shared, "b": shared}
    cycle["self"] = {"inner": cycle}
    assert snapshot(cycle) == {"a": [1], "b": [1], "self": {"inner": "[cycle]"}}


def test_left_out_is_said() -> None:
    assert snapshot("ab cdef", chars=4) == "ab[5 characters left out]"
    assert snapshot("abcdef", chars=4) == "[6 characters left out]", "no half words"
    assert snapshot("x" * 2_000, chars=1_000) == f"{'x' * 488}[1512 characters left out]"
    assert snapshot(list(range(9)), nodes=4) == [0, 1, 2, "[more values left out]"]
    assert snapshot([[[1]]], depth=2) == [["[deeper values left out]"]]


def test_a_million_values_cost_no_more_than_ten_thousand() -> None:
    class Counted(dict[str, int]):
        pass

    huge = {str(number): list(range(100)) for number in range(20_000)}
    assert _count(snapshot(huge))[0] <= 10_000 + 20
    assert snapshot(Counted(a=1)) == f"[{__name__}.{Counted.__qualname__}]"
