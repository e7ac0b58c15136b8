"""Added machine instructions per call, counted by valgrind's callgrind.

Counts do not depend on what else the machine is doing. The runner starts this
process under valgrind with counting off; it is switched on around each block only.
"""

from __future__ import annotations

import ctypes
import gc
import os
from typing import TYPE_CHECKING, Any

from .canned import MARKER_IN, MARKER_OUT
from .session import Both
from .workloads import WORKLOADS

if TYPE_CHECKING:
    from .contract import Adapter, Options

SETTLE = 2
"""Blocks of each kind before the first count: lazy imports, specialised bytecode, pools."""


def count(adapter: Adapter, options: Options, names: list[str], repeats: int) -> dict[str, Any]:
    """Dumps the counts of ``repeats`` pairs of blocks; returns what was recorded in them."""
    library = ctypes.CDLL(os.environ["BENCH_CALLGRIND_LIB"])
    if not library.bench_under_valgrind():
        raise SystemExit("not under valgrind")
    both = Both(adapter, options, names)
    recorded = {name: _recorded(both, name) for name in both.names}
    gc.disable()  # when a collection falls due would be chance in so few calls
    for name in both.names:
        for traced in (False, True) * SETTLE:
            _warm(both, name, traced=traced)
        for repeat in range(repeats):
            for traced in (False, True):
                _block(library, both, name, traced=traced, repeat=repeat)
    return recorded


def _recorded(both: Both, name: str) -> dict[str, Any]:
    text = both.text(name)
    return {
        "spans": both.spans(name, traced=True),
        "spans_when_off": both.spans(name, traced=False),
        "input": MARKER_IN in text,
        "output": MARKER_OUT in text,
    }


def _block(library: ctypes.CDLL, both: Both, name: str, *, traced: bool, repeat: int) -> None:
    """One counted block, flush included."""
    _warm(both, name, traced=traced)
    run, calls = both.run(name, traced=traced), WORKLOADS[name].counted
    gc.collect()
    library.bench_start()
    run(calls)
    both.session.flush()
    library.bench_stop()
    mode = "traced" if traced else "bare"
    library.bench_dump(f"bench:{name}:{mode}:{repeat}:{calls}".encode())


def _warm(both: Both, name: str, *, traced: bool) -> None:
    """Refills the interpreter's caches, which switching the patches empties."""
    both.run(name, traced=traced)(WORKLOADS[name].counted)
    both.session.flush()
