"""Where a peer spends its time: cProfile of traced calls, less bare ones."""

from __future__ import annotations

import cProfile
import gc
import pstats
import re
import time
from typing import TYPE_CHECKING, Any

from .session import Both
from .workloads import WORKLOADS

if TYPE_CHECKING:
    from .contract import Adapter, Options

BLOCKS = 10
SHOWN = 40
LEAST_CALLS = 0.01
_Key = tuple[str, int, str]
_Seen = dict[_Key, tuple[float, float]]


def profile(adapter: Adapter, options: Options, names: list[str]) -> dict[str, Any]:
    """Added microseconds (with the profiler's own overhead) and calls, by function."""
    both = Both(adapter, options, names)
    return {name: _added(both, name) for name in both.names}


def _added(both: Both, name: str) -> list[list[Any]]:
    traced, bare = _profiled(both, name, traced=True), _profiled(both, name, traced=False)
    added: _Seen = {}
    for key, (micros, calls) in traced.items():
        more = calls - bare.get(key, (0.0, 0.0))[1]
        if more > LEAST_CALLS:  # the rest is the client's own, and noise
            added[key] = (micros * more / calls, more)
    top = sorted(added.items(), key=lambda item: -item[1][0])[:SHOWN]
    return [[_label(key), round(micros, 1), round(calls, 2)] for key, (micros, calls) in top]


def _profiled(both: Both, name: str, *, traced: bool) -> _Seen:
    """Microseconds and calls of each function, per call of the workload."""
    run, calls = both.run(name, traced=traced), WORKLOADS[name].calls * BLOCKS
    run(calls)
    both.session.flush()
    gc.collect()
    profiler = cProfile.Profile(time.thread_time)  # not wall: the machine may be shared
    profiler.enable()
    run(calls)
    both.session.flush()
    profiler.disable()
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    return {key: (row[2] / calls * 1e6, row[1] / calls) for key, row in stats.items()}


def _label(key: _Key) -> str:
    file, line, name = key
    match = re.search(r"(?:site-packages|src|lib/python3\.\d+)/(.*)$", file)
    return f"{match.group(1) if match else file}:{line}:{name}" if line else name
