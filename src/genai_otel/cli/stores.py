"""What commands about a store have in common: which one, and what is said beside the answer."""

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
    # Suppressed defaults: else those of the action would undo what stood before it.
    quiet: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--dir", help="store or file to read (the one that programs started here write to)", **quiet
    )
    parser.add_argument("--json", action="store_true", help="for programs", **quiet)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def moment(text: str) -> float:
    """Seconds since 1970 for an age or a local date."""
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        sentence = f"{text!r} is neither an age (30m, 24h, 7d) nor a date (2026-01-31)"
        raise argparse.ArgumentTypeError(sentence) from None


def open_store(place: str | None) -> StoreReader:
    return open_stores([place] if place else [], "name one with --dir")


def open_stores(places: Sequence[str], named: str = "name one") -> StoreReader:
    """All of these as one; the default store where none is named."""
    from genai_otel.store.read.reader import StoreReader

    paths = [Path(place).expanduser() for place in places or (_default_directory(),)]
    for path in paths:
        if not path.exists():
            raise CommandError(
                f"there is no store at {one_line(str(path.absolute()))}: run a program with"
                f" genai_otel.instrument() or `genai-otel run` here, or {named}"
            )
    return StoreReader(*paths)


def _default_directory() -> str:
    from genai_otel._settings import Settings

    try:
        return Settings.from_environment().store_directory
    except ValueError as error:
        raise CommandError(f"{error}; or name a store with --dir") from None


def tell_notes(reader: StoreReader) -> None:
    for sentence in reader.notes.sentences():
        tell(sentence)


def tell(sentence: str) -> None:
    """Apart from the answer, so that a pipe gets only that."""
    print(f"note: {sentence}", file=sys.stderr)  # noqa: T201 - speaks to a person
