"""Setting up and taking down: wires one Runtime, joins or builds providers."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from . import _threads
from ._settings import Settings, one_of, switched_off
from .adapters import catalogue
from .engine.imports import Installation
from .engine.observe import OPEN
from .engine.safety import BY_HAND, FAULTS, contained
from .recorder import Accounts, Instruments, Ledgers, Recorder, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from .destinations.destination import Outlet
    from .enrich.budget import Budget

logger = logging.getLogger("genai_otel")

_LOCK = threading.RLock()
_FOREIGN = "genai-otel-instrument"


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """One library: ``state`` is active, waiting (not imported yet), skipped, broken or excluded."""

    name: str
    distribution: str
    version: str | None
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination: where it is, whether content goes there, what was written and dropped."""

    name: str
    where: str
    content: str
    written: int | None = None
    dropped: dict[str, int] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that can be told about this process."""

    active: bool
    provider: str
    content: str
    libraries: tuple[LibraryStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    open_streams: int
    faults: dict[str, int]


class Runtime:
    """What one ``instrument()`` set up."""

    def __init__(self, settings: Settings, arguments: dict[str, Any]) -> None:
        self.settings, self.arguments = settings, arguments
        self.installations: list[Installation] = []
        self.outlets: list[Outlet] = []
        self.content = False
        self._joined = False
        self._flushers: list[Any] = []
        self._closers: list[Callable[[], Any]] = []
        self._host: Any = None
        self._source: Source | None = None
        self._recorder: Recorder | None = None

    # ------------------------------------------------------------------------- setting up

    def choose(self) -> None:
        """Where telemetry goes; raises ``ValueError`` on what is not accepted."""
        host = self.arguments["tracer_provider"] or _host_provider()
        self._joined = host is not None
        self.outlets = self._make_outlets(self.arguments["destinations"])
        self.content = self._wants_content()

    def start(self) -> None:
        """Providers first, then libraries: nothing is recorded halfway."""
        given = self.arguments
        host = given["tracer_provider"] or _host_provider()
        self._take_tracer(host if host is not None else self._own_provider())
        instruments = self._instruments(given["meter_provider"])
        ledgers = Ledgers(instruments, self._accounts())
        recorder = Recorder(self._current_source, ledgers, content=self.content)
        self._recorder = recorder
        for entry in catalogue.CATALOGUE:
            if self._wanted(entry.name):
                installation = Installation(catalogue.load(entry.name))
                self.installations.append(installation)
                installation.install(recorder, self.settings.request_stream_usage)
        if self.settings.thread_context == "threads":
            _threads.install()
        _RECORDERS.append(recorder)

    def _make_outlets(self, given: Any) -> list[Outlet]:
        from .destinations.destination import outlet

        content = self.settings.content or ("none" if self._joined else None)
        chosen = self._chosen(given)
        return [outlet(each, content=content, directory=self.settings.directory) for each in chosen]

    def _chosen(self, given: Any) -> Sequence[Any]:
        if given is None:
            given = self.settings.destinations
        if given:
            return list(given) if isinstance(given, list | tuple) else [given]
        if self._joined:  # only what was asked for is added to somebody else's provider
            return []
        return ["otlp"] if self.settings.otlp_in_environment else ["local"]

    def _wants_content(self) -> bool:
        if self._joined:
            return self.settings.content == "full" or any(o.content for o in self.outlets)
        return any(outlet.content for outlet in self.outlets)

    def _own_provider(self) -> Any:
        """A provider of ours, which is not made the process's: that place is the host's."""
        from opentelemetry.sdk.trace import TracerProvider

        from .destinations.ids import OsEntropyIds

        provider = TracerProvider(
            resource=_resource(self.settings), id_generator=OsEntropyIds(), shutdown_on_exit=False
        )
        self._closers.append(provider.shutdown)
        return provider

    def _take_tracer(self, provider: Any) -> None:
        """Uses ``provider`` from now on, with our destinations behind it."""
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from .destinations.destination import Projection
        from .destinations.seat import seat_on

        self._host = _host_provider()
        if not hasattr(provider, "add_span_processor"):
            if self.outlets:
                logger.warning("genai_otel: the tracer provider takes no destinations of ours")
        elif self.outlets:
            projections = [Projection(each, recorded=self.content) for each in self.outlets]
            processors = [BatchSpanProcessor(each) for each in projections]
            seat = seat_on(provider)
            seat.take(processors)
            self._flushers.extend(processors)
            self._closers.extend(each.shutdown for each in processors)
            self._closers.append(partial(seat.leave, processors))
        from . import __version__

        tracer = provider.get_tracer("genai_otel", __version__)
        self._source = Source(tracer, early=self._joined or _looks_early(provider))

    def _current_source(self) -> Source:
        """Where spans come from; somewhere else if the host has set its provider since."""
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
        if self.content and not self._asked_for_content():
            self.content = False
            if self._recorder is not None:
                self._recorder.leave_content_out()
            logger.warning(
                "genai_otel: the process has a tracer provider now; content, which would go there"
                " too, is not recorded any more unless content='full' is asked for"
            )
        self._take_tracer(host)

    def _asked_for_content(self) -> bool:
        given = self._chosen(self.arguments["destinations"])
        return self.settings.content == "full" or any(
            getattr(each, "content", None) == "full" for each in given
        )

    def _accounts(self) -> Accounts:
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
        accounts = Accounts(book, ledger, estimate=self.settings.estimate_usage)
        if prices:
            accounts.prepare()
        return accounts

    def _instruments(self, given: MeterProvider | None) -> Instruments | None:
        from . import __version__

        provider = given or _host_meter_provider() or self._own_meter_provider()
        if provider is None:
            return None
        return Instruments(provider.get_meter("genai_otel", __version__))

    def _own_meter_provider(self) -> Any:
        exporters = [outlet.metrics for outlet in self.outlets if outlet.metrics is not None]
        if not exporters:
            return None
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers = [PeriodicExportingMetricReader(exporter) for exporter in exporters]
        provider = MeterProvider(
            metric_readers=readers, resource=_resource(self.settings), shutdown_on_exit=False
        )
        self._flushers.append(provider)
        self._closers.append(provider.shutdown)
        return provider

    def _wanted(self, name: str) -> bool:
        if name in self.settings.exclude:
            return False
        return "auto" in self.settings.libraries or name in self.settings.libraries

    # ------------------------------------------------------------------------- in operation

    def flush(self, timeout: float) -> bool:
        OPEN.settle()
        done = [contained(each.force_flush, int(timeout * 1000)) for each in self._flushers]
        return all(done)

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
        closing = threading.Thread(target=self._close, name="genai-otel-shutdown", daemon=True)
        try:
            closing.start()
        except RuntimeError:  # the interpreter is ending: no thread can be started any more
            self._close()
            return True
        closing.join(timeout)
        return not closing.is_alive()

    def _close(self) -> None:
        for close in reversed(self._closers):
            contained(close)

    def status(self) -> Status:
        kept = {each.adapter.name: each for each in self.installations}
        return Status(
            active=any(each.guard.enabled for each in self.installations),
            provider="the host's" if self._joined else "our own",
            content="full" if self.content else "none",
            libraries=tuple(_library_status(e, kept.get(e.name)) for e in catalogue.CATALOGUE),
            destinations=tuple(_destination_status(each) for each in self.outlets),
            open_streams=len(OPEN),
            faults=dict(FAULTS.counts),
        )


_RUNTIME: Runtime | None = None
_RECORDERS: list[Recorder] = []


# --------------------------------------------------------------------------- what users call


def instrument(
    *,
    service_name: str | None = None,
    environment: str | None = None,
    destinations: Any = None,
    content: str | None = None,
    libraries: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    prices: Any = None,
    budgets: Sequence[Budget] = (),
    settings: Settings | None = None,
) -> None:
    """Records every call of every supported library, imported already or later.

    Without ``destinations`` telemetry goes to ``OTEL_EXPORTER_OTLP_ENDPOINT`` if that is set, else
    to the local store; where the host has a TracerProvider, to that and nowhere else. A destination
    is ``"local"``, ``"otlp"``, ``"console"``, a ``Destination``, an SDK exporter, or a list.
    ``content`` is ``"full"`` or ``"none"``. ``prices`` go before the bundled ones: a dict, a file,
    a function, a ``PriceBook``, or ``"off"``; see docs/cost.md. ``budgets`` warn, or stop calls.
    Called again with the same arguments it does nothing, with others it sets up anew.

    Raises ``ValueError`` on a destination, library, content mode or price that it does not know.
    """
    arguments = {
        "service_name": service_name,
        "environment": environment,
        "destinations": destinations,
        "content": content,
        "libraries": libraries,
        "exclude": exclude,
        "tracer_provider": tracer_provider,
        "meter_provider": meter_provider,
        "prices": prices,
        "budgets": budgets,
        "settings": settings,
    }
    if switched_off():
        return
    with _LOCK:
        if _RUNTIME is not None and _RUNTIME.arguments == arguments:
            _reinstall(_RUNTIME)
            return
        chosen = _settle(arguments)
        if chosen.disabled:
            return
        runtime = Runtime(chosen, arguments)
        runtime.choose()  # raises while what was set up before still runs
        shutdown()
        FAULTS.strict = chosen.strict
        _begin(runtime)


def _begin(runtime: Runtime) -> None:
    global _RUNTIME  # noqa: PLW0603 - there is one runtime in a process
    _once_per_process()
    BY_HAND.reset()
    try:
        runtime.start()
    except Exception:
        runtime.shutdown(1.0)
        raise
    _RUNTIME = runtime


def _reinstall(runtime: Runtime) -> None:
    """``instrument()`` after ``uninstrument()``: the libraries come back, nothing else changes."""
    for installation in runtime.installations:
        if not installation.guard.enabled and not installation.guard.broken:
            installation.install(_RECORDERS[-1], runtime.settings.request_stream_usage)
    if runtime.settings.thread_context == "threads":
        _threads.install()


def uninstrument(*libraries: str) -> None:
    """Puts the very originals back, of the named libraries or of all.

    What others have wrapped over ours stays and becomes inert. Raises ``ValueError`` on a name that
    is no supported library.
    """
    for name in libraries:
        one_of("library", name, catalogue.NAMES)
    with _LOCK:
        if _RUNTIME is not None:
            _RUNTIME.remove(libraries)


def flush(timeout: float = 5.0) -> bool:
    """Delivers what is queued; whether all of it was, within ``timeout`` seconds."""
    runtime = _RUNTIME
    return True if runtime is None else runtime.flush(timeout)


def shutdown(timeout: float = 2.0) -> bool:
    """Uninstruments, delivers what is queued and stops; whether that took at most ``timeout``."""
    global _RUNTIME
    with _LOCK:
        runtime, _RUNTIME = _RUNTIME, None
        _RECORDERS.clear()
    return True if runtime is None else runtime.shutdown(timeout)


def status() -> Status:
    """What is active, skipped and dropped in this process, and why."""
    if _RUNTIME is not None:
        return _RUNTIME.status()
    libraries = tuple(_library_status(entry, None) for entry in catalogue.CATALOGUE)
    return Status(
        active=False,
        provider="none",
        content="none",
        libraries=libraries,
        destinations=(),
        open_streams=0,
        faults=dict(FAULTS.counts),
    )


def active_recorder() -> Recorder | None:
    """The recorder that operations made by hand go to; ``None`` when nothing is set up."""
    return _RECORDERS[-1] if _RECORDERS else None


# ------------------------------------------------------------------------------------ pieces


def _settle(arguments: dict[str, Any]) -> Settings:
    """Arguments over settings over environment; complains of what is not accepted."""
    chosen = arguments["settings"] or Settings.from_environment()
    given: dict[str, Any] = {
        name: arguments[name]
        for name in ("service_name", "environment", "content")
        if arguments[name] is not None
    }
    for name in ("libraries", "exclude"):
        value = arguments[name]
        if value is not None:
            given[name] = (value,) if isinstance(value, str) else tuple(value)
    chosen = replace(chosen, **given)
    for name in (*chosen.libraries, *chosen.exclude):
        if name != "auto":
            one_of("library", name, (*catalogue.NAMES, "auto"))
    return chosen


_prepared = False


def _once_per_process() -> None:
    global _prepared  # noqa: PLW0603 - hooks of the process, which cannot be taken back
    if _prepared:
        return
    _prepared = True
    _warn_of_foreign_files()
    atexit.register(shutdown)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=OPEN.forget)


def foreign_distribution() -> str | None:
    """The version of another distribution with our import name, if it is installed beside us."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_FOREIGN)
    except PackageNotFoundError:
        return None


def _warn_of_foreign_files() -> None:
    version = foreign_distribution()
    if version is not None:
        logger.warning(
            "genai_otel: %s %s is installed too and ships the same import name; uninstall it, then"
            " reinstall genai-otel",
            _FOREIGN,
            version,
        )


def _host_provider() -> Any:
    """The TracerProvider that the host has set, or ``None``.

    The API tells only through a proxy and reads the environment at each look; its variable is asked
    instead, and where that is gone, nobody's.
    """
    return getattr(trace, "_TRACER_PROVIDER", None)


def _looks_early(provider: Any) -> bool:
    """Whether a provider of ours has a sampler that may look at attributes: none of the SDK's."""
    sampler = getattr(provider, "sampler", None)
    return type(sampler).__module__ != "opentelemetry.sdk.trace.sampling"


def _host_meter_provider() -> Any:
    provider = metrics.get_meter_provider()
    return None if type(provider).__module__.startswith("opentelemetry.metrics") else provider


def _resource(settings: Settings) -> Any:
    from opentelemetry.sdk.resources import Resource

    given = {
        "service.name": settings.service_name,
        "deployment.environment.name": settings.environment,
    }
    return Resource.create({key: value for key, value in given.items() if value is not None})


def _library_status(entry: Any, installation: Installation | None) -> LibraryStatus:
    if installation is None:
        return LibraryStatus(entry.name, entry.distribution, None, "excluded", "")
    return LibraryStatus(
        entry.name, entry.distribution, installation.version, installation.state, installation.note
    )


def _destination_status(outlet: Outlet) -> DestinationStatus:
    content = "full" if outlet.content else "none"
    if outlet.store is None:
        return DestinationStatus(outlet.name, outlet.where, content)
    counters = outlet.store.counters()["traces"]
    return DestinationStatus(
        outlet.name,
        outlet.where,
        content,
        counters.written,
        dict(counters.dropped),
        outlet.store.problem,
    )
