"""What we keep for objects of the host's, as long as they live, whatever they are like."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import ref

T = TypeVar("T")


class IdentityWeakMap(Generic[T]):
    """By the object's identity: it may not be hashable, as logfire's providers are not."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, tuple[ref[Any], T]] = {}

    def get(self, owner: Any) -> T | None:
        """What is kept for this very object."""
        whose, found = self._kept.get(id(owner), (None, None))
        return found if whose is not None and whose() is owner else None

    def put(self, owner: Any, value: T) -> T:
        """Keeps ``value`` until ``owner`` is no more."""
        key, kept = id(owner), self._kept

        def forget(gone: ref[Any]) -> None:
            if kept.get(key, (None,))[0] is gone:  # another object may be at that address by now
                del kept[key]

        kept[key] = ref(owner, forget), value
        return value
