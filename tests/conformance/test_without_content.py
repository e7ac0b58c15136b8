"""Where content is not wanted, no row of the table tells any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import genai_otel
from genai_otel import _names as names
from tests.conformance.facts import PROMPT
from tests.conformance.libraries import LIBRARIES
from tests.conformance.table import Cell, cells

if TYPE_CHECKING:
    from tests.conformance.conftest import Bench

_SAYING = ("tools", "ok")
"""What is said in these is looked for; the first that an endpoint has."""


def _chosen() -> list[Cell]:
    """A call for each endpoint and mode."""
    found: dict[tuple[str, ...], Cell] = {}
    for library in LIBRARIES.values():
        for scenario in _SAYING:
            for cell in cells(library):
                if cell.scenario == scenario and cell[2:3] == ("plain",) and cell[5] == "sync":
                    found.setdefault((library.name, cell.endpoint, cell.mode), cell)
    return list(found.values())


@pytest.mark.parametrize("cell", _chosen(), ids=str)
def test_nothing_is_told_of_what_was_said(bench: Bench, cell: Cell) -> None:
    genai_otel.shutdown()
    bench.forget()
    genai_otel.instrument(
        tracer_provider=bench.tracers, meter_provider=bench.meters, content="none"
    )
    bench.go(bench.visit(LIBRARIES[cell.library], cell))
    genai_otel.shutdown()
    (span,) = bench.spans()
    told = json.dumps(dict(span.attributes or {}), default=str, ensure_ascii=False)
    for word in (PROMPT, "get_weather", "Paris", "Grüße"):
        assert word not in told
    assert names.GEN_AI_OPERATION_NAME in told
