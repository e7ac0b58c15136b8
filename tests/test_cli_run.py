"""``genai-otel run``: the program runs as it would without us, and is instrumented."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from genai_otel.cli import run
from tests.stored import SOURCES, lines, run_cli, run_python, spans

POSIX = pytest.mark.skipif(os.name == "nt", reason="there is no exec, and there are no signals")
WORK = """
import genai_otel
@genai_otel.step
def work():
    return "done"
work()
"""
FACTS = """
import json, sys
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "name": __name__,
    "file": main.__file__, "spec": main.__spec__ and main.__spec__.name,
    "package": main.__package__, "flags": str(sys.flags), "stdin": sys.stdin.read(),
}))
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(WORK)
    (tmp_path / "facts.py").write_text(FACTS)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "__main__.py").write_text(FACTS)
    return tmp_path


def store(work: Path) -> Path:
    return work / ".genai_otel"


def names(work: Path) -> list[str]:
    return sorted(span["name"].removeprefix("task ") for span in spans(store(work)))


def service(work: Path) -> str:
    attributes = lines(store(work))[0]["resourceSpans"][0]["resource"]["attributes"]
    found = {pair["key"]: pair["value"]["stringValue"] for pair in attributes}
    return str(found["service.name"])


def command(directory: Path, name: str, code: str) -> Path:
    """A console command, as an installer makes them."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
    file.chmod(0o755)
    return file


# ------------------------------------------------------------------------- as it would without us


@pytest.mark.parametrize(
    "target",
    [
        ["facts.py", "a", "--b", "-m", "--"],
        ["-m", "pkg", "--help"],
        ["-m", "pkg.__main__"],
        ["pkg"],
        ["./facts.py"],
        ["-c", FACTS.replace("main.__file__", "None"), "x"],
    ],
)
def test_the_program_finds_everything_as_it_would_without_us(work: Path, target: list[str]) -> None:
    # Else Python sets LC_CTYPE in a C locale, here and there, and the second finds it set.
    env = {"PYTHONCOERCECLOCALE": "0"}
    alone = json.loads(run_python(*target, cwd=work, env=env).stdout)
    ours = json.loads(run_cli("run", *target, cwd=work, env=env).stdout)
    assert ours == alone


EXIT = {
    "return": "",
    "exit": "raise SystemExit(7)",
    "exit text": "raise SystemExit('no more')",
    "_exit": "import os; os._exit(9)",
    "error": "def inner():\n    1 / 0\ninner()",
    "syntax": "def :",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    # Started in the background of a shell, a program would ignore it.
    "interrupted": "import os, signal as s, time; s.signal(s.SIGINT, s.default_int_handler)\n"
    "os.kill(os.getpid(), s.SIGINT); time.sleep(60)",
    "warning": "import warnings; warnings.warn('careful')",
}


@POSIX
@pytest.mark.parametrize("end", EXIT.values(), ids=EXIT.keys())
def test_the_program_ends_as_it_would_without_us(work: Path, end: str) -> None:
    (work / "end.py").write_text(f"print('begun')\n{end}\n")
    alone = run_python("end.py", cwd=work, code=None)
    ours = run_cli("run", "end.py", cwd=work, code=None)
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        alone.returncode,
        alone.stdout,
        alone.stderr,
    )


def test_a_missing_script_is_what_python_says_it_is(work: Path) -> None:
    done = run_cli("run", "missing.py", cwd=work, code=2)
    assert "can't open file" in done.stderr


@POSIX
def test_it_is_the_same_process(work: Path) -> None:
    (work / "pid.py").write_text("import os; print(os.getpid())")
    program = [sys.executable, "-m", "genai_otel", "run", "pid.py"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCES}
    with subprocess.Popen(program, cwd=work, env=env, stdout=subprocess.PIPE, text=True) as process:
        shown, _ = process.communicate()
    assert int(shown) == process.pid


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_command_inherits_no_ignored_signals(work: Path) -> None:
    status = run_cli("run", "cat", "/proc/self/status", cwd=work).stdout
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    assert not int(ignored, 16) & (1 << (signal.SIGPIPE - 1))


def test_the_hosts_sitecustomize_has_its_turn(work: Path) -> None:
    site = work / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys; sys.from_site = [__name__, __file__, 'sitecustomize' in sys.modules]"
    )
    (work / "show.py").write_text(
        "import sys, sitecustomize; print(sys.from_site, sitecustomize.__file__)"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(site), SOURCES])}
    alone = run_python("show.py", cwd=work, env=env).stdout
    assert run_cli("run", "show.py", cwd=work, env=env).stdout == alone


def test_a_failing_sitecustomize_fails_as_it_would(work: Path) -> None:
    (work / "sitecustomize.py").write_text("raise RuntimeError('mine')")
    env = {"PYTHONPATH": os.pathsep.join([str(work), SOURCES])}
    alone = run_python("app.py", cwd=work, env=env).stderr
    assert run_cli("run", "app.py", cwd=work, env=env).stderr.endswith(alone)
    assert names(work) == ["work"]


# --------------------------------------------------------------------------------- instrumented


def test_a_script_is_instrumented(work: Path) -> None:
    run_cli("run", "app.py", cwd=work)
    assert names(work) == ["work"]


def test_options_come_before_the_target(work: Path) -> None:
    options = ("--service-name", "shop", "--content=none", "--destination", "local")
    run_cli("run", *options, "--", "app.py", cwd=work)
    assert service(work) == "shop"
    (span,) = spans(store(work))
    assert not [
        a for a in span["attributes"] if a["key"] in ("genai_otel.input", "genai_otel.output")
    ]


def test_content_is_recorded_unless_told_otherwise(work: Path) -> None:
    run_cli("run", "app.py", cwd=work)
    (span,) = spans(store(work))
    assert "done" in json.dumps(span["attributes"])


@pytest.mark.parametrize("how", ["directory", "archive"])
def test_directories_and_archives_run_as_python_runs_them(work: Path, how: str) -> None:
    (work / "application").mkdir()
    (work / "application" / "__main__.py").write_text(WORK)
    with zipfile.ZipFile(work / "application.pyz", "w") as archive:
        archive.writestr("__main__.py", WORK)
    run_cli("run", "application" if how == "directory" else "application.pyz", cwd=work)
    assert names(work) == ["work"]


@POSIX
def test_a_console_command_and_its_workers_are_instrumented(work: Path) -> None:
    command(
        work / "bin",
        "serve",
        f"""
        import multiprocessing, subprocess, sys
        {textwrap.indent(WORK, "        ").strip()}
        print(sys.argv[1:])
        subprocess.run([sys.executable, "app.py"], check=True)
        """,
    )
    env = {"PATH": os.pathsep.join([str(work / "bin"), os.environ["PATH"]])}
    done = run_cli("run", "serve", "app:app", "--workers", "2", cwd=work, env=env)
    assert done.stdout == "['app:app', '--workers', '2']\n"
    assert done.stderr == ""
    assert names(work) == ["work", "work"]


SPAWNS = """
import multiprocessing
def child():
    import genai_otel
    with genai_otel.operation("step", "child"):
        pass
    genai_otel.flush()
if __name__ == "__main__":
    {own}
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
"""


@pytest.mark.parametrize("own", ["pass", "import genai_otel; genai_otel.instrument()"])
def test_spawned_processes_are_instrumented(work: Path, own: str) -> None:
    """Nobody is told to do what was done, either: to start the program so."""
    (work / "spawns.py").write_text(SPAWNS.format(own=own))
    assert run_cli("run", "spawns.py", cwd=work).stderr == ""
    assert names(work) == ["child"]


POOL = """
import multiprocessing, signal
def child(number):
    import genai_otel
    with genai_otel.operation("step", f"s{number}"):
        pass
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(child, range(4), 1))
"""


@POSIX
def test_a_pool_that_is_ended_loses_nothing(work: Path) -> None:
    """Its workers are set up before they know whose they are, and have no handler of ours."""
    (work / "pool.py").write_text(POOL)
    assert run_cli("run", "pool.py", cwd=work).stdout == f"{[True] * 4}\n"
    assert sorted(names(work)) == ["s0", "s1", "s2", "s3"]


def test_a_program_that_instruments_itself_does_so_once(work: Path) -> None:
    (work / "own.py").write_text(f"import genai_otel\ngenai_otel.instrument()\n{WORK}")
    run_cli("run", "own.py", cwd=work)
    assert names(work) == ["work"]


def test_an_interpreter_without_us_is_left_alone(work: Path) -> None:
    (work / "genai_otel").mkdir()  # stands for its absence: it has nothing that could be imported
    (work / "genai_otel" / "__init__.py").write_text("raise ImportError('not here')")
    (work / "other.py").write_text("import sys; print('genai_otel' in sys.modules)")
    env = {"PYTHONPATH": os.pathsep.join([run._BOOT, str(work), SOURCES])}
    done = run_python("other.py", cwd=work, env=env)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_switched_off_nothing_happens(work: Path) -> None:
    run_cli("run", "app.py", cwd=work, env={"GENAI_OTEL_DISABLED": "1"})
    assert not store(work).exists()


def test_a_wrong_setting_is_told_and_the_program_runs(work: Path) -> None:
    (work / "hello.py").write_text("print('hello')")
    done = run_cli("run", "hello.py", cwd=work, env={"GENAI_OTEL_CONTENT": "ful"})
    assert done.stdout == "hello\n"
    assert "did you mean 'full'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---------------------------------------------------------------------------------- wrong calls


def test_wrong_calls_are_refused_where_somebody_looks(work: Path) -> None:
    refused = {
        (): "no program given",
        ("--",): "no program given",
        ("nonsense-command",): "command, script or directory not found",
        ("--content", "ful", "app.py"): "invalid choice",
        ("--destination", "locl", "app.py"): "did you mean 'local'?",
        ("--bogus", "app.py"): "unrecognized arguments",
        ("--service-name",): "expected one argument",
    }
    for arguments, message in refused.items():
        assert message in run_cli("run", *arguments, cwd=work, code=2).stderr
    assert "--service-name" in run_cli("run", "--help", cwd=work).stdout
    assert not store(work).exists()


@POSIX
def test_a_command_of_another_interpreter_is_told(work: Path) -> None:
    file = command(work / "bin", "elsewhere", "print('never')")
    other = work / "other" / "python3"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    file.write_text(f"#!{other}\nprint('ran')\n")
    done = run_cli("run", str(file), cwd=work)
    assert done.stdout == "ran\n"
    assert f"elsewhere runs with {other}" in done.stderr


@POSIX
def test_what_cannot_be_executed_is_refused(work: Path) -> None:
    (work / "broken").write_bytes(b"\x00\x01\x02")
    (work / "broken").chmod(0o755)
    assert "cannot run" in run_cli("run", "./broken", cwd=work, code=2).stderr


def test_paths_that_were_not_there_are_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    options = run._parser().parse_args([])
    for before, after in {"": [], "a": ["a"], f"a{os.pathsep}": ["a", ""]}.items():
        monkeypatch.setenv("PYTHONPATH", before)
        first, *others = run._environment(options)["PYTHONPATH"].split(os.pathsep)
        assert Path(first).name == "boot"
        assert others == after
    monkeypatch.setenv("PYTHONPATH", run._environment(options)["PYTHONPATH"])
    assert run._environment(options)["PYTHONPATH"].count("boot") == 1


# ------------------------------------------------------------------------ opentelemetry-instrument

ENTRY = """
import sys
from importlib.metadata import entry_points
found = [e for e in entry_points(group="opentelemetry_instrumentor") if e.name == "genai_otel"]
print(len(found))
"""


@pytest.fixture
def entry_point(work: Path) -> dict[str, str]:
    """An environment in which our entry point is found, installed or not."""
    env = {"PYTHONPATH": SOURCES, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    if run_python("-c", ENTRY, cwd=work).stdout.strip() != "0":
        return env
    import tomllib

    project = tomllib.loads((Path(SOURCES).parent / "pyproject.toml").read_text())["project"]
    group = project["entry-points"]["opentelemetry_instrumentor"]
    info = work / "installed" / "genai_otel-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: genai-otel\nVersion: 0.1.0\n")
    text = "".join(f"{name} = {value}\n" for name, value in group.items())
    (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{text}")
    return env | {"PYTHONPATH": os.pathsep.join([SOURCES, str(info.parent)])}


def test_under_opentelemetry_instrument_we_join_and_add_no_destination(
    work: Path, entry_point: dict[str, str]
) -> None:
    pytest.importorskip("opentelemetry.distro")
    (work / "otel.py").write_text(
        f"{WORK}\n"
        "status = genai_otel.status()\n"
        "print('STATUS', status.active, status.provider, len(status.destinations))\n"
    )
    env = entry_point | {"OTEL_TRACES_EXPORTER": "console"}
    launch = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    done = run_python("-c", launch, sys.executable, "otel.py", cwd=work, env=env)
    assert "STATUS True the host's 0" in done.stdout
    assert done.stdout.count('"name": "task work"') == 1
    assert "Failed" not in done.stderr
    assert not store(work).exists()


def test_the_instrumentor_is_what_the_loader_expects(work: Path) -> None:
    code = """
import genai_otel
from genai_otel._sdk.entry_point import Instrumentor
assert not Instrumentor().is_instrumented_by_opentelemetry
Instrumentor().instrument(skip_dep_check=True, tracer_provider=None, anything="else")
assert Instrumentor().is_instrumented_by_opentelemetry
assert genai_otel.status().active
assert list(Instrumentor().instrumentation_dependencies()) == []
Instrumentor().uninstrument()
assert not Instrumentor().is_instrumented_by_opentelemetry
assert not genai_otel.status().active
"""
    run_python("-c", code, cwd=work)
    wrong = {"GENAI_OTEL_DESTINATIONS": "nowhere"}
    code = """
from genai_otel._sdk.entry_point import Instrumentor
Instrumentor().instrument()
assert not Instrumentor().is_instrumented_by_opentelemetry
"""
    assert "nowhere" in run_python("-c", code, cwd=work, env=wrong).stderr
