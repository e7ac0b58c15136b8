"""Aligned columns where the terminal is wide enough, and stacked lines where it is not.

The only module that draws with rich, which is an extra: see ``require_rich``.
"""

from __future__ import annotations

import shutil
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from . import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

_GAP = 2
_LEAST_ROOM = 16
_BETWEEN = " · "


class Column(NamedTuple):
    """``least`` is the width down to which a column may be cut; without it, it is never cut."""

    title: str
    right: bool = False
    least: int | None = None


class Row(NamedTuple):
    cells: Sequence[Text]
    margin: str = "  "  # left of what is stacked below the first cell


class Below(NamedTuple):
    """Facts in as few lines as they fit in, right of a margin."""

    margin: str
    facts: Sequence[Text]


def require_rich() -> None:
    try:
        import rich  # noqa: F401 - asked for, not used
    except ImportError:
        raise Refusal('this needs rich: pip install "genai-otel[cli]"') from None


def terminal_width() -> int | None:
    """``None`` for a pipe or a file, where lines may be as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def terminal_has_color() -> bool:
    """As rich decides it, by the terminal, NO_COLOR and FORCE_COLOR."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console.is_terminal and console.color_system is not None and not console.no_color


def draw(renderables: Iterable[Any], *, width: int | None, color: bool) -> str:
    from rich.console import Console

    output = StringIO()
    console = Console(
        file=output,
        width=width or 100_000,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for renderable in renderables:
        if isinstance(renderable, Below):
            _print_below(console, renderable)
        else:
            console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().split("\n")[:-1])


def _print_below(console: Any, below: Below) -> None:
    from rich.text import Text

    room = max(_LEAST_ROOM, console.width - len(below.margin))
    for packed in _packed(below.facts, room):
        for line in packed.wrap(console, room):
            line.rstrip()
            console.print(Text.assemble((below.margin, "dim"), line), soft_wrap=True)


def _packed(facts: Sequence[Text], room: int) -> list[Text]:
    """Lines which break between facts as long as a fact fits in one."""
    lines: list[Text] = []
    for fact in facts:
        if lines and lines[-1].cell_len + len(_BETWEEN) + fact.cell_len <= room:
            lines[-1] = lines[-1] + _BETWEEN + fact
        else:
            lines.append(fact)
    return lines


def columns(heads: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Any]:
    """What to draw for the rows; a column in which no row has anything is left out."""
    used = [i for i in range(len(heads)) if i == 0 or any(row.cells[i].plain for row in rows)]
    heads = [heads[i] for i in used]
    rows = [Row([row.cells[i] for i in used], row.margin) for row in rows]
    widths = _widths(heads, rows, width)
    return _stack(heads, rows) if widths is None else [_table(heads, rows, widths)]


def _widths(heads: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[int] | None:
    """The columns' widths, or ``None`` if they do not fit side by side."""
    wanted = [
        max([len(head.title), *(row.cells[i].cell_len for row in rows)])
        for i, head in enumerate(heads)
    ]
    excess = sum(wanted) + _GAP * (len(wanted) - 1) - (width or sys.maxsize)
    for i in reversed(range(len(heads))):  # the name, which comes first, is cut last
        least = heads[i].least
        if excess > 0 and least is not None and wanted[i] > least:
            cut = min(excess, wanted[i] - least)
            wanted[i] -= cut
            excess -= cut
    return None if excess > 0 else wanted


def _table(heads: Sequence[Column], rows: Sequence[Row], widths: Sequence[int]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for head, width in zip(heads, widths, strict=True):
        table.add_column(
            head.title,
            justify="right" if head.right else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*row.cells)
    return table


def _stack(heads: Sequence[Column], rows: Sequence[Row]) -> list[Any]:
    from rich.text import Text

    drawn: list[Any] = []
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
