"""Aligned columns if the terminal is wide enough, else stacked lines."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

from genai_otel._settings import variable

from .styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_GAP = 2
_MIN_ROOM = 16
_BETWEEN = " · "
_NO_LIMIT = 100_000


class Column(NamedTuple):
    """``least`` is the minimum width if truncated; ``None``: the column is never truncated."""

    title: str
    right: bool = False
    least: int | None = None


class Row(NamedTuple):
    cells: Sequence[Text]
    margin: str = "  "  # left of the lines below the first cell


class Below(NamedTuple):
    """Facts, packed into as few lines as possible, right of a margin."""

    margin: str
    facts: Sequence[Text]


def terminal_width() -> int | None:
    """``None`` for a pipe or a file, where lines have no maximum length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def terminal_has_color() -> bool:
    """Whether to write colors: https://no-color.org and https://force-color.org."""
    if variable("NO_COLOR"):
        return False
    if variable("FORCE_COLOR"):
        return True
    terminal = variable("TERM") or ("dumb" if os.name == "nt" else "unknown")
    # Windows Terminal sets WT_SESSION; older consoles print escape sequences verbatim.
    known = terminal not in ("dumb", "unknown") or variable("WT_SESSION") is not None
    return sys.stdout.isatty() and known


def draw(items: Iterable[Text | Below], *, width: int | None, color: bool) -> str:
    """Render the items as lines of at most ``width`` cells."""
    lines = (line for item in items for line in _lines(item, width or _NO_LIMIT))
    return "".join(f"{_stripped(line.rendered(color=color))}\n" for line in lines)


def _lines(item: Text | Below, width: int) -> Iterator[Text]:
    if isinstance(item, Text):
        yield from item.lines(width)
        return
    room = max(_MIN_ROOM, width - len(item.margin))
    for packed in _pack(item.facts, room):
        for line in packed.lines(room):
            yield Text.assemble((item.margin, "dim"), line)


def _stripped(line: str) -> str:
    return line.rstrip(" ")


def _pack(facts: Sequence[Text], room: int) -> list[Text]:
    """Lines that break between facts, unless a fact is longer than a line."""
    lines: list[Text] = []
    for fact in facts:
        if lines and lines[-1].width + len(_BETWEEN) + fact.width <= room:
            lines[-1] = Text.assemble(lines[-1], _BETWEEN, fact)
        else:
            lines.append(fact)
    return lines


def columns(heads: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Text | Below]:
    """The rows as items to draw; columns without values are omitted."""
    used = [i for i in range(len(heads)) if i == 0 or any(row.cells[i].plain for row in rows)]
    heads = [heads[i] for i in used]
    rows = [Row([row.cells[i] for i in used], row.margin) for row in rows]
    widths = _widths(heads, rows, width)
    return _stack(heads, rows) if widths is None else _table(heads, rows, widths)


def _widths(heads: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[int] | None:
    """The widths of the columns, or ``None`` if they do not fit."""
    wanted = [
        max([len(head.title), *(row.cells[i].width for row in rows)])
        for i, head in enumerate(heads)
    ]
    excess = sum(wanted) + _GAP * (len(wanted) - 1) - (width or sys.maxsize)
    for i in reversed(range(len(heads))):  # the name, in the first column, is truncated last
        least = heads[i].least
        if excess > 0 and least is not None and wanted[i] > least:
            cut = min(excess, wanted[i] - least)
            wanted[i] -= cut
            excess -= cut
    return None if excess > 0 else wanted


def _table(
    heads: Sequence[Column], rows: Sequence[Row], widths: Sequence[int]
) -> list[Text | Below]:
    titles = Row([Text(head.title, "dim") for head in heads])
    return [_line(heads, row, widths) for row in (titles, *rows)]


def _line(heads: Sequence[Column], row: Row, widths: Sequence[int]) -> Text:
    cells = zip(heads, row.cells, widths, strict=True)
    padded = [cell.padded(cells, right=head.right) for head, cell, cells in cells]
    return Text.assemble(*(part for cell in padded for part in (cell, " " * _GAP)))


def _stack(heads: Sequence[Column], rows: Sequence[Row]) -> list[Text | Below]:
    drawn: list[Text | Below] = []
    for row in rows:
        first, *others = row.cells
        drawn.append(first)
        facts = [
            Text.assemble((f"{head.title} ", "dim"), cell)
            for head, cell in zip(heads[1:], others, strict=True)
            if cell.plain
        ]
        if facts:
            drawn.append(Below(row.margin, facts))
    return drawn
