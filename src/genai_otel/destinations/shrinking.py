"""Spans and values within a number of bytes; what is JSON stays JSON.

Texts lose their middles, the longest first, and say how much is missing; ids, roles, names and the
structure stay as they are. Only where that is not enough is a value given up as a whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .spans import attributes_of, changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

_LEAST = 48
"""A text of so many bytes, marker included, is not shortened any more."""
_ROUNDS = 6
_MARKED = 24  # what a marker may take


def size(text: str) -> int:
    """Bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def clipped(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes: head and tail, between them how many are missing."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= limit:
        return text
    room = max(limit - _MARKED, 0)
    head = raw[: room - room // 3].decode("utf-8", "ignore")
    tail = raw[len(raw) - room // 3 :].decode("utf-8", "ignore") if room >= 3 else ""  # noqa: PLR2004
    missing = len(raw) - size(head) - size(tail)
    return f"{head}[... {missing} bytes ...]{tail}" if limit > _MARKED else "[...]"[:limit]


def shortened(text: str, limit: int) -> str:
    """An attribute's text in at most ``limit`` bytes, valid JSON if it was an object or list."""
    if size(text) <= limit:
        return text
    if text[:1] in "[{":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return _json(value, limit)
    return clipped(text, limit)


def _json(value: Any, limit: int) -> str:
    """The longest texts are brought to one level, at which all is short enough."""
    sizes = sorted(size(_dumped(text)) for text in _texts(value))
    room = limit - (size(_dumped(value)) - sum(sizes))
    for _ in range(_ROUNDS):
        level = _level(sizes, room)
        if level < _LEAST:
            break
        told = _dumped(_cut(value, level))
        over = size(told) - limit
        if over <= 0:
            return told
        room -= over + limit // 16  # some characters take more bytes in JSON than others
    return _fewer(_cut(value, _LEAST), limit)


def _level(sizes: list[int], room: int) -> int:
    """The length to which the longer ones are cut so that all together take ``room``."""
    for at, length in enumerate(sizes):
        share = room // (len(sizes) - at)
        if length >= share:
            return share
        room -= length
    return 0 if not sizes else sizes[-1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _cut(value: Any, level: int) -> Any:
    if isinstance(value, str):
        taken = size(_dumped(value))
        return value if taken <= level else clipped(value, level * size(value) // taken)
    if isinstance(value, dict):
        return {key: _cut(item, level) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item, level) for item in value]
    return value


def _fewer(value: Any, limit: int) -> str:
    """Too many short things: of a list its end stays, which is what was said last."""
    kept: list[Any] = []
    room = limit - 2 - _MARKED
    items: list[Any] = value if isinstance(value, list) else []
    for item in reversed(items):
        room -= size(_dumped(item)) + 1
        if room < 0:
            break
        kept.insert(0, item)
    if kept or isinstance(value, list):
        return _dumped(kept)
    return _dumped({"left out": f"{len(value)} values"})


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------------------------------- spans


def within(span: ReadableSpan, attribute_bytes: int) -> ReadableSpan:
    """The span with no text of an attribute beyond the limit; itself where there is none."""
    attributes = attributes_of(span)
    events = span.events
    long = any(type(v) is str and len(v) * 4 > attribute_bytes for v in attributes.values())
    if not long and not events:
        return span

    def fit(holder: Mapping[str, Any] | None) -> dict[str, Any] | None:
        found = {
            key: shortened(value, attribute_bytes)
            for key, value in (holder or {}).items()
            if isinstance(value, str) and size(value) > attribute_bytes
        }
        return {**(holder or {}), **found} if found else None

    fitting = fit(attributes)
    said = [(event, fit(event.attributes)) for event in events]
    if fitting is None and all(inner is None for _, inner in said):
        return span
    return changed(
        span,
        attributes if fitting is None else fitting,
        events=[event if inner is None else _event(event, inner) for event, inner in said],
    )


def _event(event: Any, attributes: Mapping[str, Any]) -> Any:
    from opentelemetry.sdk.trace import Event

    return Event(event.name, attributes, event.timestamp)


def shrunk(
    span: ReadableSpan, limit: int, encode: Callable[[ReadableSpan], bytes]
) -> ReadableSpan | None:
    """The span in at most ``limit`` encoded bytes; ``None`` where even its bare facts take more.

    First its long texts are shortened, together, then its events go, then whatever is longest.
    """
    smaller = span
    for divisor in (4, 16, 64, 256):
        smaller = within(span, max(limit // divisor, _LEAST))
        if len(encode(smaller)) <= limit:
            return smaller
    bare = changed(smaller, attributes_of(smaller), events=(), links=())
    attributes = dict(attributes_of(bare))
    while attributes:
        if len(encode(changed(bare, attributes))) <= limit:
            return changed(bare, attributes)
        for key in sorted(attributes, key=lambda k: len(str(attributes[k])))[
            len(attributes) // 2 :
        ]:
            del attributes[key]
    empty = changed(bare, {}, name=clipped(span.name, 256))
    return empty if len(encode(empty)) <= limit else None
