"""What would complete the figures of stored calls: the very lines to write or set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genai_otel import _names as names
from genai_otel.enrich.billers import biller_of_provider

from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from genai_otel.store.decoding import StoredSpan

_HOSTS_KEPT = 3
_STREAMED = frozenset({"chat", "text_completion"})


def hints(spans: Iterable[StoredSpan]) -> list[str]:
    """One for each gap and host, of which there are at most three for each gap."""
    collected = Hints()
    for span in spans:
        collected.add(span)
    return list(collected)


class Hints:
    """Gathers what is missing, a span at a time."""

    def __init__(self) -> None:
        self._unbilled: dict[str, tuple[str, str]] = {}
        self._uncounted: set[str] = set()

    def add(self, span: StoredSpan) -> None:
        facts = span.attributes
        host = facts.get(names.SERVER_ADDRESS)
        if not isinstance(host, str) or not host:
            return
        host, unbilled = one_line(host), facts.get(names.GENAI_OTEL_COST_STATUS)
        if unbilled == "unknown_biller" and len(self._unbilled) < _HOSTS_KEPT:
            biller = biller_of_provider(_text(facts, names.GEN_AI_PROVIDER_NAME))
            model = _text(facts, names.GEN_AI_REQUEST_MODEL) or "MODEL"
            self._unbilled.setdefault(host, (biller or "openai", model))
        if _is_uncounted_stream(span) and len(self._uncounted) < _HOSTS_KEPT:
            self._uncounted.add(host)

    def __iter__(self) -> Iterator[str]:
        for host, (biller, model) in self._unbilled.items():
            yield (
                f"calls to {host} have no price, as nobody is known to bill them; say who does in"
                " a file that GENAI_OTEL_PRICES names:\n"
                f'  [billers]\n  {json.dumps(host)} = "{biller}"\n'
                "or, if the model is your own, that it costs nothing:\n"
                f"  [models.{json.dumps(model)}]\n  free = true"
            )
        for host in sorted(self._uncounted):
            yield (
                f"streams from {host} came without token counts; most servers send them on"
                ' request: pass stream_options={"include_usage": True}, or set'
                f" GENAI_OTEL_REQUEST_STREAM_USAGE={host} to have it asked for"
            )


def _is_uncounted_stream(span: StoredSpan) -> bool:
    """Whether a stream that was read to its end had no token counts."""
    facts = span.attributes
    return (
        facts.get(names.GEN_AI_REQUEST_STREAM) is True
        and facts.get(names.GEN_AI_OPERATION_NAME) in _STREAMED
        and facts.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is not False
        and not span.failed
        and (
            names.GEN_AI_USAGE_OUTPUT_TOKENS not in facts
            or names.GENAI_OTEL_USAGE_ESTIMATED in facts
        )
    )


def _text(facts: dict[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return one_line(value) if isinstance(value, str) and value else None
