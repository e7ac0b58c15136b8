"""Spans made with the OpenTelemetry API while the program has no tracer provider.

The API's tracers are proxies then, which record nothing: the program's own spans and those of other
instrumentations would be missing between ours. Here the proxies record with our provider. Nothing
global is set: the API's one place for a provider, which can be taken once, stays the program's, and
when it is taken, proxies turn to that provider as they would without us. For the same reason
``trace.get_tracer_provider()`` still returns the API's proxy: many libraries tell by it whether
they have to set a provider, or whether anybody traces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from genai_otel._support.errors import contained
from genai_otel._support.notices import NOTICES
from genai_otel._support.weakmap import IdentityWeakMap
from genai_otel.recorder.context import SUPPRESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

# Clients that trace the calls which we record; their spans would count the same tokens again.
_NATIVE = frozenset({"com.anthropic.sdk.python"})


class ApiSpans:
    """The API's proxy tracers, made to record with ``provider`` while nobody has set another."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._tracers: IdentityWeakMap[trace.Tracer] = IdentityWeakMap()
        self._original: Any = None
        self._ours: property | None = None

    def install(self) -> None:
        """All proxies record, also those that were made before."""
        if self._ours is not None:
            return
        original = vars(trace.ProxyTracer).get("_tracer")
        if not isinstance(original, property) or original.fget is None:
            NOTICES.add(
                "this version of the OpenTelemetry API is not supported: its spans are not recorded"
            )
            return
        self._original, self._ours = original, property(self._resolved(original.fget))
        trace.ProxyTracer._tracer = self._ours  # type: ignore[method-assign, assignment]  # noqa: SLF001

    def remove(self) -> None:
        """Restore the original; if ours has been wrapped since, it becomes inert."""
        ours, self._ours = self._ours, None
        if ours is not None and vars(trace.ProxyTracer).get("_tracer") is ours:
            trace.ProxyTracer._tracer = self._original  # type: ignore[method-assign]  # noqa: SLF001

    def _resolved(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def _tracer(proxy: Any) -> Any:
            found = original(proxy)
            if self._ours is None or found is not getattr(proxy, "_noop_tracer", None):
                return found  # the program has a provider
            if SUPPRESS_KEY in otel_context.get_current():
                return found
            return self._tracers.get(proxy) or contained(self._tracer, proxy) or found

        return _tracer

    def _tracer(self, proxy: Any) -> trace.Tracer:
        name = proxy._instrumenting_module_name or "unknown"  # noqa: SLF001 - as the original
        if name in _NATIVE:
            return self._tracers.put(proxy, proxy._noop_tracer)  # noqa: SLF001
        tracer = self._provider.get_tracer(
            name,
            proxy._instrumenting_library_version,  # noqa: SLF001
            proxy._schema_url,  # noqa: SLF001
            getattr(proxy, "_attributes", None),
        )
        return self._tracers.put(proxy, tracer)
