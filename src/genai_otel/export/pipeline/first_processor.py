"""A span processor that comes first on a host's provider.

When the provider is flushed or shut down, operations that wait for prices must end before the
host's processors are asked. They are asked in the order in which they were added, so ours is put
first, which is possible only with the SDK's own list of processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from genai_otel._support.weakmap import IdentityWeakMap

if TYPE_CHECKING:
    from collections.abc import Callable

_PROCESSORS: IdentityWeakMap[FirstSpanProcessor] = IdentityWeakMap()
# Seconds that the shutdown of a provider may wait for us.
_SHUTDOWN_TIMEOUT = 2.0


class FirstSpanProcessor(SpanProcessor):
    """Finishes pending operations before the host's processors flush or shut down."""

    def __init__(self) -> None:
        self.finish_pending: Callable[[float], object] = _nothing

    def clear(self) -> None:
        """Stop: nothing is pending any more."""
        self.finish_pending = _nothing

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.finish_pending(timeout_millis / 1000)
        return True

    def shutdown(self) -> None:
        self.finish_pending(_SHUTDOWN_TIMEOUT)


def _nothing(_seconds: float) -> None: ...


def first_processor_on(provider: Any) -> FirstSpanProcessor | None:
    """Our processor before all others on ``provider``, if it can be put there."""
    found = _PROCESSORS.get(provider)
    if found is not None:
        return found
    processors: Any = getattr(provider, "_active_span_processor", None)
    if type(processors) is not SynchronousMultiSpanProcessor:
        return None
    first = FirstSpanProcessor()
    with processors._lock:  # noqa: SLF001 - as add_span_processor does, but at the front
        processors._span_processors = (first, *processors._span_processors)  # noqa: SLF001
    return _PROCESSORS.put(provider, first)


_MAX_DEPTH = 8


def exports_synchronously(provider: Any) -> bool:
    """Whether a processor exports spans as they end, as tests have it."""
    try:
        return _is_simple(getattr(provider, "_active_span_processor", None), _MAX_DEPTH)
    except Exception:  # noqa: BLE001 - unusual processors of the host
        return False


def _is_simple(processor: Any, depth: int) -> bool:
    if processor is None or isinstance(processor, SimpleSpanProcessor):
        return processor is not None
    children = getattr(processor, "_span_processors", ())
    children = (*children, getattr(processor, "processor", None))  # as logfire wraps them
    return depth > 0 and any(_is_simple(each, depth - 1) for each in children)
