"""Real receivers as child processes on loopback, in folders that are thrown away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

_SECONDS = 240  # Phoenix needs 20 s of processor time to start, on a machine that others use too

FOLDER = os.environ.get("GENAI_OTEL_BACKENDS", "")
"""Where their environments are; `make backends` says it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def why_not(name: str) -> str | None:
    """Why this backend cannot be started here; ``None`` where it can."""
    if not FOLDER:
        return f"the real {name} is started by `make backends`"
    if not Path(FOLDER, name, f".has-{name}").exists() or _command(name) is None:
        return f"{name} is not installed in {FOLDER}: see `make backends`"
    return None


def _command(name: str) -> Path | None:
    environment = Path(FOLDER, name)
    if name == "rotel":  # its wheel has a binary beside the Python code
        found = environment.glob("lib/python*/site-packages/rotel/rotel-agent")
        return next(found, None)
    command = environment / "bin" / name
    return command if command.exists() else None


@dataclass
class Server:
    """One running backend: ``with`` starts it at once, ``url`` waits until it answers."""

    name: str
    folder: Path
    arguments: tuple[str, ...]
    port: int
    health: str
    environment: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        command = _command(self.name)
        assert command is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "server.log").open("wb")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "GENAI_"))}
        self._process = subprocess.Popen(
            [str(command), *self.arguments],
            cwd=self.folder,
            env={**inherited, **self.environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._ready = False
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._log.close()

    def _end(self) -> None:
        """It and its workers, which are of its session and nobody else's."""
        for signal_number in (15, 9):
            try:
                os.killpg(self._process.pid, signal_number)
                self._process.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    @property
    def url(self) -> str:
        base = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + _SECONDS
        while not self._ready:
            self._ready = self._answers(base + self.health)
            if not self._ready and (
                self._process.poll() is not None or time.monotonic() > deadline
            ):
                log = (self.folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"{self.name} does not answer:\n{log[-4000:]}")
            time.sleep(0 if self._ready else 0.2)
        return base

    def _answers(self, url: str) -> bool:
        if not self.health:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        try:
            with urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def phoenix(folder: Path) -> Server:
    port = free_port()
    return Server(
        "phoenix",
        folder,
        ("serve",),
        port,
        "/healthz",
        {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        },
    )


def mlflow(folder: Path) -> Server:
    port = free_port()
    arguments = ("server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1")
    where = ("--artifacts-destination", "./art", "--host", "127.0.0.1", "--port", str(port))
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return Server("mlflow", folder, (*arguments, *where), port, "/health", silent)


def rotel(folder: Path, to: str) -> Server:
    """A collector which hands on what it gets to ``to``, another OTLP receiver over HTTP."""
    port = free_port()
    arguments = (
        "start",
        "--exporter=otlp",
        "--otlp-exporter-protocol=http",
        f"--otlp-exporter-endpoint={to}",
        f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
        f"--otlp-http-endpoint=127.0.0.1:{port}",
    )
    return Server("rotel", folder, arguments, port, "")


def ask(url: str, body: Any = None) -> Any:
    """The JSON answer to a GET, or to a POST of JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def eventually(get: Any, seconds: float = 60) -> Any:
    """The first true answer of ``get``: backends store what they got a little later."""
    deadline = time.monotonic() + seconds
    while True:
        found = get()
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.3)
