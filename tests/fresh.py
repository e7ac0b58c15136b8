"""Programs in fresh interpreters, for what cannot be undone in the test's own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import genai_otel

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
SOURCES = Path(genai_otel.__path__[0]).parent
_SECONDS = 60


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what steers telemetry, and with strict containment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
    path = os.pathsep.join([str(SOURCES), str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "GENAI_OTEL_STRICT": "1", **(more or {})}


_STEERING = ("OTEL_", "GENAI_OTEL_")


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run Python with ``arguments``; it must end with exit code ``code``."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def script(
    code: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``code``, which must end well."""
    return run("-c", code, *arguments, cwd=cwd, env=env)
