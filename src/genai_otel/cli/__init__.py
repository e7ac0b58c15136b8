"""The command ``genai-otel``; one module a command, imported only when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Configure = Callable[[argparse.ArgumentParser], None]
    Run = Callable[[argparse.Namespace], int]

_DESCRIPTION = "Observability for generative AI: see what your program asked its models."
_EXAMPLES = """\
examples:
  genai-otel run app.py             run a program instrumented, without changing it
  genai-otel traces                 the newest traces of the local store
  genai-otel traces show last       the newest trace as a tree
  genai-otel report cost --by user  what model calls cost
  genai-otel prices show gpt-5      what a model costs
  genai-otel redact < text          what would be masked in a text, and why
  genai-otel send --to phoenix      what the store holds, to a backend
  genai-otel doctor                 what is active, what is skipped and why
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0 for good, 1 for a finding, 2 for a wrong call."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _print_anything()
    try:
        return _dispatch(arguments)
    except CommandError as error:
        print(f"genai-otel: {error}", file=sys.stderr)  # noqa: T201 - speaks to a person
        return 2
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


class CommandError(Exception):
    """The command cannot be carried out as given; the message says why, in one line."""


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:  # what follows the target is the target's, not argparse's
        from .run import run

        return run(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    run_command: Run = options.run
    status = run_command(options)
    sys.stdout.flush()  # here, where a broken pipe is understood
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
    commands.add_parser("run", help="run a program instrumented, without changing it")
    _add(commands, "traces", "list the stored traces, or show one", traces.configure)
    _add(commands, "report", "add up the stored calls", report.configure)
    _add(commands, "send", "send what a store holds to a backend", send.configure)
    _add(commands, "prices", "show what a model costs, or check a file of prices", prices.configure)
    _add(commands, "redact", "what would be masked in a text, and why", redact.configure)
    _add(commands, "doctor", "what is active, what is skipped, and why", doctor.configure)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    configure: Configure,
) -> None:
    configure(commands.add_parser(name, help=summary, description=summary.capitalize() + "."))


class _Version(argparse.Action):
    """Looked up only when asked for: reading a distribution's metadata is not cheap."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            known = version("genai-otel")
        except PackageNotFoundError:
            known = "(not installed as a distribution)"
        print(f"genai-otel {known}")  # noqa: T201 - speaks to a person
        parser.exit()


def _print_anything() -> None:
    """A terminal that lacks a character shows another; it does not stop the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
