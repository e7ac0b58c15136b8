"""Clients that we do not know: too old, too new, taken apart. The program starts all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.adapters.catalogue import load
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CORE = ("openai._base_client", "openai._streaming")
PATCHES = {
    patch.target.partition(":")[2]: patch
    for patch in load("openai").patches
    if patch.module in _CORE
}
NEEDED = [name for name, patch in PATCHES.items() if not patch.optional]
_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import genai_otel
genai_otel.instrument()
import openai
client = openai._base_client.SyncAPIClient
assert getattr(client(), "request", lambda: "answer")() == "answer"
wrappers = sorted(
    f"{owner.__qualname__}.{name}"
    for module in (openai._base_client, openai._streaming)
    for owner in vars(module).values() if isinstance(owner, type)
    for name, value in vars(owner).items() if hasattr(value, "__wrapped__")
)
(library,) = [each for each in genai_otel.status().libraries if each.name == "openai"]
print(json.dumps([library.state, library.version, library.note, wrappers]))
"""


def client(directory: Path, version: str | None = "3.0.0", missing: str = "") -> str:
    """A package that calls itself openai, with what we replace in it and nothing else."""
    package = directory / "site" / "openai"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import _streaming, _base_client")
    for module in ("_base_client", "_streaming"):
        code = "".join(_class(module, missing))
        (package / f"{module}.py").write_text(code)
    if version is not None:
        distribution(directory, "openai", version)
    return str(directory / "site")


def _class(module: str, missing: str) -> Iterator[str]:
    """The classes of one module, without the attribute that is missing."""
    kept = [n for n, p in PATCHES.items() if p.module.endswith(module) and n != missing]
    for owner in dict.fromkeys(name.partition(".")[0] for name in PATCHES):
        methods = [name.partition(".")[2] for name in kept if name.startswith(f"{owner}.")]
        if methods:
            yield f"class {owner}:\n"
            yield from (f"    def {name}(self, *given): return 'answer'\n" for name in methods)


def distribution(directory: Path, name: str, version: str) -> str:
    """What an installer leaves beside a package."""
    known = directory / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
    known.mkdir(parents=True)
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return str(directory / "site")


def told(site: str, directory: Path) -> list[Any]:
    done = fresh.script(_PROGRAM, site, cwd=directory)
    assert done.stderr == ""
    found: list[Any] = json.loads(done.stdout)
    return found


def test_a_client_as_we_know_it(tmp_path: Path) -> None:
    assert told(client(tmp_path), tmp_path) == ["active", "3.0.0", "", sorted(PATCHES)]


def test_too_old(tmp_path: Path) -> None:
    note = "version 1.39.2 is older than 1.40"
    assert told(client(tmp_path, "1.39.2"), tmp_path) == ["skipped", "1.39.2", note, []]


@pytest.mark.parametrize("version", ["4.0.0", "5.1.0rc1", "2027.1"])
def test_newer_than_what_was_tested(tmp_path: Path, version: str) -> None:
    note = f"version {version} is newer than the tested versions"
    assert told(client(tmp_path, version), tmp_path) == ["active", version, note, sorted(PATCHES)]


def test_a_version_that_is_none(tmp_path: Path) -> None:
    state, version, _, _ = told(client(tmp_path, "unknown"), tmp_path)
    assert (state, version) == ("skipped", "unknown")


def test_no_metadata(tmp_path: Path) -> None:
    """Vendored or frozen; the real client's metadata must not be taken for its own."""
    program = f"""
import importlib.metadata as metadata
find = metadata.distribution
def distribution(name):
    if name == "openai":
        raise metadata.PackageNotFoundError(name)
    return find(name)
metadata.distribution = distribution
{_PROGRAM}"""
    done = fresh.script(program, client(tmp_path, None), cwd=tmp_path)
    state, version, note, wrappers = json.loads(done.stdout)
    assert (state, version, wrappers) == ("skipped", None, [])
    assert note == "distribution openai has no metadata"


@pytest.mark.parametrize("name", NEEDED)
def test_something_is_missing(tmp_path: Path, name: str) -> None:
    """All stand-ins or none: half of them would record half of the calls."""
    state, _, note, wrappers = told(client(tmp_path, missing=name), tmp_path)
    assert (state, wrappers) == ("skipped", [])
    assert note == f"{PATCHES[name].target} not found: AttributeError"


@pytest.mark.parametrize("name", [name for name in PATCHES if name not in NEEDED])
def test_something_is_missing_that_older_versions_never_had(tmp_path: Path, name: str) -> None:
    state, _, note, wrappers = told(client(tmp_path, missing=name), tmp_path)
    assert (state, note) == ("active", "")
    assert sorted([*wrappers, name]) == sorted(PATCHES)


def test_a_client_that_cannot_be_imported_fails_as_it_would(tmp_path: Path) -> None:
    site = client(tmp_path)
    broken = tmp_path / "site" / "openai" / "_base_client.py"
    broken.write_text("raise ImportError('broken client')")
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import genai_otel
genai_otel.instrument()
try:
    import openai
except ImportError as error:
    print(error)
print(genai_otel.status().libraries[0].state)
"""
    done = fresh.script(program, site, cwd=tmp_path)
    assert done.stdout == "broken client\nwaiting\n"


# --------------------------------------------------------------------- somebody else's genai_otel


def test_a_foreign_distribution_is_told_once(tmp_path: Path) -> None:
    site = distribution(tmp_path, "genai-otel-instrument", "1.2.3")
    program = """
import sys
sys.path.append(sys.argv[1])
import genai_otel
from genai_otel._sdk import lifecycle as _setup
for _ in range(3):
    genai_otel.instrument()
    genai_otel.shutdown()
print(_setup.foreign_distribution())
"""
    done = fresh.script(program, site, cwd=tmp_path)
    assert done.stdout == "1.2.3\n"
    assert done.stderr.count("genai-otel-instrument 1.2.3 is also installed") == 1
    assert "uninstall it" in done.stderr


def test_nobody_else_nothing_told(tmp_path: Path) -> None:
    program = "import genai_otel\ngenai_otel.instrument()\n"
    assert fresh.script(program, cwd=tmp_path).stderr == ""
