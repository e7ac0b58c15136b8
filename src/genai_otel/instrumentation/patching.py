"""Replace an attribute of a library, wherever it is referenced, and restore it."""

from __future__ import annotations

import sys
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.errors import contained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .adapter import Patch
    from .tracker import CallTracker

_NOTHING: dict[str, Any] = {}


class AppliedPatch(NamedTuple):
    """One replaced attribute. ``inherited``: the owner itself did not define it before."""

    owner: Any
    name: str
    original: Any
    wrapper: Any
    inherited: bool

    @property
    def in_place(self) -> bool:
        """Whether our wrapper is still there."""
        return vars(self.owner).get(self.name) is self.wrapper

    def keeps(self, owner: Any) -> bool:
        """Whether it is in place on this very owner, or somebody has wrapped it there since.

        A reloaded module is the same object, but its functions are new.
        """
        return self.owner is owner and (self.in_place or type(owner) is not ModuleType)

    def undo(self) -> None:
        """Restore the original, unless somebody has wrapped ours: then it stays, disabled."""
        if not self.in_place:
            return
        if self.inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


def owner_of(patch: Patch) -> tuple[Any, str]:
    """Return the object that holds the attribute now, and the attribute's name."""
    *path, name = patch.path
    owner: Any = sys.modules[patch.module]
    for step in path:
        owner = getattr(owner, step)
    return (_definer(owner, name) if patch.where_defined else owner), name


def _definer(owner: type, name: str) -> type:
    """Return the class that defines a method (pickle names it by that); never a built-in class."""
    for cls in owner.__mro__:
        if name in vars(cls) and cls.__flags__ & _HEAP_TYPE:
            return cls
    return owner


# ``Py_TPFLAGS_HEAPTYPE``: a class whose attributes can be replaced.
_HEAP_TYPE = 1 << 9


def replace(owner: Any, name: str, patch: Patch, tracker: CallTracker) -> Iterator[AppliedPatch]:
    """Replace ``owner.name`` and every other reference to it; raises if there is none."""
    shared = (patch.captured or len(patch.path) == 1) and _held(owner, name) != _ALONE
    original = getattr(owner, name)
    inherited = name not in vars(owner)
    before = original if inherited else vars(owner)[name]
    wrapper = patch.make_wrapper(original, tracker)
    setattr(owner, name, wrapper)
    yield AppliedPatch(owner, name, before, wrapper, inherited)
    for below in _wrapped_below(owner, name, original):
        applied = contained(_replace_below, below, name, patch, tracker)
        if applied is not None:
            yield applied
    if shared:
        yield from _sweep(original, wrapper)


def _replace_below(owner: Any, name: str, patch: Patch, tracker: CallTracker) -> AppliedPatch:
    """Wrap what somebody has put on a subclass, which calls the original and not our wrapper."""
    before = vars(owner)[name]
    wrapper = patch.make_wrapper(getattr(owner, name), tracker)
    setattr(owner, name, wrapper)
    return AppliedPatch(owner, name, before, wrapper, inherited=False)


def _held(owner: Any, name: str) -> Any:
    """Count the references to the attribute: its owner, and modules that have imported it."""
    return _COUNT(getattr(owner, name))


_COUNT = getattr(sys, "getrefcount", id)  # where nothing is counted, no two are alike
# The count of an attribute that only its owner references: a search, of tens of milliseconds, is
# not needed.
_ALONE = _held(type("Owner", (), {"function": lambda: None}), "function")


_MOST_WRAPPED = 20


def _wrapped_below(owner: Any, name: str, original: Any) -> Iterator[type]:
    """Yield the subclasses on which somebody has wrapped the inherited ``original``."""
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


def _sweep(original: Any, wrapper: Any) -> Iterator[AppliedPatch]:
    """Replace ``original``, and methods bound from it, in every module that has imported it."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", _NOTHING).items()):
            if value is original:
                new = wrapper
            elif type(value) is MethodType and value.__func__ is original:
                new = MethodType(wrapper, value.__self__)
            else:
                continue
            setattr(module, name, new)
            yield AppliedPatch(module, name, value, new, inherited=False)
