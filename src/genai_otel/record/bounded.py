"""Bounded copies of values from a provider's API, without binary data."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from .foreign import as_dict
from .snapshot import cut, snapshot

_DEPTH = 12
_NODES = 1_000
_CHARS = 65_536
_SCALARS = (bool, int, float)
_MORE = "[more values left out]"
# Shorter base64 texts are kept: they may be a name, the start of a signature, or a hash.
_LEAST_BYTES = 512
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_LEAST_BYTES}}}")


def bounded(value: Any) -> Any:
    """Return a copy of a provider's value within a part's limits; bytes are replaced by their size.

    Exact dicts, lists and tuples are copied recursively, and so are models, with fields that their
    class does not declare and without fields that are ``None``. No code of the value's class runs.
    """
    return _Copy().of(value, 0)


class _Copy:
    """The copying of one value, with the nodes and characters that it may still use."""

    __slots__ = ("_chars", "_nodes")

    def __init__(self) -> None:
        self._nodes, self._chars = _NODES, _CHARS

    def of(self, value: Any, depth: int) -> Any:
        self._nodes -= 1
        cls = type(value)
        if value is None or cls in _SCALARS:
            return value
        if cls is str:
            return self._text(value)
        if depth > _DEPTH:
            return "[deeper values left out]"
        if cls is list or cls is tuple:
            return self._list(value, depth + 1)
        own = None if isinstance(value, type) else as_dict(value)
        if own:
            kept = own if cls is dict else _set(own)
            return self._dict(kept, depth + 1)
        return {} if cls is dict else snapshot(value, depth=1, nodes=10, chars=max(0, self._chars))

    def _list(self, values: Any, depth: int) -> list[Any]:
        room = max(0, self._nodes)
        made = [self.of(each, depth) for each in values[:room]]
        return [*made, _MORE] if len(values) > room else made

    def _dict(self, own: dict[Any, Any], depth: int) -> dict[str, Any]:
        room = max(0, self._nodes)
        made = {self._key(k): self.of(each, depth) for k, each in islice(own.items(), room)}
        return {**made, "...": _MORE} if len(own) > room else made

    def _key(self, key: Any) -> str:
        return self._text(key) if type(key) is str else str(snapshot(key, chars=100))

    def _text(self, text: str) -> str:
        """Return the text within the limit; replace base64 data by its size in bytes."""
        coded = text.partition(",")[2] if text.startswith("data:") else text
        if len(coded) >= _LEAST_BYTES and _BASE64.match(coded):
            return f"[{len(coded) * 3 // 4} bytes]"
        kept = cut(text, max(0, self._chars))
        self._chars -= len(kept)
        return kept if kept is text else f"{kept}[{len(text) - len(kept)} characters left out]"


def _set(own: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are not ``None``: most declared fields of a model are optional."""
    return {key: value for key, value in own.items() if value is not None}
