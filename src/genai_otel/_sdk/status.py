"""The state of this process: what is active, skipped and dropped, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.installer import UNINSTRUMENTED
from genai_otel.instrumentation.versions import installed_version

if TYPE_CHECKING:
    from genai_otel.export.factory import ExportPipeline
    from genai_otel.export.pipeline.worker import ExportWorker
    from genai_otel.instrumentation.entry_points import PublishedAdapter
    from genai_otel.instrumentation.installer import Installation


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """One supported library.

    ``active``; ``waiting`` for its import; ``not installed``; ``unpatched``: it is imported, but
    its import was not seen; ``skipped``, ``broken`` or ``excluded``. ``note`` says why, and what
    helps.
    ``calls`` were seen since ``instrument()``, recorded or not; frameworks' runs count, too.
    """

    name: str
    distribution: str
    version: str | None
    state: str
    note: str
    calls: int = 0


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination, in this process.

    The totals begin at ``instrument()``; in a forked child, at the fork. A span that was taken is
    queued, exported, dropped, or excluded by the destination's ``sample`` or ``filter``.
    """

    name: str
    """The destination's, such as ``otlp``; two may have the same."""
    endpoint: str
    """The endpoint's address, or the local store's directory; without credentials."""
    content: str
    """Which content is exported: ``none``, ``redacted``, ``full`` or ``mixed``."""
    queued: int = 0
    """Spans queued **now**: in the queue, in a request, or held by tail sampling."""
    exported: int = 0
    """Total of spans that the receiver acknowledged, or that were written to a file."""
    retried: int = 0
    """Total of requests that were sent again."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Total of spans lost, by reason; lost log records and metrics have reasons of their own."""
    last_error: str | None = None
    """Why the last export failed; ``None`` again after the next one succeeded."""


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """The state of genai_otel in this process.

    ``prices`` is the version of the price table, or why the bundled one cannot be used; ``not
    loaded`` until the first call; ``off``. ``notices`` say which arguments and variables are
    ignored, and why. ``internal_errors`` counts our own contained errors, by place and type.
    """

    active: bool
    provider: str
    content: str
    libraries: tuple[LibraryStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    open_streams: int
    internal_errors: dict[str, int]
    prices: str
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return tables: a status is printed far more often than debugged."""
        from .status_table import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        """Return the same tables as HTML, for notebooks."""
        from .status_table import as_html

        return as_html(self)


def library_status(entry: Any, installation: Installation | None) -> LibraryStatus:
    if installation is None:
        return LibraryStatus(entry.name, entry.distribution, None, "excluded", "")
    state, version = installation.state, installation.version
    if state == "waiting":
        version = version or installed_version(entry.distribution)
        state = state if version else "not installed"
    note = installation.note or installation.why_unpatched()
    if note == UNINSTRUMENTED:  # also of what never came
        version = version or installed_version(entry.distribution)
        state, note = (state, note) if version else ("not installed", "")
    return LibraryStatus(
        entry.name,
        entry.distribution,
        version,
        state,
        note,
        installation.calls,
    )


def published_status(installation: PublishedAdapter) -> LibraryStatus:
    """Return the status of an adapter of another distribution, loaded or not."""
    adapter = installation.adapter
    note = (
        installation.note or installation.why_unpatched() or f"adapter of {installation.publisher}"
    )
    return LibraryStatus(
        installation.name,
        adapter.distribution,
        installation.version,
        installation.state,
        note,
        installation.calls,
    )


def destination_status(pipeline: ExportPipeline, worker: ExportWorker) -> DestinationStatus:
    counts, store = worker.stats, pipeline.store
    written, dropped, problem = counts.sent, counts.dropped(), worker.last_error
    if store is not None:  # which knows better why it did not write
        stored = store.counters()["traces"]
        dropped.pop("refused", None)
        written, dropped, problem = stored.written, {**dropped, **stored.dropped}, store.problem
    return DestinationStatus(
        pipeline.name,
        pipeline.endpoint,
        pipeline.content.word,
        worker.queued,
        written,
        counts.retried,
        dropped,
        problem,
    )
