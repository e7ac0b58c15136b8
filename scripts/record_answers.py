"""Record examples/recorded_answers.json, which `make demo` replays where the model cannot run.

    python scripts/record_answers.py

Runs the assistant against the real model with a recording proxy between them.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

import demo

# Vectors need no more for a ranking, and the file stays small.
DIGITS = 4
PAUSE = 0.02
ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/embeddings": "embeddings"}


class Recorder(ThreadingHTTPServer):
    def __init__(self, target: demo.Server) -> None:
        super().__init__(("127.0.0.1", 0), Proxy)
        self.target = target.base_url.removesuffix("/v1")
        self.entries: list[dict[str, Any]] = []
        self.about = f"llama.cpp's server (xllamacpp {version('xllamacpp')}), {target.model}"


class Proxy(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        # The client asks for base64, which nobody could read in the recording.
        body.pop("encoding_format", None)
        request = urllib.request.Request(  # noqa: S310 - a loopback address
            self.server.target + self.path,
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            text = reply.read()
            kind = reply.headers["content-type"]
        self.server.entries.append(self.entry(body, text.decode()))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def entry(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        known = {"about": self.server.about, "endpoint": ENDPOINTS[self.path]}
        if body.get("stream"):
            data = [line.removeprefix("data: ") for line in text.splitlines() if line]
            chunks = [json.loads(line) for line in data if line != "[DONE]"]
            return {**known, "pause": PAUSE, "chunks": chunks}
        return {**known, "response": shortened(json.loads(text))}

    def log_message(self, *_: object) -> None:
        """Say nothing: the assistant is speaking."""


def shortened(reply: dict[str, Any]) -> dict[str, Any]:
    for item in reply.get("data", ()):
        item["embedding"] = [round(x, DIGITS) for x in item["embedding"]]
    return reply


def main() -> None:
    with demo.real_model() as model, Recorder(model) as recorder:
        threading.Thread(target=recorder.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{recorder.server_address[1]}/v1"
        demo.assist(demo.Server(address, model.model), [])
        recorder.shutdown()
        lines = ",\n".join(json.dumps(entry) for entry in recorder.entries)
    demo.ANSWERS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(recorder.entries)} answers recorded in {demo.ANSWERS}")


if __name__ == "__main__":
    main()
