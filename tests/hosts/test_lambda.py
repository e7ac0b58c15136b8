"""AWS's own runtime of Lambda, its API played on loopback: spans come before the next event."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("awslambdaric")
pytestmark = pytest.mark.slow

SHOP = """
import genai_otel
from genai_otel._sdk import exit as _process
_process.HANDLER_SECONDS = 60  # how long a delivery takes on a busy machine decides nothing
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint={url!r}))
def handler(event, context):
    with genai_otel.operation("workflow", event["name"]):
        if event["name"] == "fails":
            raise ValueError("no")
        return "done"
"""


class Api:
    """docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html: what runtimes ask for, and answer."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, str] | None] = queue.Queue()
        self.asked: queue.Queue[str] = queue.Queue()
        """A word for each event that is asked for, as it is: the moment of the freeze."""
        self.answers: list[tuple[str, Any]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api.asked.put("next")
                if (told := api.events.get()) is None:
                    self.close_connection = True
                    return
                event = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "r-1")
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() + 60) * 1000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:shop")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.answers.append((self.path.rpartition("/")[2], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.where = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.events.put(None)  # the runtime is gone, and its last question has no answer
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    it = Api()
    yield it
    it.close()


def test_each_event_is_delivered_before_the_freeze(api: Api, tmp_path: Path) -> None:
    """Also where the handler fails. What is sent holds the answer to nobody."""
    with Receiver() as receiver:
        (tmp_path / "shop.py").write_text(SHOP.format(url=receiver.url), encoding="utf-8")
        env = {
            "AWS_LAMBDA_RUNTIME_API": api.where,
            "AWS_LAMBDA_FUNCTION_NAME": "shop",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "g",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
            "LAMBDA_TASK_ROOT": str(tmp_path),
        }
        command = [sys.executable, "-m", "awslambdaric", "shop.handler"]
        runtime = fresh.begin(command, cwd=tmp_path, env=env)
        try:
            api.asked.get(timeout=60)
            expected = []
            for name in ("first", "fails", "third"):
                api.events.put({"name": name})
                api.asked.get(timeout=60)
                os.kill(runtime.pid, signal.SIGSTOP)
                expected.append(f"invoke_workflow {name}")
                assert receiver.names == sorted(expected)
                os.kill(runtime.pid, signal.SIGCONT)
        finally:
            fresh.finish(runtime)
        kinds = [kind for kind, _ in api.answers]
        assert kinds == ["response", "error", "response"]
        assert api.answers[1][1]["errorType"] == "ValueError"
