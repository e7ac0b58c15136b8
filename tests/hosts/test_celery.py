"""Celery's prefork workers, with a broker that is a folder: each child delivers its own."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.receiver import Receiver, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytest.importorskip("celery")
pytestmark = pytest.mark.slow

SHOP = """
import os
import pathlib
import time
import celery
import celery.platforms
import genai_otel
# Of a pool with threads, as that folder gets, Celery has the system kill the children that were
# replaced as soon as it ends: in the middle of a task, without us as well, and with a lock of the
# pool's in hand, for which it may then wait for ever.
celery.platforms.set_pdeathsig = lambda name: None
if not {in_children}:
    genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint={url!r}))
app = celery.Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options=dict.fromkeys(("data_folder_in", "data_folder_out"), {folder!r}),
    worker_prefetch_multiplier=1, worker_max_tasks_per_child={most},
)
if {in_children}:
    @celery.signals.worker_process_init.connect
    def begin(**_):
        genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint={url!r}))

@app.task
def ask(number):
    with genai_otel.operation("step", f"s{{number}}"):
        pass
    pathlib.Path(f"done-{{number}}").touch()

@app.task
def hang(number):
    ask(number)
    pathlib.Path("hanging").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)  # Python acts on a signal that comes just before a sleep only after it
"""
EVERYWHERE = pytest.mark.parametrize("where", ["in the parent", "in the children"])
TASKS = 20
_LONG = 120


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for each in processes:
        fresh.finish(each)


@pytest.fixture
def work(
    receiver: Receiver, started: list[subprocess.Popen[str]], tmp_path: Path
) -> Callable[..., subprocess.Popen[str]]:
    """Begins a worker with these tasks, which it has taken when this returns."""

    def begin(tasks: str, where: str, most: str) -> subprocess.Popen[str]:
        folder = tmp_path / "queue"
        folder.mkdir()
        in_children = where == "in the children"
        shop = SHOP.format(url=receiver.url, folder=str(folder), most=most, in_children=in_children)
        (tmp_path / "shop.py").write_text(shop, encoding="utf-8")
        fresh.script(f"import shop\n{tasks}", cwd=tmp_path)
        command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--pool", "prefork"]
        command += ["--concurrency", "2", "--without-gossip", "--without-mingle", "-l", "critical"]
        worker = fresh.begin(command, cwd=tmp_path)
        started.append(worker)
        assert until(lambda: not list(folder.iterdir()), _LONG), "all were taken"
        return worker

    return begin


@EVERYWHERE
@pytest.mark.parametrize("most", ["None", "3"])
def test_prefork(receiver: Receiver, work: Any, where: str, most: str) -> None:
    """Warm shutdown, and children that are replaced after three tasks: nothing is lost."""
    worker = work(f"for n in range({TASKS}): shop.ask.delay(n)", where, most)
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=_LONG)
    assert worker.returncode == 0, said
    assert receiver.names == sorted(f"task s{n}" for n in range(TASKS))


@EVERYWHERE
def test_children_that_are_terminated(
    receiver: Receiver, work: Any, tmp_path: Path, where: str
) -> None:
    """One in the middle of its task, as by ``revoke(terminate=True)``; then a cold shutdown."""
    tasks = f"shop.hang.delay({TASKS})\nfor n in range({TASKS}): shop.ask.delay(n)"
    worker = work(tasks, where, "3")
    hanging = tmp_path / "hanging"
    assert until(lambda: hanging.exists() and hanging.read_text(), _LONG)
    os.kill(int(hanging.read_text()), signal.SIGTERM)
    assert until(lambda: len([*tmp_path.glob("done-*")]) == TASKS + 1, _LONG)
    worker.send_signal(signal.SIGQUIT)
    worker.communicate(timeout=_LONG)
    assert receiver.names == sorted(f"task s{n}" for n in range(TASKS + 1))
