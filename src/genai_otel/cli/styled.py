"""Styled text, measured in terminal cells."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_SGR = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_ELLIPSIS = "…"

# One character and its style.
Character = tuple[str, str]


class Text:
    """Characters and their styles: ``bold``, ``dim``, ``red``, ``green``, ``yellow``, ``cyan``."""

    __slots__ = ("_runs",)

    def __init__(self, text: str = "", style: str = "") -> None:
        self._runs: list[tuple[str, str]] = [(text, style)] if text else []

    @classmethod
    def assemble(cls, *parts: Text | str | tuple[str, str]) -> Self:
        made = cls()
        for part in parts:
            if isinstance(part, Text):
                made._runs += part._runs  # noqa: SLF001 - the same class
            else:
                made.append(*((part, "") if isinstance(part, str) else part))
        return made

    @classmethod
    def _of(cls, characters: Iterable[Character]) -> Self:
        grouped = groupby(characters, key=itemgetter(1))
        return cls.assemble(*(("".join(c for c, _ in run), style) for style, run in grouped))

    def append(self, text: str, style: str = "") -> None:
        if text:
            self._runs.append((text, style))

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self._runs)

    @property
    def width(self) -> int:
        """The width in cells."""
        return width(self.plain)

    def rendered(self, *, color: bool) -> str:
        """The text, with escape sequences for the styles if ``color``."""
        if not color:
            return self.plain
        return "".join(
            f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style else text for text, style in self._runs
        )

    def padded(self, cells: int, *, right: bool = False) -> Text:
        """Pad or truncate to ``cells``; truncated text ends in an ellipsis."""
        if self.width > cells:
            kept = _first_cells(self._characters(), cells - 1)
            return self._of([*kept, (_ELLIPSIS, kept[-1][1] if kept else "")]).padded(cells)
        room = " " * (cells - self.width)
        return Text.assemble(room, self) if right else Text.assemble(self, room)

    def lines(self, cells: int) -> Iterator[Text]:
        """Lines of at most ``cells``, broken at spaces."""
        line: list[Character] = []
        for character in (*self._characters(), ("\n", "")):
            if character[0] == "\n":
                yield self._of(line)
                line = []
                continue
            line.append(character)
            while _cells(line) > cells:
                head, line = _break(line, cells)
                yield self._of(head)

    def _characters(self) -> list[Character]:
        return [(character, style) for text, style in self._runs for character in text]


def width(text: str) -> int:
    """The width in cells: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cells(line: list[Character]) -> int:
    return sum(1 if c.isascii() else _width(c) for c, _ in line)


def _first_cells(characters: list[Character], cells: int) -> list[Character]:
    kept: list[Character] = []
    for character in characters:
        if _cells([*kept, character]) > cells:
            break
        kept.append(character)
    return kept


def _break(line: list[Character], cells: int) -> tuple[list[Character], list[Character]]:
    """The part that fits, up to a space if there is one, and the rest."""
    fits = len(_first_cells(line, cells)) or 1
    space = next((i for i in range(fits, 0, -1) if line[i][0] == " "), None)
    if space is None:
        return line[:fits], line[fits:]
    return line[:space], line[space + 1 :]
