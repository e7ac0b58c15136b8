"""What one ``instrument()`` sets up: providers joined or built, destinations, libraries."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from . import _threads
from .adapters import catalogue
from .engine import published
from .engine.adapter import Adapter
from .engine.imports import Installation, Later
from .engine.observe import OPEN
from .engine.published import Published
from .engine.safety import FAULTS, contained
from .privacy import Gate, as_policy, loosest, preset, told
from .privacy.blobs import Uploads
from .privacy.policy import address_of
from .privacy.texts import Texts
from .record import KEEPER
from .recorder import Accounts, Instruments, Ledgers, Recorder, Source
from .recorder.context import enter_suppression

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider

    from ._settings import Settings
    from ._status import Status
    from .destinations.outgoing import Outgoing
    from .destinations.outlets import Outlet
    from .destinations.own_spans import OwnSpans
    from .privacy import ContentPolicy

logger = logging.getLogger("genai_otel")

_LOCK = threading.RLock()


def renew_lock() -> None:
    """In a forked child, where nobody is left who could release it."""
    global _LOCK  # noqa: PLW0603 - a lock of the process
    _LOCK = threading.RLock()


class Runtime:
    """What one ``instrument()`` set up."""

    def __init__(self, settings: Settings, arguments: dict[str, Any]) -> None:
        self.settings, self.arguments = settings, arguments
        self.installations: list[Installation] = []
        self.outlets: list[Outlet] = []
        self.content = preset("redacted")
        """The policy that this process records by."""
        self._gate: Gate | None = None
        self._uploads: Uploads | None = None
        self._joined = False
        self._outgoing: Outgoing | None = None
        self._closers: list[Callable[[], Any]] = []
        self._host: Any = None
        self._source: Source | None = None
        self._measures_anew = False
        self.recorder: Recorder | None = None
        self._accounts = Accounts()

    # ------------------------------------------------------------------------- setting up

    def choose(self) -> None:
        """Where telemetry goes and what calls cost; ``ValueError`` on what is not accepted."""
        host = self.arguments["tracer_provider"] or _host_provider()
        self._joined = host is not None
        self.outlets = self._make_outlets(self.arguments["destinations"])
        self.content = self._recorded()
        if self.content.uploads and self.content.content and self.content.upload_to is not None:
            self._uploads = Uploads(self.content.upload_to)
        self._accounts = self._make_accounts()

    def start(self) -> None:
        """Providers first, then libraries: nothing is recorded halfway."""
        given = self.arguments
        host = given["tracer_provider"] or _host_provider()
        self._gate = self._make_gate()
        if self._own_policy() != self.content:  # which is obeyed if the host sets a provider yet:
            Gate(self._own_policy())  # what that loads is not loaded in a call
        self._take_tracer(host if host is not None else self._own_provider())
        if any(each.propagation == "xray" for each in self.outlets):
            from .destinations.xray import propagate_header

            self._closers.append(propagate_header())
        instruments = self._instruments(given["meter_provider"])
        ledgers = Ledgers(instruments, self._accounts)
        media = self.content.blobs == "upload" and self.content.messages != "none"
        KEEPER.keep = self._uploads.keep if media and self._uploads is not None else None
        self.recorder = Recorder(self._current_source, ledgers, self._gate)
        for entry in catalogue.CATALOGUE:
            if self._wanted(entry.name):
                self.installations.append(_waiting(entry))
        self._take_published()
        self.install()
        if self._outgoing is not None:
            self._outgoing.each_minute(self._tidy)

    def _take_published(self) -> None:
        """Adapters of other distributions; those that are named are loaded at once."""
        for name, (point, refused) in published.points(catalogue.NAMES).items():
            if self._wanted(name):
                named = name in self.settings.libraries
                self.installations.append(Published(point, refused, named=named))

    def install(self) -> None:
        """Puts the stand-ins in place that are not; after ``uninstrument()`` they come back."""
        for installation in self.installations:
            guard = installation.guard
            if self.recorder is not None and not guard.enabled and not guard.broken:
                installation.install(self.recorder, self.settings.request_stream_usage)
        if self.settings.thread_context == "threads":
            _threads.install()

    def _make_outlets(self, given: Any) -> list[Outlet]:
        from .destinations.outlets import outlet

        content, chosen = self._own_policy(), self._chosen(given)
        return [outlet(each, content=content, directory=self.settings.directory) for each in chosen]

    def _chosen(self, given: Any) -> Sequence[Any]:
        if given is None:
            given = self.settings.destinations
        if given:
            return list(given) if isinstance(given, list | tuple) else [given]
        if self._joined:  # only what was asked for is added to somebody else's provider
            return []
        return ["otlp"] if self.settings.otlp_in_environment else ["local"]

    def _own_policy(self) -> ContentPolicy:
        """What was said for the process as a whole."""
        given, base = self.settings.content, self.settings.upload_to
        policy = preset("redacted") if given is None else as_policy(given)
        if base is None or not policy.content or given is policy:
            return policy
        texts = "both" if self.settings.completion_hook == "upload" else "span"
        return replace(policy, blobs="upload", texts=texts, upload_to=address_of(base))

    def _recorded(self) -> ContentPolicy:
        """What is recorded: as much as one of our destinations may have.

        On a provider of the host's others may listen, who get what was said for the process.
        """
        own = self._own_policy()
        if not self.outlets:
            return own
        wanted = loosest([each.content for each in self.outlets])
        if not self._joined:
            return wanted
        if loosest([own, wanted]) != own:
            logger.warning(
                "genai_otel: a destination may have more content than the process records on the"
                " host's tracer provider; say instrument(content=...) if others there may see it"
            )
        return own

    def _make_gate(self) -> Gate:
        texts = None
        if self._uploads is not None and self.content.texts != "span":
            texts = Texts(self._uploads, both=self.content.texts == "both")
        return Gate(self.content, prepare=enter_suppression, note=FAULTS.note, texts=texts)

    def _own_provider(self) -> Any:
        """A provider of ours, which is not made the process's: that place is the host's."""
        from opentelemetry.sdk.trace import TracerProvider

        from .destinations.ids import OsEntropyIds

        ids = OsEntropyIds()
        if any(each.ids == "xray" for each in self.outlets):
            from .destinations.xray import XRayIds

            ids = XRayIds()
        provider = TracerProvider(
            resource=self._resource(), id_generator=ids, shutdown_on_exit=False
        )
        self._closers.append(provider.shutdown)
        return provider

    def _resource(self) -> Any:
        """What the application says of itself, and a little of what detectors find."""
        from opentelemetry.sdk.resources import Resource

        given = {
            "service.name": self.settings.service_name,
            "deployment.environment.name": self.settings.environment,
        }
        found = _detected({key: value for key, value in given.items() if value is not None})
        kept = told(found.attributes, _said_of_it(), self.settings.resource_attributes)
        if self._gate is not None:
            kept = dict(self._gate.attributes(kept))
        return Resource(kept, found.schema_url)

    def _take_tracer(self, provider: Any) -> None:
        """Uses ``provider`` from now on, with our destinations behind it."""
        from .destinations.outgoing import Outgoing

        self._host = _host_provider()
        if self._outgoing is None:
            self._outgoing = Outgoing(
                self.outlets,
                recorded=self.content,
                said=_said_of_it(),
                more=self.settings.resource_attributes,
            )
        if not hasattr(provider, "add_span_processor"):
            if self.outlets:
                logger.warning("genai_otel: the tracer provider takes no destinations of ours")
        elif self.outlets:
            self._outgoing.sit(provider)
        from . import __version__

        tracer = provider.get_tracer("genai_otel", __version__)
        own = None if self._joined else _own_spans(provider, tracer)
        if own is None:
            early = self._joined or _looks_early(provider)
            self._source = Source(tracer.start_span, early, lambda _: None)
        else:
            self._source = Source(own.start_span, _looks_early(provider), own.dropped)

    def _current_source(self) -> Source:
        """Where spans come from; somewhere else if the host has set its provider since."""
        if self._measures_anew:
            self._measure_anew()
        if _host_provider() is not self._host and self.arguments["tracer_provider"] is None:
            with _LOCK:
                host = _host_provider()
                if host is not self._host and host is not None:
                    self._adopt(host)
        assert self._source is not None  # noqa: S101 - start() sets it before anything records
        return self._source

    def _adopt(self, host: Any) -> None:
        """Joins a provider that the host has set after us.

        Others may listen there, so it is told no more than if it had been there from the start.
        """
        self._joined = True
        before, self.content = self.content, self._recorded()
        if self.content != before and self.recorder is not None:
            self._gate = self._make_gate()
            self.recorder.judge_by(self._gate)
        self._take_tracer(host)

    def _make_accounts(self) -> Accounts:
        """Prices and budgets. A price table that was asked for is loaded now, else when needed."""
        budgets, given = self.arguments["budgets"], self.arguments["prices"]
        prices = self.settings.prices if given is None else given
        book = ledger = None
        if prices != "off":
            from .enrich.pricing import PriceBook

            book = prices if isinstance(prices, PriceBook) else PriceBook(prices or ())
        if budgets:
            from .enrich.budget import Budgets

            ledger = Budgets(tuple(budgets))
        tokenizers = None
        if self.settings.estimate_usage:
            from .enrich.tokenizers import Tokenizers

            tokenizers = Tokenizers(self.settings.tokenizers)
        accounts = Accounts(book, ledger, tokenizers)
        if prices:
            accounts.prepare()
        return accounts

    def _instruments(self, given: MeterProvider | None) -> Instruments | None:
        from . import __version__

        provider = given or _host_meter_provider()
        if provider is None and self._outgoing is not None:
            provider = self._outgoing.meter_provider(self._resource())
        if provider is None:
            return None
        meter = provider.get_meter("genai_otel", __version__)
        if self._outgoing is not None:
            from .destinations.counting import watch

            watch(provider, meter, self._outgoing)
        return Instruments(meter)

    def after_fork(self) -> None:
        """In the child: what the parent has measured, and what it may hold locked, is left alone.

        New meters are made when the child first records something.
        """
        for installation in self.installations:
            installation.forget()
        if self._uploads is not None:
            self._uploads.after_fork()
        if self._outgoing is not None and self._outgoing.after_fork():
            self._measures_anew = True

    def _measure_anew(self) -> None:
        with _LOCK:
            if self._measures_anew and self.recorder is not None:
                self._measures_anew = False
                self.recorder.measure_with(self._instruments(self.arguments["meter_provider"]))

    def _wanted(self, name: str) -> bool:
        if name in self.settings.exclude:
            return False
        return "auto" in self.settings.libraries or name in self.settings.libraries

    # ------------------------------------------------------------------------- in operation

    def flush(self, timeout: float) -> bool:
        OPEN.settle()
        deadline = monotonic() + timeout
        done = self._outgoing is None or bool(contained(self._outgoing.flush, timeout))
        if self._uploads is not None:
            left = max(0.0, deadline - monotonic())
            done = bool(contained(self._uploads.flush, left)) and done
        return done

    def at_root(self, then: Callable[[], None]) -> None:
        """Calls ``then`` whenever a span without a parent in this process has ended."""
        if self._outgoing is not None:
            self._outgoing.at_root(then)

    def _tidy(self) -> None:
        """Ends what was collected since, and what nobody has seen anything of for an hour."""
        OPEN.settle()
        OPEN.expire(perf_counter())
        for installation in self.installations:
            installation.expire(perf_counter())

    def remove(self, libraries: Sequence[str]) -> None:
        for installation in self.installations:
            if not libraries or installation.adapter.name in libraries:
                installation.remove()
        if not libraries:
            _threads.remove()

    def shutdown(self, timeout: float) -> bool:
        """Ends what is open, delivers what is queued, within ``timeout`` seconds in all."""
        self.remove(())
        OPEN.end_all()
        deadline = monotonic() + timeout
        done = self._outgoing is None or bool(contained(self._outgoing.close, timeout))
        if self._uploads is not None:
            if KEEPER.keep == self._uploads.keep:
                KEEPER.keep = None
            left = max(0.0, deadline - monotonic())
            done = bool(contained(self._uploads.close, left)) and done
        for close in self._closers:
            contained(close)
        return done

    def status(self) -> Status:
        from ._status import Status, destination_status, library_status, published_status

        others = [each for each in self.installations if isinstance(each, Published)]
        kept = {each.adapter.name: each for each in self.installations if each not in others}
        pairs = self._outgoing.pairs if self._outgoing is not None else ()
        return Status(
            active=any(each.guard.enabled for each in self.installations),
            provider="the host's" if self._joined else "our own",
            content=self.content.word,
            libraries=(
                *(library_status(e, kept.get(e.name)) for e in catalogue.CATALOGUE),
                *(published_status(each) for each in others),
            ),
            destinations=tuple(destination_status(*pair) for pair in pairs),
            open_streams=len(OPEN),
            faults={**FAULTS.counts, **self._failed_privacy()},
        )

    def _failed_privacy(self) -> dict[str, int]:
        masking = {} if self._gate is None else self._gate.failures
        uploads = {} if self._uploads is None else self._uploads.failures
        return {
            **{f"redaction: {kind}": count for kind, count in masking.items()},
            **{f"upload: {kind}": count for kind, count in uploads.items()},
        }


def _waiting(entry: catalogue.Entry) -> Installation:
    """Its adapter, which is loaded once the library is there."""
    empty = Adapter(entry.name, entry.distribution, oldest="0", untested="")
    later = Later((entry.module, *entry.more), partial(catalogue.load, entry.name))
    return Installation(empty, later)


def _host_provider() -> Any:
    """The TracerProvider that the host has set, or ``None``.

    The API tells only through a proxy and reads the environment at each look; its variable is asked
    instead, and where that is gone, nobody's.
    """
    return getattr(trace, "_TRACER_PROVIDER", None)


def _own_spans(provider: Any, tracer: Any) -> OwnSpans | None:
    """What starts spans where the provider is ours, and so is all that listens to it."""
    from opentelemetry.sdk.trace import Tracer
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from . import __version__
    from .destinations.own_spans import OwnSpans
    from .destinations.seat import seat_on

    if not isinstance(tracer, Tracer):  # the SDK is switched off
        return None
    scope = InstrumentationScope("genai_otel", __version__)
    return OwnSpans(provider, scope, seat_on(provider).take_in)


def _looks_early(provider: Any) -> bool:
    """Whether a provider of ours has a sampler that may look at attributes: none of the SDK's."""
    sampler = getattr(provider, "sampler", None)
    return type(sampler).__module__ != "opentelemetry.sdk.trace.sampling"


def _detected(given: dict[str, str]) -> Any:
    """With what the SDK's detectors find, which it asks on threads."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    try:
        return Resource.create(given)
    except RuntimeError:  # there are none here
        unknown = Resource({"service.name": "unknown_service"})
        return unknown.merge(OTELResourceDetector().detect()).merge(Resource(given))


def _host_meter_provider() -> Any:
    provider = metrics.get_meter_provider()
    return None if type(provider).__module__.startswith("opentelemetry.metrics") else provider


def _said_of_it() -> frozenset[str]:
    """What ``OTEL_RESOURCE_ATTRIBUTES`` sets."""
    from opentelemetry.sdk.resources import OTELResourceDetector

    return frozenset(OTELResourceDetector().detect().attributes)
