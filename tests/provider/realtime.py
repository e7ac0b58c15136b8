"""A WebSocket server on loopback that speaks OpenAI's realtime API, and responses over one.

Written from platform.openai.com/docs/api-reference/realtime-server-events. Each thing that the
client sends is answered: an item is told of, a committed buffer becomes one, a response is made as
its metadata say.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from websockets.sync.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

USAGE = {
    "total_tokens": 90,
    "input_tokens": 60,
    "output_tokens": 30,
    "input_token_details": {
        "text_tokens": 20,
        "audio_tokens": 40,
        "cached_tokens": 10,
        "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 6},
    },
    "output_token_details": {"text_tokens": 10, "audio_tokens": 20},
}
"""What each response of a realtime session uses."""
PLAIN = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
"""What each response over a connection of the responses API uses."""
SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime-2025-08-28",
    "output_modalities": ["audio"],
    "instructions": "Be kind.",
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
}
CHUNK = "AAAAAAAA"  # six bytes as base64


class Server:
    """What the clients sent, and how each connection is answered."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.root = ""
        self.output: list[dict[str, Any]] | None = None
        """The items of each response, where a test wants others than those below."""
        self._made = 0

    def handle(self, connection: ServerConnection) -> None:
        realtime = "/realtime" in connection.request.path  # type: ignore[union-attr]
        if realtime:
            self._send(connection, {"type": "session.created", "session": SESSION})
        for message in connection:
            event = json.loads(message)
            self.received.append(event)
            if not self._answer(connection, event, realtime=realtime):
                return

    def _answer(
        self, connection: ServerConnection, event: dict[str, Any], *, realtime: bool
    ) -> bool:
        kind = event["type"]
        if kind == "conversation.item.create":
            item = {"id": f"item_{len(self.received)}", **event["item"]}
            self._send(connection, {"type": "conversation.item.added", "item": item})
        elif kind == "input_audio_buffer.commit":
            self._committed(connection)
        elif kind == "session.update":
            session = {**SESSION, **event["session"]}
            self._send(connection, {"type": "session.updated", "session": session})
        elif kind == "response.create" and realtime:
            self._respond(connection, event.get("response") or {})
        elif kind == "response.create":
            self._plain(connection, event)
        elif kind == "input_audio_buffer.clear":
            error = {"type": "invalid_request_error", "code": "buffer_empty", "message": "Empty."}
            self._send(connection, {"type": "error", "error": error})
        elif kind == "response.cancel":  # stands for a connection that breaks
            connection.close(1011, "broken")
            return False
        return True

    def _committed(self, connection: ServerConnection) -> None:
        item_id = f"item_{len(self.received)}"
        audio = {"type": "input_audio", "transcript": None}
        item = {"id": item_id, "type": "message", "role": "user", "content": [audio]}
        self._send(connection, {"type": "input_audio_buffer.committed", "item_id": item_id})
        self._send(connection, {"type": "conversation.item.added", "item": item})
        said = {"item_id": item_id, "content_index": 0, "transcript": "Is it raining?"}
        kind = "conversation.item.input_audio_transcription.completed"
        self._send(connection, {"type": kind, **said})

    def _respond(self, connection: ServerConnection, asked: dict[str, Any]) -> None:
        self._made += 1
        response: dict[str, Any] = {"object": "realtime.response", "id": f"resp_{self._made}"}
        self._send(connection, {"type": "response.created", "response": response})
        if self.output is not None:
            response |= {"status": "completed", "output": self.output}
        elif asked.get("metadata") == {"want": "tool"}:
            call = {
                "type": "function_call",
                "id": "item_call",
                "call_id": "call_1",
                "name": "weather",
                "arguments": '{"city": "Paris"}',
            }
            response |= {"status": "completed", "output": [call]}
        elif asked.get("metadata") == {"want": "failure"}:
            error = {"type": "server_error", "code": "overloaded"}
            details = {"type": "failed", "error": error}
            response |= {"status": "failed", "status_details": details, "output": []}
        else:
            for _ in range(2):
                delta = {"response_id": response["id"], "delta": CHUNK, "item_id": "item_r"}
                self._send(connection, {"type": "response.output_audio.delta", **delta})
            spoken = {"type": "output_audio", "transcript": "It is dry."}
            item = {"type": "message", "id": "item_r", "role": "assistant", "content": [spoken]}
            response |= {"status": "completed", "output": [item]}
        used = None if response["status"] == "failed" else USAGE
        self._send(connection, {"type": "response.done", "response": {**response, "usage": used}})

    def _plain(self, connection: ServerConnection, event: dict[str, Any]) -> None:
        said = {"type": "output_text", "text": "Hello.", "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "content": [said]}
        response = {
            "id": "resp_plain",
            "object": "response",
            "model": event["model"],
            "status": "completed",
            "output": self.output or [item],
            "usage": PLAIN,
        }
        self._send(connection, {"type": "response.completed", "response": response})

    @staticmethod
    def _send(connection: ServerConnection, event: dict[str, Any]) -> None:
        connection.send(json.dumps({"event_id": "event_1", **event}))


@contextmanager
def serving() -> Iterator[Server]:
    """The server, for as long as the block is open."""
    answering = Server()
    with serve(answering.handle, "127.0.0.1", 0) as server:
        port = server.socket.getsockname()[1]
        answering.root = f"ws://127.0.0.1:{port}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield answering
        finally:
            server.shutdown()
            thread.join()
