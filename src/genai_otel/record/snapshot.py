"""Convert the application's values to bounded plain data without running the application's code.

``__repr__``, ``__str__``, iteration and attributes of unknown objects are not used: a lazy query is
not run, a generator is not consumed. Only the standard library's own containers are traversed, and
the declared fields of dataclasses, named tuples, attrs classes and pydantic models. Fields that
their class excludes from its ``repr`` (``repr=False``, ``exclude=True``) are omitted here too.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from enum import EnumMeta
from itertools import islice
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from .known_types import UNKNOWN, plain_value

if TYPE_CHECKING:
    from collections.abc import Iterator

_INT64 = 2**63
_LONGEST_WORD = 512
_OF_NUMBERS = "0123456789 .-+()"
_ATOMS = frozenset({str, int, float, bool, type(None)})
_DICTS = frozenset({dict, OrderedDict, defaultdict, Counter})
_SEQUENCES = frozenset({list, tuple, set, frozenset, deque})
# `model_fields` is the attribute of pydantic before 2.10.
_FIELDS_OF_MODELS = (
    "__dataclass_fields__",
    "__pydantic_fields__",
    "__attrs_attrs__",
    "model_fields",
)
_FIELD_MODULES = frozenset({"dataclasses", "pydantic.fields", "attr._make"})
_ALSO_UTF8 = 3  # bytes of a four-byte character that may remain after truncation
_instance_dict = object.__getattribute__
_type_attribute = type.__getattribute__


class _Budget:
    """The nodes and characters that one snapshot may still use."""

    __slots__ = ("chars", "nodes")

    def __init__(self, nodes: int, chars: int) -> None:
        self.nodes, self.chars = nodes, chars


def snapshot(value: Any, *, depth: int = 16, nodes: int = 10_000, chars: int = 262_144) -> Any:
    """Return a copy of ``value`` of ``None, bool, int, float, str, list, dict`` only.

    Keep at most ``depth`` levels, ``nodes`` values and ``chars`` characters of text; mark omitted
    values in their place. Never raise and never recurse.
    """
    budget = _Budget(nodes, chars)
    root: list[Any] = []
    path = [_Frame(iter([(None, value)]), root, 0)]
    while path:
        frame = path[-1]
        entry = next(frame.children, None)
        if entry is None:
            path.pop()
            continue
        key, child = entry
        budget.nodes -= 1
        if budget.nodes < 0:
            frame.put(key, "[more values left out]")
            path.pop()
            continue
        child = _enum_value(child)
        children = _children(child, budget)
        if children is None:
            frame.put(key, _leaf(child, budget))
        elif any(other.source == id(child) for other in path):
            frame.put(key, "[cycle]")
        elif len(path) > depth:
            frame.put(key, "[deeper values left out]")
        else:
            target: Any = {} if children[0] else []
            frame.put(key, target)
            path.append(_Frame(children[1], target, id(child)))
    return root[0]


class _Frame:
    """One container that is being copied: its remaining children, and the target."""

    __slots__ = ("children", "source", "target")

    def __init__(self, children: Iterator[tuple[Any, Any]], target: Any, source: int) -> None:
        self.children, self.target, self.source = children, target, source

    def put(self, key: Any, value: Any) -> None:
        if key is None:
            self.target.append(value)
        else:
            self.target[key] = value


def _enum_value(value: Any) -> Any:
    """Return the value of an enum member; return any other value itself."""
    cls = type(value)
    if cls in _ATOMS or not issubclass(type(cls), EnumMeta):
        return value
    return _stored(value).get("_value_", value)


def _children(value: Any, budget: _Budget) -> tuple[bool, Iterator[tuple[Any, Any]]] | None:
    """Return whether the children of ``value`` are named, and the children; ``None`` for a leaf."""
    cls = type(value)
    if cls in _ATOMS:
        return None
    if cls in _SEQUENCES:
        return False, ((None, item) for item in [*islice(value, budget.nodes + 1)])
    fields = value if cls in _DICTS else _fields(value, cls)
    if fields is None:
        return None
    # The base class's method: OrderedDict's own looks up its keys, which runs their __hash__.
    items = [*islice(dict.items(fields), budget.nodes + 1)]
    return True, ((_key(k, budget), v) for k, v in items)


def _fields(value: Any, cls: type) -> dict[Any, Any] | None:
    """Return the declared fields of a model, or ``None`` for other classes."""
    for base in _type_attribute(cls, "__mro__"):
        names = _type_attribute(base, "__dict__")
        if issubclass(cls, tuple) and type(names.get("_fields")) is tuple:
            return dict(zip(names["_fields"], tuple.__iter__(value), strict=False))
        declared = next((names[mark] for mark in _FIELDS_OF_MODELS if mark in names), None)
        if declared is not None:
            return _values(value, cls, declared)
    return None


def _values(value: Any, cls: type, declared: Any) -> dict[Any, Any] | None:
    """Return the values of these fields from the instance's dict or slots."""
    if issubclass(type(declared), tuple):  # attrs
        shown = [field.name for field in tuple.__iter__(declared) if _is_shown(field)]
    elif type(declared) is dict:
        shown = [name for name, field in declared.items() if _is_shown(field)]
    else:
        return None
    stored = _stored(value)
    found = stored | _slots(value, cls, [name for name in shown if name not in stored])
    return {name: found[name] for name in shown if name in found} | _extra(value, cls)


def _is_shown(field: Any) -> bool:
    """Return whether the class shows the field; checked for the libraries' own field types only."""
    if _type_attribute(type(field), "__module__") not in _FIELD_MODULES:
        return True
    return field.repr is not False and getattr(field, "exclude", None) is not True


def _stored(value: Any) -> dict[Any, Any]:
    try:
        stored = _instance_dict(value, "__dict__")
    except AttributeError:  # slots only
        return {}
    return stored if type(stored) is dict else {}


def _slots(value: Any, cls: type, names: list[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for base in _type_attribute(cls, "__mro__"):
        members = _type_attribute(base, "__dict__")
        for name in names:
            member = members.get(name)
            if type(member) is MemberDescriptorType:
                try:
                    found[name] = member.__get__(value, cls)
                except AttributeError:  # not set yet
                    continue
    return found


def _extra(value: Any, cls: type) -> dict[Any, Any]:
    """Return the extra values of a pydantic model with ``extra="allow"``."""
    extra = _slots(value, cls, ["__pydantic_extra__"]).get("__pydantic_extra__")
    return extra if type(extra) is dict else {}


def _key(key: Any, budget: _Budget) -> str:
    leaf = _leaf(_enum_value(key), budget)
    return leaf if type(leaf) is str else str(leaf)


def _leaf(value: Any, budget: _Budget) -> Any:
    """Return a value without children as plain data; convert subclasses to ``str`` or a number."""
    cls = type(value)
    if value is None or cls is bool:
        return value
    if issubclass(cls, str):
        return _text(str.__str__(value), budget)
    if issubclass(cls, int):
        number = int.__index__(value)
        return number if -_INT64 <= number < _INT64 else f"[integer of {number.bit_length()} bits]"
    if issubclass(cls, float):
        real = float.__float__(value)
        return real if math.isfinite(real) else float.__repr__(real)
    if cls is bytes or cls is bytearray:
        return _bytes(value, budget)
    plain = plain_value(value, cls)
    if plain is UNKNOWN:
        plain = f"[{_type_attribute(cls, '__module__')}.{_type_attribute(cls, '__qualname__')}]"
    return plain if type(plain) is str else _leaf(plain, budget)


def _bytes(value: bytes | bytearray, budget: _Budget) -> str:
    """Return the bytes decoded as UTF-8 or, if that fails, only their number.

    Other encodings, base64 above all, would hide from redaction what it masks in text.
    """
    most = max(budget.chars, 0)
    kept = bytes(value[:most])
    try:
        words = kept.decode()
    except UnicodeDecodeError as error:
        if len(value) <= most or error.start < most - _ALSO_UTF8:
            return f"[{len(value)} bytes]"
        words = kept[: error.start].decode()  # truncated within a character
    if "\0" in words:
        return f"[{len(value)} bytes]"
    if len(value) <= most:
        return _text(words, budget)
    budget.chars = 0
    words = cut(words, len(words) - 1)
    return f"{words}[{len(value) - len(words.encode())} bytes left out]"


def _text(value: str, budget: _Budget) -> str:
    kept = cut(value, max(budget.chars, 0))
    if kept is value:
        budget.chars -= len(value)
        return value
    budget.chars = 0
    return f"{kept}[{len(value) - len(kept)} characters left out]"


def cut(text: str, most: int) -> str:
    """Return at most ``most`` characters of ``text``, without a partial word or number at the end.

    Redaction follows truncation and would not detect half an email address.
    """
    if len(text) <= most:
        return text
    kept = text[:most]
    end = max(kept.rfind(" "), kept.rfind("\n"), most - _LONGEST_WORD, 0)
    return kept[:end].rstrip(_OF_NUMBERS)
