"""Workers of PyTorch's loaders, which are forked and ended in C: nothing hangs or is lost.

PyTorch weighs gigabytes where it comes from PyPI, so no environment of the suite installs it: this
runs where it is installed already.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests import fresh
from tests.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch"),
]

PROGRAM = """
import os, signal, sys
import genai_otel
from torch.utils.data import DataLoader
genai_otel.instrument(destinations=genai_otel.Destination(
    "otlp", endpoint=sys.argv[1], signals=["traces"]))

class Calls:
    def __len__(self):
        return 24
    def __getitem__(self, number):
        with genai_otel.operation("step", f"s{number}"):
            pass
        return number

def loader(**more):
    return DataLoader(
        Calls(), batch_size=None, num_workers=2, multiprocessing_context=sys.argv[2], **more)

def read(items):
    for each in items:
        print(each, flush=True)

if __name__ == "__main__":
"""
HOW = {
    "read to its end": "read(loader())",
    "left open": "kept = loader(persistent_workers=True); read(kept)",
    "read twice": """
    kept = loader(persistent_workers=True)
    read(kept)
    assert [*kept] == [*range(24)]
""",
    "left early": """
    items = iter(loader(prefetch_factor=2))
    read([next(items) for _ in range(5)])
    del items
""",
    "its workers terminated": """
    kept = loader(persistent_workers=True)
    items = iter(kept)
    read(next(items) for _ in range(24))
    for worker in items._workers:
        worker.terminate()
        worker.join()
    # Otherwise PyTorch raises over a worker that has gone.
    items._worker_pids_set = items._shutdown = True
    from torch.utils.data import _utils
    _utils.signal_handling._remove_worker_pids(id(items))
""",
}
TIMES = {"read twice": 2}


@pytest.mark.parametrize("method", ["fork"])
@pytest.mark.parametrize("how", HOW)
def test_what_workers_record(tmp_path: Path, how: str, method: str) -> None:
    """Each item that the program was given has its span, once for each time that it was made."""
    code = HOW[how].strip()
    (tmp_path / "work.py").write_text(f"{PROGRAM}    {code}\n", encoding="utf-8")
    with Receiver() as receiver:
        done = fresh.run("work.py", receiver.url, method, cwd=tmp_path)
        assert done.stderr == ""
        found = Counter(receiver.names)
    given = {f"task s{number}" for number in done.stdout.split()}
    assert len(given) == (5 if how == "left early" else 24)
    assert given <= found.keys()
    assert set(found.values()) == {TIMES.get(how, 1)}
