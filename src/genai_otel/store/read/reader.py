"""Read a local store, or any file of OTLP-JSON lines, even while it is being written.

Lines are read one at a time and only requested data is kept. A line that cannot be read is skipped
and counted; so is the incomplete last line of a file that is being written or was truncated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from genai_otel.store.write.files import FILE_NAME

from .decoder import StoredSpan, decode_spans
from .traces import Trace, TraceSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Item = TypeVar("Item")
    Decode = Callable[[Mapping[str, Any]], tuple[list[Item], int]]

_MAX_LINE = 64 * 1024 * 1024
_MAX_SPANS = 50_000
_MAX_SUMMARIES = 20_000


@dataclass
class Notes:
    """Counts of data that could not be read."""

    skipped_lines: int = 0
    incomplete_lines: int = 0
    skipped_spans: int = 0
    unread_files: int = 0
    left_out_spans: int = 0

    def sentences(self) -> list[str]:
        known = (
            (self.skipped_lines, "line(s) that are not OTLP-JSON were skipped"),
            (self.incomplete_lines, "incomplete last line(s): still being written, or truncated"),
            (self.skipped_spans, "span(s) that are not well-formed were skipped"),
            (self.unread_files, "file(s) could not be read"),
            (self.left_out_spans, f"span(s) beyond the first {_MAX_SPANS:,} are not shown"),
        )
        return [f"{count:,} {what}" for count, what in known if count]


class StoreReader:
    """The traces of directories and files; ``notes`` count what the last read skipped."""

    def __init__(self, *paths: str | Path) -> None:
        self._paths = [Path(path) for path in paths]
        self.notes = Notes()

    def files(self) -> list[Path]:
        """Return the files with spans, oldest first."""
        found = {file.resolve(): file for path in self._paths for file in _span_files(path)}
        return sorted(found.values(), key=_age)

    def spans(self, containing: str = "") -> Iterator[StoredSpan]:
        """Yield spans by file, oldest file first; only lines with the given text are parsed."""
        return self.read(decode_spans, containing)

    def read(self, decode: Decode[Item], containing: str = "") -> Iterator[Item]:
        """Yield the decoded items of each line; ``decode`` also returns the number of bad ones."""
        self.notes = Notes()
        needle = containing.encode()
        for file in self.files():
            for line in self._lines(file):
                if needle in line:
                    yield from self._decoded(line, decode)

    def summaries(self) -> list[TraceSummary]:
        """Return a summary per trace, newest first; of very many only the newest are kept."""
        known: dict[str, TraceSummary] = {}
        for span in self.spans():
            summary = known.get(span.trace_id)
            if summary is None:
                if len(known) >= _MAX_SUMMARIES:
                    known = {s.trace_id: s for s in _newest(known.values())[: _MAX_SUMMARIES // 2]}
                summary = known[span.trace_id] = TraceSummary(span.trace_id)
            summary.add(span)
        return _newest(known.values())

    def trace(self, trace_id: str) -> Trace:
        """Return a whole trace by its full id; it has no spans if it is not found."""
        spans: dict[str, StoredSpan] = {}
        for span in self.spans(containing=trace_id):
            if span.trace_id != trace_id:
                continue
            if len(spans) < _MAX_SPANS or span.span_id in spans:
                spans[span.span_id] = span
            else:
                self.notes.left_out_spans += 1
        return Trace(trace_id, list(spans.values()))

    def _lines(self, file: Path) -> Iterator[bytes]:
        try:
            with file.open("rb") as stream:
                while line := stream.readline(_MAX_LINE):
                    if line.endswith(b"\n") or len(line) < _MAX_LINE:
                        yield line
                    else:
                        self.notes.skipped_lines += 1
                        _skip_rest(stream)
        except OSError:  # removed by rotation meanwhile, or not readable
            self.notes.unread_files += 1

    def _decoded(self, line: bytes, decode: Decode[Item]) -> list[Item]:
        if not line.strip():
            return []
        try:
            spans, bad = decode(json.loads(line))
        except (ValueError, TypeError, AttributeError, RecursionError):
            if line.endswith(b"\n"):
                self.notes.skipped_lines += 1
            else:
                self.notes.incomplete_lines += 1
            return []
        self.notes.skipped_spans += bad
        return spans


def _skip_rest(stream: Any) -> None:
    while (rest := stream.readline(_MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _span_files(path: Path) -> list[Path]:
    """Return a named file, or a directory's files with spans, without symbolic links."""
    if not path.is_dir():
        return [path]
    return [
        file
        for file in path.glob("*.jsonl")
        if not file.name.startswith(("metrics-", "logs-"))
        and not file.is_symlink()
        and file.is_file()
    ]


def _age(file: Path) -> tuple[str, int, str]:
    known = FILE_NAME.fullmatch(file.name)
    try:
        modified = file.stat().st_mtime_ns
    except OSError:
        modified = 0
    return known[2] if known else "", modified, file.name


def _newest(summaries: Iterable[TraceSummary]) -> list[TraceSummary]:
    return sorted(summaries, key=lambda summary: summary.start_ns, reverse=True)
