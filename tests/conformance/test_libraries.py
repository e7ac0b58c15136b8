"""No library without rows, and no row without a cell."""

from __future__ import annotations

import pytest

from genai_otel.adapters.catalogue import NAMES
from tests.conformance.facts import ATTRIBUTES, DERIVED
from tests.conformance.libraries import LIBRARIES, ROWS, WITHOUT_ROWS, installed
from tests.conformance.order_cells import CELLS, ORDERS, UNTRIED, environments, share
from tests.conformance.share import shared
from tests.conformance.table import cells, listed
from tests.provider.catalogue import ENDPOINTS


def test_every_library_of_the_catalogue_has_rows_or_a_reason() -> None:
    assert sorted([*ROWS, *WITHOUT_ROWS]) == sorted(NAMES)
    assert all(WITHOUT_ROWS.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_library_is_called_in_each_order_or_in_none(name: str) -> None:
    """In an environment of the suite, whose command comes to it; what is in none has a reason."""
    assert [cell.order for cell in CELLS if cell.name == name] == (
        [] if name in UNTRIED else [*ORDERS]
    )
    assert bool(environments(name)) == (name not in UNTRIED)
    assert UNTRIED.keys() <= set(NAMES)


def test_the_share_of_orders_leaves_out_half_of_those_from_outside() -> None:
    names = [name for name in NAMES if name not in UNTRIED]
    assert share(names, whole=True) == [*CELLS]
    some = share(names, whole=False)
    outside = [cell.name for cell in some if cell.order in ORDERS[2:]]
    assert sorted(outside) == sorted(names)
    assert set(CELLS) - set(some) <= {cell for cell in CELLS if cell.order in ORDERS[2:]}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_library_can_be_called_here(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed: its cells are not run")


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_no_row_is_without_a_cell(name: str) -> None:
    library = LIBRARIES[name]
    table = cells(library)
    assert library.name == name
    assert {cell.endpoint for cell in table} == set(library.endpoints)
    assert {cell.door for cell in table} == set(library.doors)
    modes = {(e.name, mode.name) for e in library.endpoints.values() for mode in e.modes}
    assert {(cell.endpoint, cell.mode) for cell in table} == modes
    assert library.finals.keys() <= library.endpoints.keys()
    for gap in library.gaps:
        majors = gap.majors or (library.major(),)
        assert any(gap.covers(cell, majors[0]) for cell in table), gap.reason
        assert {*listed(gap.facts)} <= {*ATTRIBUTES, *DERIVED}, gap.reason


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_the_smallest_share_holds_each_value_once(name: str) -> None:
    table = cells(LIBRARIES[name])
    pairs = shared(table, min(2, LIBRARIES[name].share))
    assert len(set(pairs)) == len(pairs) <= len(table)
    for field in ("endpoint", "client", "door", "mode", "colour", "scenario", "ending"):
        assert {getattr(c, field) for c in pairs} == {getattr(c, field) for c in table}


def test_names_of_endpoints_are_their_own() -> None:
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert sorted(set(names)) == sorted(names)
