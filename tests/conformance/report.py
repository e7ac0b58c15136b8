"""Renders the conformance table as a page: calls, doors and known gaps of each library.

`scripts/generate_docs.py` writes the page to `docs/conformance.md`; `make conformance` prints it.
It is rendered from the rows, not from test results. The section of a library that is not installed
is copied from the present page.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.facts import ANSWERS
from tests.conformance.libraries import LIBRARIES, ROWS, WITHOUT_ROWS
from tests.conformance.order_cells import CELLS, ORDERS, UNTRIED, OrderCell
from tests.conformance.table import COLOURS, cells, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized

    from tests.conformance.table import Cell, Gap, Library

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"


def matrix(before: str) -> str:
    """The generated part of the page, of which `before` is the present text."""
    sections = {name: _section(name, before) for name in sorted(ROWS)}
    parts = ["\n".join(_overview(sections)), *sections.values()]
    parts += _reasons("Not in the table", WITHOUT_ROWS)
    return "\n\n".join([*parts, *_reasons("Not tested in any import order", UNTRIED)])


def _reasons(head: str, reasons: dict[str, str]) -> Iterator[str]:
    if reasons:
        yield f"## {head}"
        yield "\n".join(f"* {name}: {why}" for name, why in sorted(reasons.items()))


def _overview(sections: dict[str, str]) -> Iterator[str]:
    """A line for each section, from what it says: some are not made anew."""
    rows = []
    for name, text in sections.items():
        counts = _COUNTS.search(text)
        known = counts.groups() if counts else ("", "", "", "")
        rows.append((f"[{name}](#{name})", *known, *_orders(name)))
    rows += [(name, "", "", "", "", *_orders(name)) for name in sorted(WITHOUT_ROWS)]
    orders = map(_ORDERS.__getitem__, ORDERS)
    yield from _rows(("library", "calls", "endpoints", "entry points", "gaps", *orders), rows)


_ORDERS = {
    "before": "imported before",
    "after": "imported after",
    "run": "`genai-otel run`",
    "opentelemetry-instrument": "`opentelemetry-instrument`",
}


def _orders(name: str) -> Iterator[str]:
    """What is tested in each order: calls, or of a library that has no table what is patched."""
    tested = "✓" if name in ROWS else "patched"
    return (tested if OrderCell(order, name) in CELLS else "" for order in ORDERS)


_COUNTS = re.compile(r"(\d+) calls of (\d+) endpoints? through (\d+) entry points?, (\d+) gaps?")


def _section(name: str, before: str) -> str:
    head = f"## {name}\n"
    if name in LIBRARIES:
        return "\n".join([head, *_rendered(LIBRARIES[name])])
    _, _, present = before.partition(head)
    return head + present.partition("\n## ")[0].rstrip()


def _rendered(library: Library) -> Iterator[str]:
    table = cells(library)
    doors = list(dict.fromkeys(cell.door for cell in table))
    yield (
        f"{len(table)} calls of {_many(library.endpoints, 'endpoint')} through"
        f" {_many(doors, 'entry point')}, {_many(library.gaps, 'gap')}."
    )
    yield ""
    yield from _rows(("endpoint", "method", "modes", "calls"), _endpoints(library, table))
    yield ""
    yield from _rows(("scenario", *doors), _scenarios(library, table, doors))
    yield ""
    yield from _rows(("end of a stream", *doors), _endings(table, doors))
    for number, gap in enumerate(library.gaps, 1):
        yield ("\n" if number == 1 else "") + f"{number}. {_gap(gap)}"


def _many(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return (f"| {' | '.join(line)} |" for line in lines)


def _endpoints(library: Library, table: list[Cell]) -> Iterator[Iterable[str]]:
    for endpoint in library.endpoints.values():
        calls = sum(cell.endpoint == endpoint.name for cell in table)
        method = ".".join(filter(None, (endpoint.resource, endpoint.verb)))
        modes = ", ".join(mode.name for mode in endpoint.modes)
        yield endpoint.name, f"`{method}`", modes, str(calls)


def _scenarios(library: Library, table: list[Cell], doors: list[str]) -> Iterator[Iterable[str]]:
    colours: dict[tuple[str, str], set[str]] = defaultdict(set)
    gaps: dict[tuple[str, str], set[int]] = defaultdict(set)
    for cell in table:
        colours[cell.scenario, cell.door].add(cell.colour)
        for number, gap in enumerate(library.gaps, 1):
            if gap.fits(cell):
                gaps[cell.scenario, cell.door].add(number)
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for scenario in dict.fromkeys(cell.scenario for cell in table):
        spots = [(scenario, door) for door in doors]
        alike[tuple(_spot(colours[spot], gaps[spot]) for spot in spots)].append(scenario)
    return ((", ".join(names), *spots) for spots, names in alike.items())


def _endings(table: list[Cell], doors: list[str]) -> Iterator[Iterable[str]]:
    colours: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in table:
        if cell.mode != "whole":
            colours[cell.ending, cell.door].add(cell.colour)
    for ending in dict.fromkeys(ending for ending, _ in colours):
        yield ending, *(_spot(colours[ending, door], ()) for door in doors)


def _spot(colours: Iterable[str], gaps: Iterable[int]) -> str:
    both = set(colours) == set(COLOURS)
    called = "✓" if both else ", ".join(sorted(colours))
    return " ".join([called, *(f"[{number}]" for number in sorted(gaps))]).strip()


_WORDS = {"door": "entry point", "colour": "sync or async"}


def _gap(gap: Gap) -> str:
    where = ", ".join(
        f"{_WORDS.get(what, what)} {', '.join(listed(names))}" for what, names in gap.where.items()
    )
    facts = set(listed(gap.facts))
    if facts >= set(ANSWERS):
        facts = facts - set(ANSWERS) | {"every fact of the response"}
    majors = f"; majors {', '.join(map(str, gap.majors))}" if gap.majors else ""
    return f"{where}{majors}: {gap.reason}. Affected: {', '.join(sorted(facts))}."


if __name__ == "__main__":
    print(matrix(PAGE.read_text("utf-8")))
