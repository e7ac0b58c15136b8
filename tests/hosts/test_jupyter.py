"""A real Jupyter kernel: cells that are run again, a reload, an interrupt and the kernel's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.receiver import Receiver, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

jupyter = pytest.importorskip("jupyter_client.manager")
utils = pytest.importorskip("jupyter_core.utils")
pytest.importorskip("ipykernel")
pytestmark = pytest.mark.slow


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


@pytest.fixture
def cell(receiver: Receiver, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Runs a cell; gives what it said. It must end well."""
    manager = jupyter.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path), env=fresh.environment())
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def run(code: str) -> str:
        said: list[str] = []

        def hear(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")
            said.append(content.get("text", ""))

        answer = client.execute_interactive(code, timeout=60, output_hook=hear)
        assert answer["content"]["status"] == "ok", said
        return "".join(said)

    run(f"URL = {receiver.url!r}")
    yield run
    client.stop_channels()
    manager.shutdown_kernel()
    utils.ensure_event_loop().close()  # the one that its synchronous functions have left


SETUP = """
import genai_otel
genai_otel.instrument(destinations=genai_otel.Destination("otlp", endpoint=URL))
"""
CALL = """
with genai_otel.operation("step", "cell"):
    pass
"""
COUNT = """
import threading
print([t.name for t in threading.enumerate() if t.name == "genai-otel-otlp"])
"""


def test_cells_that_are_run_again(cell: Callable[[str], str], receiver: Receiver) -> None:
    """The same set-up again changes nothing; another takes its place, and nothing comes twice."""
    for _ in range(3):
        cell(SETUP + CALL)
    assert cell("print(genai_otel.flush())") == "True\n"
    assert receiver.names == ["task cell"] * 3
    assert cell(COUNT) == "['genai-otel-otlp']\n"
    for number in range(3):
        cell(SETUP.replace("URL)", f'URL), service_name="n{number}"') + CALL)
    assert cell("print(genai_otel.flush())") == "True\n"
    assert receiver.names == ["task cell"] * 6
    assert cell(COUNT) == "['genai-otel-otlp']\n"


def test_a_module_of_the_notebooks_that_is_reloaded(
    cell: Callable[[str], str], receiver: Receiver, tmp_path: Path
) -> None:
    """One that instruments, and decorates, each time that it is imported."""
    body = SETUP.replace("URL", repr(receiver.url))
    body += "@genai_otel.tool\ndef look(word):\n    return word\n"
    (tmp_path / "mine.py").write_text(body, encoding="utf-8")
    cell("import importlib, mine")
    for _ in range(3):
        cell("importlib.reload(mine)\nmine.look('x')")
    cell("%load_ext autoreload\n%autoreload 2\nmine.look('x')")
    assert cell("print(mine.genai_otel.flush())") == "True\n"
    assert receiver.names == ["execute_tool look"] * 4


def test_calls_of_a_loop_that_runs_already(cell: Callable[[str], str], receiver: Receiver) -> None:
    """Cells are run on the kernel's loop, with ``await`` at their top."""
    cell(SETUP)
    told = cell("""
import asyncio
@genai_otel.agent
async def clerk(name):
    await asyncio.sleep(0.01)
    return name
print(await asyncio.gather(*(clerk(str(n)) for n in range(3))), genai_otel.flush())
""")
    assert told == "['0', '1', '2'] True\n"
    assert receiver.names == ["invoke_agent clerk"] * 3


def test_a_cell_that_fails_and_the_end_of_the_kernel(
    cell: Callable[[str], str], receiver: Receiver
) -> None:
    """What is queued when the kernel is shut down is delivered, without a flush."""
    cell(SETUP)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        cell('with genai_otel.operation("step", "fails"):\n    1 / 0')
    cell(CALL + "\nget_ipython().kernel.do_shutdown(False)")
    cell_names = ["task cell", "task fails"]
    assert until(lambda: receiver.names == cell_names)
