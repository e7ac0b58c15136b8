"""Export pipelines, from a ``Destination`` or an exporter of the SDK's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace.export import SpanExporter

from genai_otel.privacy import ContentPolicy, as_policy

from .pipeline.worker import ExportWorker
from .protocol import SdkExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.store.write.store import LocalStore

    from .destination import Destination
    from .pipeline.redaction import SpanRedactor
    from .pipeline.tail_sampling import TailSampling
    from .protocol import PayloadExporter


class ExportPipeline(NamedTuple):
    """One destination ready for use.

    ``content`` is its content policy. ``temporality`` is that of its metrics, ``None`` where it
    takes none. ``span_filter`` and ``sample`` are passed to the ``ExportWorker``. ``ids`` and
    ``propagation``, ``w3c`` or ``xray``: the form of trace ids and headers that it needs.
    ``accepts_other_scopes``: it accepts spans of other scopes from our own provider.
    """

    name: str
    endpoint: str
    exporter: PayloadExporter
    content: ContentPolicy
    temporality: str | None = None
    exponential_histograms: bool = False
    store: LocalStore | None = None
    span_filter: Callable[[ReadableSpan], bool] | None = None
    sample: TailSampling | None = None
    ids: str = "w3c"
    propagation: str = "w3c"
    accepts_other_scopes: bool = True

    def make_worker(self, redactor: SpanRedactor) -> ExportWorker:
        """The worker, which exports what ``redactor`` lets through."""
        return ExportWorker(
            self.name,
            self.exporter,
            transform=redactor.redact,
            span_filter=self.span_filter,
            sample=self.sample,
            log_losses=self.store is None,  # which logs them itself
            accepts_other_scopes=self.accepts_other_scopes,
        )


def make_pipeline(given: Any, *, content: ContentPolicy, directory: str) -> ExportPipeline:
    """From a preset's name, a ``Destination`` or an exporter of the SDK's interface."""
    if isinstance(given, SpanExporter):
        name, endpoint = type(given).__name__, "an exporter given in code"
        return ExportPipeline(name, endpoint, SdkExporter(given), content)
    from .backends.presets import PRESETS
    from .destination import Destination  # with all backends, which an exporter does not need

    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        return _open(given, process_content=content, directory=directory)
    raise ValueError(
        f"a destination must be one of {', '.join(PRESETS)}, a Destination or a SpanExporter,"
        f" not {type(given).__name__}"
    )


def _open(
    destination: Destination, *, process_content: ContentPolicy, directory: str
) -> ExportPipeline:
    """``process_content`` and ``directory`` are those of the process."""
    from .pipeline.tail_sampling import sample_of

    content = process_content if destination.content is None else as_policy(destination.content)
    sample = None if destination.sample is None else sample_of(destination.sample)
    if destination.preset == "local":
        pipeline = _local(destination, destination.directory or directory, content=content)
    elif destination.preset == "console":
        pipeline = _console(content)
    else:
        pipeline = _otlp(destination, content=content)
    return pipeline._replace(span_filter=destination.filter, sample=sample)


def _local(destination: Destination, directory: str, *, content: ContentPolicy) -> ExportPipeline:
    from genai_otel.store.write.store import LocalStore

    store = LocalStore(directory)
    metrics = store.metric_exporter() if _sends(destination, "metrics") else None
    exporter = SdkExporter(store.span_exporter(), metrics)
    temporality = "cumulative" if metrics else None
    return ExportPipeline(
        "local", str(store.directory), exporter, content, temporality, store=store
    )


def _otlp(destination: Destination, *, content: ContentPolicy) -> ExportPipeline:
    from .backends.resolve import otlp_config
    from .otlp.exporter import OtlpExporter, sender_for

    config = otlp_config(destination)
    temporality = config.temporality if "metrics" in config.endpoints else None
    exporter = OtlpExporter(config, sender_for(config))
    return ExportPipeline(
        config.name,
        config.shown_endpoint,
        exporter,
        content,
        temporality,
        config.exponential_histograms,
        ids=config.ids,
        propagation=config.propagation,
        accepts_other_scopes=not config.genai_only,
    )


def _console(content: ContentPolicy) -> ExportPipeline:
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ExportPipeline("console", "standard output", SdkExporter(ConsoleSpanExporter()), content)


def _sends(destination: Destination, signal: str) -> bool:
    return destination.signals is None or signal in destination.signals
