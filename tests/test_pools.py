"""Pools, and children that are ended as soon as their work is done: nothing hangs or is lost."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import Receiver, attributes, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs flock"),
]

_BEGIN = """
import os, signal, sys, threading, time
import genai_otel
def setup():
    genai_otel.instrument(destinations=genai_otel.Destination(
        "otlp", endpoint=sys.argv[1], signals=["traces"]))
def call(number):
    with genai_otel.operation("step", f"s{number}"):
        pass
    return number
"""
_MAIN = """
setup()
import multiprocessing
context = multiprocessing.get_context(sys.argv[2])
if __name__ == "__main__":
"""

_RUNS = int(os.environ.get("GENAI_OTEL_POOL_RUNS", "0")) or (
    500 if os.environ.get("GENAI_OTEL_WHOLE") else 25
)
_AT_ONCE = 25


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


def program(directory: Path, code: str, *arguments: str, seconds: float = 60) -> str:
    """Its output; it must end well, and say nothing else."""
    (directory / "work.py").write_text(_BEGIN + code, encoding="utf-8")
    done = fresh.run("work.py", *arguments, cwd=directory, seconds=seconds)
    assert done.stderr == ""
    return done.stdout


METHODS = ["fork", "spawn", "forkserver"]
EXIT = {
    "a pool that is left": """
    with context.Pool(3) as pool:
        assert pool.map(call, range(12)) == list(range(12))
""",
    "a pool whose workers are replaced": """
    with context.Pool(3, maxtasksperchild=2) as pool:
        assert pool.map(call, range(12), 1) == list(range(12))
""",
    "a pool that is left open": """
    pool = context.Pool(3)
    assert pool.map(call, range(12)) == list(range(12))
""",
    "workers that are killed": """
    from concurrent.futures import ProcessPoolExecutor
    pool = ProcessPoolExecutor(3, mp_context=context)
    assert list(pool.map(call, range(12))) == list(range(12))
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
""",
}
LOOP = """
def loop(asked, answered):  # as a loader of data works, for a trainer that goes
    while True:
        answered.put(call(asked.get()))
"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", EXIT)
def test_what_was_done_is_recorded(
    receiver: Receiver, tmp_path: Path, how: str, method: str
) -> None:
    program(tmp_path, _MAIN + EXIT[how], receiver.url, method)
    assert receiver.names == sorted(f"task s{number}" for number in range(12))


ASKING = """
from genai_otel.pricing.book import PriceBook
PriceBook.load = lambda self: time.sleep(60)  # the price table does not come in time
def call(number):
    with genai_otel.operation("chat", f"s{number}") as op:
        op.provider, op.model, op.usage.input, op.usage.output = "openai", "gpt-4o", 3, 5
    return number
"""


@pytest.mark.parametrize("method", METHODS)
def test_model_calls_do_not_wait_for_prices_in_what_may_be_ended(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    program(tmp_path, ASKING + _MAIN + EXIT["a pool that is left"], receiver.url, method)
    assert receiver.names == sorted(f"chat s{number}" for number in range(12))


CALLING = """
from genai_otel.recorder import costs
costs._FOR_THE_TABLE = 60.0  # however busy the machine is
def call(number):
    with genai_otel.operation("chat", f"s{number}") as op:
        op.provider, op.model, op.usage.input, op.usage.output = "openai", "gpt-4o", 1000, 100
        op.usage.tool_images = int(number == 0)  # of which the table knows no price
    return number
"""
GPT_4O = (1000 * 2.5 + 100 * 10) / 1e6
FLUSHED = EXIT["a pool that is left"] + "    assert genai_otel.flush(30)\n"
KILLED = EXIT["workers that are killed"] + "    assert genai_otel.flush(30)\n"


@pytest.mark.parametrize("method", METHODS)
def test_model_calls_of_what_may_be_ended_are_priced_as_they_are_sent(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    program(tmp_path, CALLING + _MAIN + FLUSHED, receiver.url, method)
    told = {span.name: attributes(span) for span in receiver.spans.values()}
    assert len(told) == 12
    assert not any("genai_otel.cost.pending" in found for found in told.values())
    first = told.pop("chat s0")
    assert first["genai_otel.cost.status"] == "unknown_price"
    assert list(first["genai_otel.cost.unpriced"]) == ["tool_images"]
    assert [found["gen_ai.usage.cost"] for found in told.values()] == [pytest.approx(GPT_4O)] * 11
    assert not any("genai_otel.cost.status" in found for found in told.values())


SHORT = """
import logging
logging.disable()  # OpenTelemetry warns of each text that it cuts
os.environ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"] = sys.argv[3]
from genai_otel.pricing.book import PriceBook
os.register_at_fork(  # no child has prices, however slow it is
    after_in_child=lambda: setattr(PriceBook, "load", lambda self: time.sleep(60)))
"""


@pytest.mark.parametrize(("limit", "cost"), [("32", GPT_4O), ("8", None)])
def test_a_limit_on_the_length_of_texts_costs_no_call(
    receiver: Receiver, tmp_path: Path, limit: str, cost: float | None
) -> None:
    """What a price depends on is told in attributes until it is sent; what is cut is no JSON.

    The workers are killed: one that ends in order waits for prices, and drops what it cannot send.
    """
    code = SHORT + CALLING + _MAIN + KILLED
    program(tmp_path, code, receiver.url, "fork", limit)
    told = [attributes(span) for span in receiver.spans.values() if span.name != "chat s0"]
    assert [found.get("gen_ai.usage.cost") for found in told] == [cost and pytest.approx(cost)] * 11
    status = None if cost else "not_ready"
    assert {found.get("genai_otel.cost.status") for found in told} == {status}
    assert not any("genai_otel.cost.pending" in found for found in told)


HOSTS = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
class Printed(SpanExporter):
    def export(self, spans):
        for span in spans:
            found = sorted(key for key in span.attributes if ".cost" in key)
            os.write(1, f"{span.name} {','.join(found)}\\n".encode())
host = TracerProvider()
host.add_span_processor(BatchSpanProcessor(Printed()))
trace.set_tracer_provider(host)
def ask(number):
    call(number)
    host.force_flush()
"""
SENT_BY_THE_HOST = """
    with context.Pool(2) as pool:
        pool.map(ask, range(4))
"""


def test_a_provider_of_the_hosts_sends_nothing_that_only_we_could_read(
    receiver: Receiver, tmp_path: Path
) -> None:
    code = ASKING + HOSTS + _MAIN + SENT_BY_THE_HOST
    out = program(tmp_path, code, receiver.url, "fork")
    assert sorted(out.splitlines()) == [f"chat s{n} genai_otel.cost.status" for n in range(4)]


@pytest.mark.parametrize("method", METHODS)
def test_a_loader_that_is_terminated(receiver: Receiver, tmp_path: Path, method: str) -> None:
    code = """
    asked, answered = context.Queue(), context.Queue()
    loader = context.Process(target=loop, args=(asked, answered), daemon=True)
    loader.start()
    for number in range(5):
        asked.put(number)
    assert [answered.get() for _ in range(5)] == list(range(5))
    loader.terminate()
    loader.join()
    assert loader.exitcode == -signal.SIGTERM
    assert genai_otel.flush(30)
    assert genai_otel.status().destinations[0].exported == 5
    from genai_otel.export.pipeline import handover
    assert not list(handover._files())
"""
    program(tmp_path, LOOP + _MAIN + code, receiver.url, method)
    assert receiver.names == [f"task s{number}" for number in range(5)]


def test_a_worker_of_a_server_of_ones_own(receiver: Receiver, tmp_path: Path) -> None:
    """Forked without ``multiprocessing``, and ended by SIGTERM, or by ``os._exit``."""
    code = """
setup()
for number in range(2):
    pid = os.fork()
    if pid == 0:
        call(number)
        os.kill(os.getpid(), signal.SIGTERM) if number else os._exit(0)
    assert os.waitpid(pid, 0)[1] == (signal.SIGTERM if number else 0)
assert genai_otel.flush(30)
"""
    program(tmp_path, code, receiver.url)
    assert receiver.names == ["task s0", "task s1"]


def test_joblib(receiver: Receiver, tmp_path: Path) -> None:
    code = """
def there(number):
    setup()
    return call(number)
setup()
if __name__ == "__main__":
    from joblib import Parallel, delayed
    assert Parallel(2)(delayed(there)(number) for number in range(6)) == list(range(6))
    from joblib.externals.loky import get_reusable_executor
    get_reusable_executor().shutdown(kill_workers=True)
"""
    program(tmp_path, code, receiver.url)
    assert receiver.names == [f"task s{number}" for number in range(6)]


@pytest.mark.parametrize("method", METHODS)
def test_what_sets_up_in_children_only_is_sent_at_once(
    receiver: Receiver, tmp_path: Path, method: str
) -> None:
    """Nobody may take what they leave; they may be killed as soon as a task is done.

    What was not forked from a process that is set up knows that nobody will.
    """
    code = """
import multiprocessing
from genai_otel.export.pipeline import handover, worker
worker._RECOVERABLE_DELAY = 3_600.0
def called(number):
    call(number)
    return os.path.exists(handover._folder())
if __name__ == "__main__":
    pool = multiprocessing.get_context(sys.argv[2]).Pool(2, initializer=setup)
    assert pool.map(called, range(6)) == [sys.argv[2] != "fork"] * 6
    while not os.path.exists("arrived"):
        time.sleep(0.05)
    pool.close()
    pool.join()
"""
    (tmp_path / "work.py").write_text(_BEGIN + code, encoding="utf-8")
    with fresh.running("work.py", receiver.url, method, cwd=tmp_path) as process:
        assert until(lambda: len(receiver.spans) == 6, 60)
        (tmp_path / "arrived").touch()
        process.communicate(timeout=60)
    assert receiver.names == [f"task s{number}" for number in range(6)]


def test_what_was_sent_is_not_sent_again(receiver: Receiver, tmp_path: Path) -> None:
    code = """
setup()
pid = os.fork()
if pid == 0:
    call(1)
    assert genai_otel.flush(30)
    call(2)
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
"""
    program(tmp_path, code, receiver.url)
    assert receiver.names == ["task s1", "task s2"]


SIBLINGS = """
from pathlib import Path
from genai_otel.export.pipeline import handover, worker
worker.METRIC_INTERVAL = 0.05
setup()
def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    return pid
def is_there(name):
    while not Path(name).exists():
        time.sleep(0.01)
def files():
    return list(handover._folder_of(handover._FORK_SECRET).glob("*.jsonl"))
os.waitpid(child(lambda: call(1)), 0)
assert len(files()) == 1
"""


def test_an_idle_main_process_is_not_waited_for(receiver: Receiver, tmp_path: Path) -> None:
    """What a killed child has left is sent by one that goes on."""
    code = """
def goes_on():
    call(2)
    is_there("arrived")
    genai_otel.shutdown()
pid = child(goes_on)
os.waitpid(pid, 0)
assert threading.active_count() == 1
is_there("arrived")
"""
    (tmp_path / "work.py").write_text(_BEGIN + SIBLINGS + code, encoding="utf-8")
    with fresh.running("work.py", receiver.url, cwd=tmp_path) as process:
        assert until(lambda: len(receiver.spans) >= 2, 60)
        (tmp_path / "arrived").touch()
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (0, "", "")
    assert receiver.names == ["task s1", "task s2"], "and not again at the end"


def test_who_takes_over_may_be_killed_too(receiver: Receiver, tmp_path: Path) -> None:
    code = """
worker._RECOVERABLE_DELAY = 600.0
def goes_on():
    call(2)
    assert genai_otel.flush(30)
    while len(files()) > 1:
        time.sleep(0.01)
os.waitpid(child(goes_on), 0)
assert genai_otel.flush(30)
assert files() == []
"""
    program(tmp_path, SIBLINGS + code, receiver.url)
    assert receiver.names == ["task s1", "task s2"]


def test_what_a_child_cannot_keep_is_counted(receiver: Receiver, tmp_path: Path) -> None:
    code = """
from genai_otel.export.pipeline import handover
handover.MAX_BYTES = 3_000
setup()
pid = os.fork()
if pid == 0:
    for number in range(20):
        call(number)
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(pid, 0)
genai_otel.flush(30)
told = genai_otel.status().destinations[0]
assert told.exported + told.dropped["terminated"] == 20, told
assert told.dropped["terminated"] > 5
"""
    (tmp_path / "work.py").write_text(_BEGIN + code, encoding="utf-8")
    done = fresh.run("work.py", receiver.url, cwd=tmp_path)
    assert "export to otlp is losing telemetry: terminated" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "and once more, when export recovers"


def test_what_is_kept_is_private(receiver: Receiver, tmp_path: Path) -> None:
    """A server that handles SIGTERM itself keeps nothing: it ends in an orderly way."""
    code = """
import stat
from genai_otel.export.pipeline import handover
setup()
def modes():
    folder = handover._folder_of(handover._FORK_SECRET)
    files = list(folder.iterdir()) if folder.exists() else []
    return [stat.S_IMODE(each.stat().st_mode) for each in (*files, folder) if each.exists()]
os.umask(0)
assert modes() == []
pid = os.fork()
if pid == 0:
    call(1)
    ok = modes() == [0o600, 0o700]
    genai_otel.shutdown()
    ok = ok and modes() == []
    os._exit(not ok)
assert os.waitpid(pid, 0)[1] == 0
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGTERM, lambda *_: None)
    call(2)
    ok = modes() == []
    genai_otel.shutdown()
    os._exit(not ok)
assert os.waitpid(pid, 0)[1] == 0
"""
    program(tmp_path, code, receiver.url)
    assert receiver.names == ["task s1", "task s2"]


TORTURE = """
import multiprocessing
setup()
context = multiprocessing.get_context("fork")
stop = time.monotonic() + 3_000
def burn():
    while time.monotonic() < stop:
        pass
load = [context.Process(target=burn, daemon=True) for _ in range(2)]
for each in load: each.start()
for run in range(int(sys.argv[2])):
    numbers = range(run * 12, run * 12 + 12)
    with context.Pool(3) as pool:
        assert pool.map(call, numbers) == list(numbers)
for each in load: each.kill()
assert genai_otel.flush(60)
print("done")
"""


@pytest.mark.parametrize("_", range(-(-_RUNS // _AT_ONCE)))
def test_torture(receiver: Receiver, tmp_path: Path, _: int) -> None:
    """Pool after pool on a busy machine: none hangs, and each call is there once."""
    assert program(tmp_path, TORTURE, receiver.url, str(_AT_ONCE), seconds=240) == "done\n"
    found = Counter(receiver.names)
    assert found.keys() == {f"task s{number}" for number in range(12 * _AT_ONCE)}
    assert not [name for name, count in found.items() if count > 1]
