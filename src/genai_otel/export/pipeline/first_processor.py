"""A host's provider flushes and ends without asking us: what we hold back must end before.

Its span processors are asked in the order in which they were added, so ours is put first. That is
possible with the SDK's own list of them, and with no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from genai_otel._support.weakmap import IdentityWeakMap

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST: IdentityWeakMap[First] = IdentityWeakMap()
_END = 2.0
"""Seconds that a provider's shutdown may take us."""


class First(SpanProcessor):
    """Has what is held back ended, before the processors of the host flush or end."""

    def __init__(self) -> None:
        self.settle: Callable[[float], object] = _nothing

    def leave(self) -> None:
        """Nothing is held back any more."""
        self.settle = _nothing

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.settle(timeout_millis / 1000)
        return True

    def shutdown(self) -> None:
        self.settle(_END)


def _nothing(_seconds: float) -> None: ...


def first_on(provider: Any) -> First | None:
    """Our place before all others on ``provider``, if it can be had."""
    found = _FIRST.get(provider)
    if found is not None:
        return found
    here: Any = getattr(provider, "_active_span_processor", None)
    if type(here) is not SynchronousMultiSpanProcessor:
        return None
    first = First()
    with here._lock:  # noqa: SLF001 - as its own method does, but at the other end
        here._span_processors = (first, *here._span_processors)  # noqa: SLF001
    return _FIRST.put(provider, first)


_NESTED = 8


def exports_at_once(provider: Any) -> bool:
    """Whether spans are exported as they end: then they are read at once, by tests above all."""
    try:
        return _is_simple(getattr(provider, "_active_span_processor", None), _NESTED)
    except Exception:  # noqa: BLE001 - odd processors of a host's, which are left alone
        return False


def _is_simple(processor: Any, nested: int) -> bool:
    if processor is None or isinstance(processor, SimpleSpanProcessor):
        return processor is not None
    inside = getattr(processor, "_span_processors", ())
    inside = (*inside, getattr(processor, "processor", None))  # as logfire wraps them
    return nested > 0 and any(_is_simple(each, nested - 1) for each in inside)
