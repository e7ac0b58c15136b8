"""Our ``NamedTuple``, ``TypedDict`` and ``dataclass`` against the originals they stand for."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel._support import light_types

if TYPE_CHECKING:
    from collections.abc import Callable


class Light(light_types.NamedTuple):
    """A place."""

    x: int
    y: Nowhere  # type: ignore[name-defined]  # noqa: F821 - annotations are not looked at
    name: str = "here"

    def doubled(self) -> Light:
        return self._replace(x=self.x * 2)

    @property
    def both(self) -> tuple[int, Any]:
        return self.x, self.y


class Plain(typing.NamedTuple):
    """A place."""

    x: int
    y: int
    name: str = "here"

    def doubled(self) -> Plain:
        return self._replace(x=self.x * 2)

    @property
    def both(self) -> tuple[int, Any]:
        return self.x, self.y


USES: list[Callable[[Any], object]] = [
    lambda kind: tuple(kind(1, 2)),
    lambda kind: tuple(kind(y=2, x=1, name="there")),
    lambda kind: tuple(kind._make([1, 2, "there"])),
    lambda kind: kind(1, 2)._asdict(),
    lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__, kind.__doc__),
    lambda kind: (kind(1, 2).x, kind(1, 2).name, kind(1, 2).both, tuple(kind(1, 2).doubled())),
    lambda kind: kind(1, 2) == kind(1, 2) == (1, 2, "here") != kind(1, 3),
    lambda kind: hash(kind(1, 2)),
    lambda kind: tuple(pickle.loads(pickle.dumps(kind(1, 2)))),
    lambda kind: type(pickle.loads(pickle.dumps(kind(1, 2)))) is kind,
    lambda kind: type(copy.deepcopy(kind(1, 2))) is kind,
    lambda kind: repr(kind(1, 2)).partition("(")[2],
    lambda kind: [
        (each.name, each.kind, each.default) for each in inspect.signature(kind).parameters.values()
    ],
    lambda kind: (isinstance(kind(1, 2), tuple), hasattr(kind(1, 2), "__dict__"), type(kind)),
    lambda kind: type("Sub", (kind,), {"z": 1})(1, 2).z,
]
REFUSED: list[Callable[[Any], object]] = [
    lambda kind: kind(1),
    lambda kind: kind(1, 2, z=3),
    lambda kind: kind(1, 2, 3, 4),
    lambda kind: kind._make([1, 2]),
    lambda kind: kind(1, 2)._replace(z=3),
    lambda kind: setattr(kind(1, 2), "x", 3),
]


@pytest.mark.parametrize("use", USES)
def test_named_tuples_do_the_same(use: Callable[[Any], object]) -> None:
    assert use(Light) == use(Plain)


@pytest.mark.parametrize("use", REFUSED)
def test_named_tuples_refuse_the_same(use: Callable[[Any], object]) -> None:
    with pytest.raises(Exception) as plain:
        use(Plain)
    with pytest.raises((plain.type, ValueError)):  # _replace() raises TypeError since 3.13
        use(Light)


def test_typed_dicts_are_plain_dicts() -> None:
    class Light(light_types.TypedDict):
        type: str

    class Plain(typing.TypedDict):
        type: str

    assert type(Light(type="text")) is type(Plain(type="text")) is dict
    assert Light(type="text") == Plain(type="text")
    assert Light.__annotations__ == {"type": "str"}


@light_types.dataclass(frozen=True, slots=True)
class LightFrozen:
    """A place."""

    x: int
    y: Nowhere  # type: ignore[name-defined]  # noqa: F821 - annotations are not looked at
    name: str = "here"
    key: str = dataclasses.field(default="secret", repr=False, metadata={"said": 1})

    KIND = "place"

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@dataclasses.dataclass(frozen=True, slots=True)
class PlainFrozen:
    """A place."""

    x: int
    y: int
    name: str = "here"
    key: str = dataclasses.field(default="secret", repr=False, metadata={"said": 1})

    KIND = "place"

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@light_types.dataclass(frozen=True, slots=True, kw_only=True)
class LightNamed:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlainNamed:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@light_types.dataclass(slots=True, eq=False)
class LightMutable:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@dataclasses.dataclass(slots=True, eq=False)
class PlainMutable:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@light_types.dataclass()
class LightOpen:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@dataclasses.dataclass
class PlainOpen:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@light_types.dataclass(frozen=True)
class LightWide:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


@dataclasses.dataclass(frozen=True)
class PlainWide:
    """A place."""

    x: int
    y: int = 2
    name: str = "here"


PAIRS = [
    (LightFrozen, PlainFrozen),
    (LightNamed, PlainNamed),
    (LightMutable, PlainMutable),
    (LightOpen, PlainOpen),
    (LightWide, PlainWide),
]


def _changed(made: Any) -> str:
    made.x = 5
    return _shown(made)


def _shown(made: Any) -> str:
    return repr(made).partition("(")[2]


def _without(made: Any) -> bool:
    del made.name
    return hasattr(made, "name")


def _parameters(kind: Any) -> list[object]:
    parameters = inspect.signature(kind).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


DATACLASS_USES: list[Callable[[Any], object]] = [
    lambda kind: _shown(kind(x=1, y=2)),
    lambda kind: _shown(kind(1, 2)),
    lambda kind: _shown(kind(x=1)),
    lambda kind: _shown(kind(x=1, y=2, z=3)),
    lambda kind: _shown(kind(1, 2, x=3)),
    lambda kind: _shown(kind(x=-1, y=2)),
    lambda kind: _changed(kind(x=1, y=2)),
    lambda kind: _without(kind(x=1, y=2)),
    lambda kind: kind(x=1, y=2) == kind(x=1, y=2),
    lambda kind: kind(x=1, y=2) == kind(x=1, y=3),
    lambda kind: kind(x=1, y=2) == (1, 2, "here"),
    lambda kind: hash(kind(x=1, y=2)) == hash(kind(x=1, y=2)),
    lambda kind: _shown(dataclasses.replace(kind(x=1, y=2), name="there")),
    lambda kind: dataclasses.asdict(kind(x=1, y=2)),
    lambda kind: [(each.name, each.default, each.repr) for each in dataclasses.fields(kind)],
    lambda kind: _shown(pickle.loads(pickle.dumps(kind(x=1, y=2)))),
    lambda kind: _shown(copy.copy(kind(x=1, y=2))),
    lambda kind: _shown(copy.deepcopy(kind(x=1, y=2))),
    _parameters,
    lambda kind: (kind.__match_args__, kind.__doc__, hasattr(kind(x=1, y=2), "__dict__")),
    lambda kind: repr(kind.__dataclass_params__),
    lambda kind: _changed(type("Sub", (kind,), {})(x=1, y=2)),
    lambda kind: _shown(dataclasses.dataclass(frozen=True)(type("Sub", (kind,), {}))(x=1, y=2)),
]


def _outcome(use: Callable[[Any], object], kind: Any) -> object:
    try:
        return use(kind)
    except Exception as error:  # noqa: BLE001 - which is compared
        return type(error), str(error).replace(kind.__name__, "")


@pytest.mark.parametrize("use", DATACLASS_USES)
@pytest.mark.parametrize(("light", "plain"), PAIRS)
def test_dataclasses_do_the_same(light: Any, plain: Any, use: Callable[[Any], object]) -> None:
    assert _outcome(use, light) == _outcome(use, plain)


SETS_NO_FIELD: list[Callable[[Any], object]] = [
    lambda kind: setattr(kind(x=1, y=2), "z", 3),
    lambda kind: setattr(type("Sub", (kind,), {})(x=1, y=2), "z", 3),
]


@pytest.mark.parametrize("use", SETS_NO_FIELD)
@pytest.mark.parametrize("light", [LightFrozen, LightNamed])
def test_what_is_no_field(light: Any, use: Callable[[Any], object]) -> None:
    """As without slots: with them the original fails, in a method of the class it has replaced."""
    assert _outcome(use, light) == _outcome(use, PlainWide)
    assert _outcome(use, LightWide) == _outcome(use, PlainWide)
