"""Snapshots: any nesting of any values, bounded, JSON, and never a word said to the host's code."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import math
import pathlib
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from genai_otel.record import snapshot
from genai_otel.recorder.attributes import to_json
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


@dataclasses.dataclass(slots=True)
class Account:
    owner: str
    key: str = dataclasses.field(repr=False)
    opened: dt.date | None = None


class Invoice(BaseModel):
    model_config = ConfigDict(extra="allow")

    number: uuid.UUID
    total: decimal.Decimal
    token: str = Field(repr=False)
    internal: int = Field(exclude=True)


@attrs.define
class Place:
    name: str
    secret: str = attrs.field(repr=False)


class Point(NamedTuple):
    x: int
    where: pathlib.PurePath


class Size(enum.Enum):
    LARGE = {"cm": 3}  # noqa: RUF012 - a member, not a default


class Level(enum.IntEnum):
    HIGH = 3


_BERLIN = zoneinfo.ZoneInfo("UTC")
_UUID = uuid.UUID(int=7)

# What applications hand around, and what is recorded of it.
KNOWN: list[tuple[Any, Any]] = [
    (dt.datetime(2026, 11, 30, 8, 5, tzinfo=dt.UTC), "2026-11-30T08:05:00+00:00"),
    (dt.datetime(2026, 11, 30, 8, 5, tzinfo=_BERLIN), "2026-11-30T08:05:00+00:00"),
    (dt.datetime(2026, 11, 30, 8, 5), "2026-11-30T08:05:00"),  # noqa: DTZ001 - the point
    (dt.date(2026, 11, 30), "2026-11-30"),
    (dt.time(8, 5), "08:05:00"),
    (dt.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
    (_UUID, str(_UUID)),
    (decimal.Decimal("19.90"), "19.90"),
    (fractions.Fraction(1, 3), "1/3"),
    (fractions.Fraction(10**5_000, 3), "[fractions.Fraction]"),
    (pathlib.PurePosixPath("a/b"), "a/b"),
    (pathlib.Path("a"), "a"),
    (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    (2j, "2j"),
    (range(3), "range(0, 3)"),
    (Size.LARGE, {"cm": 3}),
    (Level.HIGH, 3),
    (b"gr\xc3\xbc\xc3\x9fe", "gr\u00fc\u00dfe"),
    (bytearray(b"plain"), "plain"),
    (b"\x89PNG\r\n", "[6 bytes]"),
    (b"a\0b", "[3 bytes]"),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (collections.deque([1, 2]), [1, 2]),
    (Point(1, pathlib.PurePosixPath("p")), {"x": 1, "where": "p"}),
    (Account("Ada", "sk-1", dt.date(2026, 1, 2)), {"owner": "Ada", "opened": "2026-01-02"}),
    (
        Invoice(number=_UUID, total=decimal.Decimal(2), token="t", internal=1, more=[_UUID]),
        {"number": str(_UUID), "total": "2", "more": [str(_UUID)]},
    ),
    (Place("here", "s"), {"name": "here"}),
    ({_UUID: {Size.LARGE}}, {str(_UUID): [{"cm": 3}]}),
]


@pytest.mark.parametrize(("value", "recorded"), KNOWN, ids=lambda value: type(value).__name__)
def test_values_of_known_types_are_recorded(value: Any, recorded: Any) -> None:
    assert snapshot(value) == recorded
    assert snapshot({"inside": [value]}) == {"inside": [recorded]}


@pytest.mark.parametrize(
    ("known", "arguments"),
    [
        (dt.date, (2026, 1, 1)),
        (dt.datetime, (2026, 1, 1)),
        (decimal.Decimal, (1,)),
        (uuid.UUID, ("0" * 32,)),
        (pathlib.PurePosixPath, ("a",)),
    ],
)
def test_of_their_subclasses_only_the_class_is_recorded(known: type, arguments: Any) -> None:
    made: Any = type(known.__name__, (known,), dict.fromkeys(("__str__", "isoformat"), "poison"))
    made.__module__ = known.__module__  # nor is a name believed
    assert snapshot(made(*arguments)) == f"[{known.__module__}.{known.__name__}]"


def test_bytes_are_cut_between_characters() -> None:
    words = "\u00fc" * 10
    assert snapshot(words.encode(), chars=1_000) == words
    assert snapshot(("word " + words).encode(), chars=8) == "word[21 bytes left out]"
