"""Find the interpreters that the suite is run on beside the newest clients' own.

python scripts/interpreters.py 3.13           prints where it is, or on stderr that it is skipped
python scripts/interpreters.py --skipped 3.12 3.13 ...    lists those that are not to be had here

Looked for, in this order: in GENAI_OTEL_PYTHONS (executables, separated as on PATH), on PATH, and
where pyenv and uv keep theirs. A free-threaded build is a version with a t, as in 3.14t.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOW = (
    "import sys, sysconfig; v = sys.version_info;"
    "print(f'{v[0]}.{v[1]}' + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)
_KEPT = (
    Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
    Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "uv" / "python",
)


def found(version: str) -> str | None:
    """The first that is what it should be: pyenv's commands on PATH may lead to nothing."""
    return next((python for python in _candidates(version) if _version(python) == version), None)


def _candidates(version: str) -> Iterator[str]:
    yield from filter(None, os.environ.get("GENAI_OTEL_PYTHONS", "").split(os.pathsep))
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    number = version.removesuffix("t")
    for directory in _KEPT:
        for python in sorted(directory.glob(f"*{number}.*/bin/python3"), reverse=True):
            yield str(python)


def _version(python: str) -> str:
    try:
        done = subprocess.run([python, "-c", _SHOW], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--skipped", action="store_true")
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    options = parser.parse_args()
    interpreters = {version: found(version) for version in options.versions}
    missing = [version for version, python in interpreters.items() if python is None]
    if options.skipped:
        names = ", ".join(missing) or "none"
        print(f"==> Pythons that were skipped, since this machine has none: {names}")
        return
    for python in filter(None, interpreters.values()):
        print(python)
    if missing:
        sys.exit(f"==> Python {', '.join(missing)} is not to be had here: skipped")


if __name__ == "__main__":
    main()
