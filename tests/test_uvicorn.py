"""Workers of uvicorn's, which die of SIGTERM in the end: what they have recorded arrives."""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends nothing there")

_SERVE = ("-m", "uvicorn", "app:app", "--port", "0", "--workers", "2")
WAYS = {"in the application": _SERVE, "from outside": ("-m", "genai_otel", "run", *_SERVE)}
_APP = """
import genai_otel
{begin}
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    with genai_otel.operation("task", "served"):
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"fine"}})
"""


def _get(url: str) -> bytes:
    """It says that it is there before it listens."""
    for _ in range(1_000):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                content: bytes = answer.read()
                return content
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


@pytest.mark.parametrize("way", WAYS)
def test_what_workers_recorded_arrives(tmp_path: Path, way: str) -> None:
    begin = "genai_otel.instrument()" if way == "in the application" else ""
    (tmp_path / "app.py").write_text(_APP.format(begin=begin))
    with Receiver() as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "PYTHONPATH": f"{tmp_path}:{fresh.environment()['PYTHONPATH']}",
        }
        with fresh.running(*WAYS[way], cwd=tmp_path, env=env) as process:
            assert process.stderr is not None
            url = ""
            for line in process.stderr:
                found = re.search(r"http://[0-9.]+:\d+", line)
                url = url or (found.group() if found else "")
                if "startup complete" in line:
                    break
            for _ in range(4):
                assert _get(url) == b"fine"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert receiver.names == ["task served"] * 4
