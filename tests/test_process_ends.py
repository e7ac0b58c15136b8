"""Real processes with slow credentials, gRPC, no threads, no parent: still quiet and complete."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests import fresh
from tests.receiver import IN_TIME, OK, GrpcReceiver, Receiver, Reply, closed_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
whole = pytest.mark.skipif(
    not os.environ.get("GENAI_OTEL_WHOLE"), reason="takes seconds: `make test-all` runs it"
)

_BEGIN = """
import atexit, os, signal, sys, threading, time
import genai_otel
from genai_otel import Destination
def one(name="s"):
    with genai_otel.operation("step", name):
        pass
def setup(*more, **options):
    to = Destination("otlp", endpoint=sys.argv[1], **options)
    genai_otel.instrument(destinations=[to, *more])
"""
_END = "\nprint(time.time(), flush=True)"
"""The last thing that the host's own code does."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


def program(code: str, *arguments: str, cwd: Path, **env: str) -> str:
    """What a program that begins as above says; it must end well, and complain of nothing."""
    done = fresh.script(_BEGIN + code, *arguments, cwd=cwd, env=env)
    assert done.stderr == ""
    return done.stdout


# ----------------------------------------------------------------------------- an end in time


def no_credentials_but(directory: Path, how: str, url: str) -> dict[str, str]:
    """An environment in which AWS's credentials can be had only so slowly."""
    config = directory / "aws"
    config.write_text("[default]\nregion = eu-west-1\n")
    if how == "a slow command":
        config.write_text("[default]\ncredential_process = sleep 60\n")
    return {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "none"),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
        "AWS_METADATA_SERVICE_TIMEOUT": "60",
        "AWS_REGION": "eu-west-1",
        **({"AWS_EC2_METADATA_DISABLED": "true"} if how == "a slow command" else {}),
    }


AWS = """
genai_otel.instrument(destinations=Destination("xray", endpoint=sys.argv[1]))
one()
"""


@pytest.mark.parametrize(
    ("how", "stopped"),
    [
        ("a metadata service that hangs", "at its end"),
        ("a slow command", "by SIGTERM"),
        pytest.param("a metadata service that hangs", "by SIGTERM", marks=whole),
        pytest.param("a slow command", "at its end", marks=whole),
    ],
)
def test_slow_credentials_hold_nobody(tmp_path: Path, how: str, stopped: str) -> None:
    """Two seconds are promised; how busy the machine is decides nothing."""
    pytest.importorskip("botocore")
    metadata = _Imds()
    env = no_credentials_but(tmp_path, how, metadata.url)
    code = _BEGIN + AWS + ("time.sleep(1.5)" if stopped == "at its end" else "") + _END
    code += (
        ""
        if stopped == "at its end"
        else "\nwhile True: time.sleep(0.05)  # see waits() in test_process_life.py"
    )
    with metadata, fresh.running("-c", code, metadata.url, cwd=tmp_path, env=env) as process:
        assert process.stdout is not None
        ended = float(process.stdout.readline())
        if stopped == "by SIGTERM":
            process.terminate()
        status = process.wait(60)
        took = time.time() - ended
        metadata.closing.set()
    assert status == (0 if stopped == "at its end" else -signal.SIGTERM)
    assert took < IN_TIME


INTERRUPTED = """
import multiprocessing.util, signal  # whose callback is older than ours
from genai_otel.export.manager import ExportManager
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
atexit.register(print, "the host's own", flush=True)  # comes last
def told(method):
    def delivering(self, *given):
        print(method.__name__, flush=True)
        return method(self, *given)
    return delivering
setup()
ExportManager.close, ExportManager.flush = told(ExportManager.close), told(ExportManager.flush)
one()
"""
BESIDE_A_CHILD = """
import multiprocessing
context = multiprocessing.get_context("fork")
def work():
    one()
    kept.set()
    time.sleep(60)
kept = context.Event()
context.Process(target=work, daemon=True).start()
kept.wait()
"""
ENDED_BY = {
    "its own end": ("", "close", ""),
    "Ctrl+C": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "close", "KeyboardInterrupt"),
    "an exception": ("1 / 0", "close", "ZeroDivisionError: division by zero"),
    "its own end, beside a child": (BESIDE_A_CHILD, "flush", ""),
}


@forking
@pytest.mark.parametrize("by", ENDED_BY)
def test_ctrl_c_ends_a_delivery_without_a_word(tmp_path: Path, by: str) -> None:
    """The process dies of it, when what else is to be done at its end is done.

    A signal that comes just before a thread waits is acted on after that, when the loss is logged.
    """
    code, delivers, said = ENDED_BY[by]
    with (
        Receiver(lambda _: Reply(hang=60)) as receiver,
        fresh.running("-c", _BEGIN + INTERRUPTED + code, receiver.url, cwd=tmp_path) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == f"{delivers}\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        receiver.closing.set()
    assert (process.returncode, out) == (-signal.SIGINT, "the host's own\n")
    lost = "genai_otel: export to otlp is losing telemetry: shutdown (no response in time)\n"
    err = err.replace(lost, "")
    assert err.rpartition("\n")[0].endswith(said) if said else err == ""
    assert err.count("Traceback") == bool(said)
    assert "genai_otel" not in err


class _Imds(Receiver):
    """Accepts connections, and says nothing."""

    def __init__(self) -> None:
        super().__init__(lambda _: Reply(hang=60))

    def _answer(self, handler: Any) -> None:
        self.closing.wait(60)
        handler.close_connection = True


@pytest.mark.parametrize("how", ["hangs", pytest.param("refuses", marks=whole)])
def test_exit_is_not_held_by_grpc(tmp_path: Path, how: str) -> None:
    pytest.importorskip("grpc")
    going = threading.Event()
    code = 'setup(options={"protocol": "grpc"}); one(); time.sleep(1.5)' + _END
    with GrpcReceiver(lambda *_: going.wait(60) and None) as receiver:
        url = f"http://127.0.0.1:{closed_port()}" if how == "refuses" else receiver.url
        done = fresh.script(_BEGIN + code, url, cwd=tmp_path)
        took = time.time() - float(done.stdout)
        going.set()
    assert took < IN_TIME
    assert len(done.stderr.splitlines()) <= 1, done.stderr


def test_a_host_that_hangs_in_a_name_look_up(tmp_path: Path) -> None:
    """Nothing can cut off C's look-up of a name; the end does not wait for it."""
    code = """
import socket
found = socket.getaddrinfo
def slow(*more, **most):
    time.sleep(60)
    return found(*more, **most)
socket.getaddrinfo = slow
setup(); one(); time.sleep(1.2)
"""
    out = fresh.script(_BEGIN + code + _END, "http://127.0.0.1:9", cwd=tmp_path)
    assert time.time() - float(out.stdout) < IN_TIME


# ------------------------------------------------------------------------------- init, orphans


def test_sigterm_as_process_1(receiver: Receiver, tmp_path: Path) -> None:
    """The kernel does not kill init by a signal that it leaves to its default: it lives on."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urpf", "true"], check=False).returncode:
        pytest.skip("needs unshare, and the right to make process namespaces")
    code = """
import select
setup(); one("first")
print(os.getpid(), flush=True)
while True:
    while not select.select([sys.stdin], [], [], 0.05)[0]:  # see waits() in test_process_life.py
        pass
    line = sys.stdin.readline()
    if not line:
        break
    one(line.strip())
    print("alive", flush=True)
"""
    command = [unshare, "-Urpf", sys.executable, "-c", _BEGIN + code, receiver.url]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=fresh.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        (init,) = _children(process.pid)
        for name in ("second", "third"):
            before = len(receiver.names)
            os.kill(init, signal.SIGTERM)
            assert until(lambda before=before: len(receiver.names) > before), "it delivers"
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "alive\n", "and it goes on"
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
        process.stdout.close()
    assert receiver.names == ["task first", "task second", "task third"]


def _children(pid: int) -> list[int]:
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=-1, check=False)
    return [int(each) for each in told.stdout.split()]


@forking
def test_a_daemon_that_forks_twice(receiver: Receiver, tmp_path: Path) -> None:
    """As daemons are made: both parents go by ``os._exit``, the grandchild has no terminal."""
    code = """
setup(); one("parent"); genai_otel.flush()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        one("daemon")
        sys.exit(0)
    os._exit(0)
os.wait()
"""
    program(code, receiver.url, cwd=tmp_path)
    assert until(lambda: receiver.names == ["task daemon", "task parent"])


@forking
@pytest.mark.parametrize("when", ["before its first use", "in the middle of it", "after it"])
def test_grpc_in_forked_children(tmp_path: Path, when: str) -> None:
    pytest.importorskip("grpc")
    waits = {"before its first use": "0", "in the middle of it": "1.1", "after it": "0"}
    code = """
setup(options={"protocol": "grpc"}); one("parent")
if sys.argv[3] == "after it":
    assert genai_otel.flush()
time.sleep(float(sys.argv[2]))
for number in range(2):
    if os.fork() == 0:
        signal.alarm(30)
        one(f"child-{number}")
        sys.exit(0 if genai_otel.flush(20) else 3)
    assert os.wait()[1] == 0
one("after")
"""
    # Where it has still to be imported, which takes longer than a fork waits, the worker is there,
    # and Python 3.12 and newer warn of it; after that no thread may be, gRPC's own included.
    env = {} if when == "after it" else {"PYTHONWARNINGS": "ignore:This process"}
    with GrpcReceiver() as receiver:
        program(code, receiver.url, waits[when], when, cwd=tmp_path, **env)
        names = ["task after", "task child-0", "task child-1", "task parent"]
        assert sorted(set(receiver.names)) == names


@forking
def test_a_fork_while_grpc_waits_for_an_answer(tmp_path: Path) -> None:
    """The call is cut off and made again: the fork is not held, and the child can call."""
    pytest.importorskip("grpc")
    asked, going = threading.Event(), threading.Event()

    def script(*_: Any) -> None:
        if not asked.is_set():
            asked.set()
            going.wait(60)

    code = """
setup(options={"protocol": "grpc", "timeout": "60"}); one("parent")
threading.Thread(target=genai_otel.flush, daemon=True).start()
sys.stdin.readline()
began = time.monotonic()
if os.fork() == 0:
    signal.alarm(30)
    one("child")
    sys.exit(0 if genai_otel.flush(20) else 3)
assert time.monotonic() - began < 30, "the fork did not wait"
assert os.wait()[1] == 0
assert genai_otel.flush(20)
"""
    with GrpcReceiver(script) as receiver:
        process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN + code, receiver.url],
            cwd=tmp_path,
            env=fresh.environment(),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert asked.wait(30)
            process.communicate(b"\n", timeout=60)
        finally:
            going.set()
            process.kill()
        assert process.returncode == 0
        assert {"task child", "task parent"} <= set(receiver.names)


@forking
def test_a_fork_in_the_middle_of_a_workers_imports(tmp_path: Path) -> None:
    """Of botocore, say: the child would wait for ever for a module that nobody imports."""
    pytest.importorskip("botocore")
    code = """
genai_otel.instrument(destinations=Destination("xray", endpoint=sys.argv[1]))
one("parent")
threading.Thread(target=genai_otel.flush, daemon=True).start()
for number in range(8):
    time.sleep(0.03)
    if os.fork() == 0:
        signal.alarm(30)
        one(f"child-{number}")
        sys.exit(0 if genai_otel.flush(20) else 3)
    assert os.wait()[1] == 0
"""
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    # Of its own thread, which flushes, a program is warned as it forks, from Python 3.12 on.
    unwarned = {"PYTHONWARNINGS": "ignore:This process"}
    with Receiver() as receiver:
        program(code, receiver.url, cwd=tmp_path, **keys, **unwarned)
        assert receiver.names == sorted(["task parent", *(f"task child-{n}" for n in range(8))])


@forking
def test_a_fork_from_the_inside_waits_for_nobody(tmp_path: Path) -> None:
    """What a worker imports may start a process itself."""
    code = """
from genai_otel._support.fork import unforked
with unforked(), unforked():
    pid = os.fork()
if pid == 0:
    with unforked():
        sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    program(code, cwd=tmp_path)


# ----------------------------------------------------------------------------------- odd times


@pytest.mark.parametrize("order", ["before", "after"])
def test_flush_in_a_callback_of_the_exit(receiver: Receiver, tmp_path: Path, order: str) -> None:
    late = """
def late():
    one("late")
    print(genai_otel.flush())
atexit.register(late)
"""
    code = f"{late}setup()" if order == "before" else f"setup(){late}"
    told = program(f"{code}\none('s')", receiver.url, cwd=tmp_path)
    assert told == "True\n"
    expected = ["task s"] if order == "before" else ["task late", "task s"]
    assert receiver.names == expected, "what begins after our end is not recorded"


def test_many_threads_flush_and_one_shuts_down(receiver: Receiver, tmp_path: Path) -> None:
    code = """
setup()
def flushes():
    for _ in range(20):
        one()
        genai_otel.flush()
threads = [threading.Thread(target=flushes) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads[:4]: thread.join()
genai_otel.shutdown()
for thread in threads: thread.join()
one("after")
print(genai_otel.flush(), threading.active_count())
"""
    assert program(code, receiver.url, cwd=tmp_path) == "True 1\n"
    assert set(receiver.names) == {"task s"}
    assert 80 <= len(receiver.names) <= 160


def test_shutdown_during_a_flush_that_hangs(tmp_path: Path) -> None:
    """Both come back in time, and with the truth."""
    code = """
setup(); one()
told = []
def flushes():
    began = time.monotonic()
    told.append(genai_otel.flush(120)); told.append(time.monotonic() - began < 30)
thread = threading.Thread(target=flushes); thread.start()
time.sleep(0.5)
began = time.monotonic()
print(genai_otel.shutdown(1.0), time.monotonic() - began < 30)
thread.join()
print(*told)
"""
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        out = fresh.script(_BEGIN + code, receiver.url, cwd=tmp_path).stdout
        receiver.closing.set()
    assert out.split() == ["False", "True", "False", "True"]


def test_a_destination_that_is_taken_away_while_it_is_busy(
    receiver: Receiver, tmp_path: Path
) -> None:
    """What was queued for it is delivered, or counted as lost; the new one has its own."""
    with Receiver(lambda _: OK) as other:
        code = """
genai_otel.instrument(destinations=[Destination("otlp", endpoint=url) for url in sys.argv[1:3]])
def records():
    for _ in range(200):
        one()
threads = [threading.Thread(target=records) for _ in range(4)]
for thread in threads: thread.start()
genai_otel.instrument(destinations=Destination("otlp", endpoint=sys.argv[2]), force=True)
for thread in threads: thread.join()
"""
        program(code, receiver.url, other.url, cwd=tmp_path)
        assert len(other.names) <= 800
        assert len(receiver.names) <= len(other.names)
        assert len(other.spans) == len(other.names), "none came twice"


def test_daemon_threads_that_record_to_the_very_end(receiver: Receiver, tmp_path: Path) -> None:
    code = """
setup()
def records():
    while True:
        one()
        time.sleep(0.001)  # else they leave the end no time, on a machine that is busy besides
for _ in range(4):
    threading.Thread(target=records, daemon=True).start()
time.sleep(0.3)
"""
    program(code, receiver.url, cwd=tmp_path)
    assert receiver.names


NO_THREADS = """
import _thread
def none(*_, **__):
    raise RuntimeError("can't start new thread")
_thread.start_new_thread = threading._start_new_thread = none
"""


def test_where_no_thread_can_be_started(receiver: Receiver, tmp_path: Path) -> None:
    """As in WebAssembly, or at a limit: spans wait for a flush, which sends on the caller's."""
    code = """
setup()
from opentelemetry import context
one("first")
assert genai_otel.flush()
one("second")
told = genai_otel.status().destinations[0]
print(told.queued, told.exported)
genai_otel.shutdown()
print(context.get_value("suppress_instrumentation"))
setup(); one("third")
"""
    assert program(NO_THREADS + code, receiver.url, cwd=tmp_path) == "1 1\nNone\n"
    assert receiver.names == ["task first", "task second", "task third"]


def test_no_threads_and_a_dead_collector(tmp_path: Path) -> None:
    code = """
setup(); one()
began = time.monotonic()
print(genai_otel.flush(0.5), time.monotonic() - began < 30)
one()
began = time.monotonic()
genai_otel.shutdown(0.5)
print(time.monotonic() - began < 30)
"""
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        out = fresh.script(_BEGIN + NO_THREADS + code, receiver.url, cwd=tmp_path).stdout
        receiver.closing.set()
    assert out.split() == ["False", "True", "True"]


# From here on as it is from Python 3.12 on by itself, when the main thread is done.
AT_ITS_END = NO_THREADS.replace(
    "_thread.start_new_thread = threading._start_new_thread = none",
    """
def no_more():
    _thread.start_new_thread = threading._start_new_thread = none
if sys.version_info < (3, 12):
    threading._register_atexit(no_more)
""",
)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_end_of_a_program_needs_no_new_thread(tmp_path: Path, protocol: str) -> None:
    """A destination that has a thread, one that has none, and a channel that was used before."""
    pytest.importorskip("grpc")
    code = """
setup(options={"protocol": sys.argv[2]})
one("first")
assert genai_otel.flush(20)
one("second")
atexit.register(one, "third")
"""
    with GrpcReceiver() if protocol == "grpc" else Receiver() as receiver:
        program(AT_ITS_END + code, receiver.url, protocol, cwd=tmp_path)
        assert sorted(receiver.names) == ["task first", "task second", "task third"]


def test_a_first_call_at_the_very_end(receiver: Receiver, tmp_path: Path) -> None:
    """It is priced, masked by the user's own function and uploaded, which all have threads else."""
    code = """
content = genai_otel.ContentPolicy(
    redactor=lambda text: text.replace("Ada", "[NAME]"), deadline=60,
    message_storage="both", upload_to=sys.argv[2])
genai_otel.instrument(
    content=content, destinations=Destination("otlp", endpoint=sys.argv[1], content=content))
def call():
    with genai_otel.operation("chat") as op:
        op.provider, op.model = "openai", "gpt-4o-mini"
        op.input, op.output = "I am Ada", "Hello, Ada"
        op.usage.input, op.usage.output = 1000, 100
atexit.register(call)
"""
    place = tmp_path / "said"
    program(AT_ITS_END + code, receiver.url, place.as_uri(), cwd=tmp_path)
    (span,) = receiver.spans.values()
    told = {each.key: each.value for each in span.attributes}
    said = told[names.GEN_AI_INPUT_MESSAGES].string_value
    assert "I am [NAME]" in said
    assert "Hello, [NAME]" in told[names.GEN_AI_OUTPUT_MESSAGES].string_value
    (written,) = place.glob("*_inputs.json")
    assert written.read_text("utf-8") == said
    assert told[names.GEN_AI_USAGE_COST].double_value > 0


@forking
def test_sigterm_while_the_program_waits_for_its_threads(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The main thread is done, another is not: it delivers, and dies of the signal."""
    code = """
setup()
def serves():
    threading.main_thread().join(1)
    one("served")
    print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=serves).start()
"""
    command = ("-c", _BEGIN + AT_ITS_END + code, receiver.url)
    with fresh.running(*command, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
        _, err = process.communicate()
    assert err == ""
    assert receiver.names == ["task served"]


def test_a_filter_that_flushes_or_exits(receiver: Receiver, tmp_path: Path) -> None:
    """It runs on the worker, which cannot wait for itself, and outlives what it raises."""
    code = """
from opentelemetry.sdk.trace import TracerProvider
def keep(span):
    if span.name == "exits":
        sys.exit(3)
    return genai_otel.flush(120)
provider = TracerProvider(shutdown_on_exit=False)
genai_otel.instrument(
    tracer_provider=provider, destinations=Destination("otlp", endpoint=sys.argv[1], filter=keep))
for name in ("exits", "flushes"):
    provider.get_tracer("host").start_span(name).end()
one("ours")
began = time.monotonic()
print(genai_otel.flush(120), time.monotonic() - began < 30)
print(genai_otel.status().destinations[0].dropped)
"""
    out = fresh.script(_BEGIN + code, receiver.url, cwd=tmp_path).stdout
    assert out == "False True\n{'encoding': 1}\n"
    assert receiver.names == ["task ours"]


# ------------------------------------------------------------------------------------- frozen


@forking
@pytest.mark.parametrize(
    "when", ["in the middle of a request", pytest.param("while it waits", marks=whole)]
)
def test_a_suspended_process_retries_afterwards(tmp_path: Path, when: str) -> None:
    """A frozen process has not used up its retry timeout when it goes on: it tries again."""
    frozen, asked = threading.Event(), threading.Event()

    def script(_: Any) -> Reply:
        asked.set()
        if frozen.is_set():
            return OK
        return Reply(503) if when == "while it waits" else Reply(hang=60)

    code = """
from genai_otel.export.pipeline import retry
retry._SUSPENSION = 1.0
setup(options={"timeout": "2"})
genai_otel._sdk.lifecycle._RUNTIME._export_manager.pairs[0][1]._sender.retry_timeout = 2.5
one()
print(genai_otel.flush(0.3), flush=True)
sys.stdin.readline()
print(genai_otel.flush(20), flush=True)
"""
    with Receiver(script) as receiver:
        process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN + code, receiver.url],
            cwd=tmp_path,
            env=fresh.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert asked.wait(30)
            assert process.stdout.readline() == "False\n"
            process.send_signal(signal.SIGSTOP)
            time.sleep(4.0)  # longer than its retry timeout
            frozen.set()
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate("\n", timeout=60)
        finally:
            receiver.closing.set()
            process.kill()
            process.wait()
        assert out == "True\n"
        assert receiver.names == ["task s"]
