"""Destinations ready for use: an exporter of the SDK's, or what is made of a ``Destination``."""

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

    from .pipeline.redaction import Judge
    from .pipeline.tail_sampling import TailSampling
    from .protocol import PayloadExporter


class Outlet(NamedTuple):
    """One destination ready for use.

    ``content`` is its content policy. ``temporality`` is that of its metrics, ``None`` where it
    takes none. ``keep`` and ``sample`` are passed to the ``ExportWorker``. ``ids`` and
    ``propagation``, ``w3c`` or ``xray``: the form of trace ids and headers that it needs.
    ``takes_others``: it accepts spans of other scopes from our own provider.
    """

    name: str
    where: str
    channel: PayloadExporter
    content: ContentPolicy
    temporality: str | None = None
    exponential_histograms: bool = False
    store: LocalStore | None = None
    keep: Callable[[ReadableSpan], bool] | None = None
    sample: TailSampling | None = None
    ids: str = "w3c"
    propagation: str = "w3c"
    takes_others: bool = True

    def delivery(self, judge: Judge) -> ExportWorker:
        """The way there, past ``judge``."""
        return ExportWorker(
            self.name,
            self.channel,
            transform=judge.span,
            span_filter=self.keep,
            sample=self.sample,
            log_losses=self.store is None,  # which does so itself
            accepts_other_scopes=self.takes_others,
        )


def outlet(given: Any, *, content: ContentPolicy, directory: str) -> Outlet:
    """From a preset's name, a ``Destination`` or an exporter object of the SDK's."""
    if isinstance(given, SpanExporter):
        name, where = type(given).__name__, "an exporter given in code"
        return Outlet(name, where, SdkExporter(given), content)
    from .backends.presets import PRESETS
    from .destination import Destination, opened  # with all backends, which an exporter needs not

    if isinstance(given, str):
        given = Destination(given)
    if isinstance(given, Destination):
        return opened(given, content=content, directory=directory)
    raise ValueError(
        f"a destination is one of {', '.join(PRESETS)}, a Destination or a SpanExporter,"
        f" not {type(given).__name__}"
    )
