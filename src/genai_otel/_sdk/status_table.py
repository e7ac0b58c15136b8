"""``status()`` as people read it: tables in plain text, and in HTML for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .status import DestinationStatus, LibraryStatus, Status

_IN_USE = ("active", "broken", "unpatched", "skipped")
"""States that are worth a line each."""
_ABSENT = "not installed"


class Table(NamedTuple):
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(status: Status) -> Iterator[Table]:
    yield Table("genai_otel", ("", ""), list(_facts(status)))
    shown = sorted(
        (each for each in status.libraries if each.state in _IN_USE),
        key=lambda each: _IN_USE.index(each.state),
    )
    yield Table(
        "Libraries", ("library", "version", "state", "calls", "note"), [_library(e) for e in shown]
    )
    yield Table(
        "Destinations",
        ("name", "endpoint", "content", "queued", "exported", "retried", "dropped", "last error"),
        [_destination(each) for each in status.destinations],
    )
    yield Table(
        "Internal errors", ("", ""), [(k, str(v)) for k, v in status.internal_errors.items()]
    )
    yield Table("Notices", ("",), [(text,) for text in status.notices])


def _facts(status: Status) -> Iterator[tuple[str, str]]:
    yield "active", "yes" if status.active else "no"
    yield "tracer provider", status.provider
    yield "content", status.content
    yield "prices", status.prices
    yield "open streams", str(status.open_streams)
    others: dict[str, list[str]] = {}
    for each in status.libraries:
        if each.state not in _IN_USE:
            others.setdefault(each.state, []).append(each.name)
    absent = len(others.pop(_ABSENT, ()))
    for state, names in others.items():
        yield state, ", ".join(names)
    if absent:
        yield _ABSENT, f"{absent} other supported libraries"


def _library(each: LibraryStatus) -> tuple[str, ...]:
    return each.name, each.version or "", each.state, str(each.calls), each.note


def _destination(each: DestinationStatus) -> tuple[str, ...]:
    dropped = ", ".join(f"{count} {reason}" for reason, count in each.dropped.items())
    counts = (str(each.queued), str(each.exported), str(each.retried))
    return each.name, each.endpoint, each.content, *counts, dropped, each.last_error or ""


def as_text(status: Status) -> str:
    return "\n\n".join("\n".join(_lines(table)) for table in tables(status) if table.rows)


def _lines(table: Table) -> Iterator[str]:
    yield table.title
    rows = [table.columns, *table.rows] if any(table.columns) else table.rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(_padded(row, widths)).rstrip()


def _padded(row: Sequence[str], widths: Iterable[int]) -> Iterator[str]:
    for cell, width in zip(row, widths, strict=True):
        yield cell.ljust(width)


def as_html(status: Status) -> str:
    return "".join(_html(table) for table in tables(status) if table.rows)


def _html(table: Table) -> str:
    head = _cells("th", table.columns) if any(table.columns) else ""
    body = "".join(_cells("td", row) for row in table.rows)
    return f"<table><caption>{escape(table.title)}</caption>{head}{body}</table>"


def _cells(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
