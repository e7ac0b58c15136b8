"""``genai-otel doctor``: it says what is the matter, and never shows a secret."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel._settings import Settings
from genai_otel.cli import findings
from tests.receiver import Receiver, Reply, closed_port
from tests.stored import SOURCES, run_cli, run_python, write_assistant

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping


def doctor(cwd: Path, code: int = 0, *arguments: str, **env: str) -> str:
    done: subprocess.CompletedProcess[str] = run_cli(
        "doctor", *arguments, cwd=cwd, env=env, code=code
    )
    assert done.stderr == ""
    return done.stdout


def installed(directory: Path, name: str, version: str, **files: str) -> str:
    """A distribution's metadata in a directory of its own, for PYTHONPATH."""
    info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for file, text in files.items():
        (info / file.replace("__", ".")).write_text(text)
    return str(directory)


def paths(*directories: str) -> str:
    return os.pathsep.join([*directories, SOURCES])


# ------------------------------------------------------------------------------- no problems


def test_a_sound_environment(tmp_path: Path) -> None:
    text = doctor(tmp_path)
    for fact in (
        "Python 3.",
        sys.executable,
        "opentelemetry-sdk 1.",
        f"local store {tmp_path / '.genai_otel'} (created when the first span ends)",
        "redacted for all destinations (default): prompts and responses are recorded, ",
        "Prices\n  genai-prices/",
    ):
        assert fact in text
    assert text.endswith("no problems found\n")
    assert not (tmp_path / ".genai_otel").exists()


def test_a_store_that_is_there_is_measured(tmp_path: Path) -> None:
    write_assistant(tmp_path / "elsewhere")
    text = doctor(tmp_path, GENAI_OTEL_STORE_DIRECTORY="elsewhere")
    assert f"local store {tmp_path / 'elsewhere'} (1 file, 0.0 MB)" in text


def test_every_library_of_the_catalogue_is_told(tmp_path: Path) -> None:
    from genai_otel.adapters.catalogue import CATALOGUE

    text = doctor(tmp_path)
    absent = text.partition("- not installed: ")[2].partition("\n")[0].split(", ")
    for entry in CATALOGUE:
        head = f"{entry.name}: {entry.distribution}"
        assert (head in text and entry.versions in text) != (entry.name in absent)


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [
        ("0.27.0", 1, "! openai: openai 0.27.0 (supported: >=1.40,<4), skipped (version 0.27.0"),
        ("1.99.0", 0, "  openai: openai 1.99.0 (supported: >=1.40,<4), instrumented\n"),
        ("97.0.0", 0, "  openai: openai 97.0.0 (supported: >=1.40,<4), instrumented (version"),
    ],
)
def test_versions_are_judged_as_instrument_judges_them(
    tmp_path: Path, version: str, code: int, said: str
) -> None:
    env = {"PYTHONPATH": paths(installed(tmp_path / "site", "openai", version))}
    assert said in doctor(tmp_path, code, **env)


def test_a_library_that_is_not_installed_or_not_wanted(tmp_path: Path) -> None:
    code = (
        "import importlib.metadata as m, sys\n"
        "old = m.distribution\n"
        "def distribution(name):\n"
        "    if name == 'openai': raise m.PackageNotFoundError(name)\n"
        "    return old(name)\n"
        "m.distribution = distribution\n"
        "from genai_otel.cli import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    text = run_python("-c", code, cwd=tmp_path).stdout
    assert "- not installed: openai, " in text
    named = run_python("-c", code, cwd=tmp_path, env={"GENAI_OTEL_LIBRARIES": "openai"}).stdout
    assert "- openai: openai is not installed (supported: >=1.40,<4)" in named
    assert "excluded by the settings" in doctor(tmp_path, GENAI_OTEL_EXCLUDE="openai")
    unknown = doctor(tmp_path, 1, GENAI_OTEL_LIBRARIES="opnai")
    assert "! GENAI_OTEL_LIBRARIES: unknown library 'opnai': did you mean 'openai'?" in unknown


TRIED = ("openai", "ollama")


@pytest.mark.parametrize("name", TRIED)
def test_a_library_is_imported_to_see_whether_it_is_patched(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    text = doctor(tmp_path, 0, "--try", GENAI_OTEL_LIBRARIES=name)
    assert f"Import check\n  {name}: imported and patched\n" in text
    assert "Import check" not in doctor(tmp_path, GENAI_OTEL_LIBRARIES=name)


IN_FRONT = """
import sys
class Finders(list):
    def insert(self, index, finder):  # whoever wants to be the first is the last
        self.append(finder)
sys.meta_path = Finders(sys.meta_path)
"""


@pytest.mark.parametrize(
    ("file", "code", "said"),
    [
        ("sitecustomize", IN_FRONT, "! ollama: imported but not patched (ollama is imported but"),
        ("ollama", "raise OSError(7, 'no')", "- ollama: import failed: OSError: [Errno 7] no"),
        ("ollama", "import os; os._exit(3)", "- ollama: the import ends the process with exit"),
        ("ollama", "print('hello')", "! ollama: imported but not patched (waiting)"),
    ],
)
def test_a_library_that_is_imported_but_not_patched(
    tmp_path: Path, file: str, code: str, said: str
) -> None:
    pytest.importorskip("ollama")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{file}.py").write_text(code)
    env = {"PYTHONPATH": paths(str(tmp_path / "site")), "GENAI_OTEL_LIBRARIES": "ollama"}
    assert said in doctor(tmp_path, said.startswith("!"), "--try", **env)


# -------------------------------------------------------------------------------- where it goes


def test_a_python_without_any_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another environment, which has our command on the path."""
    monkeypatch.setattr("genai_otel.instrumentation.versions._version", _nothing_is_installed)
    lines = [line.text for line in findings.libraries(Settings(libraries=("auto", "openai")))]
    assert lines[-1].startswith("no supported library is installed for this Python: ")
    assert lines[:-1] == ["openai: openai is not installed (supported: >=1.40,<4)"]


def _nothing_is_installed(name: str) -> str:
    raise PackageNotFoundError(name)


def test_an_endpoint_is_shown_without_its_secrets(tmp_path: Path) -> None:
    text = doctor(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT="https://user:hunter2@collector.example:4318/v1?key=hunter2",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=hunter2",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
    )
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: https://collector.example:4318/v1\n" in text
    assert "OTEL_EXPORTER_OTLP_HEADERS is set (not shown)" in text
    assert (
        "otlp: https://collector.example:4318/v1/v1/traces, traces, metrics, logs as http/json"
        in text
    )
    assert "local store /" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://[", "ftp://a", "http://a:99999"])
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    text = doctor(tmp_path, 1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert "! OTEL_EXPORTER_OTLP_ENDPOINT is not a" in text


def test_destinations_that_were_chosen(tmp_path: Path) -> None:
    text = doctor(tmp_path, GENAI_OTEL_DESTINATIONS="local,otlp,console")
    assert "local store" in text
    assert "http://localhost:4318" in text
    assert "\n  console\n" in text
    wrong = doctor(tmp_path, 1, GENAI_OTEL_DESTINATIONS="locl")
    assert "! GENAI_OTEL_DESTINATIONS: unknown destination 'locl': did you mean 'local'?" in wrong


def test_a_store_that_cannot_be(tmp_path: Path) -> None:
    place = tmp_path / ".genai_otel"
    place.write_text("in the way")
    assert "is not a directory" in doctor(tmp_path, 1)
    place.unlink()
    place.symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in doctor(tmp_path, 1)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place nobody may write to")
def test_a_place_that_cannot_be_written() -> None:
    (line, *_) = findings.destinations(Settings(store_directory="/proc/a/b"), {})
    assert (line.mark, "/proc/a/b is not writable: " in line.text) == ("problem", True)


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (line, *_) = findings.destinations(Settings(store_directory=str(tmp_path / "a" / "b")), {})
    assert (line.mark, list(tmp_path.iterdir())) == ("ok", [])


MISTAKES = {
    "GENAI_OTEL_CONTNET": ("none", "did you mean GENAI_OTEL_CONTENT?"),
    "GENAI_OTEL_RECORD_OTEL_SPANS": ("nope", "=nope is ignored: expected one of 1, true, yes, on,"),
    "OTEL_TRACES_SAMPLER": ("sometimes", "=sometimes is ignored: expected one of always_on,"),
    "OTEL_EXPORTER_OTLP_ENDPIONT": ("http://c", "did you mean OTEL_EXPORTER_OTLP_ENDPOINT?"),
}


def test_mistakes_in_the_environment_are_problems(tmp_path: Path) -> None:
    text = doctor(tmp_path, 1, **{name: value for name, (value, _) in MISTAKES.items()})
    assert all(f"! {name}" in text and said in text for name, (_, said) in MISTAKES.items())
    assert text.endswith("4 problems\n")


# --------------------------------------------------------------------------- content, switches


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"GENAI_OTEL_CONTENT": "none"}, "none for all destinations (set by GENAI_OTEL_CONTENT)"),
        (
            {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only"},
            (
                "redacted for all destinations (set by"
                " OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT)"
            ),
        ),
    ],
)
def test_who_decided_about_content(tmp_path: Path, env: Mapping[str, str], said: str) -> None:
    assert said in doctor(tmp_path, **env)


def test_prices_are_tried(tmp_path: Path) -> None:
    assert "- pricing is off (set by GENAI_OTEL_PRICES)" in doctor(
        tmp_path, GENAI_OTEL_PRICES="off"
    )
    wrong = tmp_path / "prices.toml"
    wrong.write_text("[model]")
    said = doctor(tmp_path, 1, GENAI_OTEL_PRICES=str(wrong))
    assert f"! GENAI_OTEL_PRICES: {wrong}: unknown key 'model'; expected one of" in said


def test_a_price_table_that_cannot_be_read(tmp_path: Path) -> None:
    package = tmp_path / "site" / "genai_prices"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data.py").write_text("tables = {}")
    shown = run_cli("doctor", cwd=tmp_path, env={"PYTHONPATH": paths(str(package.parent))}, code=1)
    (said,) = [line for line in shown.stdout.splitlines() if "genai-prices cannot" in line]
    assert said.startswith("! genai-prices cannot be used: ValueError: unknown table format")


@pytest.mark.parametrize("switch", ["GENAI_OTEL_DISABLED", "OTEL_SDK_DISABLED"])
def test_being_switched_off_is_a_finding(tmp_path: Path, switch: str) -> None:
    assert f"! nothing is recorded: {switch} is set" in doctor(tmp_path, 1, **{switch: "true"})


def test_a_setting_that_is_not_accepted(tmp_path: Path) -> None:
    text = doctor(tmp_path, 1, GENAI_OTEL_CONTENT="ful", GENAI_OTEL_PROPAGATE_TO_THREADS="al")
    assert "! GENAI_OTEL_CONTENT: unknown content mode 'ful': did you mean 'full'?" in text
    assert "- unknown: the value of GENAI_OTEL_CONTENT is not accepted" in text
    assert "redacted for all" not in text
    assert (
        "! GENAI_OTEL_PROPAGATE_TO_THREADS: unknown thread propagation 'al': did you mean 'all'?"
        in text
    )
    assert "Libraries" in text


def test_every_setting_that_is_not_accepted_is_told_at_once(tmp_path: Path) -> None:
    text = doctor(
        tmp_path,
        1,
        GENAI_OTEL_CONTENT="ful",
        GENAI_OTEL_DESTINATIONS="phenix",
        GENAI_OTEL_PRICES="none.toml",
    )
    assert (
        "! GENAI_OTEL_DESTINATIONS: unknown destination 'phenix': did you mean 'phoenix'?" in text
    )
    assert "! GENAI_OTEL_PRICES: none.toml: cannot be read" in text
    assert "local store" not in text
    assert "3 problems" in text


# ------------------------------------------------------------------------------- foreign files


def test_the_other_distribution_with_our_name_is_found(tmp_path: Path) -> None:
    site = installed(
        tmp_path / "site", "genai-otel-instrument", "1.2.3", top_level__txt="genai_otel\n"
    )
    text = doctor(tmp_path, 1, PYTHONPATH=paths(site))
    assert "! genai-otel-instrument is also installed and has the same import name" in text
    assert "pip uninstall genai-otel-instrument" in text


def record(package: Path, root: Path) -> str:
    return "".join(
        f"{file.relative_to(root)},sha256={digest(file)},{file.stat().st_size}\n"
        for file in sorted(package.rglob("*.py"))
    )


def digest(file: Path) -> str:
    raw = hashlib.sha256(file.read_bytes()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_files_that_another_installation_has_replaced_or_left(tmp_path: Path) -> None:
    site = tmp_path / "site"
    package = site / "genai_otel"
    skip: Any = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(Path(SOURCES) / "genai_otel", package, ignore=skip)
    installed(site, "genai-otel", "0.1.0", RECORD=record(package, site))
    env = {"PYTHONPATH": str(site)}
    code = "import sys; from genai_otel.cli import main; sys.exit(main(['doctor']))"
    assert "Installation" not in run_python("-P", "-c", code, cwd=tmp_path, env=env).stdout
    with (package / "record" / "content.py").open("a") as stream:
        stream.write("# theirs\n")
    (package / "adapters" / "catalogue.py").touch()
    (package / "evaluator.py").write_text("# theirs\n")
    text = run_python("-P", "-c", code, cwd=tmp_path, env=env, code=1).stdout
    assert "! modified: 1 file of genai-otel (genai_otel/record/content.py)" in text
    assert "! not part of genai-otel: 1 file (genai_otel/evaluator.py)" in text


def test_a_missing_part_of_opentelemetry_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_version", lambda name: None)
    problems = [line.text for line in findings.versions() if line.mark == "problem"]
    assert problems[0] == "opentelemetry-api is not installed: pip install opentelemetry-api"


# ---------------------------------------------------------------------------------- one test span


def test_a_test_span_to_each_destination(tmp_path: Path) -> None:
    """What came back is told; keys are not, whatever the answer says."""
    with Receiver() as receiver, Receiver(lambda _: Reply(401, body=b"key s3cret")) as locked:
        text = doctor(
            tmp_path,
            1,
            "--send",
            "phoenix",
            "langsmith",
            "local",
            "braintrust",
            PHOENIX_COLLECTOR_ENDPOINT=receiver.url,
            LANGSMITH_ENDPOINT=locked.url,
            LANGSMITH_API_KEY="s3cret",
        )
        assert receiver.names == ["genai-otel doctor"]
        assert len(locked.received) == 1
    assert f"  phoenix: {receiver.url}/v1/traces accepted the span\n" in text
    assert f"! langsmith: {locked.url}/otel/v1/traces: export failed: HTTP 401\n" in text
    assert "  local: " in text
    assert "! destination 'braintrust' requires api_key: set BRAINTRUST_API_KEY" in text
    assert "s3cret" not in text


def test_without_names_to_those_of_the_settings(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    text = doctor(tmp_path, 1, "--send", OTEL_EXPORTER_OTLP_ENDPOINT=dead)
    assert f"! otlp: {dead}/v1/traces: export failed: connection refused" in text
    text = doctor(tmp_path, 0, GENAI_OTEL_DESTINATIONS="phoenix")
    assert "  phoenix: http://localhost:6006/v1/traces\n" in text
    assert "accepted" not in text
