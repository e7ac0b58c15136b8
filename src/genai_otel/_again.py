"""``instrument()`` called again: the first call decides, and only less content may be asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ._notices import NOTICES
from ._runtime import Runtime
from .privacy import as_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._settings import Settings


def restrict(running: Runtime, chosen: Settings, arguments: Mapping[str, Any]) -> None:
    """Obeys a later call as far as that makes ``running`` stricter, and says what is ignored.

    Raises ``ValueError`` on what a first call would not accept either.
    """
    Runtime(chosen, dict(arguments)).choose()
    ignored = [
        name
        for name, value in arguments.items()
        if value is not None and value != () and value != running.arguments[name]
    ]
    content = arguments["content"] or getattr(arguments["settings"], "content", None)
    if content is not None and running.restrict(as_policy(content)) and "content" in ignored:
        ignored.remove("content")
    running.install()
    if ignored:
        NOTICES.add(
            f"instrument() was called again, at {_caller()}: {', '.join(ignored)} of that call"
            " ignored, as the first call decides; say force=True to set up anew"
        )


def _caller() -> str:
    """The file and line outside of this package that has called us."""
    frame = sys._getframe()  # noqa: SLF001 - CPython's, as logging has it
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
