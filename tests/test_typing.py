"""What type checkers say of programs that use us: of the documentation's, and of the whole API."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.test_docs import PYTHON, ROOT, Block

if TYPE_CHECKING:
    from pathlib import Path

API = ROOT / "tests" / "typing" / "api.py"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every Python block of the documentation in a file of its own, on the lines of its page."""
    directory = tmp_path_factory.mktemp("programs")
    for block in PYTHON:
        (directory / _named(block)).write_text("\n" * (block.line - 1) + block.text, "utf-8")
    shutil.copy(API, directory / "api.py")
    return directory


def _named(block: Block) -> str:
    page = block.page.relative_to(ROOT).with_suffix("")
    return f"{'_'.join(page.parts).replace('-', '_')}_line_{block.line}.py"


def _checked(*command: str, cwd: Path) -> None:
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy(programs: Path) -> None:
    cache = ROOT / ".mypy_cache" / "programs"
    _checked(
        "-m", "mypy", "--strict", "--scripts-are-modules", f"--cache-dir={cache}", ".", cwd=programs
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("basedpyright") is None, reason="pyright is not installed"
)
def test_pyright(programs: Path) -> None:
    (programs / "pyrightconfig.json").write_text(
        '{"typeCheckingMode": "standard", "enableTypeIgnoreComments": true,'
        ' "reportUnnecessaryTypeIgnoreComment": "error"}'
    )
    _checked("-m", "basedpyright", f"--pythonpath={sys.executable}", cwd=programs)
