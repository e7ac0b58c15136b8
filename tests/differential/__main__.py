"""Runs every program and prints what it saw; see the package's docstring."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
import json
import logging
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider

from tests.differential import failures, objects, replies, streams
from tests.differential.seen import described, failed, masked
from tests.differential.world import PROGRAMS, World

if TYPE_CHECKING:
    from collections.abc import Callable

_OPEN_FILES = Path("/proc/self/fd")

__all__ = ["failures", "objects", "replies", "streams"]


class _Records(logging.Handler):
    """Log records of everybody but us."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.kept: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("genai_otel"):
            self.kept.append((record.name, record.levelname, masked(record.getMessage())))


def _outcome(function: Callable[[World], Any], world: World, saw: dict[str, Any]) -> None:
    surfaces: list[list[str]] = []
    try:
        value = function(world)
        if inspect.isawaitable(value):
            value = asyncio.run(value)  # type: ignore[arg-type]
        saw["returned"] = described(value, surfaces)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is compared
        saw["raised"] = failed(error)
    saw["surfaces"] = surfaces


def _see(name: str, url: str, records: _Records) -> dict[str, Any]:
    saw: dict[str, Any] = {}
    out, err = io.StringIO(), io.StringIO()
    records.kept.clear()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        _outcome(PROGRAMS[name], World(url, name), saw)
        gc.collect()
    told = [(w.category.__name__, masked(str(w.message)), w.filename) for w in warned]
    return {
        **saw,
        "stdout": masked(out.getvalue()),
        "stderr": masked(err.getvalue()),
        "warnings": sorted(told),
        "logs": sorted(records.kept),  # threads take turns
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def _process() -> dict[str, Any]:
    """What a library could have changed for everybody."""
    handlers = {number.name: repr(signal.getsignal(number)) for number in signal.valid_signals()
                if isinstance(number, signal.Signals)}  # fmt: skip
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": len(list(_OPEN_FILES.iterdir())) if _OPEN_FILES.is_dir() else None,
        "variables": sorted(os.environ.items()),
        "signals": masked(repr(handlers)),
        "hooks": [
            f"{hook.__module__}.{hook.__qualname__}"
            for hook in (sys.excepthook, threading.excepthook, sys.unraisablehook)
        ],
        "loops": type(asyncio.get_event_loop_policy()).__qualname__,
        "root logger": [logging.root.level, [type(h).__name__ for h in logging.root.handlers]],
        "filters": [repr(each) for each in warnings.filters],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "collector": list(gc.get_threshold()),
        "callbacks": len(gc.callbacks),
        "thread start": threading.Thread.start.__module__,
    }


def main(url: str, *, instrumented: bool) -> None:
    exporter: Any = None
    if instrumented:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        import genai_otel

        exporter = InMemorySpanExporter()
        genai_otel.instrument(destinations=["local", exporter], content="full")
    TracerProvider().get_tracer("nobody")  # the SDK adds a filter for warnings here
    records = _Records()
    logging.root.addHandler(records)
    for name, level in (("openai", logging.DEBUG), ("httpx", logging.INFO), ("asyncio", 10)):
        logging.getLogger(name).setLevel(level)
    programs: dict[str, Any] = {}
    for name in PROGRAMS:
        programs[name] = _see(name, url, records)
        if instrumented:
            genai_otel.flush()
            programs[name]["spans"] = len(exporter.get_finished_spans())
            exporter.clear()
    if instrumented:
        genai_otel.shutdown()
    gc.collect()
    print(json.dumps({"programs": programs, "process": _process()}))


if __name__ == "__main__":
    main(sys.argv[1], instrumented="--instrumented" in sys.argv)
