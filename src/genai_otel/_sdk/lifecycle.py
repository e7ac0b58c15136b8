"""Set up, flush and shut down the SDK; a process has one ``Runtime``."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from genai_otel._settings import Settings, environment, naming_the_variable, one_of, switched_off
from genai_otel._support import background, locks
from genai_otel._support.errors import FAULTS, MANUAL_GUARD, contained
from genai_otel._support.notices import NOTICES
from genai_otel.adapters import catalogue
from genai_otel.instrumentation import entry_points
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.privacy import custom_functions
from genai_otel.recorder import ACTIVE
from genai_otel.recorder.errors import call_str
from genai_otel.tracing.providers import sdk_is_usable

from . import environment as _variables
from . import spawn_hint, validation
from .exit import EXIT_HANDLERS
from .runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from genai_otel.budgets.budget import Budget
    from genai_otel.export.destination import Destination
    from genai_otel.pricing.book import PriceBook, Source
    from genai_otel.privacy import ContentPolicy

    from .status import Status

    To: TypeAlias = str | Destination | SpanExporter

logger = logging.getLogger("genai_otel")

_LOCK = locks.reentrant()
_FOREIGN = "genai-otel-instrument"
_FORK_WAITS = 0.25  # seconds for which a fork waits for one of our threads

_RUNTIME: Runtime | None = None
_CALLED: spawn_hint.Place | None = None
# Child processes are set up by the launcher of this one, such as `genai-otel run`.
_INHERITED = False


# ------------------------------------------------------------------------------ public API


def instrument(
    *,
    service_name: str | None = None,
    environment: str | None = None,
    destinations: To | Sequence[To] | None = None,
    content: str | ContentPolicy | None = None,
    libraries: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    prices: PriceBook | Source | Sequence[Source] | None = None,
    budgets: Sequence[Budget] = (),
    settings: Settings | None = None,
    force: bool = False,
) -> None:
    """Record every call of every supported library, whether imported before or after.

    ``destinations``: one or a list of ``"local"``, ``"otlp"``, ``"console"``, another preset's
    name, a ``Destination`` or an SDK exporter; an empty list exports nowhere. By default telemetry
    goes to ``OTEL_EXPORTER_OTLP_ENDPOINT`` if that is set, else to the local store; if the program
    has a TracerProvider, to that one only.

    ``content``: ``"redacted"`` (default), ``"none"``, ``"full"`` or a ``ContentPolicy``; see
    docs/privacy.md. ``prices`` override the bundled price table: a dict, a file, a function, a
    ``PriceBook``, or ``"off"``; see docs/cost.md. ``budgets`` warn or refuse calls.

    The first call decides. A later call, by any library, can only make ``content`` stricter; its
    other arguments are ignored, with one warning. ``force=True`` sets up again with new arguments,
    as does a call after ``shutdown()`` or after ``uninstrument()`` of all libraries. Under
    ``genai-otel run`` and ``opentelemetry-instrument``, the program's own call is still the first.

    Raises ``ValueError`` on an unknown destination, library, content mode or price.
    """
    global _CALLED  # noqa: PLW0603 - as the runtime
    if switched_off():
        return
    _CALLED = None if _INHERITED else spawn_hint.calling_line()
    _set_up(
        {
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
        },
        force=force,
    )


def instrument_implicitly(**given: Any) -> None:
    """Set up for a program that has not called ``instrument()``, and still may."""
    global _INHERITED  # noqa: PLW0603 - as the runtime
    _INHERITED = True
    if not switched_off():
        defaults: dict[str, Any] = instrument.__kwdefaults__ or {}
        arguments = {name: value for name, value in defaults.items() if name != "force"}
        _set_up({**arguments, **given}, implicit=True)


def _set_up(arguments: dict[str, Any], *, force: bool = False, implicit: bool = False) -> None:
    """Set up; arguments that are refused leave the previous set-up running."""
    with _LOCK:
        running = _RUNTIME
        if running is not None and (implicit or running.arguments == arguments):
            running.implicit = running.implicit and implicit
            running.install()
            return
        validation.check(arguments)
        chosen = _settle(arguments)
        if chosen.disabled:
            return
        if running is not None and running.installed and not (force or running.implicit):
            from .second_call import restrict

            restrict(running, chosen, arguments)
            return
        NOTICES.clear()
        for text in _variables.mistakes(environment()):
            NOTICES.add(text)
        if not sdk_is_usable():
            return
        runtime = Runtime(chosen, arguments)
        runtime.choose()  # raises while what was set up before still runs
        runtime.implicit = implicit
        shutdown()
        FAULTS.strict = chosen.strict
        call_str(chosen.exception_str)
        _begin(runtime)


def _begin(runtime: Runtime) -> None:
    global _RUNTIME
    _once_per_process()
    MANUAL_GUARD.reset()
    try:
        runtime.start()
    except Exception:
        runtime.shutdown(1.0)
        raise
    _RUNTIME, ACTIVE.recorder = runtime, runtime.recorder
    if runtime.settings.handle_sigterm:
        EXIT_HANDLERS.take_sigterm()
    if runtime.settings.serverless and not EXIT_HANDLERS.after_each_event():
        runtime.on_root_end(EXIT_HANDLERS.now)


def uninstrument(*libraries: str) -> None:
    """Restore the original functions of the named libraries, or of all.

    Our wrappers below those of other tools stay, and become inert. Raises ``ValueError`` on a name
    that is not a supported library.
    """
    for name in libraries:
        _check_library(name)
    with _LOCK:
        if _RUNTIME is not None:
            _RUNTIME.remove(libraries)


def flush(timeout: float = 5.0) -> bool:
    """Export what is queued; return whether all of it arrived within ``timeout`` seconds."""
    seconds = validation.seconds("flush", timeout)
    runtime = _RUNTIME
    return True if runtime is None else runtime.flush(seconds)


def shutdown(timeout: float = 2.0) -> bool:
    """Uninstrument, export what is queued and stop.

    Return whether all of it arrived within ``timeout`` seconds.
    """
    return EXIT_HANDLERS.delivering(_shut_down, validation.seconds("shutdown", timeout))


def _shut_down(timeout: float) -> bool:
    global _RUNTIME
    with _LOCK:
        runtime, _RUNTIME, ACTIVE.recorder = _RUNTIME, None, None
    return True if runtime is None else runtime.shutdown(timeout)


def status() -> Status:
    """Return what is active, skipped and dropped in this process, and why."""
    if _RUNTIME is not None:
        return _RUNTIME.status()
    from .status import Status, library_status

    libraries = tuple(library_status(entry, None) for entry in catalogue.CATALOGUE)
    return Status(
        active=False,
        provider="none",
        content="none",
        libraries=libraries,
        destinations=(),
        open_streams=0,
        internal_errors=dict(FAULTS.counts),
        prices="off",
        notices=NOTICES.texts,
    )


# ---------------------------------------------------------------------------------- private


def _end(timeout: float) -> bool:
    """End with the process.

    Background threads are waited for: one that is stopped during a garbage collection would keep
    the host's finalizers from being called.
    """
    began = monotonic()
    contained(spawn_hint.hint, _CALLED)
    done = shutdown(timeout)
    background.finish(max(0.0, began + timeout - monotonic()))
    return done


def _awaited() -> bool:
    from genai_otel.export.pipeline.handover import have_live_children

    return _RUNTIME is not None and have_live_children()


def _settle(arguments: dict[str, Any]) -> Settings:
    """Merge arguments over settings over environment; raise ``ValueError`` on unknown libraries."""
    chosen = arguments["settings"] or Settings.from_environment()
    given: dict[str, Any] = {
        name: arguments[name]
        for name in ("service_name", "environment", "content")
        if arguments[name] is not None and (arguments[name] != "" or name == "content")
    }
    for name in ("libraries", "exclude"):
        value = arguments[name]
        if value is not None:
            given[name] = (value,) if isinstance(value, str) else tuple(value)
    chosen = replace(chosen, **given)
    for setting in ("libraries", "exclude"):
        names = getattr(chosen, setting)
        with naming_the_variable(setting, names):
            for name in names:
                if name != "auto":
                    _check_library(name, "auto")
    return chosen


def _check_library(name: str, *more: str) -> None:
    """Look for adapters of other distributions only if the name is not in the catalogue."""
    if name not in catalogue.NAMES:
        one_of("library", name, (*catalogue.NAMES, *entry_points.discover(), *more))


_prepared = False


def _once_per_process() -> None:
    global _prepared  # noqa: PLW0603 - hooks of the process, which cannot be taken back
    if _prepared:
        return
    _prepared = True
    _warn_of_foreign_files()
    EXIT_HANDLERS.register(end=_end, flush=flush, awaited=_awaited)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child
        )


def _before_fork() -> None:
    """Finish background work and end idle threads of ours, so that a fork finds neither."""
    background.finish()
    custom_functions.rest(monotonic() + _FORK_WAITS)
    if _RUNTIME is not None:
        _RUNTIME.before_fork(monotonic() + _FORK_WAITS)
    EXIT_HANDLERS.before_fork()


def _after_fork() -> None:
    EXIT_HANDLERS.after_fork(child=False)


def _in_child() -> None:
    """Keep the set-up in a forked child; drop what the parent has in progress."""
    EXIT_HANDLERS.after_fork(child=True)
    locks.reopen()
    OPEN.clear()
    EXIT_HANDLERS.in_child()
    if _RUNTIME is not None:
        _RUNTIME.after_fork()


def foreign_distribution() -> str | None:
    """Return the version of another distribution with our import name, if it is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_FOREIGN)
    except PackageNotFoundError:
        return None


def _warn_of_foreign_files() -> None:
    version = foreign_distribution()
    if version is not None:
        logger.warning(
            "genai_otel: %s %s is also installed and has the same import name; uninstall it, then"
            " reinstall genai-otel",
            _FOREIGN,
            version,
        )
