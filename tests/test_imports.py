"""What importing and setting up loads, and that the public names are the truth."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

import genai_otel
from genai_otel.adapters import catalogue
from genai_otel.instrumentation import installer
from genai_otel.instrumentation.adapter import Adapter
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = (
    "anthropic", "genai_prices", "google.protobuf", "grpc", "httpx", "httpx2", "numpy", "openai",
    "opentelemetry.exporter", "opentelemetry.sdk", "pydantic", "pydantic_core", "requests", "rich",
    "tiktoken",
)  # fmt: skip
CLIENTS = ("anthropic", "genai_prices", "httpx", "httpx2", "openai", "pydantic", "rich", "tiktoken")

LATER = (
    "genai_otel._sdk.fastapi",
    "genai_otel._sdk.second_call",
    "genai_otel._sdk.status",
    "genai_otel._sdk.uvicorn",
    "genai_otel.export.otlp.encoder",
    "genai_otel.export.backends.presets",
    "genai_otel.export.pipeline.tail_sampling",
    "genai_otel.export.otlp.http",
    "genai_otel.pricing.price_list",
    "genai_otel.tokens.estimate",
    "genai_otel.privacy.detectors.national",
    "opentelemetry.sdk.metrics",
    "tomllib",
)
_PATTERNS = (
    "genai_otel.privacy.detectors.keys",
    "genai_otel.privacy.detectors.scanner",
    "genai_otel.privacy.detectors.passwords",
)
_INTO_AN_EXPORTER = """
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import genai_otel
genai_otel.instrument(destinations=InMemorySpanExporter(){more})
"""

_LOADED = """
import json, sys
{code}
print(json.dumps(sorted(sys.modules)))
"""


def loaded(code: str, directory: Path) -> set[str]:
    out = fresh.script(_LOADED.format(code=code), cwd=directory).stdout
    return set(json.loads(out))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import genai_otel", HEAVY),
        ("import genai_otel; genai_otel.status(); genai_otel.workflow(lambda: 1)()", HEAVY),
        ("import genai_otel; genai_otel.instrument()", CLIENTS),
        (_INTO_AN_EXPORTER.format(more=""), (*CLIENTS, *LATER)),
        (_INTO_AN_EXPORTER.format(more=", content='full'"), (*LATER, *_PATTERNS)),
    ],
)
def test_nothing_is_loaded_that_was_not_asked_for(
    code: str, absent: tuple[str, ...], tmp_path: Path
) -> None:
    modules = loaded(code, tmp_path)
    assert not [name for name in absent if name in modules]


def test_importing_starts_nothing(tmp_path: Path) -> None:
    """No thread, no hook, no handler, no file: importing is free."""
    code = """
import atexit, gc, logging, os, sys, threading, warnings
start = threading.Thread.start
before = (list(sys.meta_path), list(gc.callbacks), list(warnings.filters), atexit._ncallbacks())
import genai_otel
for name in genai_otel.__all__:
    getattr(genai_otel, name)
after = (list(sys.meta_path), list(gc.callbacks), list(warnings.filters), atexit._ncallbacks())
assert threading.active_count() == 1
assert threading.Thread.start is start
assert not logging.getLogger("genai_otel").handlers
assert not os.listdir()
print([one == two for one, two in zip(before, after)])
"""
    assert fresh.script(code, cwd=tmp_path).stdout.split("\n")[0] == "[True, True, True, True]"


def test_an_adapter_is_loaded_when_its_library_is(tmp_path: Path) -> None:
    """Most libraries never come, and cost nothing."""
    code = """
import sys
import genai_otel
genai_otel.instrument()
def loaded():
    return [name for name in catalogue.NAMES if catalogue.module_of(name) in sys.modules]
from genai_otel.adapters import catalogue
print(loaded())
import openai
print(loaded(), genai_otel.status().libraries[0].state)
"""
    assert fresh.script(code, cwd=tmp_path).stdout.splitlines() == ["[]", "['openai'] active"]


def test_a_library_that_arrives_while_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread imports it in the middle of `install`, after it was looked for."""
    loaded: list[str] = []
    adapter = Adapter("lamp", "pytest", ">=1,<1000")

    def load() -> Adapter:
        loaded.append("lamp")
        return adapter

    def now(*_: Any) -> Any:
        monkeypatch.setitem(sys.modules, "lamp_of_a_test", ModuleType("lamp_of_a_test"))
        return MagicMock()

    installation = installer.Installation(
        Adapter("lamp", ""), installer.LazyAdapter(("lamp_of_a_test",), load)
    )
    monkeypatch.setattr(installer, "Runs", now)
    installation.install(MagicMock())
    assert (loaded, installation.adapter) == (["lamp"], adapter)
    monkeypatch.undo()
    installation.remove()


IMPORTS_IT = ("aiobotocore", "langgraph")
"""Packages that are patched, too, and import the library whose adapter does it."""


@pytest.mark.parametrize("entry", catalogue.CATALOGUE, ids=lambda entry: entry.name)
def test_all_that_is_patched_comes_after_what_is_waited_for(entry: catalogue.Entry) -> None:
    adapter = catalogue.load(entry.name)
    modules = {patch.module for patch in adapter.patches}
    if adapter.bridge is not None:
        modules.add(adapter.bridge.module)
    first = (entry.module, *entry.more, *IMPORTS_IT)
    assert not [
        name for name in modules if not f"{name}.".startswith(tuple(f"{f}." for f in first))
    ]


# ---------------------------------------------------------------------------------- public names


@pytest.mark.parametrize("name", genai_otel.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(genai_otel, name) is not None
    assert name in dir(genai_otel)
    assert getattr(genai_otel, name).__doc__


def test_public_names_are_all_there_are() -> None:
    assert sorted(genai_otel._HOMES) == sorted(genai_otel.__all__) == genai_otel.__all__
    assert set(_typed_names()) == set(genai_otel.__all__)
    assert dir(genai_otel) == genai_otel.__all__


def _typed_names() -> Iterator[str]:
    """The names that type checkers see, from the block that only they read."""
    tree = ast.parse(Path(genai_otel.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        yield from (alias.name for alias in statement.names)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'instrumnet'"):
        _ = genai_otel.instrumnet


def test_public_names_are_where_they_say() -> None:
    """A name's home is its own module: reading a traceback or a pickle leads there."""
    for name, home in genai_otel._HOMES.items():
        module = importlib.import_module(home, "genai_otel")
        assert getattr(module, name) is getattr(genai_otel, name)


_NO_SDK = (
    "_support",
    "api",
    "budgets",
    "instrumentation",
    "pricing",
    "privacy",
    "record",
    "recorder",
)


@pytest.mark.parametrize("package", _NO_SDK)
def test_the_sdk_belongs_to_tracing_export_and_the_store(package: str) -> None:
    """`make layers` holds the other layers; it cannot tell the SDK from OpenTelemetry's API."""
    for file in (Path(genai_otel.__file__).parent / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            assert not [name for name in named if name.startswith("opentelemetry.sdk")], file
