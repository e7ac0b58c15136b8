"""Warns if spawned child processes record nothing because they never call ``instrument()``.

Children that ``multiprocessing`` spawns import the main module under another name, so what stands
below ``if __name__ == "__main__"`` is not run in them.
"""

from __future__ import annotations

import ast
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger("genai_otel")

_SPAWNING = ("popen_spawn_posix", "popen_spawn_win32", "popen_forkserver")
_MOST_BYTES = 1_000_000
_GUARDS = ("__name__ == '__main__'", "'__main__' == __name__")


class Place(NamedTuple):
    """The line of the main module that called ``instrument()``."""

    file: str
    line: int


_HINTED: list[Place] = []


def calling_line() -> Place | None:
    """Return the line that the main module is executing, if it is."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - `inspect` would be an import
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return Place(code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def hint(place: Place | None) -> None:
    """Log once that spawned children were not instrumented, if there were any."""
    if place is None or place in _HINTED or not _has_spawned():
        return
    _HINTED.append(place)
    if _is_guarded(place):
        logger.warning(
            "genai_otel: processes spawned by multiprocessing are recorded only if they call"
            ' instrument() themselves; the call at %s:%d is under `if __name__ == "__main__"`,'
            " which they do not run. Move it above that line, or start the program with"
            " `genai-otel run`",
            Path(place.file).name,
            place.line,
        )


def _has_spawned() -> bool:
    """Each way of starting a process is imported when the first is started so."""
    return any(f"multiprocessing.{name}" in sys.modules for name in _SPAWNING)


def _is_guarded(place: Place) -> bool:
    """Whether the line stands below such a test, and the children do not set up either."""
    try:
        with Path(place.file).open("rb") as file:
            tree = ast.parse(file.read(_MOST_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError):  # a notebook's cell, or an archive
        return False
    guarded = any(
        isinstance(each, ast.If)
        and ast.unparse(each.test) in _GUARDS
        and each.lineno <= place.line <= (each.end_lineno or each.lineno)
        for each in tree.body
    )
    return guarded and not _is_handed_on(tree, _setting_up(tree))


def _setting_up(tree: ast.Module) -> set[str]:
    """``instrument``, and the functions of the module that call it, or one of these."""
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    found, before = {"instrument"}, 0
    while len(found) > before:
        before = len(found)
        found |= {each.name for each in functions if found & _names(each)}
    return found


def _is_handed_on(tree: ast.Module, functions: set[str]) -> bool:
    """Whether one of them is mentioned without being called: as what a child shall run."""
    called = {id(each.func) for each in ast.walk(tree) if isinstance(each, ast.Call)}
    return any(
        isinstance(each, ast.Name) and each.id in functions and id(each) not in called
        for each in ast.walk(tree)
    )


def _names(tree: ast.AST) -> set[str]:
    """Of the variables and attributes that are read there."""
    found = (getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(tree))
    return {name for name in found if name is not None}
