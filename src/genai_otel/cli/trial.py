"""``doctor --try``: import each installed library in a subprocess, and check that it is patched.

A supported version is not patched if its import bypasses our import hook, because another tool's
finder is in front of it, or if a new release has moved the patched functions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .findings import Line, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel._settings import Settings

_SECONDS = 60.0
_MAX_LENGTH = 200


def check_imports(settings: Settings) -> Iterator[Line]:
    """One line for each library that is installed, enabled and of a supported version."""
    from genai_otel.adapters import catalogue
    from genai_otel.instrumentation.installer import Installation

    for entry in catalogue.CATALOGUE:
        if wanted(entry.name, settings) and Installation(catalogue.load(entry.name)).is_supported():
            yield _line(entry.name, *_outcome(entry.name))


def _outcome(name: str) -> tuple[str, str]:
    command = [sys.executable, "-m", __name__, name]
    try:
        done = subprocess.run(  # noqa: S603 - runs this module
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "unknown", f"the import takes more than {_SECONDS:.0f} seconds"
    with suppress(ValueError, IndexError):
        state, note = json.loads(done.stdout.splitlines()[-1])
        return str(state), str(note)
    return "unknown", f"the import ends the process with exit code {done.returncode}"


def _line(name: str, state: str, note: str) -> Line:
    if state == "active":
        return Line("ok", f"{name}: imported and patched" + (f" ({note})" if note else ""))
    if state == "unknown":
        return Line("note", f"{name}: {note}")
    return Line("problem", f"{name}: imported but not patched ({note or state})")


def _try(name: str) -> tuple[str, str]:
    """Import all modules with patches, with the import hook installed; return state and note."""
    from genai_otel._sdk.instrumentors import waiting
    from genai_otel.adapters import catalogue

    entry = next(each for each in catalogue.CATALOGUE if each.name == name)
    installation = waiting(entry)
    recorder: Any = None  # no call is made
    installation.install(recorder)
    problem = _import_error(entry.module)
    for module in sorted({patch.module for patch in catalogue.load(name).patches}):
        _import_error(module)  # a version need not have all of them
    if problem and installation.state == "waiting":
        return "unknown", problem
    return installation.state, installation.note or installation.why_unpatched()


def _import_error(module: str) -> str:
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - the library may raise anything
        return f"import failed: {type(error).__name__}: {error}"[:_MAX_LENGTH]
    return ""


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        outcome = _try(sys.argv[1])
    print(json.dumps(outcome))  # noqa: T201 - read by the parent process
