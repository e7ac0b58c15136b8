"""``genai-otel doctor``: what is active, what is skipped and why, and the destinations.

Prints plain text and needs no extras, so that it works in a broken installation.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .text import counted, one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from .findings import Line

_MARKS = {"ok": " ", "note": "-", "problem": "!"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit status 1 if there are problems; their lines begin with !."
    parser.add_argument(
        "--send",
        nargs="*",
        metavar="NAME",
        help="export one test span to these destinations, or to the configured ones",
    )
    parser.add_argument(
        "--try",
        dest="trial",
        action="store_true",
        help="import each installed library in a subprocess, and check that it is patched",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    problems = 0
    for title, lines in _sections(options.send, trial=options.trial):
        shown = list(lines)
        problems += sum(line.mark == "problem" for line in shown)
        if shown:
            _print(title, shown)
    print(counted(problems, "problem") if problems else "no problems found")  # noqa: T201
    return 1 if problems else 0


def _sections(send: Sequence[str] | None, *, trial: bool) -> Iterable[tuple[str, Iterable[Line]]]:
    from . import findings

    yield "Versions", findings.versions()
    yield "Installation", findings.foreign_files()
    settings, refused = findings.settings()
    yield "Settings", refused
    yield "Environment variables", findings.variables(os.environ)
    yield "Disabled", findings.switches(settings, os.environ)
    yield "Libraries", findings.libraries(settings)
    if trial:
        from . import trial as trials

        yield "Import check", trials.check_imports(settings)
    yield "Destinations", findings.destinations(settings, os.environ)
    yield "Content", findings.content(settings, os.environ)
    yield "Prices", findings.prices(settings)
    if send is not None:
        from . import probe

        yield "Test span", probe.send_test_span(send, settings)


def _print(title: str, lines: Iterable[Line]) -> None:
    print(title)  # noqa: T201
    for line in lines:
        print(f"{_MARKS[line.mark]} {one_line(line.text)}")  # noqa: T201
