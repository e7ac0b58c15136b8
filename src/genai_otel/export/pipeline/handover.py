"""Handover files: spans of a child process that is killed are exported by another process.

A pool ends its workers by SIGTERM as soon as it has their results, a second before a batch of spans
would be sent. So a child that may end like that also writes each span to a file of its own, in
shared memory where the system has it. The file is truncated when all its spans have been exported,
and removed at an orderly end. The file of a process that is gone is read by whichever process of
the same tree flushes or ends next, usually the parent; or within a minute by one that records,
which appends the spans to its own file if it may be killed itself.

The folder's name is derived from a secret of that tree; the folder and its files are private.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import FAULTS
from genai_otel._support.locks import reentrant
from genai_otel._support.processes import is_at_work, is_child, is_spawned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

with suppress(ImportError):
    import fcntl

# Not on Windows, where a file does not show whether its process is gone.
_SUPPORTED = "fcntl" in sys.modules
# Of one file; spans beyond it are only counted.
MAX_BYTES = 8 * 1024 * 1024
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in there
_MISSED_LINE = b'{"missed":1}\n'
_SUFFIX = ".jsonl"
_ATTEMPTS = 3
_STALE_AFTER = 86_400.0
# Forked children share it with their parent.
_FORK_SECRET = os.urandom(16)
_parent_recovers = False


def _terminates_at_once(handler: Any) -> bool:
    """Whether SIGTERM may end the process at once.

    Celery's children begin an orderly end, but a second SIGTERM or SIGKILL may cut it short.
    """
    return handler is signal.SIG_DFL or getattr(handler, "__module__", "") == "billiard.common"


def set_parent_recovers() -> None:
    """Call in a child that was forked from a process that is set up."""
    global _parent_recovers  # noqa: PLW0603 - of the process, however often it is set up
    _parent_recovers = True


class HandoverFile:
    """The file of this process: its spans until they are exported, if they may be recovered."""

    def __init__(self) -> None:
        # Whether there may be a process that recovers the file.
        self.may_be_recovered = is_spawned() or _parent_recovers
        # Not if only the work sets up, as in a pool's initializer, and the parent may not.
        self.is_surely_recovered = _parent_recovers or (is_spawned() and not is_at_work())
        # Held while a span is written and enqueued, so that it is not cleared in between.
        self.lock = reentrant()
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._failed = not _SUPPORTED
        # The file may hold spans of another process that are not enqueued yet.
        self._adopting = False

    def is_needed(self) -> bool:
        """Whether SIGTERM would end the process at once, or billiard will."""
        return not self._failed and _terminates_at_once(signal.getsignal(signal.SIGTERM))

    def write(self, span: ReadableSpan) -> None:
        """Write one span; the caller holds ``lock``."""
        if not self.may_be_recovered or not self.is_needed():
            return
        try:
            self._append_span(span)
        except OSError:  # no room, say: the span is exported as usual
            self._failed = True
        except Exception as error:  # noqa: BLE001 - the span ends all the same
            self._failed = True
            FAULTS.note("HandoverFile.write", error)

    def _append_span(self, span: ReadableSpan) -> None:
        from genai_otel.store.otlp_json import spans_request
        from genai_otel.store.write.writer import to_line

        self._open()
        line = to_line(spans_request([span]))
        if self._size + len(line) > MAX_BYTES:
            line = _MISSED_LINE
        self._size += os.write(self._descriptor, line)

    def _open(self) -> None:
        if self._descriptor < 0:
            self._path, self._descriptor = _create_file(_folder())
            _remove_stale_files()

    def adopt(self, queue: Callable[[list[ReadableSpan], int], object]) -> None:
        """Recover files of killed processes, if their spans can be appended to this file.

        Should this process be killed before it has exported them, another one recovers its file.
        """
        self._adopting = True
        try:
            queue(*recover(self._append_lines))
        finally:
            self._adopting = False

    def _append_lines(self, lines: bytes) -> bool:
        """Append lines of another file; return whether there was room."""
        with self.lock:
            if not self.may_be_recovered or not self.is_needed():
                return False
            self._open()
            if self._size + len(lines) > MAX_BYTES:
                return False
            if os.write(self._descriptor, lines) < len(lines):  # no room
                os.ftruncate(self._descriptor, self._size)
                return False
            self._size += len(lines)
        return True

    def clear(self) -> None:
        """Truncate the file once everything is exported; the caller holds ``lock``."""
        if self._size and not self._adopting:
            os.ftruncate(self._descriptor, 0)
            self._size = 0

    def close(self) -> None:
        """Remove the file at an orderly end, when everything is exported or counted as lost."""
        with self.lock:
            self._failed = True
            path, descriptor, self._descriptor = self._path, self._descriptor, -1
            if path is not None and descriptor >= 0:
                with suppress(OSError):
                    path.unlink()
                    os.close(descriptor)
                    path.parent.rmdir()  # if it is empty

    def close_after_fork(self) -> None:
        """In a forked child: close the parent's file, whose lock shows that the parent lives."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def recover(
    accept: Callable[[bytes], bool] = lambda _: True,
) -> tuple[list[ReadableSpan], int]:
    """The spans of killed processes, and how many of theirs are lost.

    A file is left where it is unless ``accept`` returns true for its lines.
    """
    spans: list[ReadableSpan] = []
    lost = 0
    for path, descriptor in _files():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process is alive, or another process was faster
            os.close(descriptor)
            continue
        with suppress(OSError), os.fdopen(descriptor, "rb") as file:
            if not os.fstat(descriptor).st_nlink:  # another process has recovered it meanwhile
                continue
            lines = file.read().splitlines(keepends=True)
            if not accept(b"".join(_with_newline(line) for line in lines)):
                continue
            path.unlink()
            for line in lines:
                found, bad = _parse_line(line)
                spans += found
                lost += bad
            path.parent.rmdir()
    return spans, lost


def _with_newline(line: bytes) -> bytes:
    """An incomplete line must not spoil the next one."""
    return line if line.endswith(b"\n") else line + b"\n"


def _parse_line(line: bytes) -> tuple[list[ReadableSpan], int]:
    from genai_otel.store.read.replay import revive

    try:
        message = json.loads(line)
        return ([], message["missed"]) if "missed" in message else revive(message)
    except (
        TypeError,
        AttributeError,
        ValueError,
    ):  # incomplete: its process was killed while writing
        return [], 1


def have_live_children() -> bool:
    """Whether there are children whose files may be left behind yet."""
    alive = False
    for _, descriptor in _files():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            alive = True
        os.close(descriptor)
    return alive


def _remove_stale_files() -> None:
    """Remove files that were not recovered for a day, since their whole process tree is gone."""
    folders = _base_folder().glob(f"genai-otel-{os.geteuid()}-*")
    for path, descriptor in _open_files(folders):
        with suppress(OSError):
            if time.time() - os.fstat(descriptor).st_mtime > _STALE_AFTER:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                path.parent.rmdir()
        os.close(descriptor)


def _files() -> Iterator[tuple[Path, int]]:
    """Files of processes of this tree, alive or gone."""
    return _open_files({_folder_of(secret) for secret in _secrets()} if _SUPPORTED else ())


def _open_files(folders: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Open the complete files in private folders of ours."""
    for folder in folders:
        try:
            if not _is_private(folder.lstat()):
                continue
            paths = [*folder.glob(f"*{_SUFFIX}")]
        except OSError:  # there is none
            continue
        for path in paths:
            with suppress(OSError):
                yield path, os.open(path, os.O_RDWR | os.O_NOFOLLOW)


def _create_file(folder: Path) -> tuple[Path, int]:
    """Create a file; it gets its name when it is locked, so that it never seems left behind."""
    for _ in range(_ATTEMPTS):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _is_private(folder.lstat()):
            raise PermissionError(f"{folder} is not private")
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(folder / name, flags, 0o600)
        except FileNotFoundError:  # another process has just removed the empty folder
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        path = folder / f"{name}{_SUFFIX}"
        (folder / name).rename(path)
        return path, descriptor
    raise FileNotFoundError(folder)


def _is_private(status: os.stat_result) -> bool:
    mine = status.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077


def _secrets() -> list[bytes]:
    process: Any = sys.modules.get("multiprocessing.process")
    shared = [bytes(process.current_process().authkey)] if process is not None else []
    return [_FORK_SECRET, *shared]


def _folder() -> Path:
    """The folder for files of this process; children of ``multiprocessing`` share its authkey."""
    return _folder_of(_secrets()[-1] if is_child() else _FORK_SECRET)


def _folder_of(secret: bytes) -> Path:
    digest = hashlib.sha256(b"genai-otel" + secret).hexdigest()[:24]
    return _base_folder() / f"genai-otel-{os.geteuid()}-{digest}"


def _base_folder() -> Path:
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
