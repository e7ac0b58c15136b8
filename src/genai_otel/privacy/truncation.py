"""Truncate values that are too long: the longest texts first, in their middle.

JSON stays valid, and roles, tool names and ids are never truncated.
"""

from __future__ import annotations

import hashlib
import json
import re
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Fields of messages, parts, tools and documents, and attributes with that suffix, that are never
# truncated
KEPT_WHOLE = frozenset(
    (
        *("type", "role", "id", "name", "tool_call_id", "finish_reason"),
        *("modality", "mime_type", "sha256", "uri"),
    )
)
_LONGEST_NAME = 1_024  # a longer value is truncated nevertheless
_ROUNDS = 6
_HEAD = 0.6
_LEAST = 16  # minimum of characters kept of a text, if any are
_SHORT = 256  # attributes up to this size in bytes are not truncated


def left_out(length: int) -> str:
    """Return the note in place of the middle of a text that was not scanned."""
    return f" [... {length:,} characters in all ...] "


def size(value: Any) -> int:
    """Return the bytes of ``value`` as JSON in UTF-8."""
    return len(to_json(value).encode())


def to_json(value: Any) -> str:
    """Return compact JSON that can be encoded: lone surrogates become question marks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def shorten(value: Any, limit: int) -> Any:
    """Truncate a JSON value to ``limit`` bytes of JSON (at least 128); the input is unchanged.

    The longest texts are truncated first, all to the same length, with a note: ``head [123,456
    characters in all, sha256 0123456789abcdef] tail``. If that is not enough, entries are removed
    from the middle of lists and objects, and counted.
    """
    limit = max(limit, 128)
    length = size(value)
    if length <= limit:
        return value
    found = [*_texts(value)]
    texts = sorted(map(len, found), reverse=True)
    dense = size("".join(found)) / max(sum(texts), 1)  # bytes per character, by script and escapes
    spare = limit
    for _ in range(_ROUNDS):
        cut = _level(texts, ceil((length - spare) / max(dense, 1.0)))
        shorter = _cut(value, cut)
        now = size(shorter)
        if now <= limit:
            return shorter
        if cut <= _LEAST:
            break
        spare -= now - limit + 64
    return _thinned(_cut(value, _LEAST), limit)


def shorten_text(text: str, limit: int) -> str:
    """Truncate ``text`` in its middle to ``limit`` bytes of UTF-8 (at least 128)."""
    limit = max(limit, 128)
    length = len(text.encode("utf-8", "replace"))
    if length <= limit:
        return text
    keep = limit
    while True:
        shorter = _shortened(text, keep)
        over = len(shorter.encode("utf-8", "replace")) - limit
        if over <= 0 or keep <= 0:
            return shorter
        keep = max(0, min(keep - 1, keep - over // 4 - 1))


def fit(
    attributes: Mapping[str, Any], *, attribute: int = 65_536, span: int = 262_144
) -> dict[str, Any]:
    """Truncate attributes of a span to a limit in bytes for each, and one for all.

    JSON attributes stay JSON; numbers, short texts, ids, roles and names are not truncated. If the
    total is too large, the largest are truncated first.
    """
    return fit_all([attributes], attribute=attribute, span=span)[0]


def fit_all(
    holders: Sequence[Mapping[str, Any]], *, attribute: int, span: int
) -> list[dict[str, Any]]:
    """Truncate attributes that share the bytes of one span: its own, and those of its events."""
    found = [dict(holder) for holder in holders]
    sizes: dict[tuple[int, str], int] = {}
    told = 0
    for at, holder in enumerate(found):
        for name, value in holder.items():
            length = _bytes(value)
            if length > attribute and not _is_named_whole(name, value):
                holder[name] = fitted(value, attribute)
                length = _bytes(holder[name])
            told += len(name) + length
            if length > _SHORT and not _is_named_whole(name, value):
                sizes[at, name] = length
    if told > span:
        level = max(_level(sorted(sizes.values(), reverse=True), told - span), _SHORT)
        for (at, name), length in sizes.items():
            if length > level:
                found[at][name] = fitted(found[at][name], level)
    return found


def _is_named_whole(name: str, value: Any) -> bool:
    return type(value) is str and _whole(name.rpartition(".")[2], value)


def fitted(value: Any, limit: int) -> Any:
    """Truncate the value of one attribute to ``limit`` bytes; numbers are not changed."""
    if isinstance(value, str):
        return _fitted_text(value, limit)
    if isinstance(value, list | tuple):
        return value if _bytes(value) <= limit else _fitted_list(list(value), limit)
    return value


def _fitted_list(values: list[Any], limit: int) -> tuple[Any, ...]:
    if all(type(item) is str for item in values):
        shorter = shorten(values, limit)
        return tuple(shorter) if type(shorter) is list else (shorter,)
    while values and _bytes(values) > limit:
        values.pop()
    return tuple(values)


def _fitted_text(text: str, limit: int) -> str:
    if text[:1] in ("[", "{"):
        try:
            return to_json(shorten(json.loads(text), limit))
        except ValueError:
            pass
        except RecursionError:
            return to_json(f"[{len(text):,} characters, nested too deeply, left out]")
    return shorten_text(text, limit)


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return 8


# -------------------------------------------------------------------------------------- pieces


def _texts(value: Any, key: str | None = None) -> Iterator[str]:
    if type(value) is str:
        if not _whole(key, value):
            yield value
    elif type(value) is dict:
        for name, child in value.items():
            yield from _texts(child, name)
    elif type(value) is list:
        for child in value:
            yield from _texts(child, key)


def _whole(key: str | None, text: str) -> bool:
    return key in KEPT_WHOLE and len(text) <= _LONGEST_NAME


def _level(lengths: list[int], over: int) -> int:
    """Return the maximum length that removes ``over`` in total; ``lengths`` are descending."""
    saved = 0
    for i, length in enumerate(lengths):
        following = lengths[i + 1] if i + 1 < len(lengths) else 0
        saved += (i + 1) * (length - following)
        if saved >= over:
            return following + (saved - over) // (i + 1)
    return 0


def _cut(value: Any, keep: int, key: str | None = None) -> Any:
    if type(value) is str:
        return value if len(value) <= keep or _whole(key, value) else _shortened(value, keep)
    if type(value) is dict:
        return {name: _cut(child, keep, name) for name, child in value.items()}
    if type(value) is list:
        return [_cut(child, keep, key) for child in value]
    return value


def _shortened(text: str, keep: int) -> str:
    """Return head and tail of ``text`` with a note between; never longer than ``text``."""
    told = _told(text)
    keep -= len(told)
    if keep <= 0:
        return told if len(told) < len(text) else f"{text[: max(keep + len(told) - 1, 0)]}…"
    head = int(keep * _HEAD)
    return f"{text[:head]}{told}{text[len(text) - (keep - head) :]}"


_MARK = re.compile(r" \[\.\.\. [\d,]+ characters in all(, sha256 [0-9a-f]{16})? \.\.\.\] ")


def _told(text: str) -> str:
    """Return the note about the original text; a text truncated before keeps its note."""
    before = _MARK.search(text)
    if before is not None:
        return before[0]
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return f" [... {len(text):,} characters in all, sha256 {digest} ...] "


# The form of a note in place of removed entries, which contains no content
NOTE = re.compile(r"\[[\d,]{1,20}(?: of [\d,]{1,20}| bytes)? left out\]")


def _thinned(value: Any, limit: int) -> Any:
    """Remove entries from the middle of the largest part, or else of the value itself."""
    if type(value) not in (list, dict) or not value:
        return value if size(value) <= limit else _told_whole(value)
    at = max(value if type(value) is dict else range(len(value)), key=lambda key: size(value[key]))
    part = size(value[at])
    room = limit - (size(value) - part)
    if type(value[at]) in (list, dict) and part * 4 > limit and room > _SHORT:
        shorter = {**value} if type(value) is dict else [*value]
        shorter[at] = _thinned(value[at], room)
        if size(shorter) <= limit:
            return shorter
    if len(value) == 1:
        return _told_whole(value)
    if type(value) is list:
        return _thin(value, limit, _list)
    kinds_first = sorted(value.items(), key=lambda item: item[0] not in _KINDS)
    return _thin(kinds_first, limit, _object)


_KINDS = ("type", "role")  # kept first, as redaction depends on them


def _thin(entries: list[Any], limit: int, build: Callable[..., Any]) -> Any:
    """Keep as many first and last entries as fit."""
    low, high = 0, len(entries)
    best: Any = None
    while low < high:
        kept = (low + high) // 2
        note = f"[{len(entries) - kept:,} of {len(entries):,} left out]"
        made = build(entries[: kept - kept // 2], note, entries[len(entries) - kept // 2 :])
        if size(made) <= limit:
            best, low = made, kept + 1
        else:
            high = kept
    return best if best is not None else f"[{len(entries):,} left out]"


def _list(head: list[Any], note: str, tail: list[Any]) -> list[Any]:
    return [*head, _like((*head, *tail), note), *tail]


def _object(head: list[Any], note: str, tail: list[Any]) -> dict[str, Any]:
    return {**dict(head), "...": note, **dict(tail)}


def _like(others: tuple[Any, ...], note: str) -> Any:
    """Return the note as an entry of the same type as the others: a message, part, document."""
    other = others[0] if others and type(others[0]) is dict else {}
    if "parts" in other:
        return {**other, "parts": [{"type": "text", "content": note}]}
    if "parameters" in other or other.get("type") == "function":
        return {"type": "function", "name": note}
    if "type" in other:
        return {"type": "text", "content": note}
    return {"id": note} if "id" in other else note


def _told_whole(value: Any) -> str:
    return f"[{size(value):,} bytes left out]"
