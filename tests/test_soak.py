"""A long run in short: three destinations, one of them dead all the time.

``make test-all`` runs it for two minutes; otherwise it takes a few seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fresh
from tests.receiver import Receiver, closed_port

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("GENAI_OTEL_SOAK_SECONDS", "8"))
PROGRAM = """
import gc, json, os, sys, threading, time
import genai_otel
genai_otel.instrument(
    destinations=[genai_otel.Destination("otlp", endpoint=url) for url in sys.argv[2:5]],
    content="full",
)
text = "what was said " * 300
def there():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }
@genai_otel.tool
def look(up):
    return up
def load(until):
    made = 0
    while time.monotonic() < until:
        with genai_otel.operation("workflow", "soak"):
            for _ in range(5):
                look(text)
        made += 6
        time.sleep(0.01)
    return made
seconds = float(sys.argv[1])
# The queue of the dead one is full by now: from here on nothing may grow.
made = 0
for destination in genai_otel._sdk.lifecycle._RUNTIME._export_manager.pairs:
    destination[1]._max_queue_bytes = 4_000_000
while genai_otel.status().destinations[1].dropped.get("queue_full", 0) < 100:
    made += load(time.monotonic() + 0.5)
seen = [there()]
end = time.monotonic() + seconds
while time.monotonic() < end:
    made += load(time.monotonic() + seconds / 20)
    seen.append(there())
flushed = genai_otel.flush(10)
told = [(d.queued, d.exported, d.dropped) for d in genai_otel.status().destinations]
began = time.monotonic()
genai_otel.shutdown()
ended = time.monotonic() - began
print(json.dumps({"made": made, "seen": seen, "flushed": flushed, "told": told, "end": ended}))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_one_of_three_is_dead_all_the_time() -> None:
    with Receiver() as first, Receiver() as third:
        dead = f"http://127.0.0.1:{closed_port()}"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(SECONDS), first.url, dead, third.url],
            capture_output=True,
            text=True,
            timeout=SECONDS + 240,
            env=fresh.environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        made, seen = told["made"], told["seen"]
        assert len(first.names) == len(third.names) == made
    assert not told["flushed"]
    alive = [0, made, {}]
    assert [told["told"][0], told["told"][2]] == [alive, alive]
    queued, written, dropped = told["told"][1]
    assert (written, queued + dropped["queue_full"]) == (0, made)
    assert told["end"] < 2.0 + 3.0
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert "is losing telemetry: queue_full (connection refused)" in lines[0]
    assert {each["threads"] for each in seen} == {seen[0]["threads"]}
    assert max(each["files"] for each in seen) <= seen[0]["files"] + 3  # a connection under way
    half = len(seen) // 2
    later = sorted(each["rss"] for each in seen[half:])
    assert later[len(later) // 2] < seen[0]["rss"] * 1.2 + 8_000_000
