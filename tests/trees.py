"""What was recorded as a tree: names, each with what happened inside it."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genai_otel
from genai_otel._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


def tree(spans: Sequence[ReadableSpan]) -> list[Any]:
    """``name``, or ``(name, [children])``, in the order of names; one trace and no orphans."""
    known = {span.context.span_id for span in spans}
    inside: dict[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        assert span.parent is None or span.parent.span_id in known, f"{span.name} is an orphan"
        inside[None if span.parent is None else span.parent.span_id].append(span)

    def told(parent: int | None) -> list[Any]:
        found = [(span.name, told(span.context.span_id)) for span in inside[parent]]
        plain = [name if not children else (name, children) for name, children in found]
        return sorted(plain, key=lambda each: str(each).lstrip("('"))

    return told(None)


def tokens(spans: Sequence[ReadableSpan]) -> tuple[int, int]:
    """The sums of input and output tokens over all spans."""
    return _sum(spans, "gen_ai.usage.input_tokens"), _sum(spans, "gen_ai.usage.output_tokens")


def _sum(spans: Sequence[ReadableSpan], name: str) -> int:
    return sum(int((span.attributes or {}).get(name, 0)) for span in spans)  # type: ignore[arg-type]


def complaints(program: Callable[[], Any], directory: Path) -> str:
    """What the checker of the conventions says of all that ``program`` lets be recorded there."""
    genai_otel.shutdown()
    genai_otel.instrument(destinations="local", settings=Settings(store_directory=directory))
    program()
    genai_otel.shutdown()
    files = sorted(directory.glob("*.jsonl"))
    assert files
    checker = Path(__file__).resolve().parent.parent / "semconv" / "check.py"
    command = [sys.executable, str(checker), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
