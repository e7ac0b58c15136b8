"""The peers' virtual environments, and the tools a run needs."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import adapters

if TYPE_CHECKING:
    from .harness.contract import Peer

ROOT = Path(__file__).resolve().parent.parent
OTLP = "opentelemetry-exporter-otlp-proto-http"
_VERSIONS = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


class MissingToolError(Exception):
    """Something outside Python that the benchmark cannot do without."""


def peers() -> dict[str, Peer]:
    """All adapters by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(adapters.__path__))
    return {n: importlib.import_module(f"{adapters.__name__}.{n}").PEER for n in names}


class Environments:
    """Builds each environment once, and again when its requirements have changed."""

    def __init__(self, folder: Path, *, refresh: bool) -> None:
        self._folder, self._refresh = folder, refresh
        self.home = folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)

    def build(self, name: str, peer: Peer, *, otlp: bool = False) -> None:
        """Raises ``CalledProcessError`` with uv's words when the index cannot serve it."""
        wanted = ["openai", *peer.packages, *([OTLP] if otlp else [])]
        venv, recipe = self.path(name, otlp=otlp), [platform.python_version(), *wanted]
        note = venv / "bench.json"
        if self._refresh or not note.exists() or json.loads(note.read_text()) != recipe:
            shutil.rmtree(venv, ignore_errors=True)
            _uv("venv", "-q", "--python", sys.executable, str(venv))
            self._install(venv, wanted, peer.overrides)
            note.write_text(json.dumps(recipe))
        elif "-e" in wanted:  # the checkout's own requirements may have changed
            self._install(venv, wanted, peer.overrides)

    def path(self, name: str, *, otlp: bool = False) -> Path:
        return self._folder / (f"{name}-otlp" if otlp else name)

    def python(self, name: str, *, otlp: bool = False) -> str:
        return str(self.path(name, otlp=otlp) / "bin" / "python")

    def versions(self, name: str, peer: Peer) -> dict[str, str]:
        asked = ["openai", "opentelemetry-sdk", *([peer.title] if peer.title else [])]
        command = [self.python(name), "-c", _VERSIONS, *asked]
        found: dict[str, str] = json.loads(subprocess.check_output(command, text=True))
        return found

    def variables(self) -> dict[str, str]:
        """A worker's environment: nothing of the caller's that a peer might read."""
        keep = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
        kept = {key: os.environ[key] for key in keep if key in os.environ}
        return {**kept, "HOME": str(self.home), "PYTHONHASHSEED": "0"}

    def _install(self, venv: Path, wanted: list[str], overrides: tuple[str, ...]) -> None:
        extra: list[str] = []
        if overrides:
            path = venv / "overrides.txt"
            path.write_text("\n".join(overrides) + "\n")
            extra = ["--overrides", str(path)]
        python = str(venv / "bin" / "python")
        _uv("pip", "install", "-q", "--python", python, *extra, *wanted)


def build_library(folder: Path) -> Path:
    """The client requests of callgrind, for ctypes."""
    missing = [tool for tool in ("valgrind", "cc") if shutil.which(tool) is None]
    if missing:
        raise MissingToolError(
            f"{' and '.join(missing)} not found: instructions are counted by valgrind, whose "
            "header is compiled in (Debian: apt-get install valgrind gcc libc6-dev)"
        )
    library, source = folder / "libbench.so", ROOT / "bench" / "harness" / "callgrind.c"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingToolError(f"cc could not compile {source.name}:\n{done.stderr}")
    return library


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise MissingToolError("uv not found: it makes the environments (pip install uv)")
    command = [uv, *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
