"""Switches a peer's monkeypatches off and on inside one process.

Peers patch by assigning to attributes of modules and classes. The attributes of
the instrumented libraries are noted before and after ``setup``; what differs is
the patch. Bare and instrumented blocks can then alternate within milliseconds
in one process, which takes out layout, cache and clock differences between
processes.
"""

from __future__ import annotations

import sys
import types
from typing import Any

LIBRARIES = ("openai", "httpx")
_MISSING = object()
_PYTHONS_OWN = ("__pydantic", "_abc", "__abstract", "__annotations")


class Toggle:
    """The patch a peer applies to the client's packages, reversible."""

    def __init__(self) -> None:
        self._before = {key: (o, dict(vars(o))) for key, o in _owners().items()}
        self._patch: dict[tuple[Any, str], tuple[Any, Any]] = {}
        self._is_on = True

    def learn(self) -> list[str]:
        """Notes what changed since construction; returns the patched names."""
        for owner, old in self._before.values():
            new = vars(owner)
            for name in old.keys() | new.keys():
                was, now = old.get(name, _MISSING), new.get(name, _MISSING)
                if was is not now and _is_patch(owner, name, was, now):
                    self._patch[(owner, name)] = (was, now)
        return sorted(f"{getattr(o, '__qualname__', o.__name__)}.{n}" for o, n in self._patch)

    def switch(self, *, on: bool) -> None:
        """Instrumented, or bare."""
        if on is self._is_on:
            return
        self._is_on = on
        for (owner, name), (was, now) in self._patch.items():
            value = now if on else was
            if value is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def _owners() -> dict[int, Any]:
    """The modules of the libraries, and their classes with their bases."""
    owners: dict[int, Any] = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith(LIBRARIES) or not isinstance(module, types.ModuleType):
            continue
        owners[id(module)] = module
        for value in list(vars(module).values()):
            if isinstance(value, type):
                owners.update((id(base), base) for base in value.__mro__ if _ours(base))
    return owners


def _ours(base: type) -> bool:
    return str(base.__module__).startswith(LIBRARIES)


def _is_patch(owner: Any, name: str, was: Any, now: Any) -> bool:
    if isinstance(now, types.ModuleType) or name.startswith(_PYTHONS_OWN):
        return False
    if was is _MISSING and isinstance(owner, types.ModuleType):
        return False  # a lazily loaded name
    return callable(now) or isinstance(now, (property, staticmethod, classmethod))
