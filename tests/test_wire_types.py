"""The tables of wire types are complete: a client's release with a new type shows itself here."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import pytest

from tests.wire_types import (
    WireFormat,
    all_formats,
    at_least,
    by_tag,
    differences,
    example,
    installed,
    leaves,
    recorded,
    unrecorded,
)

FORMATS = {wire.title: wire for wire in all_formats()}


@pytest.mark.parametrize("title", FORMATS)
def test_each_type_of_the_package_is_declared(title: str) -> None:
    wire = FORMATS[title]
    if not at_least(wire.package, wire.checked):
        pytest.skip(f"{wire.package} {wire.checked} or newer is not installed")
    assert differences(wire) == []


class _Old(TypedDict):
    type: Literal["old"]
    text: str


class _New(TypedDict):
    type: Literal["new", "newer"]
    inner: _Old
    many: list[_Old]
    more: dict[str, Any]


def _wire(checked: str, **rows: Any) -> WireFormat:
    return WireFormat("Made up", "pytest", checked, lambda: by_tag(_Old | _New), rows)


def test_a_type_that_is_not_declared_is_named() -> None:
    old = recorded("text")
    assert differences(_wire("0.0", old=old, new=old)) == [
        "Made up: newer is new: declare what is recorded of it"
    ]
    everything = {"old": old, "new": old, "newer": old, "gone": old}
    assert differences(_wire("0.0", **everything)) == []
    assert differences(_wire(str(installed("pytest")), **everything)) == [
        f"Made up: gone is not in pytest {installed('pytest')}"
    ]


def test_an_example_has_every_field_and_no_text_twice() -> None:
    made = example(_New, ("type", "newer"))
    assert made["type"] == "newer"
    assert set(made) == {"type", "inner", "many", "more"}
    assert len(leaves(made)) == 5
    assert unrecorded(made, [{"content": made["inner"]["text"]}]) == {"many", "more"}
