"""Where telemetry goes: what users say of it, and what is made of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genai_otel import _names as names
from genai_otel._settings import CONTENT_MODES, one_of

from .presets import PRESETS
from .spans import changed
from .target import check_endpoint, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import ReadableSpan

    from .local import LocalStore
    from .target import Project

SCOPE = "genai_otel"
"""The instrumentation scope of our own spans."""

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

    ``preset`` is a row of docs/destinations.md: ``local``, ``console``, ``otlp`` or a backend's
    name. ``endpoint`` is the base URL of the receiver, in place of the row's; plain http to another
    machine needs ``insecure=True``. ``headers`` are added to the row's, and win. ``options`` are
    the row's, such as ``api_key`` or ``project``, in place of its variables. ``content`` is
    ``full`` or ``none``; by default full for ``local`` and none elsewhere, unless the process says
    otherwise. ``signals`` are some of ``traces``, ``metrics``, ``logs``; by default all that the
    backend takes. ``filter`` is asked with each span of *other* scopes, and says whether it goes
    there too; it is called on a worker thread. ``directory`` is the local store's.

    Raises ``ValueError`` on what it does not know.
    """

    preset: str
    endpoint: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    content: str | None = None
    directory: str | None = None
    insecure: bool = False
    signals: Sequence[str] | None = None
    filter: Callable[[ReadableSpan], bool] | None = None
    options: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        one_of("destination", self.preset, PRESETS)
        if self.content is not None:
            one_of("content mode", self.content, CONTENT_MODES)
        if self.endpoint is not None:
            check_endpoint(self.endpoint, insecure=self.insecure)
        for name in ("headers", "options"):
            if not isinstance(getattr(self, name) or {}, Mapping):
                raise ValueError(f"{name} of a destination are a mapping")  # noqa: TRY004 - documented
        if isinstance(self.signals, str):
            raise ValueError(  # noqa: TRY004 - documented
                f"signals are a list of names, such as [{self.signals!r}]"
            )
        for signal in self.signals or ():
            one_of(f"signal of destination {self.preset!r}", signal, _signals(self.preset))


def _signals(preset: str) -> tuple[str, ...]:
    return PRESETS[preset].signals or {"local": ("traces", "metrics")}.get(preset, ("traces",))


@dataclass(slots=True)
class Outlet:
    """One destination ready for use: exporters, and what content they may see."""

    name: str
    where: str
    spans: SpanExporter | None
    metrics: MetricExporter | None
    content: bool
    store: LocalStore | None = None
    project: Project | None = None


def outlet(given: Any, *, content: str | None, directory: str) -> Outlet:
    """From a preset's name, a ``Destination`` or an exporter object of the SDK's."""
    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        default = PRESETS[given.preset].content or "none"
        keeps = (given.content or content or default) == "full"
        if given.preset == "local":
            return _local(given, keeps, given.directory or directory)
        return _console(keeps) if given.preset == "console" else _otlp(given, keeps)
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


def _otlp(given: Destination, content: bool) -> Outlet:  # noqa: FBT001 - as above
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    to = target(given)
    traces, metrics = to.addresses.get("traces"), to.addresses.get("metrics")
    return Outlet(
        to.name,
        to.where,
        OTLPSpanExporter(endpoint=traces.url, headers=dict(traces.headers)) if traces else None,
        OTLPMetricExporter(endpoint=metrics.url, headers=dict(metrics.headers))
        if metrics
        else None,
        content,
        project=to.project,
    )


def _console(content: bool) -> Outlet:  # noqa: FBT001 - as above
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return Outlet("console", "standard output", ConsoleSpanExporter(), None, content)


class Projection(SpanExporter):
    """Gives an exporter our spans and no others, without content where it shall not see any.

    ``recorded``: whether there is any content on the spans of this process.
    """

    def __init__(self, outlet: Outlet, *, recorded: bool) -> None:
        self._exporter, self._content = outlet.spans, outlet.content or not recorded
        self._project = outlet.project
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed:
            return SpanExportResult.SUCCESS
        ours = [span for span in spans if is_ours(span)]
        if not self._content:
            ours = [without_content(span) for span in ours]
        if self._project is not None:
            ours = [self._project(span) for span in ours]
        if not ours or self._exporter is None:
            return SpanExportResult.SUCCESS
        return self._exporter.export(ours)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter is None or self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            if self._exporter is not None:
                self._exporter.shutdown()


def is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE


def without_content(span: ReadableSpan) -> ReadableSpan:
    """The span as it may go to somebody who shall not read what was said."""
    from opentelemetry.sdk.trace import Event
    from opentelemetry.trace import Status

    return changed(
        span,
        _plain(span.attributes),
        events=[Event(e.name, _plain(e.attributes), e.timestamp) for e in span.events],
        status=Status(span.status.status_code),
    )


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (attributes or {}).items() if key not in CONTENT}
