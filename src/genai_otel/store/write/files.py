"""Append lines to private files: one per process, signal and hour, bounded in size.

Nothing is opened before the first line. Files are created exclusively (``O_EXCL``, mode 0600) in a
directory that is no symbolic link, so no file, link or pipe of others is ever written to. Each line
is one ``write``; if the process dies, at most the last line of a file is incomplete.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_logger = logging.getLogger("genai_otel")

# traces-20261123T08-4242-9f3a.jsonl; the hour is UTC, so names sort by age.
FILE_NAME = re.compile(r"(traces|metrics|logs)-(\d{8}T\d{2})-\d+-[0-9a-f]{4}\.jsonl")
_RETRY_SECONDS = 60.0
_MAX_FILES = 4096
_ATTEMPTS = 16
# Absent on Windows, where neither the race nor the mode bits exist in this form.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_CREATE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
_CREATE |= getattr(os, "O_BINARY", 0)
_HAS_DIR_FD = os.open in os.supports_dir_fd and os.unlink in os.supports_dir_fd


class Limits(NamedTuple):
    file_bytes: int
    total_bytes: int


class Counters:
    """Written and dropped spans, metric points or log records of one signal in this process."""

    def __init__(self) -> None:
        self.written = self.lines = self.bytes = self.removed_files = 0
        self.dropped = Counter[str]()


class Folder:
    """The directory, its open files, and whether writing to it fails."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.problem: str | None = None
        self._open_names: dict[str, str] = {}
        self._failing: set[str] = set()

    def create(self, signal: str, stamp: str) -> tuple[int, int]:
        """Create a file for ``signal``; return its descriptor and the number of files removed."""
        with _directory(self.path) as place:
            for _ in range(_ATTEMPTS):
                name = f"{signal}-{stamp}-{os.getpid()}-{os.urandom(2).hex()}.jsonl"
                try:
                    descriptor = os.open(
                        place.locate(name), _CREATE, 0o600, dir_fd=place.descriptor
                    )
                except FileExistsError:
                    continue
                self._open_names[signal] = name
                return descriptor, self._make_room(place)
        raise FileExistsError(f"no free file name for {signal} in {self.path}")

    def make_room(self) -> int:
        with _directory(self.path) as place:
            return self._make_room(place)

    def forget(self, signal: str) -> None:
        self._open_names.pop(signal, None)

    def _make_room(self, place: _Place) -> int:
        """Remove the oldest files beyond the limits, except files open in this process."""
        files = sorted(_files(place))
        total, count, removed = sum(file.size for file in files), len(files), 0
        for file in files:
            if total <= self.limits.total_bytes and count <= _MAX_FILES:
                break
            if file.name not in self._open_names.values() and place.remove(file.name):
                total, count, removed = total - file.size, count - 1, removed + 1
        return removed

    def failed(self, signal: str, error: OSError | ValueError) -> None:
        """Warn when loss begins, not for each loss."""
        first = not self._failing
        self._failing.add(signal)
        if first:
            reason = getattr(error, "strerror", None) or str(error)
            self.problem = f"writing to {self.path} failed: {reason}"
            _logger.warning("genai_otel: %s; telemetry is dropped", self.problem)

    def succeeded(self, signal: str) -> None:
        if not self._failing:
            return
        self._failing.discard(signal)
        if not self._failing:
            self.problem = None
            _logger.warning("genai_otel: writing to %s recovered", self.path)


class Appender:
    """Appends the lines of one signal, also in forked processes."""

    def __init__(self, folder: Folder, signal: str) -> None:
        self._folder, self._signal = folder, signal
        self._states: dict[int, _State] = {}

    def append(self, line: bytes, items: int) -> bool:
        """Write a whole ``line`` (with its newline), or count its ``items`` as dropped."""
        state = self._state()
        with state.lock:
            loss = self._append(state, line)
            if loss is None:
                state.counters.written += items
                state.counters.lines += 1
                state.counters.bytes += len(line)
            else:
                state.counters.dropped[loss.reason] += items
        # Without the lock: a log handler of the application may pass the warning back here as a
        # record.
        if loss is None:
            self._folder.succeeded(self._signal)
        elif loss.error is not None:
            self._folder.failed(self._signal, loss.error)
        return loss is None

    def drop(self, reason: str, items: int) -> None:
        state = self._state()
        with state.lock:
            state.counters.dropped[reason] += items

    def counters(self) -> Counters:
        return self._state().counters

    def close(self) -> None:
        """Close the file; another line would open a new one."""
        state = self._state()
        with state.lock:
            self._close(state)

    def _state(self) -> _State:
        """Return this process's state; new in a forked child: the parent's lock may be held."""
        pid = os.getpid()
        state = self._states.get(pid)
        if state is None:
            state = self._states.setdefault(pid, _State())  # atomic if two threads are first
            for other in [key for key in self._states if key != pid]:
                # Not closed: in a daemonized child the descriptor may belong to another file.
                self._states.pop(other, None)
            self._folder.forget(self._signal)
        return state

    def _append(self, state: _State, line: bytes) -> _Loss | None:
        if len(line) > self._folder.limits.file_bytes:
            return _Loss("too_large")
        if time.monotonic() < state.retry_at:
            return _Loss("directory")
        try:
            self._ready(state, len(line))
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            self._close(state)
            state.retry_at = time.monotonic() + _RETRY_SECONDS
            return _Loss("directory", error)
        try:
            _write(state, line)
        except OSError as error:
            return _Loss("disk", error)
        return None

    def _ready(self, state: _State, size: int) -> None:
        """Ensure that an open file of this hour has room for ``size`` bytes."""
        stamp = time.strftime("%Y%m%dT%H", time.gmtime())
        full = state.size + size > self._folder.limits.file_bytes
        if state.stamp != stamp or full or not state.intact():
            self._close(state)
            descriptor, removed = self._folder.create(self._signal, stamp)
            state.open(descriptor, stamp)
            state.counters.removed_files += removed
        elif state.since_check > self._folder.limits.total_bytes // 64:
            state.since_check = 0
            state.counters.removed_files += self._folder.make_room()

    def _close(self, state: _State) -> None:
        state.close()
        self._folder.forget(self._signal)


class _Loss(NamedTuple):
    reason: str
    error: OSError | ValueError | None = None


class _State:
    """The open file of one process."""

    def __init__(self) -> None:
        # Re-entrant: garbage collection may end a span, and so export it, at any line of this
        # module.
        self.lock = threading.RLock()
        self.counters = Counters()
        self.retry_at = 0.0
        self.open(-1, "")

    def open(self, descriptor: int, stamp: str) -> None:
        self.descriptor, self.stamp = descriptor, stamp
        self.size = self.since_check = 0
        self.torn = False
        self._identity = _identity(descriptor)

    def intact(self) -> bool:
        """Return whether the descriptor is still that of our file, and the file is not deleted.

        A process that becomes a daemon closes all descriptors, after which the number may be
        reused; and users remove the directory of a running program.
        """
        identity = _identity(self.descriptor)
        if identity is None or identity != self._identity:
            self.descriptor = -1
            return False
        return os.fstat(self.descriptor).st_nlink > 0

    def close(self) -> None:
        if self.descriptor >= 0 and _identity(self.descriptor) == self._identity:
            os.close(self.descriptor)
        self.descriptor = -1


class _File(NamedTuple):
    stamp: str
    modified: int
    name: str
    size: int


class _Place(NamedTuple):
    """An open directory; its path if the system cannot open files relative to a directory."""

    path: Path
    descriptor: int | None

    def locate(self, name: str) -> str:
        return name if self.descriptor is not None else str(self.path / name)

    def remove(self, name: str) -> bool:
        try:
            os.unlink(self.locate(name), dir_fd=self.descriptor)
        except OSError:  # removed by another process, or kept by the system while open
            return False
        return True


@contextmanager
def _directory(path: Path) -> Iterator[_Place]:
    made = _make_directory(path)
    if not _HAS_DIR_FD:
        if path.is_symlink():
            raise NotADirectoryError(f"{path} is a symbolic link")
        place = _Place(path, None)
        _ignore_in_git(place, made=made)
        yield place
        return
    descriptor = os.open(path, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW)
    try:
        place = _Place(path, descriptor)
        _ignore_in_git(place, made=made)
        yield place
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> bool:
    """Return whether the directory was created. An existing one keeps its mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _ignore_in_git(place: _Place, *, made: bool) -> None:
    """Exclude prompts from Git, only in a directory created here: ``*`` ignores everything."""
    if not made:
        return
    try:
        descriptor = os.open(place.locate(".gitignore"), _CREATE, 0o600, dir_fd=place.descriptor)
    except FileExistsError:
        return
    try:
        os.write(descriptor, b"*\n")
    finally:
        os.close(descriptor)


def _files(place: _Place) -> Iterator[_File]:
    target: Any = place.path if place.descriptor is None else place.descriptor
    with os.scandir(target) as entries:
        for entry in entries:
            match = FILE_NAME.fullmatch(entry.name)
            if match is None:
                continue
            try:
                known = entry.stat(follow_symlinks=False)
            except OSError:  # removed meanwhile
                continue
            if stat.S_ISREG(known.st_mode):
                yield _File(match[2], known.st_mtime_ns, entry.name, known.st_size)


def _write(state: _State, line: bytes) -> None:
    data = b"\n" + line if state.torn else line  # an incomplete line must not absorb this one
    written = os.write(state.descriptor, data)
    state.size += written
    state.since_check += written
    state.torn = written < len(data)
    if state.torn:
        raise OSError("the line was written only in part")


def _identity(descriptor: int) -> tuple[int, int] | None:
    if descriptor < 0:
        return None
    try:
        known = os.fstat(descriptor)
    except OSError:
        return None
    return known.st_dev, known.st_ino
