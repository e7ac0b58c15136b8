"""Libraries that make spans of their own: in a call that is recorded here they make none.

One model call is one span. Theirs would be a second with the same tokens, and what was said in it
whatever the content policy, so that ours replaces it; outside recorded calls theirs stay.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Patch

if TYPE_CHECKING:
    from genai_otel.instrumentation.tracker import Observer


def giving_way(target: str, provider: str) -> Patch:
    """The patch of a module's tracer, ``module:name``, for the calls of this provider."""

    def stand_in(tracer: Any, observer: Observer) -> Any:
        return _Tracer(provider, tracer, observer)

    return Patch(target, stand_in, optional=True)


class _Tracer:
    """A library's tracer, but for its spans in calls of ours."""

    def __init__(self, provider: str, tracer: Any, observer: Observer) -> None:
        self._provider, self._tracer, self._observer = provider, tracer, observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracer, name)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        guard = self._observer.guard
        if guard.enabled and guard.run(self._recorded):
            return nullcontext(_Silent())
        return self._tracer.start_as_current_span(*args, **kwargs)

    def _recorded(self) -> bool:
        op = self._observer.recorder.current()
        return op is not None and op.provider == self._provider


class _Silent:
    """A span that nothing becomes of; what is current stays current."""

    def __getattr__(self, _name: str) -> Any:
        return _nothing


def _nothing(*_args: Any, **_kwargs: Any) -> None: ...
