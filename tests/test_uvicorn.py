"""Workers of uvicorn's, which die of SIGTERM in the end: what they have recorded arrives."""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.receiver import Receiver, attributes

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

    from tests.provider import Provider

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


def _open(url: str) -> Any:
    """It says that it is there before it listens."""
    for _ in range(1_000):
        try:
            return urllib.request.urlopen(url, timeout=60)
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


def _get(url: str) -> bytes:
    with _open(url) as answer:
        content: bytes = answer.read()
        return content


def _url(process: Popen[str]) -> str:
    """When a worker has begun to serve."""
    assert process.stderr is not None
    url = ""
    for line in process.stderr:
        found = re.search(r"http://[0-9.]+:\d+", line)
        url = url or (found.group() if found else "")
        if "Started server process" in line:
            break
    return url


def _environment(directory: Path, receiver: Receiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "PYTHONPATH": f"{directory}:{fresh.environment()['PYTHONPATH']}",
    }


@pytest.mark.parametrize("way", WAYS)
def test_what_workers_recorded_arrives(tmp_path: Path, way: str) -> None:
    begin = "genai_otel.instrument()" if way == "in the application" else ""
    (tmp_path / "app.py").write_text(_APP.format(begin=begin))
    with Receiver() as receiver:
        env = _environment(tmp_path, receiver)
        with fresh.running(*WAYS[way], cwd=tmp_path, env=env) as process:
            url = _url(process)
            for _ in range(4):
                assert _get(url) == b"fine"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert receiver.names == ["task served"] * 4


_STREAMS = """
import os
import genai_otel
genai_otel.instrument()
import openai
@genai_otel.workflow
async def answer():
    client = openai.AsyncOpenAI(base_url=os.environ["PROVIDER"], api_key="sk", max_retries=0)
    asked = [{"role": "user", "content": "Hello"}]
    async for chunk in await client.chat.completions.create(
        model="stalls", messages=asked, stream=True
    ):
        yield chunk.model_dump_json().encode()
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async for part in answer():
        await send({"type": "http.response.body", "body": part, "more_body": True})
"""


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_streams_that_are_open_arrive(tmp_path: Path, provider: Provider, lifespan: str) -> None:
    """uvicorn cancels them; without a lifespan it dies before they could see that."""
    (tmp_path / "app.py").write_text(_STREAMS)
    more = ("--timeout-graceful-shutdown", "1", "--lifespan", lifespan)
    with Receiver() as receiver, ExitStack() as opened:
        env = {**_environment(tmp_path, receiver), "PROVIDER": provider.base_url}
        with fresh.running(*_SERVE, *more, cwd=tmp_path, env=env) as process:
            url = _url(process)
            for _ in range(3):
                assert opened.enter_context(_open(url)).read1()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert receiver.names == ["chat stalls"] * 3 + ["invoke_workflow answer"] * 3
        for span in receiver.spans.values():
            found = attributes(span)
            assert found["genai_otel.response.completed"] is False
            if span.name == "chat stalls":
                assert found["genai_otel.response.chunks"] >= 1
