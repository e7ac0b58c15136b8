"""What was recorded as a tree: names, each with what happened inside it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

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
