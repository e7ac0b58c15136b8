"""Everything that one ``instrument()`` sets up: providers, destinations, libraries."""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from genai_otel._support.errors import FAULTS, contained
from genai_otel._support.locks import reentrant
from genai_otel._support.notices import NOTICES
from genai_otel._version import __version__
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.privacy import AttributeFilter, preset, strictest
from genai_otel.record import KEEPER
from genai_otel.recorder import Costs, Instruments, Recorder, Sinks, Source
from genai_otel.recorder.context import enter_suppression
from genai_otel.tracing import providers
from genai_otel.tracing.api_spans import ApiSpans

from . import configuration
from .instrumentors import Instrumentors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genai_otel._settings import Settings
    from genai_otel.export.factory import ExportPipeline
    from genai_otel.export.manager import ExportManager
    from genai_otel.privacy import ContentPolicy
    from genai_otel.privacy.uploads.media import Uploads

    from .status import Status

logger = logging.getLogger("genai_otel")

_LOCK = reentrant()
_FOR_PRICES = 0.6
"""The share of a timeout that waiting for prices may take."""


class Runtime:
    """The set-up of one ``instrument()``."""

    def __init__(self, settings: Settings, arguments: dict[str, Any]) -> None:
        self.settings, self.arguments = settings, arguments
        self.installed = False  # False again after all libraries were uninstrumented
        # Set up by a launcher: the first call of the program's own replaces it.
        self.implicit = False
        self.libraries = Instrumentors(settings)
        self.pipelines: list[ExportPipeline] = []
        self.content = preset("redacted")  # by which this process records
        # The strictest policy that later calls of ``instrument()`` asked for.
        self._at_most: ContentPolicy | None = None
        self._attribute_filter: AttributeFilter | None = None
        self._uploads: Uploads | None = None
        self._joined = False
        self._export_manager: ExportManager | None = None
        self._closers: list[Callable[[], Any]] = []
        self._host: Any = None
        self._api: ApiSpans | None = None
        self._source: Source | None = None
        self._resource: Any = None
        self._measures_anew = False
        self.recorder: Recorder | None = None
        self._costs = Costs()

    # ------------------------------------------------------------------------- setting up

    def choose(self) -> None:
        """Choose destinations and prices; raise ``ValueError`` on values that are not accepted."""
        given = self.arguments
        self._joined = (given["tracer_provider"] or providers.host_tracer_provider()) is not None
        self.pipelines = configuration.make_pipelines(
            self.settings, given["destinations"], joined=self._joined
        )
        self.content = self._recorded()
        if self.content.uploads and self.content.content and self.content.upload_to is not None:
            from genai_otel.privacy.uploads.media import Uploads

            self._uploads = Uploads(self.content.upload_to)
        self._costs = configuration.costs(self.settings, given["prices"], given["budgets"])

    def _recorded(self) -> ContentPolicy:
        recorded = configuration.recorded(self.settings, self.pipelines, joined=self._joined)
        return recorded if self._at_most is None else strictest(recorded, self._at_most)

    def start(self) -> None:
        """Set up providers first, then libraries: no call is recorded incompletely."""
        self._attribute_filter = self._new_attribute_filter()
        own = configuration.own_policy(self.settings)
        if own != self.content:  # which applies if the host sets a provider later
            AttributeFilter(own)  # imports now what it needs, not within a call
        self._use_tracer_provider(
            self.arguments["tracer_provider"]
            or providers.host_tracer_provider()
            or self._make_tracer_provider()
        )
        if any(each.propagation == "xray" for each in self.pipelines):
            from genai_otel.tracing.xray import propagate_header

            self._closers.append(propagate_header())
        sinks = Sinks(self._instruments(), self._costs)
        self._keep_media()
        self.recorder = Recorder(self._current_source, sinks, self._attribute_filter)
        self.install()
        if self._export_manager is not None:
            self._export_manager.set_periodic_task(self._tidy)

    def _keep_media(self) -> None:
        media = self.content.media == "upload" and self.content.messages != "none"
        KEEPER.keep = self._uploads.keep if media and self._uploads is not None else None

    def restrict(self, asked: ContentPolicy) -> bool:
        """Apply ``asked`` where it is stricter; return whether it is the policy now.

        A policy is never loosened.
        """
        with _LOCK:
            self._at_most = asked if self._at_most is None else strictest(self._at_most, asked)
            self.pipelines = [
                each._replace(content=strictest(each.content, asked)) for each in self.pipelines
            ]
            before, self.content = self.content, strictest(self.content, asked)
            if self.content != before and self.recorder is not None:
                self._attribute_filter = self._new_attribute_filter()
                self.recorder.set_attribute_filter(self._attribute_filter)
                self._keep_media()
            if self._export_manager is not None:
                self._export_manager.restrict(self.pipelines, self.content)
        return self.content == asked

    def install(self) -> None:
        """Place the wrappers that are not in place, also after ``uninstrument()``."""
        self.installed = True
        if self.recorder is not None:
            self.libraries.install(self.recorder)
        if self._api is not None:
            self._api.install()

    def _new_attribute_filter(self) -> AttributeFilter:
        uploads = None
        if self._uploads is not None:
            from genai_otel.privacy.uploads.messages import (
                MessageUploads,  # here, as it may be needed within a call
            )

            if self.content.message_storage != "span":
                uploads = MessageUploads(self._uploads, both=self.content.message_storage == "both")
        return AttributeFilter(
            self.content, prepare=enter_suppression, note=FAULTS.note, message_uploads=uploads
        )

    def _make_tracer_provider(self) -> Any:
        ids = "xray" if any(each.ids == "xray" for each in self.pipelines) else "w3c"
        provider = providers.make_tracer_provider(self._own_resource(), ids)
        self._closers.append(provider.shutdown)
        if self.settings.record_otel_spans:
            self._api = ApiSpans(provider)
        return provider

    def _own_resource(self) -> Any:
        """Return our own providers' resource; made once, as the SDK's detectors use threads."""
        if self._resource is None:
            assert self._attribute_filter is not None  # noqa: S101 - start() begins with it
            self._resource = providers.resource(self.settings, self._attribute_filter)
        return self._resource

    def _use_tracer_provider(self, provider: Any) -> None:
        """Use ``provider`` from now on, and export its spans to our destinations."""
        from genai_otel.export.manager import ExportManager

        self._host = providers.host_tracer_provider()
        if self._export_manager is None:
            self._export_manager = ExportManager(
                self.pipelines,
                recorded_policy=self.content,
                declared=providers.declared_resource_attributes(),
                extra=self.settings.resource_attributes,
            )
            self._export_manager.finish_pending = self._finish_pending
            self._export_manager.price = self._costs.late
            self._costs.may_end_at_once = self._export_manager.may_be_terminated
        self._costs.priced_as_sent = not self._joined
        if not hasattr(provider, "add_span_processor"):
            if self.pipelines:
                logger.warning(
                    "genai_otel: destinations are ignored: the tracer provider has no"
                    " add_span_processor method"
                )
        elif self.pipelines:
            self._export_manager.add_processor(provider, own=not self._joined)
        if self._joined:
            nowhere = not self.pipelines and self.arguments["destinations"] is None
            configuration.say_what_is_ignored(self.settings, provider, nowhere=nowhere)
            self._add_first_processor(provider)
        self._source = providers.source(provider, joined=self._joined)

    def _add_first_processor(self, provider: Any) -> None:
        """End calls that wait for prices before a host's processors flush or shut down."""
        from genai_otel.export.pipeline.first_processor import (
            exports_synchronously,
            first_processor_on,
        )

        first = first_processor_on(provider)
        self._costs.may_wait = first is not None
        self._costs.read_at_once = partial(exports_synchronously, provider)
        if self.recorder is None and exports_synchronously(provider):  # not within a first call
            self._costs.load()
        if first is not None:
            first.finish_pending = self._finish_pending
            self._closers.append(first.clear)

    def _finish_pending(self, timeout: float) -> None:
        self._costs.waiting.drain(timeout * _FOR_PRICES)

    def _current_source(self) -> Source:
        """Return the source of spans; a new one if the host has set its provider meanwhile."""
        if self._measures_anew:
            self._measure_anew()
        host = providers.host_tracer_provider()
        if host is not self._host and self.arguments["tracer_provider"] is None:
            with _LOCK:
                host = providers.host_tracer_provider()
                if host is not self._host and host is not None:
                    self._adopt(host)
        assert self._source is not None  # noqa: S101 - start() sets it before anything records
        return self._source

    def _adopt(self, host: Any) -> None:
        """Join a provider that the host has set after us.

        It may have other processors, so the content policy is that for a host's provider.
        """
        self._joined = True
        if self._api is not None:
            self._api.remove()
            self._api = None
        before, self.content = self.content, self._recorded()
        if self.content != before and self.recorder is not None:
            self._attribute_filter = self._new_attribute_filter()
            self.recorder.set_attribute_filter(self._attribute_filter)
        self._use_tracer_provider(host)

    def _instruments(self) -> Instruments | None:
        provider = self.arguments["meter_provider"] or providers.host_meter_provider()
        if provider is None and self._export_manager is not None:
            provider = self._export_manager.meter_provider(self._own_resource)
        if provider is None:
            return None
        meter = provider.get_meter("genai_otel", __version__)
        if self._export_manager is not None:
            from genai_otel.export.self_metrics import observe

            observe(provider, meter, self._export_manager)
        return Instruments(meter)

    def before_fork(self, until: float) -> None:
        if self._uploads is not None:
            self._uploads.before_fork(until)

    def after_fork(self) -> None:
        """Drop in a forked child what the parent has measured, and its locks.

        New meters are created when the child first records something.
        """
        for library in self.libraries:
            library.clear()
        self._resource = None
        self._costs.after_fork()
        if self._uploads is not None:
            self._uploads.after_fork()
        if self._export_manager is not None and self._export_manager.reset_after_fork():
            self._measures_anew = True

    def _measure_anew(self) -> None:
        with _LOCK:
            if self._measures_anew and self.recorder is not None:
                self._measures_anew = False
                self.recorder.measure_with(self._instruments())

    # ------------------------------------------------------------------------- in operation

    def flush(self, timeout: float) -> bool:
        OPEN.drain_deferred()
        deadline = monotonic() + timeout
        self._finish_pending(timeout)
        left = max(0.0, deadline - monotonic())
        done = self._export_manager is None or bool(contained(self._export_manager.flush, left))
        if self._uploads is not None:
            left = max(0.0, deadline - monotonic())
            done = bool(contained(self._uploads.flush, left)) and done
        return done

    def on_root_end(self, then: Callable[[], None]) -> None:
        """Call ``then`` whenever a span without a parent in this process has ended."""
        if self._export_manager is not None:
            self._export_manager.on_root_end(then)

    def _tidy(self) -> None:
        """End operations whose streams were collected, and those without activity for an hour."""
        OPEN.drain_deferred()
        OPEN.expire(perf_counter())
        if self._export_manager is not None:
            contained(self._export_manager.recover_spans_in_operation)
        for library in self.libraries:
            library.expire(perf_counter())

    def remove(self, libraries: Sequence[str]) -> None:
        """Restore the original functions, of these libraries or of all."""
        self.libraries.remove(libraries)
        self.installed = self.installed and bool(libraries)
        if self._api is not None and not libraries:
            self._api.remove()

    def shutdown(self, timeout: float) -> bool:
        """End open operations and export what is queued, within ``timeout`` seconds in all."""
        deadline = monotonic() + timeout
        self.remove(())
        OPEN.end_all()
        self._finish_pending(max(0.0, deadline - monotonic()))
        left = max(0.0, deadline - monotonic())
        done = self._export_manager is None or bool(contained(self._export_manager.close, left))
        if self._uploads is not None:
            if KEEPER.keep == self._uploads.keep:
                KEEPER.keep = None
            left = max(0.0, deadline - monotonic())
            done = bool(contained(self._uploads.close, left)) and done
        for close in self._closers:
            contained(close)
        return done

    def status(self) -> Status:
        from .status import Status, destination_status

        pairs = self._export_manager.pairs if self._export_manager is not None else ()
        return Status(
            active=any(each.guard.enabled for each in self.libraries),
            provider="the host's" if self._joined else "our own",
            content=self.content.word,
            libraries=self.libraries.status(),
            destinations=tuple(destination_status(*pair) for pair in pairs),
            open_streams=len(OPEN),
            internal_errors={**FAULTS.counts, **self._failed_privacy()},
            prices=self._costs.prices,
            notices=NOTICES.texts,
        )

    def _failed_privacy(self) -> dict[str, int]:
        masking = {} if self._attribute_filter is None else self._attribute_filter.failures
        uploads = {} if self._uploads is None else self._uploads.failures
        return {
            **{f"redaction: {kind}": count for kind, count in masking.items()},
            **{f"upload: {kind}": count for kind, count in uploads.items()},
        }
