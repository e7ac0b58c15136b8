"""The documentation is run: every Python block against the provider, every command and link."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from genai_otel.cli import main
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
# Pages whose Python is a piece of something larger, for readers only.
NOT_RUN = {"CONTRIBUTING.md", "architecture.md"}


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 2
            yield Block(page, line, found[1], found[2])


BLOCKS = list(blocks())
PYTHON = [b for b in BLOCKS if b.language == "python" and b.page.name not in NOT_RUN]
COMMANDS = [
    pytest.param(line.removeprefix("$ "), id=f"{block}")
    for block in BLOCKS
    if block.language == "console"
    for line in block.text.splitlines()
    if line.startswith("$ genai-otel")
]


def environment(provider: Provider) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GENAI_OTEL_", "OTEL_"))}
    own = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "k", "GENAI_OTEL_STRICT": "1"}
    return {**kept, **own, "PYTHONWARNINGS": "error", "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_runs_as_it_stands(
    block: Block, provider: Provider, receiver: Receiver, tmp_path: Path
) -> None:
    """But for the port of its collector, on which nobody may be listening here."""
    script = tmp_path / "block.py"
    text = block.text.replace(":4318", f":{receiver.port}")
    script.write_text("\n" * (block.line - 1) + text, "utf-8")
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(provider),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, f"{block}\n{ran.stderr}"
    assert "Traceback" not in ran.stderr
    assert "genai_otel:" not in ran.stderr  # our own warnings


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_accepted(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "run":  # what follows is a program of the reader's
        words = words[:1]
    with pytest.raises(SystemExit) as left:
        sys.exit(main([*words, "--help"]))
    assert left.value.code == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_every_named_test_exists() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", text)
    assert named
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), test


def test_generated_parts_are_current() -> None:
    for script in ("generate_docs.py", "generate_names.py"):
        command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
        assert subprocess.run(command, check=False).returncode == 0
