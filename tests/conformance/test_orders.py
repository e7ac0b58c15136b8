"""Whichever comes first, a library's import or `instrument()`: the same is patched and recorded."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.adapters.catalogue import NAMES
from tests.conformance.libraries import ROWS, installed
from tests.conformance.order_cells import share
from tests.conformance.share import WHOLE
from tests.fresh import run

if TYPE_CHECKING:
    from collections.abc import Callable

    Told = dict[str, dict[str, Any]]

_LAUNCH = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
_PROGRAM = ("-m", "tests.conformance.orders")
_COMMANDS = {
    "before": _PROGRAM,
    "after": _PROGRAM,
    "run": ("-m", "genai_otel", "run", *_PROGRAM),
    "opentelemetry-instrument": ("-c", _LAUNCH, sys.executable, *_PROGRAM),
}
_NO_OTLP = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


pytestmark = pytest.mark.slow  # importing all libraries takes long


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Told]:
    """What the program prints in an order, which it is run in once."""
    return cache(lambda order: _told(order, request, tmp_path_factory))


def _told(
    order: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    """What the program prints of all the libraries that are chosen; importing them takes long."""
    chosen = dict.fromkeys(
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and order in ("before", item.callspec.params["order"])
    )
    env = {"GENAI_OTEL_DESTINATIONS": "local", **_NO_OTLP}
    cwd = tmp_path_factory.mktemp("order")
    done = run(*_COMMANDS[order], order, *chosen, cwd=cwd, env=env, seconds=280)
    return {line.pop("name"): line for line in map(json.loads, done.stdout.splitlines())}


_CHOSEN = share([name for name in NAMES if installed(name)], whole=WHOLE)


@pytest.mark.parametrize(("order", "name"), _CHOSEN)
def test_calls_are_recorded_in_either_order(
    told: Callable[[str], Told], order: str, name: str
) -> None:
    found = told(order)[name]
    assert (found["state"], found["note"]) == ("active", "")
    assert found["patched"]
    assert bool(found["calls"]) == (name in ROWS)
    assert all(len(spans) == 1 for spans in found["calls"])
    assert found == told("before")[name]
