"""Every part and item type of a client package, and what of each is recorded.

A `WireFormat` declares which parts are recorded for each type. `found` reads the types from the
installed package, so a release with a type that the table lacks fails `tests/test_wire_types.py`;
`example` makes a value of a type from its annotations, so the tests that send one of each through
the real client need no hand-written payloads. The tables are the page `docs/content-types.md`.

A client's module (`tests/wire_types/openai.py`) has `FORMATS`; `all_formats` finds every module.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from packaging.version import Version

Found = Mapping[str, Any]
"""A type's name on the wire -> the client's class for it, or whatever `example` shall take."""


class Recorded(NamedTuple):
    """What one wire type becomes: the types of its parts in their order, `()` for nothing.

    `left_out`: fields whose values are not recorded, beside those that the whole format leaves out.
    `why`: for the reader of the page, where that is not plain.
    """

    parts: tuple[str, ...]
    left_out: frozenset[str] = frozenset()
    why: str = ""


def recorded(*parts: str, left_out: str = "", why: str = "") -> Recorded:
    """A row of a table; the fields in `left_out` are separated by spaces."""
    return Recorded(parts, frozenset(left_out.split()), why)


class WireFormat(NamedTuple):
    """The table of one place in one wire format, as one package ships it.

    `beyond`: types that the package does not have, but servers that speak the same format.
    `left_out`: fields that need not be recorded of any type, such as a state or a signature.
    `note`: a sentence of the page about them.
    `checked`: the version of the package whose types are exactly those of `rows`.
    """

    title: str
    package: str
    checked: str
    found: Callable[[], Found]
    rows: Mapping[str, Recorded]
    beyond: Mapping[str, Recorded] = types.MappingProxyType({})
    left_out: frozenset[str] = frozenset()
    note: str = ""


def all_formats() -> list[WireFormat]:
    """The formats of all modules beside this one, by their titles."""
    here = Path(__file__).parent
    modules = sorted(path.stem for path in here.glob("[!_]*.py"))
    formats = (import_module(f"{__name__}.{name}").FORMATS for name in modules)
    return sorted(chain.from_iterable(formats), key=lambda each: each.title)


def installed(package: str) -> str | None:
    """The version that is here, or `None`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def at_least(package: str, checked: str) -> bool:
    """Whether the package is here, no older than the version that a table was made with."""
    here = installed(package)
    return here is not None and Version(here) >= Version(checked)


def differences(wire: WireFormat) -> list[str]:
    """How the table differs from the installed package, which is no older than the table."""
    found = set(wire.found())
    unknown = sorted(found - set(wire.rows))
    told = [f"{wire.title}: {name} is new: declare what is recorded of it" for name in unknown]
    if installed(wire.package) == wire.checked:
        gone = sorted(set(wire.rows) - found)
        told += [f"{wire.title}: {name} is not in {wire.package} {wire.checked}" for name in gone]
    return told


# ----------------------------------------------------------------------- reading a client's types


def members(union: Any) -> list[Any]:
    """The classes of a union, all the way down through aliases and annotations."""
    if hasattr(union, "__value__"):  # `type X = ...`
        return members(union.__value__)
    origin = get_origin(union)
    if origin is typing.Annotated or _names_requirement(origin):
        return members(get_args(union)[0])
    if origin in (Union, types.UnionType):
        return [each for arm in get_args(union) for each in members(arm)]
    return [] if union is type(None) else [union]


def by_tag(*unions: Any, tag: str = "type") -> dict[str, Any]:
    """Value of the `tag` -> the first class that has it, over all the unions."""
    found: dict[str, Any] = {}
    for member in chain.from_iterable(map(members, unions)):
        for value in tags(member, tag):
            found.setdefault(value, member)
    return found


def tags(cls: Any, tag: str = "type") -> list[str]:
    """The literal values that the field `tag` of `cls` may have."""
    declared = fields_of(cls).get(tag) if isinstance(cls, type) else None
    literals = [each for each in members(declared) if get_origin(each) is Literal]
    return [str(value) for literal in literals for value in get_args(literal)]


def fields_of(cls: Any) -> dict[str, Any]:
    """A model's or a `TypedDict`'s fields as they are on the wire, and their types."""
    declared = getattr(cls, "model_fields", None)
    if declared is None:
        return get_type_hints(cls)
    return {field.alias or name: field.annotation for name, field in declared.items()}


_REQUIREMENTS = ("Required", "NotRequired", "ReadOnly")


def _names_requirement(origin: Any) -> bool:
    return getattr(origin, "_name", None) in _REQUIREMENTS


# --------------------------------------------------------------------------- examples of the types

_DEEPEST = 7


def example(cls: Any, tag: tuple[str, str] | None = None) -> Any:
    """A JSON value of the type, every field set, every text its own.

    `tag`: field and value, for a class whose tag has several.
    """
    made = _example(cls, "value", 0)
    return {**made, tag[0]: tag[1]} if tag and isinstance(made, dict) else made


_counter = iter(range(10_000, 99_999))  # of one length, so that none is a part of another
_SIMPLE: dict[Any, Callable[[str], Any]] = {
    str: lambda name: f"{name}-{next(_counter)}",
    int: lambda _: 500_000 + next(_counter),
    float: lambda _: 500_000.5 + next(_counter),
    bool: lambda _: True,
    bytes: lambda name: f"{name}-{next(_counter)}",
}
_LISTS = (list, tuple, Iterable, Sequence)
_OBJECTS = (dict, Mapping)


def _example(annotation: Any, name: str, depth: int) -> Any:
    arms = members(annotation)
    if not arms or depth > _DEEPEST:
        return None
    kind, origin, inner = arms[0], get_origin(arms[0]), get_args(arms[0])
    if origin is Literal:
        return inner[0]
    if kind in _LISTS or origin in _LISTS:
        return [_example(inner[0], name, depth + 1)] if inner else []
    if kind in (*_OBJECTS, object, Any) or origin in _OBJECTS:
        return {f"{name}_key": f"{name}-{next(_counter)}"}
    if isinstance(kind, type) and (hasattr(kind, "model_fields") or issubclass(kind, dict)):
        made = {key: _example(of, key, depth + 1) for key, of in fields_of(kind).items()}
        return {key: value for key, value in made.items() if value is not None}
    return _SIMPLE.get(kind, _SIMPLE[str])(name)


def leaves(value: Any) -> set[str]:
    """All texts and numbers inside of a JSON value, as texts."""
    if isinstance(value, dict):
        return set().union(*map(leaves, value.values()))
    if isinstance(value, list):
        return set().union(*map(leaves, value))
    return set() if value is None or isinstance(value, bool) else {str(value)}


def unrecorded(sent: Mapping[str, Any], parts: Any) -> set[str]:
    """The fields of what was sent of whose values nothing is in the parts that were recorded."""
    kept = "\n".join(leaves(parts))
    return {
        key
        for key, value in sent.items()
        if key != "type" and leaves(value) and not any(leaf in kept for leaf in leaves(value))
    }


def mismatch(wire: WireFormat, kind: str, sent: Mapping[str, Any], parts: Any) -> list[str]:
    """How what was recorded of a value of this type differs from what the table declares."""
    row = wire.rows.get(kind) or wire.beyond[kind]
    types_recorded = tuple(part["type"] for part in parts)
    told = []
    if types_recorded != row.parts:
        told.append(f"{kind} became {types_recorded}, not {row.parts}")
    lost = unrecorded(sent, parts)
    if lost - wire.left_out != row.left_out & set(sent):
        told.append(
            f"{kind}: {sorted(lost - wire.left_out)} is lost, {sorted(row.left_out)} may be"
        )
    return told


# ------------------------------------------------------------------------------------- the page


def page() -> str:
    """The tables as Markdown."""
    return "\n\n".join(_section(wire) for wire in all_formats())


def _section(wire: WireFormat) -> str:
    package = f"`{wire.package}` {wire.checked}"
    whose = (
        f"All types of {package}." if wire.rows else f"Types of the API; {package} defines none."
    )
    head = f"## {wire.title}\n\n{whose}"
    if wire.left_out:
        head += f" Also not recorded: {_names(wire.left_out)}."
    head = f"{head} {wire.note}".rstrip()
    rows = [f"| {_cells(name, row)} |" for name, row in wire.rows.items()]
    beyond = bool(wire.rows)
    rows += [f"| {_cells(name, row, beyond=beyond)} |" for name, row in wire.beyond.items()]
    lines = [
        "| wire type | recorded as | not recorded | note |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    return f"{head}\n\n" + "\n".join(lines)


def _cells(name: str, row: Recorded, *, beyond: bool = False) -> str:
    parts = ", ".join(f"`{part}`" for part in row.parts) or "nothing"
    why = f"not in the package: {row.why}" if beyond else row.why
    return f"`{name}` | {parts} | {_names(row.left_out)} | {why}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
