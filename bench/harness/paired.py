"""Added CPU time per call: bare and traced blocks, interleaved in one process."""

from __future__ import annotations

import gc
import random
import time
from typing import TYPE_CHECKING, Any

from .session import Both
from .workloads import WORKLOADS, first_chunk

if TYPE_CHECKING:
    from .contract import Adapter, Options

LEAST = 5


def measure(
    adapter: Adapter, options: Options, names: list[str], pairs: int, scale: int
) -> dict[str, Any]:
    """Raw microseconds of pairs of blocks; ``scale`` makes the blocks longer and fewer."""
    both, rng = Both(adapter, options, names), random.Random(1)  # noqa: S311 - an order of blocks
    out: dict[str, Any] = {"patched": both.patched, "workloads": {}}
    for name in both.names:
        work = WORKLOADS[name]
        calls = work.calls * scale
        spans = {f"traced {m}": both.spans(name, traced=m) for m in (True, False)}
        gc.collect()
        gc.freeze()
        blocks = max(LEAST, int(pairs * work.share) // scale)
        rows = [_pair(both, name, calls, rng) for _ in range(blocks)]
        out["workloads"][name] = {"spans": spans, "calls": calls, "rows": rows}
    if options.endpoint is None and "stream_20" in both.names:
        out["first_chunk"] = _first_chunks(both, pairs, rng)
    return out


def _pair(both: Both, name: str, calls: int, rng: random.Random) -> list[float]:
    """Microseconds: process and caller, bare; process and caller, traced."""
    seen = {}
    for traced in rng.sample((False, True), 2):
        seen[traced] = _block(both, name, calls, traced=traced)
    return [round(value * 1e6, 3) for value in (*seen[False], *seen[True])]


def _block(both: Both, name: str, calls: int, *, traced: bool) -> tuple[float, float]:
    """CPU seconds per call: of the process with the flush, of the caller's thread.

    The calls before the clock starts refill the interpreter's type caches, which
    switching the patches on or off empties.
    """
    run, flush = both.run(name, traced=traced), both.session.flush
    run(calls)
    flush()
    gc.collect()
    process, thread = time.process_time(), time.thread_time()
    run(calls)
    caller = time.thread_time() - thread
    flush()
    return (time.process_time() - process) / calls, caller / calls


def _first_chunks(both: Both, pairs: int, rng: random.Random) -> list[list[float]]:
    """Wall microseconds to the first chunk, bare and traced."""
    both.run("stream_20", traced=False)
    once = {False: first_chunk(lambda client: client)}
    both.run("stream_20", traced=True)
    once[True] = first_chunk(both.session.wrap)
    rows = []
    for _ in range(pairs):
        seen = {}
        for traced in rng.sample((False, True), 2):
            both.run("stream_20", traced=traced)
            once[traced]()
            seen[traced] = round(once[traced]() * 1e6, 2)
        rows.append([seen[False], seen[True]])
    return rows
