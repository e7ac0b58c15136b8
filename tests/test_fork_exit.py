"""Exit, fork and spawn: quiet, complete, and nobody speaks for another process."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.stored import run_python

if TYPE_CHECKING:
    from tests.provider import Provider

pytestmark = pytest.mark.slow
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

_BEGIN = """
import os, sys, threading
import openai
import genai_otel
genai_otel.instrument()
client = openai.OpenAI(api_key="sk", base_url=sys.argv[1], max_retries=0)
def ask(model, **more):
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], **more)
"""


_BARE = """
import openai, sys
client = openai.OpenAI(api_key="sk", base_url=sys.argv[1], max_retries=0)
messages = [{"role": "user", "content": "Hello"}]
kept = client.chat.completions.create(model="ok", messages=messages, stream=True)
next(kept)
"""


@pytest.fixture(scope="module")
def said_without_us(provider_server: Provider, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Python says at its exit of a stream that is open, where nothing of ours is loaded.

    CPython 3.13.0 crashes as it collects the stream; 3.14 prints what the client raises then.
    """
    cwd = tmp_path_factory.mktemp("bare")
    with fresh.running("-c", _BARE, provider_server.base_url, cwd=cwd) as process:
        _, err = process.communicate(timeout=60)
    if process.returncode:
        pytest.skip(f"this Python exits with {process.returncode} without us, too")
    return _ADDRESS.sub("", err)


_ADDRESS = re.compile(" at 0x[0-9a-f]+")


def quiet(said: str, without_us: str) -> bool:
    """Whether a program has said nothing, or what it would have said without us."""
    return _ADDRESS.sub("", said) in {"", without_us}


def program(provider: Provider, directory: Path, code: str, **env: str) -> tuple[str, str]:
    """Standard output and standard error of a program that begins as above."""
    done = fresh.script(_BEGIN + code, provider.base_url, cwd=directory, env=env)
    return done.stdout, done.stderr


def stored(directory: Path, signal: str = "traces") -> list[Any]:
    """What each process has written: pairs of its number and one request's items."""
    found = []
    for file in sorted(directory.glob(f".genai_otel/{signal}-*.jsonl")):
        pid = int(file.name.split("-")[2])
        for line in file.read_text(encoding="utf-8").splitlines():
            found.append((pid, json.loads(line)))  # noqa: PERF401 - two levels
    return found


def spans(directory: Path) -> list[tuple[int, str, dict[str, Any]]]:
    """Process, name and attributes of every span, by name."""
    found = []
    for pid, request in stored(directory):
        for resource in request["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    facts = {a["key"]: a["value"] for a in span["attributes"]}
                    found.append((pid, span["name"], {**facts, "id": span["spanId"]}))
    return sorted(found, key=lambda each: each[1])


def names(directory: Path) -> list[str]:
    return [name for _, name, _ in spans(directory)]


# ------------------------------------------------------------------------------------------- exit


EXITS = {
    "end": "",
    "exit": "sys.exit(0)",
    "exit in a thread": "t = threading.Thread(target=sys.exit); t.start(); t.join()",
    "daemon thread": "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "by hand": "genai_otel.shutdown()",
    "thread still reading": """
stream2 = ask("slow", stream=True)
threading.Thread(target=list, args=(stream2,)).start()
""",
}


@pytest.mark.parametrize("how", EXITS)
def test_exit_is_quiet_and_complete(
    provider: Provider, tmp_path: Path, how: str, said_without_us: str
) -> None:
    code = f"""
kept = ask("ok-open", stream=True); next(kept)
ask("ok-whole")
{EXITS[how]}
"""
    out, err = program(provider, tmp_path, code)
    assert out == ""
    assert quiet(err, said_without_us)
    expected = ["chat ok-open", "chat ok-whole"]
    if how == "thread still reading":
        expected.append("chat slow")
    assert names(tmp_path) == expected
    facts = {name: attributes for _, name, attributes in spans(tmp_path)}
    assert facts["chat ok-open"]["genai_otel.response.completed"] == {"boolValue": False}


def test_an_exception_leaves_its_own_traceback(provider: Provider, tmp_path: Path) -> None:
    code = _BEGIN + 'ask("ok")\nraise SystemError("the end")\n'
    done = fresh.run("-c", code, provider.base_url, cwd=tmp_path, code=1)
    assert done.stderr.endswith("SystemError: the end\n")
    assert done.stderr.count("Traceback") == 1
    assert names(tmp_path) == ["chat ok"]


def test_calls_at_the_very_end(provider: Provider, tmp_path: Path) -> None:
    """From callbacks of atexit before and after ours, and from finalisers."""
    code = """
import atexit
atexit.register(lambda: print(ask("ok-first").id))
class Late:
    def __del__(self, operation=genai_otel.operation, tool=genai_otel.tool(len)):
        with operation("step", "late"):
            tool("late")
        print("finalised")
late = Late()
"""
    before = "import atexit\natexit.register(lambda: print(ask('ok-last').id))\n" + _BEGIN
    done = fresh.script(before + code, provider.base_url, cwd=tmp_path)
    assert done.stdout.split() == ["chatcmpl-ok-first", "chatcmpl-ok-last", "finalised"]
    assert done.stderr == ""
    assert names(tmp_path) == ["chat ok-first"], "those after our end are not recorded"


def test_exit_code_is_the_hosts(provider: Provider, tmp_path: Path) -> None:
    code = _BEGIN + 'kept = ask("ok", stream=True)\nsys.exit(7)\n'
    done = fresh.run("-c", code, provider.base_url, cwd=tmp_path, code=7)
    assert (done.stdout, done.stderr) == ("", "")


_INTERRUPTED = """
import collections, os, signal, time
import genai_otel
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
class Exporter(InMemorySpanExporter):
    def shutdown(self):
        collections.namedtuple("Point", "x y")  # executes a text, as many a late import does
genai_otel.instrument(destinations=Exporter())
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_what_ctrl_c_has_ended_dies_of_it(tmp_path: Path) -> None:
    """A shell goes on with its loop where a program merely failed."""
    done = fresh.run("-c", _INTERRUPTED, cwd=tmp_path, code=-signal.SIGINT)
    assert done.stderr.endswith("\nKeyboardInterrupt\n")
    assert "genai_otel" not in done.stderr


# ------------------------------------------------------------------------------------------- fork


@forking
def test_a_child_does_not_speak_for_its_parent(
    provider: Provider, tmp_path: Path, said_without_us: str
) -> None:
    """It inherits a queue and an open stream, and delivers neither."""
    code = """
ask("ok-queued")
stream = ask("ok-open", stream=True)
next(stream)
pid = os.fork()
if pid == 0:
    ask("ok-child")
    assert genai_otel.status().open_streams == 0
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
list(stream)
print(pid)
"""
    out, err = program(provider, tmp_path, code)
    assert quiet(err, said_without_us)
    child = int(out)
    found = {name: (pid == child, facts) for pid, name, facts in spans(tmp_path)}
    assert names(tmp_path) == ["chat ok-child", "chat ok-open", "chat ok-queued"]
    assert {name: of_child for name, (of_child, _) in found.items()} == {
        "chat ok-child": True, "chat ok-open": False, "chat ok-queued": False,
    }  # fmt: skip
    assert "genai_otel.response.completed" not in found["chat ok-open"][1]


@forking
def test_a_child_that_reads_its_parents_stream(provider: Provider, tmp_path: Path) -> None:
    code = """
stream = ask("ok", stream=True)
next(stream)
pid = os.fork()
if pid == 0:
    stream.close()
    del stream
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert genai_otel.status().open_streams == 1
stream.close()
"""
    assert program(provider, tmp_path, code) == ("", "")
    assert names(tmp_path) == ["chat ok"]


@forking
def test_metrics_are_counted_once(provider: Provider, tmp_path: Path) -> None:
    """What the parent has measured before the fork is not the child's to tell."""
    code = """
ask("ok-parent")
pid = os.fork()
if pid == 0:
    ask("ok-child")
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    assert program(provider, tmp_path, code) == ("", "")
    counted = {}
    for pid, request in stored(tmp_path, "metrics"):  # cumulative: the last of a process counts
        for metric in request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]:
            if metric["name"] == "gen_ai.client.operation.duration":
                for point in metric["histogram"]["dataPoints"]:
                    facts = {a["key"]: a["value"] for a in point["attributes"]}
                    model = facts["gen_ai.request.model"]["stringValue"]
                    counted[pid, model] = int(point["count"])
    assert sorted((model, count) for (_, model), count in counted.items()) == [
        ("ok-child", 1),
        ("ok-parent", 1),
    ]
    assert len({pid for pid, _ in counted}) == 2


@forking
def test_a_child_that_just_goes(provider: Provider, tmp_path: Path, said_without_us: str) -> None:
    code = """
stream = ask("ok", stream=True)
next(stream)
with genai_otel.operation("workflow", "all"):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
    out, err = program(provider, tmp_path, code)
    assert out == ""
    assert quiet(err, said_without_us)
    assert names(tmp_path) == ["chat ok", "invoke_workflow all"]


@forking
def test_a_fork_in_the_middle_of_an_import_of_ours(provider: Provider, tmp_path: Path) -> None:
    """The child imports the same modules; without the wait before a fork it would for ever."""
    code = """
import signal
genai_otel.instrument(prices={"models": {"mine": {"free": True}}}, force=True)  # loads the table
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    import genai_prices, pydantic
    from genai_otel.pricing.book import PriceBook
    book = PriceBook()
    book.load()
    os._exit(book.problem is not None)
print(os.waitpid(pid, 0)[1])
"""
    told, said = program(provider, tmp_path, code)
    assert (told, said) == ("0\n", "")


@forking
@pytest.mark.unconventional(
    "by hand, by a name of their own", "[name]", "[missing] gen_ai.provider.name"
)
def test_a_fork_while_others_hold_our_locks(provider: Provider, tmp_path: Path) -> None:
    """A thread that calls while the process forks must not leave the child stuck."""
    code = """
import signal
from genai_otel._support import locks as _locks
genai_otel.instrument(prices="off", force=True)  # a fork waits for a table that is being read
locks = tuple(_locks._LOCKS)
assert len(locks) > 3, locks
held, stop = threading.Barrier(len(locks) + 2), threading.Event()
def holds(lock):
    with lock:
        held.wait()
        stop.wait()
def calls():
    held.wait()
    while not stop.is_set():
        with genai_otel.operation("chat", "busy"):
            pass
        genai_otel.flush()
threads = [threading.Thread(target=holds, args=(lock,), daemon=True) for lock in locks]
threads.append(threading.Thread(target=calls, daemon=True))
for thread in threads:
    thread.start()
held.wait()
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        with genai_otel.operation("chat", "child"):
            pass
        genai_otel.uninstrument()
        genai_otel.instrument(prices="off", force=True)
        genai_otel.shutdown()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
"""
    # With threads of its own it may be warned of them, from Python 3.12 on.
    unwarned = {"PYTHONWARNINGS": "ignore:This process"}
    assert program(provider, tmp_path, code, **unwarned) == ("", "")
    assert names(tmp_path).count("chat child") == 10


def test_every_lock_of_ours_is_renewed_in_a_child() -> None:
    """``_support.locks`` renews its own; another kind of lock must be renewed, and listed here."""
    known = {
        "_support/locks.py": 1,
        "_sdk/exit.py": 1,  # ExitHandlers.in_child
        "export/pipeline/worker.py": 3,  # ExportWorker.reset_after_fork
        "_support/fork.py": 2,  # the fork itself
        "privacy/uploads/media.py": 2,  # Uploads.after_fork
        "recorder/waiting.py": 1,  # Costs.after_fork
        "store/write/files.py": 1,  # by process
    }
    found = {}
    for file in (fresh.SOURCES / "genai_otel").rglob("*.py"):
        count = len(re.findall(r"\b(?:R?Lock|Condition|Event|\w*Semaphore)\(\)", file.read_text()))
        if count:
            found[file.relative_to(fresh.SOURCES / "genai_otel").as_posix()] = count
    assert found == known


def test_a_fork_waits_for_us_before_it_takes_the_lock_of_logging(tmp_path: Path) -> None:
    """What is registered last is called first; and who makes a logger meanwhile needs that lock."""
    code = """
import os, sys
hooks, register = [], os.register_at_fork
def registers(**given):
    hooks.append(getattr(given.get("before"), "__module__", None))
    register(**given)
os.register_at_fork = registers
import genai_otel
grpc = genai_otel.Destination("otlp", options={"protocol": "grpc"})
genai_otel.instrument(destinations=grpc)
ours = [hook for hook in hooks if hook and hook.startswith("genai_otel.")]
print(len(ours) > 2, "logging" in hooks and hooks.index("logging") < hooks.index(ours[0]))
"""
    assert fresh.script(code, cwd=tmp_path).stdout.split() == ["True", "True"]


THREADS = """
import warnings
warnings.simplefilter("error")
def fork(before):
    tasks.clear()
    pid = os.fork()
    if pid == 0:
        with genai_otel.operation("step", "child"):
            pass
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(tasks) == 1, (before, tasks, [t.name for t in threading.enumerate()])
    assert threading.active_count() == 1
"""


@forking
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_fork_finds_no_idle_thread_of_ours(provider: Provider, tmp_path: Path) -> None:
    """Python 3.12 and newer warn of a fork with threads; and a lock of C's may be held in one."""
    code = (
        """
import os
tasks = []
# Asked last before a fork: what is registered first is.
os.register_at_fork(before=lambda: tasks.extend(os.listdir("/proc/self/task")))
"""
        + _BEGIN
        + THREADS
        + """
fork("the first span")
policy = genai_otel.ContentPolicy(redactor=lambda text: text, media="upload",
    upload_to="file://" + os.getcwd() + "/media")
genai_otel.instrument(content=policy, force=True)
ask("ok-first")
fork("the delay of a batch is over")
ask("ok-second")
assert genai_otel.flush()
fork("after a flush")
ask("ok-third")
assert genai_otel.flush(), "and it has begun again"
"""
    )
    done = fresh.script(code, provider.base_url, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")
    chats = [name for name in names(tmp_path) if name.startswith("chat")]
    assert chats == ["chat ok-first", "chat ok-second", "chat ok-third"]
    assert names(tmp_path).count("task child") == 3


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing(provider: Provider, tmp_path: Path, method: str) -> None:
    if method != "spawn" and sys.platform == "win32":
        pytest.skip("not on this system")
    (tmp_path / "work.py").write_text(
        """
import multiprocessing, sys
import openai
import genai_otel

def work(url, number):
    genai_otel.instrument()
    with openai.OpenAI(api_key="sk", base_url=url) as client:
        client.chat.completions.create(model=f"ok-{number}", messages=[])
    assert genai_otel.flush()

if __name__ == "__main__":
    genai_otel.instrument()
    context = multiprocessing.get_context(sys.argv[2])
    children = [context.Process(target=work, args=(sys.argv[1], n)) for n in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
""",
        encoding="utf-8",
    )
    done = fresh.run("work.py", provider.base_url, method, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[0, 0]\n", "")
    assert names(tmp_path) == ["chat ok-0", "chat ok-1"]
    assert len({pid for pid, _, _ in spans(tmp_path)}) == 2


# --------------------------------------------------------------------------------------------- ids


def test_the_hosts_randomness_is_the_hosts(provider: Provider, tmp_path: Path) -> None:
    code = """
import random
random.seed(42)
state = random.getstate()
for number in range(1_000):
    if number % 250 == 0:
        random.seed(42)
    with genai_otel.operation("step", "x"):
        pass
ask("ok")
assert random.getstate() == state
"""
    assert program(provider, tmp_path, code) == ("", "")
    ids = [facts["id"] for _, _, facts in spans(tmp_path)]
    assert len(ids) == len(set(ids)) == 1_001


@forking
def test_ids_of_forked_processes_differ(provider: Provider, tmp_path: Path) -> None:
    code = """
import random
def one():
    with genai_otel.operation("step", "x"):
        pass
one()
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        random.seed(42)
        one()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
    assert program(provider, tmp_path, code) == ("", "")
    ids = [facts["id"] for _, _, facts in spans(tmp_path)]
    assert len(ids) == len(set(ids)) == 9


MAIN = '__name__ == "__main__"'
SPAWNING = """
import multiprocessing

import genai_otel

def work(number):
    return number

def start():
    genai_otel.instrument()

{above}
if {guard}:
    {below}
if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        assert pool.map(work, range(2)) == [0, 1]
"""


@pytest.mark.parametrize(
    ("above", "guard", "below", "method", "hinted"),
    [
        ("", MAIN, "start()", "spawn", True),
        ("", MAIN, "genai_otel.instrument()", "forkserver", True),
        ("", f"{MAIN} or True", "start()", "spawn", False),
        ("genai_otel.instrument()", MAIN, "pass", "spawn", False),
        ("", MAIN, "start()", "fork", False),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_spawned_children_that_are_not_instrumented_are_hinted_at(
    tmp_path: Path, above: str, guard: str, below: str, method: str, hinted: bool
) -> None:
    program = tmp_path / "spawns.py"
    program.write_text(SPAWNING.format(above=above, guard=guard, below=below, method=method))
    done = run_python("spawns.py", cwd=tmp_path)
    hints = [line for line in done.stderr.splitlines() if "spawned by multiprocessing" in line]
    assert len(hints) == hinted
    assert all("the call at spawns.py:14 is under" in hint for hint in hints)
