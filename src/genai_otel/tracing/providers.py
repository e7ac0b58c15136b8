"""OpenTelemetry providers: the host's, and our own if it has none."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from genai_otel._settings import variable
from genai_otel._support.notices import NOTICES
from genai_otel.privacy import exportable
from genai_otel.recorder import Source

if TYPE_CHECKING:
    from genai_otel._settings import Settings
    from genai_otel.privacy import AttributeFilter

    from .fast_span import OwnTracer


def host_tracer_provider() -> Any:
    """The TracerProvider that the host has set, or ``None``.

    The API returns it only through a proxy, and reads the environment each time; so its variable is
    read instead.
    """
    return getattr(trace, "_TRACER_PROVIDER", None)


def host_meter_provider() -> Any:
    """The MeterProvider that the host has set, or ``None``.

    The API loads the one that ``OTEL_PYTHON_METER_PROVIDER`` names, and raises if there is none.
    """
    try:
        provider = metrics.get_meter_provider()
    except Exception as error:  # noqa: BLE001 - whatever is behind an entry point
        NOTICES.add(f"OTEL_PYTHON_METER_PROVIDER is ignored: {type(error).__name__}")
        return None
    return None if type(provider).__module__.startswith("opentelemetry.metrics") else provider


def make_tracer_provider(resource: Any, ids: str) -> Any:
    """A provider of our own. It is not set globally: that is left to the host."""
    from opentelemetry.sdk.trace import TracerProvider

    from .ids import OsEntropyIds

    generator = OsEntropyIds()
    if ids == "xray":
        from .xray import XRayIds

        generator = XRayIds()
    extra: dict[str, Any] = {}
    if "meter_provider" in (TracerProvider.__init__.__kwdefaults__ or ()):
        extra["meter_provider"] = metrics.NoOpMeterProvider()  # for the SDK's metrics about itself
    return TracerProvider(
        resource=resource,
        id_generator=generator,
        span_limits=_span_limits(),
        shutdown_on_exit=False,
        **extra,
    )


# Variables and defaults of the specification.
_LIMITS = {
    "max_attributes": ("OTEL_ATTRIBUTE_COUNT_LIMIT", None),
    "max_attribute_length": ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", None),
    "max_span_attributes": ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 128),
    "max_span_attribute_length": ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", None),
    "max_event_attributes": ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128),
    "max_link_attributes": ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128),
    "max_events": ("OTEL_SPAN_EVENT_COUNT_LIMIT", 128),
    "max_links": ("OTEL_SPAN_LINK_COUNT_LIMIT", 128),
}


def _span_limits() -> Any:
    """The limits of the environment; the SDK itself raises on one that is no number."""
    from opentelemetry.sdk.trace import SpanLimits

    defaults = {
        name: SpanLimits.UNSET if default is None else default
        for name, (variable, default) in _LIMITS.items()
        if not _is_limit(variable)
    }
    return SpanLimits(**defaults)


def _is_limit(name: str) -> bool:
    value = variable(name) or "0"
    if not value.isdecimal():
        NOTICES.add(f"{name}={value} is ignored: it is not a number")
    return value.isdecimal()


def sdk_is_usable() -> bool:
    """Whether the SDK can be imported: it raises on invalid environment variables."""
    try:
        import_module("opentelemetry.sdk.trace")
    except ValueError as error:
        NOTICES.add(f"nothing is recorded: the OpenTelemetry SDK cannot be imported: {error}")
        return False
    return True


def source(provider: Any, *, joined: bool) -> Source:
    """The source of spans; ``joined``: the provider is the host's, so they are the SDK's spans."""
    from genai_otel._version import __version__

    tracer = provider.get_tracer("genai_otel", __version__)
    own = None if joined else _own_tracer(provider, tracer)
    if own is None:
        return Source(
            tracer.start_span, joined or _sampler_reads_attributes(provider), lambda _: None
        )
    return Source(own.start_span, _sampler_reads_attributes(provider), own.dropped)


def _own_tracer(provider: Any, tracer: Any) -> OwnTracer | None:
    """A tracer for fast spans, if only our span processors are on the provider."""
    from opentelemetry.sdk.trace import Tracer
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from genai_otel._version import __version__
    from genai_otel.export.pipeline.span_processor import processor_on

    from .fast_span import OwnTracer

    if not isinstance(tracer, Tracer):  # the SDK is disabled
        return None
    scope = InstrumentationScope("genai_otel", __version__)
    return OwnTracer(provider, scope, processor_on(provider).dispatch, _span_limits())


def _sampler_reads_attributes(provider: Any) -> bool:
    """Whether the provider's sampler may read attributes: none of the SDK's does."""
    sampler = getattr(provider, "sampler", None)
    return type(sampler).__module__ != "opentelemetry.sdk.trace.sampling"


# ------------------------------------------------------------------------------ the resource


def resource(settings: Settings, attribute_filter: AttributeFilter) -> Any:
    """The resource: configured attributes, and some that the SDK's detectors find."""
    from opentelemetry.sdk.resources import Resource

    given = {
        "service.name": settings.service_name,
        "deployment.environment.name": settings.environment,
    }
    found = _detect({key: value for key, value in given.items() if value is not None})
    kept = exportable(
        found.attributes, declared_resource_attributes(), settings.resource_attributes
    )
    return Resource(dict(attribute_filter.filter(kept)), found.schema_url)


def _detect(given: dict[str, str]) -> Any:
    """The attributes, and those of the SDK's detectors, which use threads."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    try:
        return Resource.create(given)
    except RuntimeError:  # no thread can be started
        unknown = Resource({"service.name": "unknown_service"})
        return unknown.merge(OTELResourceDetector().detect()).merge(Resource(given))


def declared_resource_attributes() -> frozenset[str]:
    """Names of attributes that ``OTEL_RESOURCE_ATTRIBUTES`` sets."""
    from opentelemetry.sdk.resources import OTELResourceDetector

    return frozenset(OTELResourceDetector().detect().attributes)
