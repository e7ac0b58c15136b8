"""Host values to bounded primitives, without ever running the host's code.

No ``__repr__``, ``__str__``, iteration or attribute of an unknown object is touched: a lazy query
stays unasked, a generator unconsumed. Only exact built-in containers are entered, and the stored
fields of dataclasses and pydantic models, which lie in a plain dict of the instance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_INT64 = 2**63
_LONGEST_WORD = 512
_OF_NUMBERS = "0123456789 .-+()"
_MODEL_MARKS = ("__dataclass_fields__", "__pydantic_fields__")
_instance_dict = object.__getattribute__
_type_attribute = type.__getattribute__


class _Budget:
    """What is left of the nodes and characters that one snapshot may take."""

    __slots__ = ("chars", "nodes")

    def __init__(self, nodes: int, chars: int) -> None:
        self.nodes, self.chars = nodes, chars


def snapshot(value: Any, *, depth: int = 16, nodes: int = 10_000, chars: int = 262_144) -> Any:
    """A copy of ``value`` made of ``None, bool, int, float, str, list, dict`` and nothing else.

    At most ``depth`` levels, ``nodes`` values and ``chars`` characters of text are kept; what was
    left out is marked in its place. Never raises and never recurses.
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
    """One open container: what is still to be copied, and into what."""

    __slots__ = ("children", "source", "target")

    def __init__(self, children: Iterator[tuple[Any, Any]], target: Any, source: int) -> None:
        self.children, self.target, self.source = children, target, source

    def put(self, key: Any, value: Any) -> None:
        if key is None:
            self.target.append(value)
        else:
            self.target[key] = value


def _children(value: Any, budget: _Budget) -> tuple[bool, Iterator[tuple[Any, Any]]] | None:
    """Whether ``value`` has named children, and those it has; ``None`` for a leaf."""
    cls = type(value)
    if cls is dict:
        return True, ((_key(k, budget), v) for k, v in _some_items(value, budget))
    if cls is list or cls is tuple:
        return False, ((None, item) for item in value[: budget.nodes + 1])
    if cls is set or cls is frozenset:
        return False, ((None, item) for item in list(value)[: budget.nodes + 1])
    fields = _model_fields(value, cls)
    if fields is None:
        return None
    return True, ((_key(k, budget), v) for k, v in _some_items(fields, budget))


def _some_items(mapping: dict[Any, Any], budget: _Budget) -> list[tuple[Any, Any]]:
    return list(mapping.items())[: budget.nodes + 1]


def _model_fields(value: Any, cls: type) -> dict[Any, Any] | None:
    """The stored fields of a dataclass or pydantic instance."""
    for base in _type_attribute(cls, "__mro__"):
        names = _type_attribute(base, "__dict__")
        if any(mark in names for mark in _MODEL_MARKS):
            break
    else:
        return None
    try:
        fields = _instance_dict(value, "__dict__")
    except AttributeError:  # slots only
        return None
    return fields if type(fields) is dict else None


def _key(key: Any, budget: _Budget) -> str:
    leaf = _leaf(key, budget)
    return leaf if type(leaf) is str else str(leaf)


def _leaf(value: Any, budget: _Budget) -> Any:
    """One value without children; subclasses of text and numbers lose their subclass."""
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
    if issubclass(cls, bytes | bytearray):
        return f"[{len(value)} bytes]" if cls in (bytes, bytearray) else "[bytes]"
    return f"[{_type_attribute(cls, '__module__')}.{_type_attribute(cls, '__qualname__')}]"


def _text(value: str, budget: _Budget) -> str:
    kept = cut(value, max(budget.chars, 0))
    if kept is value:
        budget.chars -= len(value)
        return value
    budget.chars = 0
    return f"{kept}[{len(value) - len(kept)} characters left out]"


def cut(text: str, most: int) -> str:
    """At most so many characters of ``text``, and no part of a word or of a number at their end.

    What is cut here is masked later, and half an address would not be known for one.
    """
    if len(text) <= most:
        return text
    kept = text[:most]
    end = max(kept.rfind(" "), kept.rfind("\n"), most - _LONGEST_WORD, 0)
    return kept[:end].rstrip(_OF_NUMBERS)
