"""A span processor that passes ended spans on to the export workers.

A tracer provider never releases a processor. So each provider has one of ours, behind which workers
come and go: repeated setup and shutdown leaves nothing behind that grows.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from genai_otel._support.weakmap import IdentityWeakMap
from genai_otel.export.readable import attributes_of, estimated_size, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .handover import HandoverFile
    from .worker import ExportWorker

_PROCESSORS: IdentityWeakMap[FanOutSpanProcessor] = IdentityWeakMap()
# Seconds that the shutdown of a provider may wait for us.
_SHUTDOWN_TIMEOUT = 2.0
_UNKNOWN_SIZE = 65_536


def processor_on(provider: Any) -> FanOutSpanProcessor:
    """The processor of ``provider``, which is added to it if there is none."""
    processor = _PROCESSORS.get(provider)
    if processor is None:
        processor = _PROCESSORS.put(provider, FanOutSpanProcessor())
        provider.add_span_processor(processor)
    return processor


class FanOutSpanProcessor(SpanProcessor):
    """Passes ended spans to the workers that are added to it at the moment."""

    def __init__(self) -> None:
        self._workers: tuple[ExportWorker, ...] = ()
        self._other_scopes = False
        self.on_root_end: Callable[[], None] | None = None
        # In a child process: keeps its spans if it is killed.
        self.handover: HandoverFile | None = None

    def add(self, workers: Sequence[ExportWorker], *, other_scopes: bool = False) -> None:
        """``other_scopes``: spans of other scopes go to all workers that accept any."""
        self._workers += tuple(workers)
        self._other_scopes = other_scopes

    def remove(self, workers: Sequence[ExportWorker]) -> None:
        self._workers = tuple(each for each in self._workers if each not in workers)

    def on_end(self, span: ReadableSpan) -> None:
        if self._workers:
            self.dispatch(span, ours=is_ours(span))

    def dispatch(self, span: ReadableSpan, *, ours: bool = True) -> None:
        """Pass on an ended span; ``ours``: it is of our own scope."""
        if not self._workers or not _is_sampled(span):
            return
        other_scopes = False
        try:
            size = estimated_size(span)
            other_scopes = not ours and self._other_scopes and not _has_token_usage(span)
        except Exception:  # noqa: BLE001 - odd values of the host; its span ends all the same
            size = _UNKNOWN_SIZE
        if self.handover is not None and (ours or other_scopes):
            with self.handover.lock:
                self.handover.write(span)
                self._enqueue(span, size, ours, other_scopes)
        else:
            self._enqueue(span, size, ours, other_scopes)
        if self.on_root_end is not None and (span.parent is None or span.parent.is_remote):
            self.on_root_end()

    def _enqueue(self, span: ReadableSpan, size: int, ours: bool, other_scopes: bool) -> None:  # noqa: FBT001
        for each in self._workers:
            each.enqueue(span, size, ours=ours or (other_scopes and each.accepts_other_scopes))

    def shutdown(self) -> None:
        deadline = monotonic() + _SHUTDOWN_TIMEOUT
        for each in self._workers:
            each.close(deadline)
        for each in self._workers:
            if not each.join(deadline):
                each.abort()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        deadline = monotonic() + timeout_millis / 1000
        requests = [each.request_flush(deadline) for each in self._workers]
        return all(request.wait() for request in requests)


_TOKEN_PREFIXES = ("gen_ai.usage.", "llm.usage.", "llm.token_count.")


def _has_token_usage(span: ReadableSpan) -> bool:
    """Whether the span is a model call of another instrumentation: tokens count once, in ours."""
    return any(key.startswith(_TOKEN_PREFIXES) for key in attributes_of(span))


def _is_sampled(span: ReadableSpan) -> bool:
    context = span.get_span_context()
    return context is not None and context.trace_flags.sampled
