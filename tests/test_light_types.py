"""Our ``NamedTuple`` and ``TypedDict`` against those of ``typing``, which they stand for."""

from __future__ import annotations

import copy
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
    with pytest.raises(plain.type):
        use(Light)


def test_typed_dicts_are_plain_dicts() -> None:
    class Light(light_types.TypedDict):
        type: str

    class Plain(typing.TypedDict):
        type: str

    assert type(Light(type="text")) is type(Plain(type="text")) is dict
    assert Light(type="text") == Plain(type="text")
    assert Light.__annotations__ == {"type": "str"}
