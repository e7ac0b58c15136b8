"""``genai-otel run``: another program, instrumented, in place of this process.

The program is what ``python app.py``, ``python -m pkg`` or the command itself would be, to the last
frame and exit status, because it is just that: this process becomes it. Its environment makes every
Python interpreter it starts run ``boot/sitecustomize.py`` first, so workers are instrumented too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOOT = str(Path(__file__).with_name("boot"))
_SCRIPTS = (".py", ".pyw", ".pyc", ".pyz")
_VARIABLES = {
    "service_name": "GENAI_OTEL_SERVICE_NAME",
    "content": "GENAI_OTEL_CONTENT",
    "destination": "GENAI_OTEL_DESTINATIONS",
}


def run(arguments: Sequence[str]) -> int:
    """Does not return where the system can replace a process; else the program's exit status."""
    own, target = _split(arguments)
    options = _parser().parse_args(own)
    if not target:
        raise CommandError("run what? For example: genai-otel run app.py")
    _check(options)
    program, command = _command(target)
    return _become(program, command, _environment(options))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our options, and from the target on what is none of our business."""
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            return list(arguments[:index]), list(arguments[index + 1 :])
        if word in ("-m", "-c") or not word.startswith("-"):
            break
        alone = "=" in word or word in ("-h", "--help")
        index += 1 if alone else 2
    return list(arguments[:index]), list(arguments[index:])


def _parser() -> argparse.ArgumentParser:
    from genai_otel.privacy.policy import MODES

    parser = argparse.ArgumentParser(
        prog="genai-otel run",
        usage="genai-otel run [options] [--] app.py ARGS | -m package ARGS | command ARGS",
        description="Run a program instrumented, without changing it.",
        allow_abbrev=False,
    )
    parser.add_argument("--service-name", metavar="NAME", help="what to call the service")
    parser.add_argument("--content", choices=MODES, help="what of prompts and replies is recorded")
    parser.add_argument(
        "--destination",
        action="append",
        metavar="NAME",
        help="where telemetry goes: local, otlp, console; may be given several times",
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """A wrong word is refused here, where somebody is looking."""
    if not options.destination:
        return
    from genai_otel._settings import one_of
    from genai_otel.export.backends.presets import PRESETS

    for name in options.destination:
        try:
            one_of("destination", name, PRESETS)
        except ValueError as error:
            raise CommandError(str(error)) from None


def _command(target: Sequence[str]) -> tuple[str, list[str]]:
    """The program to execute, and its arguments from the zeroth on."""
    first = target[0]
    if first in ("-m", "-c") or first.lower().endswith(_SCRIPTS):
        return sys.executable, [sys.executable, *target]
    found = _found(first)
    if found is not None:
        _note_foreign_interpreter(found)
        return found, list(target)
    if Path(first).exists():
        return sys.executable, [sys.executable, *target]
    raise CommandError(f"there is no command, script or directory {first!r}")


def _found(command: str) -> str | None:
    """Beside our interpreter first: an environment need not be activated to be used."""
    beside = None if os.path.dirname(command) else str(Path(sys.executable).parent)  # noqa: PTH120
    return (beside and shutil.which(command, path=beside)) or shutil.which(command)


def _note_foreign_interpreter(program: str) -> None:
    try:
        with Path(program).open("rb") as stream:
            words = stream.readline(512).removeprefix(b"#!").split()
    except OSError:
        return
    interpreter = os.fsdecode(words[0]) if words else ""
    if "python" in Path(interpreter).name and Path(interpreter).parent != _home():
        print(  # noqa: T201 - speaks to a person
            f"genai-otel: {Path(program).name} runs with {interpreter}, not with"
            f" {sys.executable}: genai-otel must be installed there to see anything",
            file=sys.stderr,
        )


def _home() -> Path:
    return Path(sys.executable).parent


def _environment(options: argparse.Namespace) -> dict[str, str]:
    environment = dict(os.environ)
    for name, variable in _VARIABLES.items():
        value = getattr(options, name)
        if value:
            environment[variable] = ",".join(value) if isinstance(value, list) else value
    # An empty part would stand for the working directory, so there must be none that was not there.
    inherited = environment.get("PYTHONPATH")
    paths = [path for path in inherited.split(os.pathsep) if path != _BOOT] if inherited else []
    environment["PYTHONPATH"] = os.pathsep.join([_BOOT, *paths])
    return environment


def _become(program: str, command: list[str], environment: dict[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # there is no exec: the shell would not wait for the program
        return subprocess.call([program, *command[1:]], env=environment)  # noqa: S603
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and what is ignored is inherited
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, command, environment)  # noqa: S606 - to run it is what we were asked for
    except OSError as error:
        raise CommandError(f"cannot run {program}: {error.strerror}") from None
