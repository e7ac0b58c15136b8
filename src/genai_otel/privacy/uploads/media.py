"""Upload images, audio, files and texts of messages; the span has a reference.

Only data in memory is written, under a name that is its hash: no text of a request or a model
determines a path, and no address is ever fetched.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genai_otel._support.locks import has_gone

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("genai_otel")

MOST_QUEUED = 32 * 1024 * 1024  # limit of queued characters or bytes
_REMEMBERED = 1_000
_SAY_EVERY = 60.0
_ENDS = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp",
    "audio/wav": ".wav", "audio/mpeg": ".mp3", "audio/mp3": ".mp3", "audio/flac": ".flac",
    "video/mp4": ".mp4", "application/pdf": ".pdf", "text/plain": ".txt",
}  # fmt: skip


class Uploads:
    """Writes content below ``base`` on a thread; if the queue is full, drops and counts it.

    The thread exists only while there is something to write.

    ``base`` is a ``file:///`` URL, or any other that fsspec supports, if it is installed. Raises
    ``ValueError`` if fsspec is needed and not installed.
    """

    def __init__(self, base: str, most: int = MOST_QUEUED) -> None:
        self.base, self._most = base.rstrip("/"), most
        self._told = _shown(self.base)
        self._write = _writer(self.base)
        self._ready = threading.Condition()
        self._waiting: deque[tuple[str, str | bytes]] = deque()
        self._queued = 0
        self._busy = self._closed = self._running = False
        self._known: dict[str, None] = {}
        self._thread: threading.Thread | None = None
        self._said = -_SAY_EVERY
        self.written = 0
        # Failed writes by type of error; ``QueueFull`` are dropped ones
        self.failures: dict[str, int] = {}

    def keep(self, source: str | bytes, digest: str, mime_type: str | None) -> str | None:
        """Queue ``source`` (bytes or base64); return its address, ``None`` if the queue is full."""
        return self.write(f"{digest}{_ENDS.get(mime_type or '', '.bin')}", source)

    def write(self, name: str, source: str | bytes) -> str | None:
        """Queue ``source`` under the given name; a known name is not written again."""
        with self._ready:
            if name not in self._known:
                if self._closed or self._queued + len(source) > self._most:
                    self._count("QueueFull")
                    return None
                self._remember(name)
                self._waiting.append((name, source))
                self._queued += len(source)
                self._begin()
        return f"{self._told}/{name}"

    def flush(self, timeout: float) -> bool:
        """Return whether all queued content was written, or failed, within ``timeout`` seconds."""
        until = time.monotonic() + timeout
        with self._ready:
            here = bool(self._waiting) and not self._begin()
            self._running = self._running or here
        if here:  # at interpreter exit, when no thread can be started
            self._run(until)
        with self._ready:
            left = max(0.0, until - time.monotonic())
            return self._ready.wait_for(lambda: not self._waiting and not self._busy, left)

    def close(self, timeout: float = 2.0) -> bool:
        """Flush, accept no more content, and end the thread."""
        done = self.flush(timeout)
        with self._ready:
            self._closed = True
        return done

    def before_fork(self, until: float) -> None:
        """Wait for current writes until ``until`` (``monotonic`` seconds)."""
        thread = self._thread
        if thread is not None and thread.ident and thread is not threading.current_thread():
            has_gone(thread, until)

    def after_fork(self) -> None:
        """Reset the queue in a child; the parent writes its own content.

        The parent's thread does not exist here and its lock may be held. Names of dropped content
        are forgotten, too.
        """
        self._ready = threading.Condition()
        self._thread, self._busy, self._running, self._queued = None, False, False, 0
        self._waiting.clear()
        self._known.clear()

    def _begin(self) -> bool:
        """Start a thread if there is none; return whether one is running."""
        if not self._running:
            self._thread = threading.Thread(
                target=self._run, name="genai-otel-uploads", daemon=True
            )
            with suppress(RuntimeError):  # no more threads now: the next one writes this, too
                self._thread.start()
                self._running = True
        return self._running

    def _remember(self, name: str) -> None:
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name] = None

    def _run(self, until: float = inf) -> None:
        while True:
            with self._ready:
                if not self._waiting or time.monotonic() >= until:
                    self._running = False
                    return
                name, source = self._waiting.popleft()
                self._busy = True
            problem = self._put(name, source)
            with self._ready:
                self._busy = False
                self._queued -= len(source)
                if problem is None:
                    self.written += 1
                else:
                    self._known.pop(name, None)
                    self._count(problem)
                self._ready.notify_all()

    def _put(self, name: str, source: str | bytes) -> str | None:
        """Return the type of the error, if any."""
        try:
            data = base64.b64decode(source) if isinstance(source, str) else source
            self._write(name, data)
        except Exception as error:  # noqa: BLE001 - a store may fail in any way; it is counted
            return type(error).__name__
        return None

    def _count(self, why: str) -> None:
        self.failures[why] = self.failures.get(why, 0) + 1
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            logger.warning("genai_otel: upload to %s failed: %s", self._told, why)


def _shown(base: str) -> str:
    """Return an address without user and query, which may contain keys."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _writer(base: str) -> Callable[[str, bytes], Any]:
    parts = urlsplit(base)
    if parts.scheme == "file":
        folder = Path(url2pathname(parts.path))
        return lambda name, data: _write_file(folder, name, data)
    if find_spec("fsspec") is None:
        how = 'pip install "genai-otel[upload]"'
        raise ValueError(f"upload_to {_shown(base)!r} requires fsspec: {how}")

    def write(name: str, data: bytes) -> None:
        with import_module("fsspec").open(f"{base}/{name}", "wb") as file:
            file.write(data)

    return write


def _write_file(folder: Path, name: str, data: bytes) -> None:
    """Write a whole file or none, with mode 0600; an existing file has the same content."""
    path = folder / name
    if path.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f".{name}.{os.getpid()}"
    try:
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
