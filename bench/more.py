"""What can be asked beside the table: CPU time, OTLP over a real socket, a profile."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .environments import ROOT, peers
from .goals import OURS, THOUSAND
from .measure import CALLS, EVERYTHING, Variant, say
from .report import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from .measure import Laboratory

PAIRS = 150
REPEATS = 3
OTLP_PAIRS, OTLP_SCALE = 6, 85
"""Blocks of 510 calls: a batch of the processor."""
_Interval = tuple[float, float, float]


def paired(laboratory: Laboratory, names: list[str], _workloads: list[str]) -> str:
    """Added CPU time, bare and traced blocks alternating in one process."""
    asked = ["--workloads", ",".join(EVERYTHING), "--pairs", str(PAIRS)]
    found = {}
    for name in names:
        say(f"{name}: paired")
        found[name] = laboratory.worker(name, "paired", *asked)
    found = {name: value for name, value in found.items() if value}
    parts = [
        _times(found, "CPU of the process, us added a call", lambda row: row[2] - row[0]),
        _times(found, "CPU of the caller's thread, us added a call", lambda row: row[3] - row[1]),
    ]
    first = [[n, _show(_median([r[1] - r[0] for r in v["first_chunk"]]))] for n, v in found.items()]
    parts.append(table([["first chunk of a stream", "wall us later"], *first]))
    return "\n\n".join(parts) + "\n"


def _times(found: dict[str, Any], title: str, column: Callable[[list[float]], float]) -> str:
    rows = [[title, *found]]
    for work in EVERYTHING:
        cells = []
        for value in found.values():
            seen = value["workloads"].get(work)
            cells.append(_show(_median([column(r) for r in seen["rows"]])) if seen else "-")
        rows.append([work, *cells])
    return table(rows)


def otlp(laboratory: Laboratory, names: list[str], _workloads: list[str]) -> str:
    """As paired, with a real OTLP/HTTP exporter and batches of full size."""
    command = [sys.executable, str(ROOT / "bench" / "harness" / "sink.py")]
    rows = [["chat_short into a loopback OTLP sink", "process CPU, us", "caller's thread, us"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
        try:
            port = int(sink.stdout.readline()) if sink.stdout else 0
            for name in (n for n in names if peers()[n].opentelemetry and n != "none"):
                say(f"{name}: otlp")
                rows.append(_delivered(laboratory, name, port))
        finally:
            sink.terminate()
    return table(rows) + "\n"


def _delivered(laboratory: Laboratory, name: str, port: int) -> list[str]:
    pairs = ["--pairs", str(OTLP_PAIRS * OTLP_SCALE), "--scale", str(OTLP_SCALE)]
    asked = ["--endpoint", f"http://127.0.0.1:{port}", "--workloads", "chat_short", *pairs]
    value = laboratory.worker(name, "paired", *asked, otlp=True)
    if value is None:
        return [name, "-", "-"]
    rows = value["workloads"]["chat_short"]["rows"]
    total, caller = _median([r[2] - r[0] for r in rows]), _median([r[3] - r[1] for r in rows])
    return [name, _show(total), _show(caller)]


def profile(laboratory: Laboratory, names: list[str], workloads: list[str]) -> str:
    """Added microseconds and calls by function, the profiler's own price included."""
    parts = []
    for name in names:
        found = laboratory.worker(name, "profile", "--workloads", ",".join(workloads))
        for work, functions in (found or {}).items():
            head = [f"{name}: {work}", "us", "calls"]
            parts.append(table([head, *([f, f"{us:.1f}", f"{n:.2f}"] for f, us, n in functions)]))
    return "\n\n".join(parts) + "\n"


def estimates(laboratory: Laboratory, names: list[str], _workloads: list[str]) -> str:
    """How wrong estimated tokens are, and what an estimate costs: ours only."""
    rows = [
        [
            "text",
            "tokens",
            "estimated",
            "wrong by",
            "4 characters each",
            "k instructions / 1,000 characters",
        ]
    ]
    found = laboratory.estimates(OURS) if OURS in names else None
    for kind, row in (found or {}).items():
        tokens, characters = row["counted"], row["characters"]
        wrong = [f"{guess / tokens - 1:+.0%}" for guess in (row["estimated"], characters / 4)]
        cost = f"{row['instructions'] / characters:,.0f}"
        rows.append([kind, f"{tokens:,}", f"{row['estimated']:,}", *wrong, cost])
    return table(rows) + "\n"


def redaction(_laboratory: Laboratory, _names: list[str], _workloads: list[str]) -> str:
    """What masking costs, by the KB and by the call."""
    command = [sys.executable, str(ROOT / "bench" / "harness" / "redaction.py")]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    rows = [[title, f"{value:,.1f}"] for title, value in json.loads(told.stdout)]
    return table([["masking", "CPU"], *rows]) + "\n"


_MODES = (
    ("content in full", (), ()),
    ("redacted, as by default", ("--mode", "redacted"), ()),
    ("no content", ("--content", "off"), ()),
    ("with metrics", ("--metrics",), ()),
    ("with its OTLP, not sent", ("--mode", "encoded"), ()),
    ("in the host's provider", ("--mode", "host"), ()),
    ("sampled out", (), (("OTEL_TRACES_SAMPLER", "always_off"),)),
)


def modes(laboratory: Laboratory, _names: list[str], _workloads: list[str]) -> str:
    """Ours, by how it is set up."""
    rows = [["ours: thousand instructions added", *CALLS]]
    for title, arguments, variables in _MODES:
        say(title)
        variant = Variant(title, CALLS, arguments, variables)
        found = laboratory.instructions(OURS, variant, REPEATS) or {}
        cells = [f"{found[w]['added'] / THOUSAND:,.0f}" if w in found else "-" for w in CALLS]
        rows.append([title, *cells])
    return table(rows) + "\n"


def _median(values: list[float]) -> _Interval:
    """Median and its 95 % confidence interval from order statistics."""
    ordered = sorted(values)
    n = len(ordered)
    half = 0.98 * math.sqrt(n)
    low, high = max(0, math.floor(n / 2 - half)), min(n - 1, math.ceil(n / 2 + half))
    return statistics.median(ordered), ordered[low], ordered[high]


def _show(interval: _Interval) -> str:
    return f"{interval[0]:,.0f} [{interval[1]:,.0f}, {interval[2]:,.0f}]"


TASKS: dict[str, Callable[[Laboratory, list[str], list[str]], str]] = {
    "paired": paired,
    "otlp": otlp,
    "profile": profile,
    "estimates": estimates,
    "redaction": redaction,
    "modes": modes,
}
