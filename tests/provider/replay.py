"""Recorded answers, served in their order: models named `replay-*`.

The file is a JSON list of `{"endpoint": ..., "response": ...}` for whole replies and of
`{"endpoint": ..., "chunks": [...]}` for streams, with an optional `pause` in seconds before each
chunk; `about` and `request` say where an entry comes from. After the last entry the first follows.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.provider.answer import Answer, Part, marking_last
from tests.provider.wire import Frame, Json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.wire import Ask, Endpoint

RECORDED: Final = Path(__file__).parent / "recorded" / "xllamacpp.json"
_UNKNOWN: Final = (None, None)
_INPUT_NAMES = ("prompt_tokens", "input_tokens")
_OUTPUT_NAMES = ("completion_tokens", "output_tokens")


class Replay:
    def __init__(self, file: Path = RECORDED) -> None:
        self._entries: dict[tuple[str, bool], list[Json]] = defaultdict(list)
        for entry in json.loads(file.read_text("utf-8")):
            self._entries[entry["endpoint"], "chunks" in entry].append(entry)
        self._served: dict[tuple[str, bool], int] = defaultdict(int)
        self._lock = threading.Lock()

    def answer(self, endpoint: Endpoint, ask: Ask) -> Answer | None:
        """Return the next recorded answer; `None` where nothing of the kind was recorded."""
        kind = endpoint.name, ask.stream
        entries = self._entries[kind]
        if not entries:
            return None
        with self._lock:
            entry = entries[self._served[kind] % len(entries)]
            self._served[kind] += 1
        return _streamed(entry, endpoint, ask) if ask.stream else _whole(entry)


def _whole(entry: Json) -> Answer:
    response: Json = entry["response"]
    head = {"content-type": "application/json"}
    return Answer(headers=head, body=to_json(response), spent=_spent(response))


def _streamed(entry: Json, endpoint: Endpoint, ask: Ask) -> Answer:
    chunks: list[Json] = entry["chunks"]
    spent = next((each for each in map(_spent, reversed(chunks)) if each != _UNKNOWN), _UNKNOWN)
    head = {"content-type": endpoint.stream_type, "cache-control": "no-cache"}
    parts = _parts(entry, endpoint, ask)
    return Answer(headers=head, parts=parts, spent=spent)


def _parts(entry: Json, endpoint: Endpoint, ask: Ask) -> Iterator[Part]:
    wanted = (chunk for chunk in entry["chunks"] if ask.include_usage or not _only_usage(chunk))
    for chunk, last in marking_last(wanted):
        data = endpoint.encode(Frame(chunk, event=chunk.get("type", "")))
        yield Part(data + (endpoint.end if last else b""), entry.get("pause", 0.0))


def _only_usage(chunk: Json) -> bool:
    return bool(chunk.get("usage")) and chunk.get("choices") == []


def _spent(reply: Json) -> tuple[int | None, int | None]:
    usage = reply.get("usage") or (reply.get("response") or {}).get("usage") or {}
    return _first(usage, _INPUT_NAMES), _first(usage, _OUTPUT_NAMES)


def _first(usage: Json, names: tuple[str, ...]) -> int | None:
    return next((usage[name] for name in names if name in usage), None)
