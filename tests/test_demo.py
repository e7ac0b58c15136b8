"""The demonstration runs from end to end: replayed everywhere, for real where the model is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import local_model  # noqa: E402 - a script beside the package

NO_MODEL = local_model.why_not()


def demonstrate(store: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *arguments],
        env={**os.environ, "GENAI_OTEL_STORE_DIRECTORY": str(store), "COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def findings(store: Path) -> str:
    files = map(str, store.glob("*.jsonl"))
    command = [sys.executable, str(ROOT / "semconv" / "check.py"), *files]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def outline(told: str) -> list[str]:
    """The names in the printed tree, in their order."""
    tree = told[told.index("--- What it did") : told.index("--- Where it lies")]
    lines = [re.sub(r"^[│├└─ ]*", "", line) for line in tree.splitlines()]
    (heading,) = (at for at, line in enumerate(lines) if line.startswith("duration "))
    lines = lines[heading + 1 :]
    return [re.split(r"  +", line)[0] for line in lines if line and not line.startswith("prices:")]


def shape(model: str) -> list[str]:
    return [
        "invoke_workflow help a traveller",
        "retrieval leaflets",
        f"embeddings {model}",
        f"chat {model}",
        "execute_tool next_train",
        f"chat {model}",
    ]


def test_the_replay_says_that_it_is_one_and_shows_the_trace(tmp_path: Path) -> None:
    told = demonstrate(tmp_path / "store", "--replay")
    assert "REPLAY" in told
    assert "14:05" in told
    assert outline(told) == shape("replay-smollm2-135m")
    assert findings(tmp_path / "store") == ""


def columns(heading: str) -> list[str]:
    return re.split(r"  +", heading.strip())


def test_the_pictures_of_it_have_its_columns(tmp_path: Path) -> None:
    told = demonstrate(tmp_path / "store", "--replay").splitlines()
    (shown,) = (columns(line) for line in told if line.lstrip().startswith("duration "))
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    (printed,) = (columns(line) for line in readme if line.lstrip().startswith("duration "))
    words = re.findall(r'y="(\d+)"[^>]*>([^<]+)</text>', (ROOT / "docs" / "trace.svg").read_text())
    (row,) = (row for row, word in words if word == "duration")
    assert [word for at, word in words if at == row] == printed
    assert "finish" in shown
    assert set(shown) <= set(printed)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(NO_MODEL is not None, reason=str(NO_MODEL))
def test_a_real_model_gives_the_same_tree(tmp_path: Path) -> None:
    told = demonstrate(tmp_path / "store")
    assert "REPLAY" not in told
    assert outline(told) == shape("smollm2-135m")
    for figure in ("tokens [cached]", "TTFT", "TPOT", "cost", "Σ", "prices: genai-"):
        assert figure in told
    assert findings(tmp_path / "store") == ""
