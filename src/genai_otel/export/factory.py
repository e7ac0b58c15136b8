"""Export pipelines, from a ``Destination`` or an exporter of the SDK's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace.export import SpanExporter

from .pipeline.worker import ExportWorker
from .protocol import SdkExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy
    from genai_otel.store.write.store import LocalStore

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
    from .destination import (  # with all backends, which an exporter does not need
        Destination,
        open_pipeline,
    )

    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        return open_pipeline(given, process_content=content, directory=directory)
    raise ValueError(
        f"a destination is one of {', '.join(PRESETS)}, a Destination or a SpanExporter,"
        f" not {type(given).__name__}"
    )
