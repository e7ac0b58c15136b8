"""Values kept for objects of the application as long as these live."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import ref

T = TypeVar("T")


class IdentityWeakMap(Generic[T]):
    """Weak map by object identity: keys may be unhashable, as logfire's providers are."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, tuple[ref[Any], T]] = {}

    def get(self, owner: Any) -> T | None:
        """Return the value of this object, ``None`` without one."""
        whose, found = self._kept.get(id(owner), (None, None))
        return found if whose is not None and whose() is owner else None

    def put(self, owner: Any, value: T) -> T:
        """Keep ``value`` until ``owner`` is collected."""
        key, kept = id(owner), self._kept

        def forget(gone: ref[Any]) -> None:
            if kept.get(key, (None,))[0] is gone:  # a new object may have the same address
                del kept[key]

        kept[key] = ref(owner, forget), value
        return value
