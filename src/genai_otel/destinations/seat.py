"""Our place on a tracer provider.

Providers take span processors and never give one back. So each is given one of ours, once, behind
which processors come and go: setting up and shutting down again leaves nothing that grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_SEATS: WeakKeyDictionary[Any, Seat] = WeakKeyDictionary()


def seat_on(provider: Any) -> Seat:
    """Our place on ``provider``."""
    seat = _SEATS.get(provider)
    if seat is None:
        seat = _SEATS[provider] = Seat()
        provider.add_span_processor(seat)
    return seat


class Seat(SpanProcessor):
    """Hands ended spans to whatever processors have their place here at the moment."""

    def __init__(self) -> None:
        self._here: tuple[SpanProcessor, ...] = ()

    def take(self, processors: Sequence[SpanProcessor]) -> None:
        self._here += tuple(processors)

    def leave(self, processors: Sequence[SpanProcessor]) -> None:
        self._here = tuple(each for each in self._here if each not in processors)

    def on_end(self, span: ReadableSpan) -> None:
        for each in self._here:
            each.on_end(span)

    def shutdown(self) -> None:
        for each in self._here:
            each.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        done = [each.force_flush(timeout_millis) for each in self._here]  # each, whatever the first
        return all(done)
