"""Our place on a tracer provider.

Providers take span processors and never give one back. So each is given one of ours, once, behind
which processors come and go: setting up and shutting down again leaves nothing that grows.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from genai_otel._support.weakmap import IdentityWeakMap
from genai_otel.export.readable import attributes_of, is_ours, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .handover import Keeper
    from .worker import ExportWorker

_SEATS: IdentityWeakMap[Seat] = IdentityWeakMap()
_END = 2.0
"""Seconds that a provider's shutdown may take us."""
_ODD = 65_536


def seat_on(provider: Any) -> Seat:
    """Our place on ``provider``."""
    seat = _SEATS.get(provider)
    if seat is None:
        seat = _SEATS.put(provider, Seat())
        provider.add_span_processor(seat)
    return seat


class Seat(SpanProcessor):
    """Hands ended spans to whatever deliveries have their place here at the moment."""

    def __init__(self) -> None:
        self._here: tuple[ExportWorker, ...] = ()
        self._others = False
        self.at_root: Callable[[], None] | None = None
        self.keeper: Keeper | None = None
        """In a child process: what its spans outlive it by."""

    def take(self, deliveries: Sequence[ExportWorker], *, others: bool = False) -> None:
        """``others``: spans of other scopes go to all that take any, without being asked for."""
        self._here += tuple(deliveries)
        self._others = others

    def leave(self, deliveries: Sequence[ExportWorker]) -> None:
        self._here = tuple(each for each in self._here if each not in deliveries)

    def on_end(self, span: ReadableSpan) -> None:
        if self._here:
            self.take_in(span, ours=is_ours(span))

    def take_in(self, span: ReadableSpan, *, ours: bool = True) -> None:
        """The same for a span of which is known whose it is."""
        if not self._here or not _is_sampled(span):
            return
        others = False
        try:
            size = weight(span)
            others = not ours and self._others and not _counts_tokens(span)
        except Exception:  # noqa: BLE001 - odd values of a host's; its span ends all the same
            size = _ODD
        if self.keeper is not None and (ours or others):
            with self.keeper.lock:
                self.keeper.keep(span)
                self._hand_on(span, size, ours, others)
        else:
            self._hand_on(span, size, ours, others)
        if self.at_root is not None and (span.parent is None or span.parent.is_remote):
            self.at_root()

    def _hand_on(self, span: ReadableSpan, size: int, ours: bool, others: bool) -> None:  # noqa: FBT001
        for each in self._here:
            each.enqueue(span, size, ours=ours or (others and each.accepts_other_scopes))

    def shutdown(self) -> None:
        deadline = monotonic() + _END
        for each in self._here:
            each.close(deadline)
        for each in self._here:
            if not each.join(deadline):
                each.abort()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        deadline = monotonic() + timeout_millis / 1000
        requests = [each.request_flush(deadline) for each in self._here]
        return all(request.wait() for request in requests)


_TOKENS = ("gen_ai.usage.", "llm.usage.", "llm.token_count.")


def _counts_tokens(span: ReadableSpan) -> bool:
    """Whether another instrumentation tells of a model call: one of them counts, and that is us."""
    return any(key.startswith(_TOKENS) for key in attributes_of(span))


def _is_sampled(span: ReadableSpan) -> bool:
    context = span.get_span_context()
    return context is not None and context.trace_flags.sampled
