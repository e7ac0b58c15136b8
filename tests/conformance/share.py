"""Which cells are run: all of them, or a share in which whatever can go together still does.

A share of pairs holds a cell for each two values of different dimensions that go together in the
table: each scenario with each door, each door with each ending, each mode in each colour ... `make`
runs that; `make test` a share of threes; `make conformance` and `make test-all` the whole table.
"""

from __future__ import annotations

import heapq
import os
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.table import Cell

WHOLE = bool(os.environ.get("GENAI_OTEL_WHOLE"))
"""Whether whatever can be run is run."""
QUICK = int(os.environ.get("GENAI_OTEL_SHARE", "2"))
"""How many values the smallest share combines: with 1 it holds each door, scenario ... once."""


def shared(cells: Sequence[Cell], together: int, has: Sequence[Cell] = ()) -> list[Cell]:
    """`has` and few more, so that every combination of so many values occurs; always the same."""
    combined = [set(_combined(cell, together)) for cell in cells]
    seen = {each for cell in has for each in _combined(cell, together)}
    kept = list(has)
    best = [(-len(new), at) for at, new in enumerate(combined)]
    heapq.heapify(best)
    while best:
        _, at = heapq.heappop(best)
        brings = len(combined[at] - seen)
        if best and -brings > best[0][0]:  # less than was thought, and than another one brings
            heapq.heappush(best, (-brings, at))
        elif brings:
            kept.append(cells[at])
            seen |= combined[at]
    return kept


def _combined(cell: Cell, together: int) -> Any:
    return combinations(zip(cell._fields, cell, strict=True), together)
