"""What a child process has recorded outlives it, where it is ended before it could be sent.

A pool ends its workers by SIGTERM as soon as their results are there, a second before a batch of
spans would go out. So a child that may end like that also writes each span into a file of its own,
in memory where the system has such a folder; the file is emptied when everything has been sent,
and removed at an orderly end. A file whose process is gone is taken by whoever flushes or ends next
in the same tree of processes: its parent, as a rule; or within a minute by a process that records,
which keeps it as its own if it may be ended like that itself.

The folder's name is derived from a secret that only that tree has; it and its files are private.
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

_WORKS = "fcntl" in sys.modules
"""Not on Windows, where nothing tells whether a file's process is gone."""
MOST_BYTES = 8 * 1024 * 1024
"""What a child keeps; of what is beyond it only the number."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in there
_MISSED = b'{"missed":1}\n'
_ENDING = ".jsonl"
_ATTEMPTS = 3
_OLD = 86_400.0
_FORKED = os.urandom(16)
"""A secret that forked children share with their parent."""
_parent_takes = False


def _ends_at_once(handler: Any) -> bool:
    """Celery's children begin an orderly end, but a second SIGTERM or SIGKILL may cut it short."""
    return handler is signal.SIG_DFL or getattr(handler, "__module__", "") == "billiard.common"


def parent_takes() -> None:
    """In a child that has been forked from a process that was set up."""
    global _parent_takes  # noqa: PLW0603 - of the process, however often it is set up
    _parent_takes = True


class Keeper:
    """Writes the spans of this process until they have been sent, if anybody would take them."""

    def __init__(self) -> None:
        self.is_taken = is_spawned() or _parent_takes
        """Whether there may be a process that sends what this one leaves."""
        self.is_surely_taken = _parent_takes or (is_spawned() and not is_at_work())
        """Not where only the work sets up, in a pool's initializer say, and the parent may not."""
        self.lock = reentrant()
        """Held while a span is kept and queued, so that what is not sent yet is not forgotten."""
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0
        self._failed = not _WORKS
        self._adopts = False
        """What is in the file may be of another process, and not be queued yet."""

    def is_needed(self) -> bool:
        """Only where SIGTERM would end the process at once, or billiard will."""
        return not self._failed and _ends_at_once(signal.getsignal(signal.SIGTERM))

    def keep(self, span: ReadableSpan) -> None:
        """``lock`` is held."""
        if not self.is_taken or not self.is_needed():
            return
        try:
            self._write(span)
        except OSError:  # no room, say: it is sent as it would be without this
            self._failed = True
        except Exception as error:  # noqa: BLE001 - the span ends all the same
            self._failed = True
            FAULTS.note("Keeper.keep", error)

    def _write(self, span: ReadableSpan) -> None:
        from genai_otel.store.otlp_json import spans_request
        from genai_otel.store.write.writer import to_line

        self._begin()
        line = to_line(spans_request([span]))
        if self._size + len(line) > MOST_BYTES:
            line = _MISSED
        self._size += os.write(self._descriptor, line)

    def _begin(self) -> None:
        if self._descriptor < 0:
            self._path, self._descriptor = _created(_folder())
            _remove_old()

    def adopt(self, queue: Callable[[list[ReadableSpan], int], object]) -> None:
        """Queues what processes have left that are gone, if it can be kept here until it is sent.

        Should this process be ended first, another one takes it from its file.
        """
        self._adopts = True
        try:
            queue(*left_behind(self._kept))
        finally:
            self._adopts = False

    def _kept(self, lines: bytes) -> bool:
        """Whether these are in the file of this process now."""
        with self.lock:
            if not self.is_taken or not self.is_needed():
                return False
            self._begin()
            if self._size + len(lines) > MOST_BYTES:
                return False
            if os.write(self._descriptor, lines) < len(lines):  # no room
                os.ftruncate(self._descriptor, self._size)
                return False
            self._size += len(lines)
        return True

    def sent(self) -> None:
        """Nothing of this process is unsent; ``lock`` is held."""
        if self._size and not self._adopts:
            os.ftruncate(self._descriptor, 0)
            self._size = 0

    def close(self) -> None:
        """At an orderly end, at which what was not sent has been counted."""
        with self.lock:
            self._failed = True
            path, descriptor, self._descriptor = self._path, self._descriptor, -1
            if path is not None and descriptor >= 0:
                with suppress(OSError):
                    path.unlink()
                    os.close(descriptor)
                    path.parent.rmdir()  # if nobody else's is in there

    def forget(self) -> None:
        """In a child of this process, which must not seem to be it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def left_behind(
    is_taken: Callable[[bytes], bool] = lambda _: True,
) -> tuple[list[ReadableSpan], int]:
    """The spans of processes that are gone, and how many of theirs are lost.

    A file stays if ``is_taken`` says so of the lines that are in it.
    """
    spans: list[ReadableSpan] = []
    lost = 0
    for path, descriptor in _files():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process is alive, or another one was faster
            os.close(descriptor)
            continue
        with suppress(OSError), os.fdopen(descriptor, "rb") as file:
            if not os.fstat(descriptor).st_nlink:  # another one has taken it meanwhile
                continue
            lines = file.read().splitlines(keepends=True)
            if not is_taken(b"".join(_whole(line) for line in lines)):
                continue
            path.unlink()
            for line in lines:
                found, bad = _read(line)
                spans += found
                lost += bad
            path.parent.rmdir()
    return spans, lost


def _whole(line: bytes) -> bytes:
    """What is torn must not tear what comes after it."""
    return line if line.endswith(b"\n") else line + b"\n"


def _read(line: bytes) -> tuple[list[ReadableSpan], int]:
    from genai_otel.store.read.replay import revive

    try:
        said = json.loads(line)
        return ([], said["missed"]) if "missed" in said else revive(said)
    except (TypeError, AttributeError, ValueError):  # torn: its process was ended in a write
        return [], 1


def are_alive() -> bool:
    """Whether there are children that may yet leave something."""
    alive = False
    for _, descriptor in _files():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            alive = True
        os.close(descriptor)
    return alive


def _remove_old() -> None:
    """Files that nobody has taken for a day, as all of their tree of processes was killed."""
    folders = _base().glob(f"genai-otel-{os.geteuid()}-*")
    for path, descriptor in _opened(folders):
        with suppress(OSError):
            if time.time() - os.fstat(descriptor).st_mtime > _OLD:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                path.parent.rmdir()
        os.close(descriptor)


def _files() -> Iterator[tuple[Path, int]]:
    """What processes of this tree keep, or have left."""
    return _opened({_place(secret) for secret in _secrets()} if _WORKS else ())


def _opened(folders: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Files that are whole and are ours to read."""
    for folder in folders:
        try:
            if not _is_private(folder.lstat()):
                continue
            paths = [*folder.glob(f"*{_ENDING}")]
        except OSError:  # there is none
            continue
        for path in paths:
            with suppress(OSError):
                yield path, os.open(path, os.O_RDWR | os.O_NOFOLLOW)


def _created(folder: Path) -> tuple[Path, int]:
    """A new file. It has its name only when it is locked: it must not seem to be left behind."""
    for _ in range(_ATTEMPTS):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _is_private(folder.lstat()):
            raise PermissionError(f"{folder} is not private")
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(folder / name, flags, 0o600)
        except FileNotFoundError:  # somebody has just removed the folder, as it was empty
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        path = folder / f"{name}{_ENDING}"
        (folder / name).rename(path)
        return path, descriptor
    raise FileNotFoundError(folder)


def _is_private(known: os.stat_result) -> bool:
    mine = known.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(known.st_mode) and not known.st_mode & 0o077


def _secrets() -> list[bytes]:
    process: Any = sys.modules.get("multiprocessing.process")
    shared = [bytes(process.current_process().authkey)] if process is not None else []
    return [_FORKED, *shared]


def _folder() -> Path:
    """Where this process keeps its own: what ``multiprocessing`` makes shares a key with others."""
    return _place(_secrets()[-1] if is_child() else _FORKED)


def _place(secret: bytes) -> Path:
    digest = hashlib.sha256(b"genai-otel" + secret).hexdigest()[:24]
    return _base() / f"genai-otel-{os.geteuid()}-{digest}"


def _base() -> Path:
    return _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
