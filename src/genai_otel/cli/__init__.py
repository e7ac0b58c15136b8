"""The command ``genai-otel``. Each subcommand is a module, imported only when it is used."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Configure = Callable[[argparse.ArgumentParser], None]
    Run = Callable[[argparse.Namespace], int]

_DESCRIPTION = "Record, inspect and export the generative AI calls of a Python program."
_EXAMPLES = """\
examples:
  genai-otel run app.py             run a program with instrumentation, without code changes
  genai-otel traces                 list the newest traces of the local store
  genai-otel traces show last       show the newest trace as a tree
  genai-otel report cost --by user  show the cost of model calls by user
  genai-otel prices show gpt-5      show the prices of a model
  genai-otel redact < text          show what redaction masks in a text, and why
  genai-otel send --to phoenix      export the local store to a backend
  genai-otel doctor                 show what is active, what is skipped and why
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Return 0 on success, 1 if it has findings, 2 on wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _replace_unprintable_characters()
    try:
        return _dispatch(arguments)
    except CommandError as error:
        print(f"genai-otel: {error}", file=sys.stderr)  # noqa: T201 - the output of a command
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


class CommandError(Exception):
    """The command cannot be executed; the message says why, in one line."""


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:  # the arguments after the target are not parsed here
        from .run import run

        return run(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    run_command: Run = options.run
    status = run_command(options)
    sys.stdout.flush()  # here, because main() handles a broken pipe
    return status


def _parser() -> argparse.ArgumentParser:
    from . import doctor, prices, redact, report, send, traces

    parser = argparse.ArgumentParser(
        prog="genai-otel",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("run", help="run a program with instrumentation, without code changes")
    _add(commands, "traces", "list the traces of the local store, or show one", traces.configure)
    _add(commands, "report", "report the cost of the calls in the local store", report.configure)
    _add(commands, "send", "export a local store to a backend", send.configure)
    _add(
        commands,
        "prices",
        "show the prices of a model, or validate a file of prices",
        prices.configure,
    )
    _add(commands, "redact", "show what redaction masks in a text, and why", redact.configure)
    _add(commands, "doctor", "show what is active, what is skipped and why", doctor.configure)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    configure: Configure,
) -> None:
    configure(commands.add_parser(name, help=summary, description=summary.capitalize() + "."))


class _Version(argparse.Action):
    """Read the version on use only: reading a distribution's metadata is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("genai-otel")
        except PackageNotFoundError:
            number = "(not installed as a distribution)"
        print(f"genai-otel {number}")  # noqa: T201 - the output of a command
        parser.exit()


def _replace_unprintable_characters() -> None:
    """Replace characters that the terminal's encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
