"""What commands that read a store have in common: its options, opening it, and notes."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import CommandError
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel.store.read.reader import StoreReader

_AGO = re.compile(r"(\d+)\s*([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_store_options(parser: argparse.ArgumentParser) -> None:
    # Suppressed, because an action's defaults would overwrite options given before it.
    quiet: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--dir",
        metavar="PATH",
        help="store or file to read (default: the store of programs started in this directory)",
        **quiet,
    )
    parser.add_argument("--json", action="store_true", help="print JSON", **quiet)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def moment(text: str) -> float:
    """Parse an age or a local date; return seconds since 1970."""
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        sentence = f"{text!r} is neither an age (30m, 24h, 7d) nor a date (2026-01-31)"
        raise argparse.ArgumentTypeError(sentence) from None


def open_store(place: str | None) -> StoreReader:
    return open_stores([place] if place else [], "give a store with --dir")


def open_stores(places: Sequence[str], hint: str = "give a store") -> StoreReader:
    """Open all of these as one store; the default store if there are none."""
    from genai_otel.store.read.reader import StoreReader

    paths = [Path(place).expanduser() for place in places or (_default_directory(),)]
    for path in paths:
        if not path.exists():
            raise CommandError(
                f"no store found at {one_line(str(path.absolute()))}: run a program with"
                f" genai_otel.instrument() or `genai-otel run` in this directory, or {hint}"
            )
    return StoreReader(*paths)


def _default_directory() -> str:
    from genai_otel._settings import Settings

    try:
        return Settings.from_environment().store_directory
    except ValueError as error:
        raise CommandError(f"{error}; or give a store with --dir") from None


def print_read_notes(reader: StoreReader) -> None:
    for sentence in reader.notes.sentences():
        print_note(sentence)


def print_note(sentence: str) -> None:
    """Print to standard error, so that a pipe gets only the result."""
    print(f"note: {sentence}", file=sys.stderr)  # noqa: T201 - the output of a command
