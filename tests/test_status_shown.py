"""``status()`` as people see it: printed, and in a notebook."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from importlib import metadata
from typing import TYPE_CHECKING

import openai
import pytest

import genai_otel
from genai_otel import step
from genai_otel._support.errors import FAULTS
from genai_otel.adapters.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    genai_otel.shutdown()
    monkeypatch.setattr(FAULTS, "counts", Counter())  # those of other tests in this process
    yield
    genai_otel.shutdown()


class Cells(HTMLParser):
    """What stands in the cells, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] in (["td"], ["th"]):
            self.cells[-1] += data


def test_printed() -> None:
    genai_otel.instrument(content="none")
    genai_otel.instrument(service_name="<later>")
    step(lambda: 1)()
    genai_otel.flush()
    status = genai_otel.status()
    lines = str(status).splitlines()
    assert str(status) == repr(status)
    assert "  active           yes" in lines
    assert "  content          none" in lines
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles == ["genai_otel", "Libraries", "Destinations", "Notices"]
    head, row = (line.split() for line in lines[lines.index("Destinations") + 1 :][:2])
    assert head[:5] == ["name", "endpoint", "content", "queued", "exported"]
    assert (row[0], *row[2:5]) == ("local", "none", "0", "1"), "nothing waits any more"
    assert "service_name of that call ignored" in lines[-1]
    assert not [line for line in lines if line != line.rstrip()]


def test_columns_stand_below_each_other() -> None:
    genai_otel.instrument()
    lines = str(genai_otel.status()).splitlines()
    at = lines.index("Libraries")
    column = lines[at + 1].index("state")
    states = {line[column:].split()[0] for line in lines[at + 2 : lines.index("", at)]}
    assert states <= {"active", "broken", "unpatched", "skipped"}


def test_what_is_not_installed_is_not_waited_for() -> None:
    genai_otel.instrument()
    status = genai_otel.status()
    states = {each.name: each.state for each in status.libraries}
    here = {name for name, state in states.items() if state != "not installed"}
    assert here == {each.name for each in CATALOGUE if _is_installed(each.distribution)}
    assert [line for line in str(status).splitlines() if line.startswith("  not installed")] == (
        [f"  not installed    {len(states) - len(here)} other supported libraries"]
    )


def _is_installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def test_in_a_notebook() -> None:
    genai_otel.instrument()
    genai_otel.instrument(service_name="<script>")
    status = genai_otel.status()
    parser = Cells()
    parser.feed(status._repr_html_())
    assert parser.open == []
    assert "script" not in parser.open
    cells = parser.cells
    for text in ("active", "local", "openai", openai.__version__, *status.notices):
        assert text in cells


def test_before_and_after() -> None:
    assert "active           no" in str(genai_otel.status())
    assert "<td>no</td>" in genai_otel.status()._repr_html_()
