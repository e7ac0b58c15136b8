"""The common part of the local store's exporters: encode items, write lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .files import Appender

_LINE_BYTES = 1024 * 1024  # a longer line is split, to bound the memory of a reader


class Sink:
    """Writes the items of one signal until it is closed."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._closed = False

    def write(self, items: Sequence[Any], request: Callable[[Sequence[Any]], Any]) -> bool:
        """Write ``items`` as one line, or as several if it would be long.

        An item that cannot be encoded is dropped alone.
        """
        if self._closed:
            self._appender.drop("shutdown", len(items))
            return False
        try:
            line = to_line(request(items))
        except Exception:  # noqa: BLE001 - whatever one item raises, the others are written
            line = None
        if len(items) > 1 and (line is None or len(line) > _LINE_BYTES):
            half = len(items) // 2
            first = self.write(items[:half], request)
            return self.write(items[half:], request) and first
        if line is None:
            self._appender.drop("encoding", len(items))
            return False
        return self._appender.append(line, len(items))

    def write_one(self, request: Callable[[], Any], weight: int) -> bool:
        """Write a request that cannot be split and counts as ``weight`` items."""
        if self._closed:
            self._appender.drop("shutdown", weight)
            return False
        try:
            line = to_line(request())
        except Exception:  # noqa: BLE001 - see above
            self._appender.drop("encoding", weight)
            return False
        return self._appender.append(line, weight)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._appender.close()


def to_line(request: Any) -> bytes:
    try:
        from pydantic_core import to_json

        return to_json(request) + b"\n"
    except Exception:  # noqa: BLE001 - not installable here, or gone at interpreter exit
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
