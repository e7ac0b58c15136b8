"""Cost of a fresh process: import, set-up, memory; and growth over many calls."""

from __future__ import annotations

import gc
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .canned import CHAT_SHORT, MODEL, SHORT_MESSAGES
from .session import start
from .workloads import WORKLOADS, client

if TYPE_CHECKING:
    from .contract import Adapter, Options

POINTS = 10
BACKGROUND_S, IDLE_S, QUIET = 10.0, 0.004, 3


def rss_kb() -> int:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")


def _call(api: Any) -> None:
    api.chat.completions.create(model=MODEL, messages=SHORT_MESSAGES)


def _cpu_ms() -> float:
    return time.process_time() * 1e3


def _wait_for_threads() -> None:
    """Until nothing works in the background any more: what is loaded there is start-up as well."""
    quiet, ends = 0, time.monotonic() + BACKGROUND_S
    while quiet < QUIET and time.monotonic() < ends:
        before = time.process_time()
        time.sleep(0.2)
        quiet = quiet + 1 if time.process_time() - before < IDLE_S else 0


def fresh(adapter: Adapter, options: Options) -> dict[str, float]:
    """Import and set-up in this process, after a first bare call of the client.

    The totals are of the whole process when its threads have become quiet: compared with those
    of ``none`` they also have what is loaded in the background, and what an installed peer makes
    others import (logfire's pydantic plugin, say).
    """
    _call(client(CHAT_SHORT, lambda api: api))
    before = _cpu_ms()
    exec(adapter.PEER.statements, {})  # noqa: S102 - the peer's own import statements
    imported = _cpu_ms()
    if "opentelemetry.sdk" in sys.modules:  # the harness's own import, not the peer's
        from . import exporters as _exporters  # noqa: F401
    ready = _cpu_ms()
    _, session = start(adapter, options)
    set_up = _cpu_ms()
    wrapped = client(CHAT_SHORT, session.wrap)
    wall = time.perf_counter()
    _call(wrapped)
    first_call = time.perf_counter() - wall
    for _ in range(3):
        _call(wrapped)
    session.flush()
    _wait_for_threads()
    gc.collect()
    return {
        "import_cpu_ms": imported - before,
        "setup_cpu_ms": set_up - ready,
        "first_call_ms": first_call * 1e3,
        "total_cpu_ms": _cpu_ms(),
        "total_rss_kb": rss_kb(),
        "total_modules": len(sys.modules),
        "threads": threading.active_count(),
    }


def growth(adapter: Adapter, options: Options, calls: int) -> list[dict[str, int]]:
    """Memory and tracked objects at ten points on the way through ``calls`` short chats."""
    _, session = start(adapter, options)
    run = WORKLOADS["chat_short"].make(session.wrap)
    points: list[dict[str, int]] = []
    for number in range(1, POINTS + 1):
        run(calls // POINTS)
        session.flush()
        gc.collect()
        seen = {"calls": number * (calls // POINTS), "rss_kb": rss_kb()}
        points.append({**seen, "objects": len(gc.get_objects())})
    return points
