"""Destinations ready for use: an exporter of the SDK's, or what is made of a ``Destination``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace.export import SpanExporter

from .pipeline.worker import Delivery
from .protocol import ExporterChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.privacy import ContentPolicy
    from genai_otel.store.write.store import LocalStore

    from .pipeline.redaction import Judge
    from .pipeline.tail_sampling import TailSampling
    from .protocol import Channel


class Outlet(NamedTuple):
    """One destination ready for use; ``content``: whether what was said may go there.

    ``temporality`` is that of its metrics, ``None`` where it takes none. ``keep`` and ``sample``
    are what ``Delivery`` takes. ``ids`` and ``propagation`` say whose form of trace ids and headers
    it asks for: ``w3c`` or ``xray``. ``takes_others``: spans of other scopes mean something there.
    """

    name: str
    where: str
    channel: Channel
    content: ContentPolicy
    temporality: str | None = None
    exponential_histograms: bool = False
    store: LocalStore | None = None
    keep: Callable[[ReadableSpan], bool] | None = None
    sample: TailSampling | None = None
    ids: str = "w3c"
    propagation: str = "w3c"
    takes_others: bool = True

    def delivery(self, judge: Judge) -> Delivery:
        """The way there, past ``judge``."""
        return Delivery(
            self.name,
            self.channel,
            prepare=judge.span,
            keep=self.keep,
            sample=self.sample,
            tells=self.store is None,  # which does so itself
            takes_others=self.takes_others,
        )


def outlet(given: Any, *, content: ContentPolicy, directory: str) -> Outlet:
    """From a preset's name, a ``Destination`` or an exporter object of the SDK's."""
    if isinstance(given, SpanExporter):
        name, where = type(given).__name__, "an exporter given in code"
        return Outlet(name, where, ExporterChannel(given), content)
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
