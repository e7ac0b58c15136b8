"""A program that calls libraries which it imports before it is instrumented, or after.

    python -m tests.conformance.orders ORDER LIBRARY...

prints a line of JSON for each library: its state, what is patched, and what was recorded of one
synchronous and one asynchronous call, where the library has rows. Under ``genai-otel run`` and
``opentelemetry-instrument`` the program is instrumented from outside, before it imports anything.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genai_otel
from genai_otel._sdk import lifecycle
from genai_otel.adapters import catalogue
from tests.provider import Provider
from tests.stored import spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.instrumentation.installer import Installation

_INPUT_TOKENS = "gen_ai.usage.input_tokens"
_STORE = Path(".genai_otel")


def main(order: str, names: list[str]) -> None:
    if order == "before":
        for name in names:
            _import(name)
    if order in ("before", "after"):
        genai_otel.instrument(destinations="local")
    with Provider() as provider, asyncio.Runner() as runner:
        for name in names:
            if order != "before":
                import_module(_entry(name).module)
            calls = list(_calls(name, provider, runner))
            _import(name)
            print(json.dumps({"name": name, **_told(name), "calls": calls}), flush=True)
    genai_otel.shutdown()


def _entry(name: str) -> catalogue.Entry:
    return next(entry for entry in catalogue.CATALOGUE if entry.name == name)


def _import(name: str) -> None:
    """All of it that is patched; no version has all of it."""
    adapter = catalogue.load(name)
    modules = {patch.module for patch in adapter.patches}
    for module in sorted(modules if adapter.bridge is None else {*modules, adapter.bridge.module}):
        with suppress(ImportError):
            import_module(module)


def _calls(name: str, provider: Provider, runner: asyncio.Runner) -> Iterator[list[str]]:
    """The spans of one call of each colour, by the library's first door."""
    from tests.conformance.libraries import ROWS, rows
    from tests.conformance.table import cells
    from tests.conformance.visits import Visit, closed, now

    if name not in ROWS:
        return
    library = rows(name)
    for colour in ("sync", "async"):
        table = (
            c for c in cells(library) if (c.mode, c.scenario, c.colour) == ("whole", "ok", colour)
        )
        cell = next(table, None)
        if cell is None:
            continue
        client = runner.run(now(library.clients(provider, colour)))[cell.client]
        visit = Visit(library, cell, client)
        before = len(_recorded())
        visit.go(runner)
        assert visit.error is None, visit.told
        yield _recorded()[before:]
        runner.run(closed(client))


def _recorded() -> list[str]:
    genai_otel.flush()
    return [f"{span['name']}: {_tokens(span)} tokens" for span in spans(_STORE)]


def _tokens(span: Any) -> Any:
    return next((a["value"] for a in span["attributes"] if a["key"] == _INPUT_TOKENS), None)


def _told(name: str) -> dict[str, Any]:
    runtime = lifecycle._RUNTIME
    assert runtime is not None
    (installation,) = (each for each in runtime.libraries if each.adapter.name == name)
    return {
        "state": installation.state,
        "note": installation.note,
        "patched": _patched(installation),
    }


def _patched(installation: Installation) -> list[str]:
    patches = installation.adapter.patches
    patched = [patches[index].target for index in installation._applied]
    bridge = installation.adapter.bridge
    return sorted(patched + ([bridge.module] if bridge and installation._detach else []))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
