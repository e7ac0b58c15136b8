"""Styled text: what it shows is what it was given, in no more cells than there are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_otel.cli.styled import Text, width

STYLES = ("", "bold", "dim", "red", "green", "yellow", "cyan")
RUNS = st.lists(
    st.tuples(st.text("ab \u4e2d\u0301\U0001f600", max_size=12), st.sampled_from(STYLES))
)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("abc", 3),
        ("\u4e2d\u6587", 4),
        ("e\u0301", 1),
        ("\U0001f600", 2),
        ("\u2500\u2026", 2),
    ],
)
def test_width_is_in_cells(text: str, cells: int) -> None:
    assert width(text) == Text(text).width == cells


@given(RUNS, st.integers(2, 20))
def test_lines_keep_all_but_the_spaces_that_they_break_at(
    runs: list[tuple[str, str]], cells: int
) -> None:
    text = Text.assemble(*runs)
    lines = list(text.lines(cells))
    assert all(line.width <= cells for line in lines)
    kept = "".join(line.plain for line in lines)
    assert kept.replace(" ", "") == text.plain.replace(" ", "")


@given(RUNS, st.integers(2, 20), st.booleans())
def test_padded_is_as_wide_as_asked(runs: list[tuple[str, str]], cells: int, right: bool) -> None:
    text = Text.assemble(*runs)
    padded = text.padded(cells, right=right)
    assert padded.width == cells
    assert ("\u2026" in padded.plain) == (text.width > cells)


@given(RUNS)
def test_colors_are_escape_sequences_around_the_same_text(runs: list[tuple[str, str]]) -> None:
    text = Text.assemble(*runs)
    assert re.sub("\x1b\\[\\d+m", "", text.rendered(color=True)) == text.plain
    assert text.rendered(color=False) == text.plain


def test_lines_break_at_spaces_and_at_line_ends() -> None:
    text = Text.assemble(("one two", "bold"), " three\n\nfour ", ("\u4e2d\u4e2d\u4e2d", "red"))
    shown = [line.plain for line in text.lines(7)]
    assert shown == ["one two", "three", "", "four", "\u4e2d\u4e2d\u4e2d"]
    assert next(text.lines(7)).rendered(color=True) == "\x1b[1mone two\x1b[0m"
