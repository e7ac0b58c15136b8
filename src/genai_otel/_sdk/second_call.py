"""A later ``instrument()``: the first call decides; only content may become stricter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel._support.notices import NOTICES
from genai_otel.privacy import as_policy
from genai_otel.record.misuse import caller

from .runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_otel._settings import Settings


def restrict(running: Runtime, chosen: Settings, arguments: Mapping[str, Any]) -> None:
    """Apply a later call as far as it makes ``running`` stricter, and report what is ignored.

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
        file, line = caller()
        NOTICES.add(
            f"instrument() was called again at {file}:{line}: {', '.join(ignored)} of that call"
            " ignored, because the first call applies; use force=True to configure again"
        )
