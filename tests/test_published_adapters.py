"""Adapters that other distributions publish as entry points: installed ones, in fresh processes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel.adapters
from genai_otel.instrumentation.entry_points import discover
from tests.fresh import SOURCES, run, script

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = """
class Client:
    def ask(self, model, prompt):
        return {"model": f"{model}-1", "text": f"{prompt}!", "tokens": 3}
"""
ADAPTER = '''
"""Lamp: one call."""
from genai_otel.adapters import Adapter, Extractor, Kind, patch_function
from genai_otel.adapters import as_dict, get_int, get_str, text

def _origin(given, op):
    op.provider = "lamp"

def _read_content(given, op):
    op.input = [{"role": "user", "parts": [text(get_str(given, "prompt"))]}]

def _read_response(reply, op):
    reply = as_dict(reply)
    op.response_model, op.usage.output = get_str(reply, "model"), get_int(reply, "tokens")

_ASK = Extractor(
    Kind.CHAT, lambda given, op: None, _read_response, _read_content,
    read_model=lambda given: get_str(given, "model"),
)
ADAPTER = Adapter(
    name="lamp", distribution="lamp", versions=">=1,<2",
    patches=(patch_function("lamp:Client.ask", _ASK, origin=_origin),),
)
'''
PROGRAM = """
import json, sys
import genai_otel
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

def state():
    (found,) = [each for each in genai_otel.status().libraries if each.name == "lamp"]
    return [found.state, found.note, found.distribution, found.version]

exporter, told = InMemorySpanExporter(), {}
LIBRARIES
genai_otel.instrument(destinations=exporter, **given)
told["loaded"] = "lamp_otel" in sys.modules
told["before"] = state()
import lamp
told["after"] = state()
answer = lamp.Client().ask("lamp-large", prompt="Hi")
genai_otel.flush()
told["answer"] = answer
told["spans"] = [[span.name, dict(span.attributes)] for span in exporter.get_finished_spans()]
genai_otel.uninstrument("lamp")
told["original"] = not hasattr(lamp.Client.ask, "__wrapped__")
genai_otel.instrument(destinations=exporter, **given)
told["again"] = hasattr(lamp.Client.ask, "__wrapped__")
print(json.dumps(told))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where the library is installed, and an adapter for it by somebody else."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "lamp.py").write_text(LIBRARY)
    (directory / "lamp_otel.py").write_text(ADAPTER)
    install(directory, "lamp", "1.4")
    install(directory, "lamp-otel", "0.1", lamp="lamp_otel:ADAPTER")
    return directory


def install(directory: Path, name: str, version: str, **points: str) -> None:
    info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {value}" for point, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[genai_otel.adapters]", *lines, ""]))


def paths(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(site), str(SOURCES)])}


def told(site: Path, given: str = "{}", program: str = PROGRAM) -> dict[str, Any]:
    code = program.replace("LIBRARIES", f"given = {given}")
    found: dict[str, Any] = json.loads(script(code, cwd=site, env=paths(site)).stdout)
    return found


def check_recorded(found: dict[str, Any]) -> None:
    assert found["answer"] == {"model": "lamp-large-1", "text": "Hi!", "tokens": 3}
    ((name, attributes),) = found["spans"]
    assert name == "chat lamp-large"
    assert attributes["gen_ai.provider.name"] == "lamp"
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert "Hi" in attributes["gen_ai.input.messages"]
    assert found["after"] == ["active", "adapter of lamp-otel", "lamp", "1.4"]
    assert found["original"]
    assert found["again"]


def test_it_is_loaded_when_its_library_arrives(site: Path) -> None:
    found = told(site)
    assert not found["loaded"]
    assert found["before"] == ["waiting", "adapter of lamp-otel", "lamp-otel", None]
    check_recorded(found)


def test_it_is_loaded_at_once_where_it_is_named_and_its_library_is_not(site: Path) -> None:
    program = PROGRAM.replace("import lamp\n", "assert 'lamp' not in sys.modules\nimport lamp\n")
    found = told(site, '{"libraries": "lamp"}', program)
    assert found["loaded"]
    assert found["before"] == ["waiting", "adapter of lamp-otel", "lamp", None]
    check_recorded(found)


def test_a_library_that_was_there_before(site: Path) -> None:
    found = told(site, "{}\nimport lamp")
    assert found["before"][0] == "active"
    check_recorded(found)


@pytest.mark.parametrize("given", ['{"exclude": "lamp"}', '{"libraries": "openai"}'])
def test_it_can_be_left_out(site: Path, given: str) -> None:
    program = (
        PROGRAM.partition("told[")[0]
        + "import lamp\nlamp.Client().ask('m', 'p')\n"
        + (
            "print(json.dumps({'spans': len(exporter.get_finished_spans()),"
            " 'loaded': 'lamp_otel' in sys.modules}))"
        )
    )
    assert told(site, given, program) == {"spans": 0, "loaded": False}


BAD = {
    "raise ImportError('no lamp')": "lamp_otel:ADAPTER of lamp-otel: ImportError: no lamp",
    "raise SystemExit(3)": "lamp_otel:ADAPTER of lamp-otel: SystemExit: 3",
    "OTHER = 1": "AttributeError: module 'lamp_otel' has no attribute 'ADAPTER'",
    "ADAPTER = {}": "it is a dict, not an Adapter",
    ADAPTER.replace('name="lamp"', 'name="lamb"'): "name is 'lamb', the entry point's 'lamp'",
    ADAPTER.replace("patches=(", "patches=[").replace(
        "origin=_origin),)", "origin=_origin)]"
    ): "patches must be a tuple of Patch",
    ADAPTER.replace('versions=">=1,<2"', "versions=2"): "must be strings",
    ADAPTER.replace(">=1,<2", "~=1.0"): "'~=1.0' is not of the form '>=1.2,<3'",
    ADAPTER.replace("Client.ask", "Client.gone"): "lamp:Client.gone not found: AttributeError",
    ADAPTER.replace(">=1,", ">=1.5,"): "version 1.4 is older than 1.5",
}


@pytest.mark.parametrize("at", range(len(BAD)), ids=list(BAD.values()))
def test_a_bad_one_is_skipped_with_its_reason(site: Path, at: int) -> None:
    wrong, given = [*BAD][at], ["{}", '{"libraries": ["lamp", "openai"]}'][at % 2]
    (site / "lamp_otel.py").write_text(wrong)
    program = PROGRAM.partition('genai_otel.uninstrument("lamp")')[0] + "print(json.dumps(told))"
    found = told(site, given, program)
    assert found["after"][0] == "skipped"
    assert BAD[wrong] in found["after"][1]
    assert found["answer"]["text"] == "Hi!"
    assert found["spans"] == []


def test_doctor_tells_of_them(site: Path) -> None:
    text = run("-m", "genai_otel", "doctor", cwd=site, env=paths(site)).stdout
    assert "  lamp: adapter of lamp-otel for lamp 1.4, instrumented\n" in text
    (site / "lamp_otel.py").write_text("ADAPTER = {}")
    text = run("-m", "genai_otel", "doctor", cwd=site, env=paths(site), code=1).stdout
    assert "! lamp: adapter of lamp-otel, skipped (lamp_otel:ADAPTER of lamp-otel: it is a" in text


def test_of_one_distribution_the_first_on_the_path_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    install(older, "lamp-otel", "0.0.1", lamp="gone:ADAPTER", candle="gone:ADAPTER")
    install(older, "other-otel", "1.0", torch="torch_otel:ADAPTER")
    monkeypatch.setattr(sys, "path", [str(site), str(older), *sys.path])
    found = {name: point.value for name, (point, _) in discover().items()}
    assert found == {"lamp": "lamp_otel:ADAPTER", "torch": "torch_otel:ADAPTER"}


def test_names_that_cannot_be(site: Path) -> None:
    install(site, "usurper", "1", openai="lamp_otel:ADAPTER", **{"no-module": "x:Y"})
    install(site, "a-second", "1", lamp="nothing:AT_ALL")
    (site / "nothing.py").write_text("")
    code = """
import genai_otel
genai_otel.instrument(destinations="console")
for each in genai_otel.status().libraries:
    if each.name in ("openai", "no-module", "lamp"):
        print(each.name, each.state, each.note)
"""
    lines = script(code, cwd=site, env=paths(site)).stdout.splitlines()
    assert lines == [
        "openai waiting ",
        "lamp waiting adapter of a-second",
        "openai skipped genai_otel has its own adapter of that name",
        "no-module skipped its name is not a module name",
    ]


def test_a_name_that_nobody_publishes_is_refused(site: Path) -> None:
    code = """
import genai_otel
try:
    genai_otel.instrument(libraries="lampe")
except ValueError as error:
    print(error)
"""
    said = script(code, cwd=site, env=paths(site)).stdout
    assert said.startswith("unknown library 'lampe': did you mean 'lamp'? expected one of openai, ")


def test_what_authors_may_use_is_there() -> None:
    for name in genai_otel.adapters.__all__:
        assert getattr(genai_otel.adapters, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = genai_otel.adapters.nothing
