"""Real processes: how they end, fork, freeze and are stopped, and what still arrives."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import IN_TIME, Receiver, Reply, closed_port, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
# For a program that forks with threads of its own: of those it is warned, from Python 3.12 on.
UNWARNED = {"PYTHONWARNINGS": "ignore:This process"}

_BEGIN = """
import os, signal, sys, threading, time
import genai_otel
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint=sys.argv[1]))
def one(name="s"):
    with genai_otel.operation("step", name):
        pass
def waits(until=float("inf")):
    # Not in one piece: Python acts on a signal that comes just before a sleep only after it.
    while time.monotonic() < until:
        time.sleep(0.05)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


_STARTED: list[subprocess.Popen[str]] = []


def start(code: str, url: str, *more: str, **env: str) -> subprocess.Popen[str]:
    """A program that begins as above and is still running; its output is read by lines."""
    return begin([sys.executable, "-c", _BEGIN + code, url, *more], **env)


def begin(command: list[str], cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    _STARTED.append(fresh.begin(command, cwd=cwd, env=env))
    return _STARTED[-1]


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    yield
    while _STARTED:
        fresh.finish(_STARTED.pop())


def ended(process: subprocess.Popen[str], seconds: float = 240.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# ------------------------------------------------------------------------------------------ exit


@pytest.mark.parametrize("how", ["refuses", "hangs", "drips", "is busy"])
def test_exit_is_not_held_by_a_dead_collector(how: str) -> None:
    """Two seconds are promised; how busy the machine is decides nothing."""
    script = {"hangs": Reply(hang=60), "drips": Reply(drip=1.0), "is busy": Reply(503)}
    with Receiver(lambda _: script.get(how, Reply())) as receiver:
        url = f"http://127.0.0.1:{closed_port()}" if how == "refuses" else receiver.url
        code = "one(); print(time.time(), flush=True)"
        process = start(code, url)
        status, out, err = ended(process)
        took = time.time() - float(out)
        receiver.closing.set()
    assert status == 0
    assert took < IN_TIME
    lines = err.splitlines()
    assert len(lines) <= 1, "one line says that something was lost"
    assert all("genai_otel: export to otlp is losing telemetry" in line for line in lines)


def test_exit_with_nothing_queued_is_silent() -> None:
    process = start("print(time.time())", f"http://127.0.0.1:{closed_port()}")
    status, out, err = ended(process)
    assert (status, err) == (0, "")
    assert time.time() - float(out) < IN_TIME


# --------------------------------------------------------------------------------------- SIGTERM


def test_sigterm_delivers_and_still_kills(receiver: Receiver) -> None:
    process = start("one(); print('ready', flush=True)\nwaits()", receiver.url)
    assert said(process) == "ready"
    process.terminate()
    status, _, err = ended(process)
    assert (status, err) == (-signal.SIGTERM, "")
    assert receiver.names == ["task s"]


def test_sigterm_is_not_held_by_a_dead_collector() -> None:
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        code = "one(); print('ready', flush=True)\nwaits()"
        process = start(code, receiver.url)
        assert said(process) == "ready"
        began = time.monotonic()
        process.terminate()
        assert ended(process)[0] == -signal.SIGTERM
        assert time.monotonic() - began < IN_TIME
        receiver.closing.set()


_ENDING = {
    "at exit": "",
    "by shutdown()": "genai_otel.shutdown(30); os._exit(3)",
    "by shutdown() in a thread": "end = threading.Thread(target=genai_otel.shutdown, args=(30,))\n"
    "end.start(); end.join(); os._exit(3)",
}


@pytest.mark.parametrize("how", _ENDING)
def test_sigterm_waits_for_a_last_delivery_that_is_under_way(how: str) -> None:
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        process = start(f"one(); {_ENDING[how]}", receiver.url)
        until(lambda: receiver.received)
        process.terminate()
        receiver.closing.set()
        status, _, err = ended(process)
    assert (status, err) == (-signal.SIGTERM, "")
    assert receiver.names == ["task s"]


def test_a_shutdown_beside_another_does_not_say_that_all_has_arrived() -> None:
    beside = "threading.Thread(target=genai_otel.shutdown, args=(60,), daemon=True).start()"
    code = f"one(); {beside}\nwhile genai_otel.status().active: time.sleep(0.01)\n"
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        process = start(f"{code}print(genai_otel.shutdown(0.1)); os._exit(0)", receiver.url)
        assert ended(process)[:2] == (0, "False\n")


def test_a_handler_of_the_programs_is_called_while_we_deliver() -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: os._exit(5)); one()"
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        process = start(code, receiver.url)
        until(lambda: receiver.received)
        process.terminate()
        assert ended(process)[0] == 5
        receiver.closing.set()


def test_sigterm_while_the_main_thread_records(receiver: Receiver) -> None:
    """Wherever in our code it comes: no lock of ours waits for itself."""
    code = "print('ready', flush=True)\nwhile True: one()"
    for _ in range(5):
        process = start(code, receiver.url)
        assert said(process) == "ready"
        time.sleep(0.2)
        process.terminate()
        assert ended(process)[0] == -signal.SIGTERM


HANDLERS = {
    "before": ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n", "", 5),
    "after": ("", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))\n", 6),
    "ignored": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n", "", 7),
}


@pytest.mark.parametrize("when", HANDLERS)
def test_a_handler_of_the_hosts_is_kept(receiver: Receiver, when: str) -> None:
    before, after, code = HANDLERS[when]
    pause = "time.monotonic() + 2" if when == "ignored" else ""
    rest = f"{after}one(); print('ready', flush=True); waits({pause}); sys.exit(7)"
    program = "import signal, sys\n" + before + _BEGIN + rest
    process = begin([sys.executable, "-c", program, receiver.url])
    assert said(process) == "ready"
    process.terminate()
    assert ended(process)[0] == code
    assert receiver.names == ["task s"]


def test_sigterm_is_left_as_it_was(receiver: Receiver) -> None:
    code = """
assert callable(signal.getsignal(signal.SIGTERM))
genai_otel.shutdown()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    assert ended(start(code, receiver.url))[0] == 0
    off = "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    assert ended(start(off, receiver.url, GENAI_OTEL_HANDLE_SIGTERM="off"))[0] == 0


# ------------------------------------------------------------------------- SIGTERM in children

_DEFAULT = "signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"


@forking
def test_a_forked_child_has_no_handler_of_ours(receiver: Receiver) -> None:
    """It dies of SIGTERM as it would have without us, wherever it is."""
    code = f"""
assert not {_DEFAULT}
pid = os.fork()
if pid == 0:
    os._exit(0 if {_DEFAULT} and not signal.pthread_sigmask(signal.SIG_BLOCK, ()) else 3)
assert os.waitpid(pid, 0)[1] == 0
assert not {_DEFAULT}, "its parent keeps it"
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
def forks():  # a pool makes new workers on a thread
    pid = os.fork()
    if pid == 0:
        os._exit(0 if {_DEFAULT} else 3)
    statuses.append(os.waitpid(pid, 0)[1])
statuses = []
import warnings  # from here on of its own thread, which the system counts a moment longer
warnings.filterwarnings("ignore", "This process")
thread = threading.Thread(target=forks); thread.start(); thread.join()
assert statuses == [0]
signal.signal(signal.SIGTERM, mine := lambda *_: None)
pid = os.fork()
if pid == 0:
    os._exit(0 if signal.getsignal(signal.SIGTERM) is mine else 3)
assert os.waitpid(pid, 0)[1] == 0, "the host's own is inherited, as ever"
"""
    assert ended(start(code, receiver.url)) == (0, "", "")


@forking
def test_sigterm_that_comes_right_after_the_fork(receiver: Receiver) -> None:
    """Before Python and we have put the child in order: it is not forgotten."""
    before = """
import os, signal
hit = lambda: os.kill(os.getpid(), signal.SIGTERM)
os.register_at_fork(after_in_child=lambda: hits and hit())  # before ours
hits = []
"""
    code = """
hits.append(1)
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        time.sleep(20)
        os._exit(3)
    assert os.waitpid(pid, 0)[1] == signal.SIGTERM
"""
    process = begin([sys.executable, "-c", before + _BEGIN + code, receiver.url])
    assert ended(process) == (0, "", "")


@forking
def test_sigterm_in_a_child_that_c_has_forked(receiver: Receiver) -> None:
    """None of Python's hooks ran there: the handler is inherited, and knows that it is."""
    code = """
import ctypes
one()
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    signal.alarm(20)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
    os._exit(3)
assert os.waitpid(pid, 0)[1] == signal.SIGTERM
"""
    assert ended(start(code, receiver.url)) == (0, "", "")
    assert receiver.names == ["task s"]


_HANDLED = """
import signal, sys
import genai_otel
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint=sys.argv[1]))
def is_default(_):
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
if __name__ == "__main__":
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    assert not is_default(0)
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[2] == "forkserver":
        context.set_forkserver_preload(["__main__"])
    with context.Pool(2, maxtasksperchild=1) as pool:
        assert pool.map(is_default, range(4), 1) == [True] * 4
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(is_default, range(4))) == [True] * 4
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_no_handler_of_ours_in_what_multiprocessing_makes(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    """Also where the child itself calls ``instrument()``, as its main module does."""
    if method != "spawn" and sys.platform == "win32":
        pytest.skip("not on this system")
    (tmp_path / "work.py").write_text(_HANDLED, encoding="utf-8")
    done = fresh.run("work.py", receiver.url, method, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


# ------------------------------------------------------------------------------------------ fork


@forking
def test_forked_children_deliver_their_own(receiver: Receiver) -> None:
    """A prefork server: set up before, children of children, none with its parent's queue."""
    code = """
one("before")
for number in range(3):
    if os.fork() == 0:
        one(f"child-{number}")
        if os.fork() == 0:
            one(f"grandchild-{number}")
            sys.exit(0)
        os.wait()
        sys.exit(0)
for number in range(3):
    assert os.wait()[1] == 0
one("after")
"""
    assert ended(start(code, receiver.url)) == (0, "", "")
    both = [f"task {kind}-{n}" for kind in ("child", "grandchild") for n in range(3)]
    assert receiver.names == sorted([*both, "task before", "task after"])


@forking
def test_fork_under_load(receiver: Receiver) -> None:
    """While others record and the worker sends: every child lives and delivers."""
    code = """
from genai_otel._support import background
one("first")
background.finish()  # a fork waits for imports that are under way
stop = threading.Event()
done = []
def load():
    count = 0
    while not stop.is_set():
        one("load"); count += 1
        time.sleep(0.001)
    done.append(count)
threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
for number in range(15):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        one("child")
        ok = genai_otel.flush(20)
        os._exit(0 if ok else 3)
    assert os.waitpid(pid, 0)[1] == 0
    if number % 5 == 0:
        genai_otel.flush()
stop.set()
for thread in threads: thread.join()
assert genai_otel.flush(20)
print(sum(done))
"""
    status, out, err = ended(start(code, receiver.url, **UNWARNED), 120)
    assert (status, err) == (0, "")
    assert receiver.names.count("task child") == 15
    assert receiver.names.count("task load") == int(out), "none is lost, none comes twice"


_WORK = """
import sys
import genai_otel

def setup(url):  # traces alone: on a busy machine two seconds are short for all the imports
    genai_otel.instrument(
        destinations=genai_otel.Destination("otlp", endpoint=url, signals=["traces"]))

def work(url, number):
    if sys.argv[3] == "in the child":
        setup(url)
    with genai_otel.operation("step", f"s{number}"):
        pass

if __name__ == "__main__":
    setup(sys.argv[1])
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    context = multiprocessing.get_context(sys.argv[2])
    children = [context.Process(target=work, args=(sys.argv[1], n)) for n in range(3)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(work, [sys.argv[1]] * 4, range(3, 7)))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_flush_at_their_end(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    """Nothing is asked of the program: neither a flush nor a hook."""
    if method != "spawn" and sys.platform == "win32":
        pytest.skip("not on this system")
    (tmp_path / "work.py").write_text(_WORK, encoding="utf-8")
    where = "inherited" if method == "fork" else "in the child"
    done = fresh.run("work.py", receiver.url, method, where, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    assert receiver.names == [f"task s{n}" for n in range(7)]


@forking
def test_gunicorn_with_preload(receiver: Receiver, tmp_path: Path) -> None:
    """Set up in the master; its workers record, and end on SIGTERM."""
    pytest.importorskip("gunicorn")
    (tmp_path / "shop.py").write_text(
        f"""
import os, genai_otel
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint={receiver.url!r}))
def app(environ, start_response):
    with genai_otel.operation("step", f"worker"):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
""",
        encoding="utf-8",
    )
    port = closed_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b"]
    command += [f"127.0.0.1:{port}", "shop:app", "--log-level", "critical"]
    process = begin(command, tmp_path)
    try:
        assert until(lambda: fresh.answers(port), 30)
        for _ in range(9):
            assert fresh.answers(port)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert receiver.names == ["task worker"] * 10


# ---------------------------------------------------------------------------------------- frozen

_LAMBDA = """
import types
{runtime}
def handler(event):
    with genai_otel.operation("workflow", event):
        one(event)
for event in ("first", "second"):
    serve(event)
    print(event, flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
os._exit(0)
"""
_RUNTIMES = {
    "a runtime of one's own": "def serve(event): handler(event)",
    "awslambdaric": """
runtime = sys.modules["awslambdaric.bootstrap"]
def serve(event): runtime.handle_event_request(handler, event)
""",
}
_FAKE = """
import sys, types
runtime = sys.modules["awslambdaric.bootstrap"] = types.ModuleType("awslambdaric.bootstrap")
runtime.handle_event_request = lambda handler, event: handler(event)
"""


@forking
@pytest.mark.parametrize("runtime", _RUNTIMES)
def test_lambda_delivers_before_it_is_frozen(receiver: Receiver, runtime: str) -> None:
    """Each event's spans are there while the process is stopped; nothing waits for its timers."""
    program = (_FAKE if runtime == "awslambdaric" else "") + _BEGIN
    program += _LAMBDA.format(runtime=_RUNTIMES[runtime])
    command = [sys.executable, "-c", program, receiver.url]
    process = begin(command, AWS_LAMBDA_FUNCTION_NAME="shop")
    both = []
    for event in ("first", "second"):
        assert said(process) == event
        os.waitpid(process.pid, os.WUNTRACED)
        both += [f"invoke_workflow {event}", f"task {event}"]
        assert receiver.names == sorted(both)
        os.kill(process.pid, signal.SIGCONT)
    assert ended(process) == (0, "", "")


# ------------------------------------------------------------------------------- again and again


def test_fifty_cycles_leave_nothing_behind(receiver: Receiver) -> None:
    code = """
def there():
    end = time.monotonic() + 60
    while threading.active_count() > 1 and time.monotonic() < end:
        time.sleep(0.05)  # who was cut off needs a moment to go
    return threading.active_count(), len(os.listdir("/proc/self/fd"))
def cycle(number):
    destinations = [genai_otel.Destination("otlp", endpoint=url) for url in sys.argv[1:3]]
    genai_otel.instrument(destinations=destinations, service_name=f"s{number}")
    one()
    assert genai_otel.flush(0.2) in (True, False)
    genai_otel.shutdown(0.5)
    one("between")
genai_otel.shutdown()
cycle(0)
before = there()
for number in range(1, 50):
    cycle(number)
print(before, there())
"""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    dead = f"http://127.0.0.1:{closed_port()}"
    status, out, _ = ended(start(code, receiver.url, dead), 120)
    assert status == 0
    before, after = eval(out.replace(") (", "), ("))
    assert after == before
    assert receiver.names == ["task s"] * 50
