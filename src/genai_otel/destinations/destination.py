"""Where telemetry goes: one row a preset, and what stands between a span and its exporter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genai_otel import _names as names
from genai_otel._settings import CONTENT_MODES, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import MetricExporter

    from .local import LocalStore

SCOPE = "genai_otel"
"""The instrumentation scope of our own spans."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

CONTENT = frozenset(
    {
        names.GEN_AI_SYSTEM_INSTRUCTIONS,
        names.GEN_AI_INPUT_MESSAGES,
        names.GEN_AI_OUTPUT_MESSAGES,
        names.GEN_AI_TOOL_DEFINITIONS,
        names.GEN_AI_TOOL_CALL_ARGUMENTS,
        names.GEN_AI_TOOL_CALL_RESULT,
        names.GEN_AI_RETRIEVAL_QUERY_TEXT,
        names.GEN_AI_RETRIEVAL_DOCUMENTS,
        names.GEN_AI_GUARDRAIL_RESULT_REASON,
        names.GENAI_OTEL_INPUT,
        names.GENAI_OTEL_OUTPUT,
        names.EXCEPTION_MESSAGE,
        names.EXCEPTION_STACKTRACE,
    }
)
"""Attributes that carry text of prompts, replies, tools, documents or errors."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where telemetry goes.

    ``preset`` is one of ``local``, ``otlp``, ``console``. ``endpoint`` is the base URL of an OTLP
    receiver, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` (which is used where it is not given); plain http
    to another machine needs ``insecure=True``. ``content`` is ``full`` or ``none``; by default full
    for ``local`` and none elsewhere, unless the process says otherwise. ``directory`` is the local
    store's. Raises ``ValueError`` on what it does not know.
    """

    preset: str
    endpoint: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    content: str | None = None
    directory: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        one_of("destination", self.preset, PRESETS)
        if self.content is not None:
            one_of("content mode", self.content, CONTENT_MODES)
        if self.endpoint is not None:
            _check_endpoint(self.endpoint, insecure=self.insecure)


def _check_endpoint(endpoint: str, *, insecure: bool) -> None:
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"endpoint {endpoint!r} is no http or https address")
    if url.scheme == "http" and url.hostname not in _LOOPBACK and not insecure:
        raise ValueError(f"endpoint {endpoint!r} is not encrypted: use https, or say insecure=True")


@dataclass(slots=True)
class Outlet:
    """One destination ready for use: exporters, and what content they may see."""

    name: str
    where: str
    spans: SpanExporter
    metrics: MetricExporter | None
    content: bool
    store: LocalStore | None = None


def outlet(given: Any, *, content: str | None, directory: str) -> Outlet:
    """From a preset's name, a ``Destination`` or an exporter object of the SDK's."""
    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        keeps = given.content or content or ("full" if given.preset == "local" else "none")
        return PRESETS[given.preset](given, keeps == "full", given.directory or directory)
    if isinstance(given, SpanExporter):
        return Outlet(
            type(given).__name__, "an exporter given in code", given, None, content == "full"
        )
    raise ValueError(
        f"a destination is one of {', '.join(PRESETS)}, a Destination or a SpanExporter,"
        f" not {type(given).__name__}"
    )


def _local(_given: Destination, content: bool, directory: str) -> Outlet:  # noqa: FBT001 - row
    from .local import LocalStore

    store = LocalStore(directory)
    where = str(store.directory)
    return Outlet("local", where, store.span_exporter(), store.metric_exporter(), content, store)


def _otlp(given: Destination, content: bool, _directory: str) -> Outlet:  # noqa: FBT001 - row
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if given.endpoint is None:  # the exporters read the standard variables themselves
        return Outlet(
            "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT", OTLPSpanExporter(), OTLPMetricExporter(), content
        )
    base, headers = given.endpoint.rstrip("/"), dict(given.headers or {})
    return Outlet(
        "otlp",
        base,
        OTLPSpanExporter(endpoint=f"{base}/v1/traces", headers=headers),
        OTLPMetricExporter(endpoint=f"{base}/v1/metrics", headers=headers),
        content,
    )


def _console(_given: Destination, content: bool, _directory: str) -> Outlet:  # noqa: FBT001 - row
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return Outlet("console", "standard output", ConsoleSpanExporter(), None, content)


PRESETS: dict[str, Callable[[Destination, bool, str], Outlet]] = {
    "local": _local,
    "otlp": _otlp,
    "console": _console,
}


class Projection(SpanExporter):
    """Gives an exporter our spans and no others, without content where it shall not see any.

    ``recorded``: whether there is any content on the spans of this process.
    """

    def __init__(self, outlet: Outlet, *, recorded: bool) -> None:
        self._exporter, self._content = outlet.spans, outlet.content or not recorded
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed:
            return SpanExportResult.SUCCESS
        ours = [span for span in spans if _is_ours(span)]
        if not self._content:
            ours = [without_content(span) for span in ours]
        return self._exporter.export(ours) if ours else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE


def without_content(span: ReadableSpan) -> ReadableSpan:
    """The span as it may go to somebody who shall not read what was said."""
    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_plain(span.attributes),
        events=[Event(e.name, _plain(e.attributes), e.timestamp) for e in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (attributes or {}).items() if key not in CONTENT}
