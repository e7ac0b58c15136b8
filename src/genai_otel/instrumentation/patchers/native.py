"""Suppress the spans that a library creates itself, inside calls that are recorded here.

One model call is one span: the library's would be a second with the same tokens, and with content
whatever the content policy says. Outside of recorded calls its spans stay.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Patch

if TYPE_CHECKING:
    from genai_otel.instrumentation.tracker import CallTracker


def patch_native_tracer(target: str, provider: str) -> Patch:
    """Return the patch of a module's tracer, ``module:name``, for the calls of this provider."""

    def make_wrapper(tracer: Any, tracker: CallTracker) -> Any:
        return _Tracer(provider, tracer, tracker)

    return Patch(target, make_wrapper, optional=True)


class _Tracer:
    """A library's tracer, without its spans inside our calls."""

    def __init__(self, provider: str, tracer: Any, tracker: CallTracker) -> None:
        self._provider, self._tracer, self._tracker = provider, tracer, tracker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracer, name)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        guard = self._tracker.guard
        if guard.enabled and guard.run(self._recorded):
            return nullcontext(_SilentSpan())
        return self._tracer.start_as_current_span(*args, **kwargs)

    def _recorded(self) -> bool:
        op = self._tracker.recorder.current()
        return op is not None and op.provider == self._provider


class _SilentSpan:
    """A span that is dropped; the current span stays current."""

    def __getattr__(self, _name: str) -> Any:
        return _nothing


def _nothing(*_args: Any, **_kwargs: Any) -> None: ...
