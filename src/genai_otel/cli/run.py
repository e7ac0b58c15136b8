"""``genai-otel run``: run another program with instrumentation, in place of this process.

This process executes ``python app.py``, ``python -m pkg`` or the command itself, so that stack
frames and exit status are those of the program. ``PYTHONPATH`` makes every Python interpreter that
the program starts run ``boot/sitecustomize.py`` first, so that workers are instrumented too.
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
    """Replace this process; where the system cannot, return the program's exit status."""
    own, target = _split(arguments)
    options = _parser().parse_args(own)
    if not target:
        raise CommandError("no program given; for example: genai-otel run app.py")
    _check(options)
    program, command = _command(target)
    return _execute(program, command, _environment(options))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our options, and the target with its arguments."""
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
        description="Run a program with instrumentation, without code changes.",
        allow_abbrev=False,
    )
    parser.add_argument("--service-name", metavar="NAME", help="service name")
    parser.add_argument(
        "--content", choices=MODES, help="whether prompts and responses are recorded, and masked"
    )
    parser.add_argument(
        "--destination",
        action="append",
        metavar="NAME",
        help="where telemetry is exported to: local, otlp, console or a backend; repeatable",
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse unknown destinations here, before the program starts."""
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
    """The program to execute, and its arguments including the zeroth."""
    first = target[0]
    if first in ("-m", "-c") or first.lower().endswith(_SCRIPTS):
        return sys.executable, [sys.executable, *target]
    found = _which(first)
    if found is not None:
        _warn_of_other_interpreter(found)
        return found, list(target)
    if Path(first).exists():
        return sys.executable, [sys.executable, *target]
    raise CommandError(f"command, script or directory not found: {first!r}")


def _which(command: str) -> str | None:
    """Search beside our interpreter first, because its environment need not be activated."""
    beside = None if os.path.dirname(command) else str(Path(sys.executable).parent)  # noqa: PTH120
    return (beside and shutil.which(command, path=beside)) or shutil.which(command)


def _warn_of_other_interpreter(program: str) -> None:
    try:
        with Path(program).open("rb") as stream:
            shebang = stream.readline(512).removeprefix(b"#!").split()
    except OSError:
        return
    interpreter = os.fsdecode(shebang[0]) if shebang else ""
    if "python" in Path(interpreter).name and Path(interpreter).parent != _home():
        print(  # noqa: T201 - the output of a command
            f"genai-otel: {Path(program).name} runs with {interpreter}, not with"
            f" {sys.executable}: nothing is recorded unless genai-otel is installed there too",
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
    # An empty part means the working directory, so none may be added.
    inherited = environment.get("PYTHONPATH")
    paths = [path for path in inherited.split(os.pathsep) if path != _BOOT] if inherited else []
    environment["PYTHONPATH"] = os.pathsep.join([_BOOT, *paths])
    return environment


def _execute(program: str, command: list[str], environment: dict[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # without exec, the shell would not wait for the program
        return subprocess.call([program, *command[1:]], env=environment)  # noqa: S603
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and the program would inherit that
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, command, environment)  # noqa: S606 - the purpose of this command
    except OSError as error:
        raise CommandError(f"cannot run {program}: {error.strerror}") from None
