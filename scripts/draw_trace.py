"""Draw docs/trace.svg: the newest trace of the local store, as the command line shows it.

make demo && python scripts/draw_trace.py
"""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import ColorType
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from genai_otel.cli.tree import render_tree
from genai_otel.store.read.reader import StoreReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.segment import Segment
    from rich.style import Style

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 118
# Of one character, in a font of 14 pixels; `textLength` fits any monospaced font into it.
ADVANCE, LEADING = 8.4, 21
MARGIN, TOP = 18, 62
PAGE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">
<title>{title}</title>
<rect width="100%" height="100%" rx="9" fill="#1b1e24"/>
<g><circle cx="20" cy="20" r="6" fill="#ff5f56"/><circle cx="40" cy="20" r="6" fill="#ffbd2e"/>
<circle cx="60" cy="20" r="6" fill="#27c93f"/></g>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
 font-size="14" fill="#d5d9e0">
<text x="50%" y="25" text-anchor="middle" fill="#8b93a1">{title}</text>
{words}
</g>
</svg>
"""
# Words, and single spaces between them: each run is placed by itself, so that no reader's way with
# white space can move a column.
RUN = re.compile(r"\S+(?: \S+)*")


def words(lines: list[list[Segment]]) -> Iterator[str]:
    for number, line in enumerate(lines):
        column = 0
        for segment in line:
            for run in RUN.finditer(segment.text):
                yield word(run[0], column + run.start(), number, segment.style)
            column += segment.cell_length


def word(text: str, column: int, line: int, style: Style | None) -> str:
    x, y = MARGIN + column * ADVANCE, TOP + line * LEADING
    length = len(text) * ADVANCE
    place = f'x="{x:.1f}" y="{y}" textLength="{length:.1f}"'
    return f"<text {place}{look(style)}>{escape(text)}</text>"


def look(style: Style | None) -> str:
    if style is None:
        return ""
    parts = ' font-weight="bold"' if style.bold else ""
    if style.dim:
        parts += ' fill="#7b8494"'
    elif style.color is not None and style.color.type is not ColorType.DEFAULT:
        parts += f' fill="{style.color.get_truecolor(MONOKAI).hex}"'
    return parts


def main() -> None:
    reader = StoreReader(ROOT / ".genai_otel")
    newest = reader.trace(reader.summaries()[0].trace_id)
    tree = render_tree(newest, color=True, width=WIDTH).rstrip("\n")
    console = Console(width=WIDTH, file=io.StringIO(), force_terminal=True)
    lines = console.render_lines(Text.from_ansi(tree), pad=False)
    page = PAGE.format(
        width=WIDTH * ADVANCE + 2 * MARGIN,
        height=TOP + len(lines) * LEADING,
        title="genai-otel traces show last",
        words="\n".join(words(lines)),
    )
    (ROOT / "docs" / "trace.svg").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
