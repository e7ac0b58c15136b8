"""Shortens what is too long, inside its parts: the longest texts first, their middle left out.

The JSON stays valid, and who spoke, which tool was called and under what id is never cut.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KEPT_WHOLE = frozenset(
    {"type", "role", "id", "name", "finish_reason", "modality", "mime_type", "sha256", "uri"}
)
"""Fields of messages, parts, tools and documents that are never cut."""
_LONGEST_NAME = 1_024
"""But a name of that length is none."""
_ROUNDS = 6
_HEAD = 0.6
_LEAST = 16
"""Characters of a text that are kept at least, while any are."""


def size(value: Any) -> int:
    """Bytes of ``value`` as JSON in UTF-8."""
    return len(to_json(value).encode())


def to_json(value: Any) -> str:
    """Compact JSON that can be sent: lone surrogates become question marks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def shorten(value: Any, limit: int) -> Any:
    """``value``, made of what JSON has, in at most ``limit`` bytes of JSON; 128 at least.

    The longest texts are cut first, all to the same length, and say what they were: ``head [123,456
    characters in all, sha256 0123456789abcdef] tail``. If that is not enough, entries are left out
    of the middle of lists and objects, and counted. The value that was given stays as it is.
    """
    limit = max(limit, 128)
    length = size(value)
    if length <= limit:
        return value
    texts = sorted((len(text) for text in _texts(value)), reverse=True)
    spare = limit
    for _ in range(_ROUNDS):
        cut = _level(texts, length - spare)
        shorter = _cut(value, cut)
        now = size(shorter)
        if now <= limit:
            return shorter
        if cut <= _LEAST:
            break
        spare -= now - limit + 64
    return _thinned(_cut(value, _LEAST), limit)


def shorten_text(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, its middle left out; 128 at least."""
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
    """Attributes of a span within these bytes, each and all together.

    Those that hold JSON stay JSON; numbers and short texts are not touched. Where all is too much,
    the largest are cut first.
    """
    found = dict(attributes)
    sizes = {name: _bytes(value) for name, value in found.items()}
    for name, length in sizes.items():
        if length > attribute:
            found[name] = fitted(found[name], attribute)
            sizes[name] = _bytes(found[name])
    over = sum(sizes.values()) + sum(map(len, sizes)) - span
    if over > 0:
        lengths = sorted(sizes.values(), reverse=True)
        level = max(_level(lengths, over), 256)
        for name, length in sizes.items():
            if length > level:
                found[name] = fitted(found[name], level)
    return found


def fitted(value: Any, limit: int) -> Any:
    """The value of one attribute in at most ``limit`` bytes; a number stays as it is."""
    if isinstance(value, str):
        return _fitted_text(value, limit)
    if isinstance(value, list | tuple):
        texts = list(value)
        while texts and _bytes(texts) > limit:
            texts.pop()
        return tuple(texts)
    return value


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
    """To which length the longest must be cut so that ``over`` goes; ``lengths`` fall."""
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
    """Head and tail of ``text``, and between them what it was; no longer than it."""
    told = _told(text)
    keep -= len(told)
    if keep <= 0:
        return told if len(told) < len(text) else f"{text[: max(keep + len(told) - 1, 0)]}…"
    head = int(keep * _HEAD)
    return f"{text[:head]}{told}{text[len(text) - (keep - head) :]}"


def _told(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return f" [... {len(text):,} characters in all, sha256 {digest} ...] "


def _thinned(value: Any, limit: int) -> Any:
    """Entries left out of the middle, of the outermost list or object that has several."""
    if type(value) is list and len(value) > 1:
        return _thin(value, limit, _list)
    if type(value) is dict and len(value) > 1:
        return _thin(list(value.items()), limit, _object)
    if type(value) in (list, dict) and value:
        inner = value[0] if type(value) is list else next(iter(value.values()))
        shorter = _thinned(inner, limit - size(value) + size(inner))
        whole = [shorter] if type(value) is list else {next(iter(value)): shorter}
        return whole if size(whole) <= limit else _told_whole(value)
    return value if size(value) <= limit else _told_whole(value)


def _thin(entries: list[Any], limit: int, build: Callable[..., Any]) -> Any:
    """The first and the last entries, as many as fit."""
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
    """The note as an entry of the same sort as the others: a message, a part, a document."""
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
