"""Under gevent, whose patches make our worker a greenlet and our locks and sockets cooperative."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import Receiver, Reply, closed_port, until

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("gevent")
pytestmark = pytest.mark.slow

PATCH = "from gevent import monkey; monkey.patch_all()\n"
SETUP = """
import sys, time, threading
import genai_otel
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint=sys.argv[1]))
def one(name="s"):
    with genai_otel.operation("step", name):
        pass
"""
RUN = """
import gevent
def asks(number):
    with genai_otel.operation("workflow", str(number)):
        gevent.sleep(0.01)
        one(f"of {number}")
gevent.joinall([gevent.spawn(asks, number) for number in range(20)])
"""


def both(number: int) -> list[str]:
    return [f"invoke_workflow {number}", f"task of {number}"]


@pytest.mark.parametrize("flushes", ["by hand", "at the end"])
def test_greenlets(tmp_path: Path, flushes: str) -> None:
    """Each has its own current operation; flush lets the others run."""
    code = PATCH + SETUP + RUN
    if flushes == "by hand":
        code += "assert genai_otel.flush()\n"
    with Receiver() as receiver:
        done = fresh.script(code, receiver.url, cwd=tmp_path)
        assert done.stderr == ""
        assert receiver.names == sorted(name for n in range(20) for name in both(n))
        parents = {s.span_id: s.name for s in receiver.spans.values()}
        for span in receiver.spans.values():
            if span.name.startswith("task of"):
                assert parents[span.parent_span_id] == f"invoke_workflow {span.name[8:]}"


def test_a_dead_collector_holds_nobody(tmp_path: Path) -> None:
    """Neither other greenlets nor the end."""
    code = (
        PATCH
        + SETUP
        + RUN
        + """
ticks = []
def ticking():
    while True:
        gevent.sleep(0.05); ticks.append(1)
gevent.spawn(ticking)
print(genai_otel.flush(1.0), len(ticks) >= 5)
began = time.monotonic()
genai_otel.shutdown(1.0)
print(time.monotonic() - began < 30)
"""
    )
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        out = fresh.script(code, receiver.url, cwd=tmp_path).stdout
        receiver.closing.set()
    assert out.split() == ["False", "True", "True"]


def test_gunicorn_with_gevent(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    with Receiver() as receiver:
        (tmp_path / "shop.py").write_text(
            SETUP.replace("sys.argv[1]", repr(receiver.url))
            + """
def app(environ, start_response):
    one("worker")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""",
            encoding="utf-8",
        )
        port = closed_port()
        command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "2", "-b"]
        command += [f"127.0.0.1:{port}", "shop:app", "--log-level", "critical"]
        process = fresh.begin(command, cwd=tmp_path)
        try:
            assert until(lambda: fresh.answers(port), 30)
            for _ in range(9):
                assert fresh.answers(port)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            fresh.finish(process)
        assert receiver.names == ["task worker"] * 10
