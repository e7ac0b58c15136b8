"""The demonstration: a real local model, a small assistant, and the trace of what it did.

Called by `make demo`, which has installed what is needed. Starts a model server on loopback, runs
examples/assistant.py against it and shows the trace. Where the model cannot run on this machine,
recorded answers are replayed instead, and it says so. Nothing is left running.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import local_model

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "examples" / "recorded_answers.json"
COMMAND = Path(sys.executable).with_name("genai-otel")
START_LIMIT = 120.0
STORE = Path(os.environ.get("GENAI_OTEL_STORE_DIRECTORY", ROOT / ".genai_otel"))
CONFIGURATION = ("GENAI_OTEL_", "OTEL_")


@dataclass(frozen=True)
class Server:
    """Where a server listens and under which name its model answers."""

    base_url: str
    model: str


class CannotStart(Exception):
    """The server ended, or did not get ready in time; the message is the reason."""


@contextmanager
def running(command: list[str], model: str) -> Iterator[Server]:
    """A server process which says READY and its address; ended however this block is left."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            yield Server(f"{_address(process).removesuffix('/v1')}/v1", model)
        except CannotStart as reason:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise CannotStart(f"{reason}: {last}" if last else str(reason)) from None
        finally:
            _end(process)


def _address(process: subprocess.Popen[bytes]) -> str:
    """Wait for READY, showing that something goes on."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None  # noqa: S101 - it was asked for
    threading.Thread(target=_first_line, args=(process.stdout, lines), daemon=True).start()
    began = time.monotonic()
    while time.monotonic() - began < START_LIMIT:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            progress(".")
            continue
        word, _, address = line.partition(" ")
        if word != "READY":
            raise CannotStart("it ended at once")
        progress(f" ready after {time.monotonic() - began:.1f} s\n")
        return address.strip()
    raise CannotStart(f"it was not ready after {START_LIMIT:.0f} s")


def _first_line(stream: IO[bytes], lines: queue.Queue[str]) -> None:
    lines.put(next((s for s in map(bytes.decode, stream) if s.startswith("READY")), ""))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def real_model() -> Iterator[Server]:
    why_not = local_model.why_not()
    if why_not:
        raise CannotStart(why_not)
    progress(f"Starting {local_model.MODEL}, a real model, on this machine ...")
    command = [sys.executable, str(ROOT / "scripts" / "local_model.py"), "0"]
    with running(command, local_model.MODEL) as server:
        yield server


@contextmanager
def replay() -> Iterator[Server]:
    progress("Starting a server with recorded answers ...")
    command = [sys.executable, "-m", "tests.provider", "--port", "0", "--replay", str(ANSWERS)]
    with running(command, f"replay-{local_model.MODEL}") as server:
        yield server


def assist(server: Server, question: list[str]) -> None:
    """Run the assistant as a user would, with nothing in its environment but the server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(CONFIGURATION)}
    environment = {
        **kept,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_API_KEY": "not-needed",
        "GENAI_OTEL_STORE_DIRECTORY": str(STORE),
    }
    models = ["--model", server.model, "--embedding-model", server.model]
    command = [sys.executable, str(ROOT / "examples" / "assistant.py"), *models, *question]
    # In a process group of its own: Ctrl-C comes to us, and we end it.
    subprocess.run(command, cwd=ROOT, env=environment, check=True, process_group=0)


def demonstrate(server: Server, question: list[str]) -> None:
    heading("The assistant", "examples/assistant.py")
    began = time.monotonic()
    assist(server, question)
    print(f"({time.monotonic() - began:.1f} s)")
    heading("What it did", "genai-otel traces show last")
    show = [str(COMMAND), "traces", "show", "last", "--dir", str(STORE)]
    subprocess.run(show, cwd=ROOT, check=True)


def further() -> None:
    shown = COMMAND.relative_to(ROOT) if COMMAND.is_relative_to(ROOT) else COMMAND
    heading("Where it lies, and how to look further")
    print(
        f"""The trace is in {STORE}, as OTLP-JSON lines that only you can read.

  {shown} traces                        all traces, newest first
  {shown} traces show last --content    the same tree, with prompts and answers
  {shown} doctor                        what is instrumented, and where it goes
  {shown} run your_app.py               your own program, without code changes

In your own code:  import genai_otel; genai_otel.instrument()"""
    )


def heading(text: str, source: str = "") -> None:
    print(f"\n--- {text}" + (f"  ({source})" if source else ""), flush=True)


def progress(text: str) -> None:
    print(text, end="", flush=True)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _stop)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("question", nargs="*", help="another question, in quotes")
    parser.add_argument("--replay", action="store_true", help="recorded answers, not a model")
    options = parser.parse_args()
    try:
        if not options.replay:
            try:
                with real_model() as server:
                    demonstrate(server, options.question)
                further()
            except CannotStart as reason:
                progress(f"\nThe real model cannot run here: {reason}.\n")
            else:
                return 0
        with replay() as server:
            print("REPLAY: what follows was recorded earlier from the real model, not made now.")
            demonstrate(server, [])
        further()
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 130
    except (CannotStart, subprocess.CalledProcessError) as problem:
        print(f"\nThe demonstration failed: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
