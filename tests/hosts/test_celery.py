"""Celery's prefork workers, with a broker that is a folder: each child delivers its own."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import Receiver, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("celery")
pytestmark = pytest.mark.slow

SHOP = """
import os
import celery
import genai_otel
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
"""


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


@pytest.mark.parametrize("where", ["in the parent", "in the children"])
@pytest.mark.parametrize("most", ["None", "3"])
def test_prefork(
    receiver: Receiver,
    started: list[subprocess.Popen[str]],
    tmp_path: Path,
    where: str,
    most: str,
) -> None:
    """Warm shutdown, and children that are replaced after three tasks: nothing is lost."""
    folder = tmp_path / "queue"
    folder.mkdir()
    (tmp_path / "shop.py").write_text(
        SHOP.format(
            url=receiver.url, folder=str(folder), most=most, in_children=where == "in the children"
        ),
        encoding="utf-8",
    )
    fresh.script("import shop\nfor n in range(20): shop.ask.delay(n)", cwd=tmp_path)
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--pool", "prefork"]
    command += ["--concurrency", "2", "--without-gossip", "--without-mingle", "-l", "critical"]
    worker = fresh.begin(command, cwd=tmp_path)
    started.append(worker)
    assert until(lambda: not list(folder.iterdir()), 60), "all were taken"
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert sorted(receiver.names) == sorted(f"task s{n}" for n in range(20))
