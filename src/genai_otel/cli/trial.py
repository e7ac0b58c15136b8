"""``doctor --try``: each installed library is imported, in a process of its own, and looked at.

What is installed in a supported version is patched, unless the import passes our hook by: another
tool's finder may stand in front of it, or the library may be laid out as no release before it.
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
_LONGEST = 200


def tried(settings: Settings) -> Iterator[Line]:
    """A line for each library that is installed, wanted and of a supported version."""
    from genai_otel.adapters import catalogue
    from genai_otel.instrumentation.installer import Installation

    for entry in catalogue.CATALOGUE:
        if wanted(entry.name, settings) and Installation(catalogue.load(entry.name)).is_supported():
            yield _line(entry.name, *_outcome(entry.name))


def _outcome(name: str) -> tuple[str, str]:
    command = [sys.executable, "-m", __name__, name]
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "unknown", f"its import takes more than {_SECONDS:.0f} seconds"
    with suppress(ValueError, IndexError):
        state, note = json.loads(done.stdout.splitlines()[-1])
        return str(state), str(note)
    return "unknown", f"its import ends the process, with exit code {done.returncode}"


def _line(name: str, state: str, note: str) -> Line:
    if state == "active":
        return Line("ok", f"{name}: imported and patched" + (f" ({note})" if note else ""))
    if state == "unknown":
        return Line("note", f"{name}: {note}")
    return Line("problem", f"{name}: imported but not patched ({note or state})")


def _try(name: str) -> tuple[str, str]:
    """Imports everything of the library that is patched, with the hook in place; its state."""
    from genai_otel._sdk.instrumentors import waiting
    from genai_otel.adapters import catalogue

    entry = next(each for each in catalogue.CATALOGUE if each.name == name)
    installation = waiting(entry)
    recorder: Any = None  # no call is made
    installation.install(recorder)
    problem = _imported(entry.module)
    for module in sorted({patch.module for patch in catalogue.load(name).patches}):
        _imported(module)  # no version has all of them
    if problem and installation.state == "waiting":
        return "unknown", problem
    return installation.state, installation.note or installation.why_unpatched()


def _imported(module: str) -> str:
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - it is somebody else's code
        return f"cannot be imported: {type(error).__name__}: {error}"[:_LONGEST]
    return ""


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        outcome = _try(sys.argv[1])
    print(json.dumps(outcome))  # noqa: T201 - for the process that has started this one
