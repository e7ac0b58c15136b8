"""A loopback server with made-up answers, for what no scenario of the provider server has."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def events(*data: Any, end: str = "") -> bytes:
    """An event stream, each event named for its type."""
    return "".join(map(_event, data)).encode() + end.encode()


def _event(data: Any) -> str:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n"


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[str]:
    """A server that gives each path its answer: JSON, or the bytes of an event stream.

    ``ROOT`` in an answer becomes the server's address. The answers may be changed while it runs.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = answers[self.path]
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            kind = "text/event-stream" if isinstance(answer, bytes) else "application/json"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name that is looked for

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    root = f"http://127.0.0.1:{server.server_port}"
    answers.update({key: _at(root, value) for key, value in answers.items()})
    try:
        yield root
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _at(root: str, answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer
    return json.loads(json.dumps(answer).replace("ROOT", root))
