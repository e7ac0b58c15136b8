"""Replaces an attribute of a library, wherever it is held."""

from __future__ import annotations

import sys
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.errors import contained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .adapter import Patch
    from .tracker import Observer

_NOTHING: dict[str, Any] = {}


class Placed(NamedTuple):
    """One replaced attribute. ``inherited``: it was not the owner's own before."""

    owner: Any
    name: str
    original: Any
    stand_in: Any
    inherited: bool

    @property
    def in_place(self) -> bool:
        """Whether nobody has replaced it since."""
        return vars(self.owner).get(self.name) is self.stand_in

    def keeps(self, owner: Any) -> bool:
        """Whether it is in place on this very owner, or was when somebody wrapped it.

        A module that is executed again stays the same, while its functions do not.
        """
        return self.owner is owner and (self.in_place or type(owner) is not ModuleType)

    def undo(self) -> None:
        """Restores the original, unless somebody has wrapped ours: then it stays, inert."""
        if not self.in_place:
            return
        if self.inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


def owner_of(patch: Patch) -> tuple[Any, str]:
    """What holds the attribute now, and the attribute's name."""
    *path, name = patch.path
    owner: Any = sys.modules[patch.module]
    for step in path:
        owner = getattr(owner, step)
    return (_definer(owner, name) if patch.where_defined else owner), name


def _definer(owner: type, name: str) -> type:
    """The class that a method comes from, by which it is also pickled; built-in ones stay as is."""
    for cls in owner.__mro__:
        if name in vars(cls) and cls.__flags__ & _HEAP_TYPE:
            return cls
    return owner


_HEAP_TYPE = 1 << 9
"""``Py_TPFLAGS_HEAPTYPE``: of a class whose attributes can be replaced."""


def replace(owner: Any, name: str, patch: Patch, observer: Observer) -> Iterator[Placed]:
    """Replaces ``owner.name`` and all else that holds the same; raises if there is none."""
    shared = (patch.captured or len(patch.path) == 1) and _held(owner, name) != _ALONE
    original = getattr(owner, name)
    inherited = name not in vars(owner)
    before = original if inherited else vars(owner)[name]
    stand_in = patch.stand_in(original, observer)
    setattr(owner, name, stand_in)
    yield Placed(owner, name, before, stand_in, inherited)
    for below in _wrapped_below(owner, name, original):
        placed = contained(_replace_below, below, name, patch, observer)
        if placed is not None:
            yield placed
    if shared:
        yield from _sweep(original, stand_in)


def _replace_below(owner: Any, name: str, patch: Patch, observer: Observer) -> Placed:
    """Over what somebody has put on a subclass, which calls the original and not ours."""
    before = vars(owner)[name]
    stand_in = patch.stand_in(getattr(owner, name), observer)
    setattr(owner, name, stand_in)
    return Placed(owner, name, before, stand_in, inherited=False)


def _held(owner: Any, name: str) -> Any:
    """How many hold what is there: its owner, and modules that have imported it, if any have."""
    return _COUNT(getattr(owner, name))


_COUNT = getattr(sys, "getrefcount", id)  # where nothing is counted, no two are alike
_ALONE = _held(type("Owner", (), {"function": lambda: None}), "function")
"""What is held by its owner alone needs not be looked for, which takes tens of milliseconds."""


_MOST_WRAPPED = 20


def _wrapped_below(owner: Any, name: str, original: Any) -> Iterator[type]:
    """The subclasses on which somebody has wrapped the inherited ``original``."""
    waiting: list[type] = type.__subclasses__(owner) if isinstance(owner, type) else []
    while waiting:
        cls = waiting.pop()
        waiting += type.__subclasses__(cls)
        found = vars(cls).get(name)
        for _ in range(_MOST_WRAPPED):
            if found is None or found is original:
                break
            found = getattr(found, "__wrapped__", None)
        if found is original:
            yield cls


def _sweep(original: Any, stand_in: Any) -> Iterator[Placed]:
    """Replaces ``original``, and methods bound from it, wherever modules have imported it to."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", _NOTHING).items()):
            if value is original:
                new = stand_in
            elif type(value) is MethodType and value.__func__ is original:
                new = MethodType(stand_in, value.__self__)
            else:
                continue
            setattr(module, name, new)
            yield Placed(module, name, value, new, inherited=False)
