"""The server: reads requests, writes answers, and remembers both. It knows no wire format."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from tests.provider import catalogue
from tests.provider.answer import Answer, answer_for, marking_last
from tests.provider.fixtures import SCENARIOS, named
from tests.provider.received import Request, UsageEntry
from tests.provider.replay import Replay
from tests.provider.wire import to_json

if TYPE_CHECKING:
    from types import TracebackType

    from tests.provider.answer import Part
    from tests.provider.scenario import Scenario
    from tests.provider.wire import Ask

_NOT_FOUND: Final = Answer(
    status=404,
    headers={"content-type": "application/json"},
    body=to_json({"error": {"message": "No such path.", "type": "invalid_request_error"}}),
)
_JOIN_SECONDS: Final = 1.0


class _ClientLeftError(ConnectionError):
    """The client closed its connection while we were pausing."""


class Provider:
    """A provider on loopback: `with Provider() as provider: OpenAI(base_url=provider.base_url)`."""

    def __init__(self, port: int = 0, *, replay: Replay | None = None, keep: int = 10_000) -> None:
        self._server = _Server(self, port)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._replay = replay or Replay()
        self._requests: deque[Request] = deque(maxlen=keep)
        self._usage: deque[UsageEntry] = deque(maxlen=keep)
        self._count = 0
        self._attempts: dict[tuple[str, bytes], int] = {}
        self._added: dict[str, Scenario] = {}

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    @property
    def azure_endpoint(self) -> str:
        return self.root

    @property
    def requests(self) -> list[Request]:
        """The requests received since the last `clear` (the last `keep` of them), a copy."""
        with self._lock:
            return list(self._requests)

    @property
    def usage_log(self) -> list[UsageEntry]:
        """What was answered since then, a copy."""
        with self._lock:
            return list(self._usage)

    def clear(self) -> None:
        """Forget the requests, the usage and the scenarios that were added."""
        with self._lock:
            self._requests.clear()
            self._usage.clear()
            self._attempts.clear()
            self._added.clear()

    def add(self, model: str, scenario: Scenario) -> None:
        """Let a model act as a scenario of the test's own."""
        with self._lock:
            self._added[model] = scenario

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="provider", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop: no further connections, open ones are shut, threads have ended."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------- the handlers' side

    def record(self, request: Request) -> None:
        with self._lock:
            self._count += 1
            request.request_id = f"req_{self._count:06d}"
            self._requests.append(request)

    def log_usage(self, entry: UsageEntry) -> None:
        with self._lock:
            self._usage.append(entry)

    def answer(self, request: Request) -> Answer:
        """Find the endpoint and the scenario, and let them make the answer."""
        found = catalogue.find(request.method, urlsplit(request.path).path)
        if found is None:
            return _NOT_FOUND
        endpoint, match = found
        ask = endpoint.ask(request, match)
        request.endpoint, request.model = endpoint.name, ask.model
        if ask.model.startswith("replay-") and (replayed := self._replay.answer(endpoint, ask)):
            return replayed
        retry = self._is_retry(request)
        return answer_for(endpoint, ask, self._scenario(ask), retry=retry)

    def _scenario(self, ask: Ask) -> Scenario:
        with self._lock:
            scenario = self._added.get(ask.model) or named(ask.model)
            if ask.tools_done and scenario.then:
                scenario = self._added.get(scenario.then) or SCENARIOS[scenario.then]
        return scenario.answering(ask.prompt)

    def _is_retry(self, request: Request) -> bool:
        """Believe the client's own count; without one, the same body again is a retry."""
        if (count := request.headers.get("x-stainless-retry-count")) is not None:
            return count != "0"
        key = request.path, request.raw
        with self._lock:
            self._attempts[key] = self._attempts.get(key, 0) + 1
            return self._attempts[key] % 2 == 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, provider: Provider, port: int) -> None:
        self.provider = provider
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own also asks the resolver for a name, which may take seconds offline.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        for thread, connection in list(self.connections.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.connections[threading.current_thread()] = self.connection

    def finish(self) -> None:
        self.server.connections.pop(threading.current_thread(), None)
        with contextlib.suppress(ConnectionError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has there
        pass

    def do_POST(self) -> None:
        request = Request(self.command, self.path, self.headers, self._read_body())
        self.server.provider.record(request)
        try:
            answer = self.server.provider.answer(request)
            self._send(request, answer)
        except ConnectionError:
            request.disconnected, request.completed = True, False
            self.close_connection = True
        finally:
            request.done.set()

    do_GET = do_DELETE = do_PUT = do_PATCH = do_POST  # noqa: N815 - the names it looks for

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    # ------------------------------------------------------------------------------ answering

    def _send(self, request: Request, answer: Answer) -> None:
        request.status = answer.status or None
        note = _Note(self.server.provider, request, answer)
        try:
            self._pause(answer.pause)
            if answer.status == 0:
                self.close_connection = True
            elif answer.parts is None:
                self._send_whole(request, answer, note)
            else:
                self._send_parts(request, answer, note)
        finally:
            note.write(completed=False)

    def _send_head(self, request: Request, answer: Answer, **more: str) -> None:
        self.send_response(answer.status)
        own = {"x-request-id": request.request_id, "openai-processing-ms": "7"}
        for name, value in {**own, **answer.headers, **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _send_whole(self, request: Request, answer: Answer, note: _Note) -> None:
        self._send_head(request, answer, content_length=str(len(answer.body)))
        if answer.cut:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        else:
            note.write(completed=True)
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _send_parts(self, request: Request, answer: Answer, note: _Note) -> None:
        self._send_head(request, answer, transfer_encoding="chunked")
        self.wfile.flush()
        self.close_connection = answer.cut
        for part, last in marking_last(answer.parts or ()):
            self._pause(part.pause)
            if last and not answer.cut:
                note.write(completed=True)
            request.sent.append(time.time())
            self._send_part(part, ended=last and not answer.cut)

    def _send_part(self, part: Part, *, ended: bool) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(part.data), part.data))
        if ended:  # in one go, because clients hang up as soon as they have seen the last event
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _pause(self, seconds: float) -> None:
        """Wait, and notice at once when the client leaves."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        self.connection.settimeout(seconds)
        try:
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise _ClientLeftError
        except TimeoutError:
            return
        finally:
            self.connection.settimeout(None)
        time.sleep(max(0.0, until - time.monotonic()))  # the next request is there already


class _Note:
    """Writes one line of the usage log, once, and before the client can have seen the end."""

    def __init__(self, provider: Provider, request: Request, answer: Answer) -> None:
        self._provider, self._request = provider, request
        self._entry = UsageEntry(
            path=request.path,
            model=request.model,
            input_tokens=answer.spent[0],
            output_tokens=answer.spent[1],
            status=answer.status,
            streamed=answer.parts is not None,
            completed=False,
        )
        self._written = False

    def write(self, *, completed: bool) -> None:
        if not self._written:
            self._written = True
            self._request.completed = completed
            self._provider.log_usage(self._entry._replace(completed=completed))
