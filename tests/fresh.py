"""Programs in fresh interpreters, for what cannot be undone in the test's own process."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import genai_otel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
SOURCES = Path(genai_otel.__path__[0]).parent
_SECONDS = 240
"""After which a program hangs, however busy the machine is."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what steers telemetry, and with strict containment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
    path = os.pathsep.join([str(SOURCES), str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "GENAI_OTEL_STRICT": "1", **(more or {})}


_STEERING = ("OTEL_", "GENAI_OTEL_")


def begin(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """A program that is still running; ``finish`` ends whatever is left of it and its children."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Also after a test that failed: a program that forks must leave nobody behind."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.communicate()


@contextmanager
def running(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Python with ``arguments``, until the block ends."""
    process = begin([sys.executable, *arguments], cwd=cwd, env=env)
    try:
        yield process
    finally:
        finish(process)


def run(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    code: int = 0,
    seconds: float = _SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run Python with ``arguments``; it must end with exit code ``code``."""
    with running(*arguments, cwd=cwd, env=env) as process:
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, code, out, err)


def script(
    code: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``code``, which must end well."""
    return run("-c", code, *arguments, cwd=cwd, env=env)


def answers(port: int) -> bool:
    """Whether a web application on that port says ok."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read() == b"ok"
    except OSError:
        return False
    finally:
        connection.close()
