"""``genai-otel redact``: show what redaction masks in a text, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from genai_otel.privacy.masking import DEFAULT, GROUPS, Masker, check_groups, replaced
from genai_otel.privacy.reasons import reason

from . import CommandError

if TYPE_CHECKING:
    import argparse

    from genai_otel.privacy.masking import Mask


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Read a text, write it redacted, and list on standard error what was masked and why."
        " The values themselves are not printed."
    )
    parser.add_argument("file", nargs="?", help="text to redact (default: standard input)")
    parser.add_argument(
        "--find",
        default=",".join(DEFAULT),
        metavar="GROUPS",
        help=f"detectors, separated by commas: {', '.join(GROUPS)} (default: all but the last)",
    )
    parser.add_argument(
        "--key",
        help="add a hash of each value with this key, so that equal values can be recognized",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write no text; exit status 1 if anything would be masked",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    groups = [group.strip() for group in options.find.split(",") if group.strip()]
    try:
        check_groups(groups)
    except ValueError as error:
        raise CommandError(str(error)) from None
    masker = Masker(groups, key=options.key.encode() if options.key else None)
    text = _read(options.file)
    masks = masker.masks(text)
    for mask in masks:
        sys.stderr.write(f"{_place(text, mask)}: {mask.instead}: {reason(mask.label)}\n")
    if options.check:
        return 1 if masks else 0
    sys.stdout.write(masker.masked(replaced(text, masks)))
    return 0


def _read(path: str | None) -> str:
    """Read a file or standard input as UTF-8; replace invalid bytes."""
    if path is None:
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as the user wrote it
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None


def _place(text: str, mask: Mask) -> str:
    """Line and column, both from 1."""
    line = text.count("\n", 0, mask.start) + 1
    return f"{line}:{mask.start - text.rfind(chr(10), 0, mask.start)}"
