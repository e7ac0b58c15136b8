"""The rows of the table: what is measured, how it is read from the results, and our goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

THOUSAND = 1e3
CHUNKS = 200 - 20
OURS, FLOOR, NONE = "ours", "floor", "none"
Results = dict[str, dict[str, Any]]
"""By peer, what was measured: variant -> workload -> figures; fresh; growth."""


@dataclass(frozen=True, slots=True)
class Goal:
    """At most ``limit``, or at most ``limit`` times what the floor takes."""

    limit: float
    of_floor: bool = False

    def value(self, floor: float | None) -> float | None:
        if not self.of_floor:
            return self.limit
        return None if floor is None else self.limit * floor


@dataclass(frozen=True, slots=True)
class Measure:
    """One row. Less is better in all of them."""

    title: str
    read: Callable[[Results, str], float | None]
    noise: float
    """Differences below this are none."""
    digits: int = 0
    goal: Goal | None = None
    workload: tuple[str, str] | None = None
    """Variant and workload, where it can be seen what was recorded."""


def _instructions(variant: str, work: str) -> Callable[[Results, str], float | None]:
    def read(results: Results, peer: str) -> float | None:
        found = (results[peer].get(variant) or {}).get(work)
        if found is None or not _sound(found, variant, peer):
            return None
        return float(found["added"]) / THOUSAND

    return read


def _sound(found: dict[str, Any], variant: str, peer: str) -> bool:
    """Whether the peer did what the row is about: spans, or none when sampled out."""
    if peer == NONE:
        return True
    recorded = found["spans"] > 0 and found["spans_when_off"] == 0
    return recorded is (variant != "sampled out")


def _chunk(variant: str, prefix: str = "") -> Callable[[Results, str], float | None]:
    few, many = (_instructions(variant, f"{prefix}stream_{n}") for n in (20, 200))

    def read(results: Results, peer: str) -> float | None:
        least, most = few(results, peer), many(results, peer)
        return None if least is None or most is None else (most - least) / CHUNKS

    return read


def _ready_ms(results: Results, peer: str) -> float | None:
    """The least of several: a shared machine only ever adds."""
    fresh = results[peer].get("fresh")
    if not fresh:
        return None
    return float(min(f["import_cpu_ms"] + f["setup_cpu_ms"] for f in fresh))


def _over_none(key: str, unit: float) -> Callable[[Results, str], float | None]:
    def read(results: Results, peer: str) -> float | None:
        fresh, base = results[peer].get("fresh"), results.get(NONE, {}).get("fresh")
        if not fresh or not base:
            return None
        middle = statistics.median(f[key] for f in fresh)
        return float(middle - statistics.median(f[key] for f in base)) / unit

    return read


def _started_ms(results: Results, peer: str) -> float | None:
    """As ``_ready_ms``: the least."""
    fresh, base = results[peer].get("fresh"), results.get(NONE, {}).get("fresh")
    if not fresh or not base:
        return None
    return float(min(f["total_cpu_ms"] for f in fresh) - min(f["total_cpu_ms"] for f in base))


def _held(results: Results, peer: str) -> float | None:
    """Resident bytes a call gained after the first tenth of the calls."""
    points = results[peer].get("growth")
    if not points:
        return None
    first, last = points[0], points[-1]
    gained = float(last["rss_kb"] - first["rss_kb"]) * 1024
    return gained / float(last["calls"] - first["calls"])


def _objects(results: Results, peer: str) -> float | None:
    points = results[peer].get("growth")
    return float(points[-1]["objects"] - points[0]["objects"]) if points else None


def _count(
    title: str, work: str, *, noise: float, goal: Goal | None = None, variant: str = "content"
) -> Measure:
    read = _instructions(variant, work)
    return Measure(title, read, noise, goal=goal, workload=(variant, work))


MEASURES = (
    _count("chat, short", "chat_short", noise=8, goal=Goal(1.2, of_floor=True)),
    _count("chat, 20 x 2 KB and 5 tools", "chat_large", noise=20, goal=Goal(1.0, of_floor=True)),
    _count("stream of 20", "stream_20", noise=10),
    _count("stream of 200", "stream_200", noise=40),
    Measure("  a chunk", _chunk("content"), 1.5, 1, Goal(4)),
    _count("async stream of 20", "async_stream_20", noise=10),
    _count("async stream of 200", "async_stream_200", noise=40),
    Measure("  a chunk", _chunk("content", "async_"), 1.5, 1, Goal(4)),
    _count("embeddings of 64", "embeddings", noise=170),
    _count("64 at once, each", "async_64", noise=8),
    _count("no content: chat, short", "chat_short", noise=8, variant="no content"),
    _count("no content: chat, large", "chat_large", noise=20, variant="no content"),
    _count("sampled out: chat, short", "chat_short", noise=8, goal=Goal(60), variant="sampled out"),
    _count("sampled out: chat, large", "chat_large", noise=20, variant="sampled out"),
    _count("with metrics: chat, short", "chat_short", noise=8, variant="metrics"),
    Measure("with metrics: a chunk", _chunk("metrics"), 1.5, 1),
    Measure("import and set-up, CPU ms", _ready_ms, 2, 0, Goal(50)),
    Measure("  and first calls, background, CPU ms", _started_ms, 5, 0),
    Measure("resident memory, MB", _over_none("total_rss_kb", 1024), 0.3, 1, Goal(8)),
    Measure("bytes a call held, 50,000 calls", _held, 20, 0),
    Measure("objects held after them", _objects, 50, 0),
)
