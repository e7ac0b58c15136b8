"""The OTLP configuration of a ``Destination``, from its preset, options and the environment.

Missing or wrong values raise here, before anything is recorded.
"""

from __future__ import annotations

import base64
import string
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._settings import one_of, variable
from genai_otel.export import otel_environment
from genai_otel.export.dialects import load

from .endpoints import check_endpoint, check_header, without_secrets
from .presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.destination import Destination
    from genai_otel.export.protocol import RequestLimits

    from .presets import Header, Preset, Route

    Project = Callable[[ReadableSpan], ReadableSpan]
    LogRecords = Callable[[ReadableSpan], Sequence[Any]]
    # Method, URL, headers and body to all headers to send.
    Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]

# ``http`` is short for ``http/protobuf``.
PROTOCOLS = ("http", "http/protobuf", "http/json", "grpc")
TRACE_FORMS = ("w3c", "xray")


class Endpoint(NamedTuple):
    """Where one signal goes, with headers and signature for this URL and no other."""

    url: str
    headers: Mapping[str, str]
    sign: Sign | None = None

    def __repr__(self) -> str:
        """Without headers, which may be secret."""
        return f"Endpoint({without_secrets(self.url)!r})"


class OtlpConfig(NamedTuple):
    """How to send to one destination."""

    name: str
    endpoints: Mapping[str, Endpoint]
    limits: RequestLimits
    protocol: str = "http/protobuf"
    compression: str = "gzip"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    project: Project | None = None
    log_records: LogRecords | None = None
    temporality: str = "cumulative"
    exponential_histograms: bool = False
    ids: str = "w3c"
    propagation: str = "w3c"
    genai_only: bool = False

    @property
    def shown_endpoint(self) -> str:
        """Its first endpoint, without secrets."""
        return without_secrets(next(iter(self.endpoints.values())).url)

    def __repr__(self) -> str:
        """Without secrets, and without the files that hold them."""
        return f"OtlpConfig({self.name!r}, {self.shown_endpoint!r})"


def otlp_config(destination: Destination) -> OtlpConfig:
    """Raise ``ValueError`` on missing values, and if a dialect or signer cannot be loaded."""
    preset = PRESETS[destination.preset]
    values = _option_values(preset, destination)
    signals = [
        signal
        for signal in preset.routes
        if not destination.signals or signal in destination.signals
    ]
    from_environment = otel_environment.is_standard(destination)
    if from_environment:
        values = _with_environment(signals[0], destination, values)
    endpoints = {
        signal: _endpoint(preset, signal, destination, values, from_environment=from_environment)
        for signal in signals
    }
    protocol = values.get("protocol") or preset.protocol
    one_of("protocol", protocol, PROTOCOLS)
    one_of("compression", values["compression"], ("gzip", "none"))
    for name in ("ids", "propagation"):
        one_of(name, values.get(name, "w3c"), TRACE_FORMS)
    dialect = None if preset.dialect is None else load(preset.dialect)
    return OtlpConfig(
        name=preset.name,
        endpoints=endpoints,
        protocol="http/protobuf" if protocol == "http" else protocol,
        limits=_limits(preset.limits, values),
        compression=values["compression"],
        certificate=values.get("certificate"),
        client_certificate=values.get("client_certificate"),
        client_key=values.get("client_key"),
        project=dialect.project if dialect is not None else None,
        log_records=dialect.log_records if dialect is not None and "logs" in signals else None,
        temporality=(from_environment and otel_environment.temporality()) or preset.temporality,
        exponential_histograms=from_environment and otel_environment.exponential_histograms(),
        ids=values.get("ids", "w3c"),
        propagation=values.get("propagation", "w3c"),
        genai_only=preset.genai_only and destination.filter is None,
    )


# ------------------------------------------------------------------------------------- options


def _option_values(preset: Preset, destination: Destination) -> dict[str, str]:
    """Options with a value: given in code, else by a variable, else the preset's default."""
    options = dict(destination.options or {})
    accepted = {option.name: option for option in preset.all_options()}
    for name in options:
        one_of("option", name, accepted, f"of destination {preset.name!r}")
    if destination.endpoint is not None:
        options["endpoint"] = destination.endpoint
    values: dict[str, str] = {}
    for name, option in accepted.items():
        value = options.get(name) or variable(*option.variables)
        if value is None and option.default is not None:
            value = _fill(option.default, values)
        if value is not None:
            values[name] = str(value)
    _check_required(preset, destination, values)
    return values


def _with_environment(
    signal: str, destination: Destination, values: Mapping[str, str]
) -> dict[str, str]:
    """With the standard variables of a signal; options given in code win."""
    transport = otel_environment.transport(signal)._asdict()
    transport = {name: value for name, value in transport.items() if value is not None}
    found = {**values, **transport, **{k: str(v) for k, v in (destination.options or {}).items()}}
    if found["protocol"] == "grpc" and "endpoint" not in (destination.options or {}):
        found["endpoint"] = "http://localhost:4317"  # unless a variable says otherwise
    return found


def _check_required(preset: Preset, destination: Destination, values: Mapping[str, str]) -> None:
    replaced = {name.lower() for name in destination.headers or {}}
    for option in preset.all_options():
        if not option.required or option.name in values:
            continue
        users = [
            header for header in preset.headers if option.name in _placeholders(header.template)
        ]
        if users and all(header.name.lower() in replaced for header in users):
            continue  # the header that would carry it is given in code
        if option.name == "region" and destination.endpoint is not None and preset.signer is None:
            continue
        hint = f"set {' or '.join(option.variables)}, or " if option.variables else ""
        hint += f"pass {_example(preset, option.name)}"
        raise ValueError(f"destination {preset.name!r} requires {option.name}: {hint}")


def _example(preset: Preset, option: str) -> str:
    if option == "endpoint":
        return f'Destination("{preset.name}", endpoint=...)'
    return f'Destination("{preset.name}", options={{"{option}": ...}})'


def _placeholders(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


def _fill(template: str, values: Mapping[str, str]) -> str | None:
    """The template with its values; ``None`` if one is missing."""
    if any(name not in values for name in _placeholders(template)):
        return None
    return template.format_map(values)


def _limits(limits: RequestLimits, values: Mapping[str, str]) -> RequestLimits:
    given = values.get("timeout")
    if given is None:
        return limits
    try:
        timeout = float(given)
    except ValueError:
        timeout = 0.0
    if not 0 < timeout <= 3600:  # noqa: PLR2004 - an hour
        raise ValueError(f"timeout {given!r} is not a number of seconds up to 3600")
    return limits._replace(timeout=timeout)


# ----------------------------------------------------------------------------------- endpoints


def _endpoint(
    preset: Preset,
    signal: str,
    destination: Destination,
    values: Mapping[str, str],
    *,
    from_environment: bool,
) -> Endpoint:
    route = preset.routes[signal]
    url = (from_environment and otel_environment.endpoint(signal)) or _url(
        route, destination, values
    )
    check_endpoint(url, insecure=destination.insecure or from_environment)
    headers: dict[str, str] = {}
    for header in (*preset.headers, *route.headers):
        value = _header(header, values)
        if value is not None:
            headers[header.name] = value
    if from_environment:
        headers |= otel_environment.headers(signal)
    headers = _merge_headers(headers, destination.headers or {})
    _check_headers(headers)
    sign = _signer(preset, route, values) if preset.signer else None
    return Endpoint(url, headers, sign)


def _url(route: Route, destination: Destination, values: Mapping[str, str]) -> str:
    base = destination.endpoint or _fill(route.base, values) or ""
    base = base.rstrip("/")
    return base if base.endswith(route.path) else base + route.path


def _header(header: Header, values: Mapping[str, str]) -> str | None:
    value = _fill(header.template, values)
    if value is not None and header.basic:
        return "Basic " + base64.b64encode(value.encode()).decode("ascii")
    return value


def _merge_headers(headers: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Headers given in code win, in upper or lower case."""
    overridden = {name.lower() for name in given}
    kept = {name: value for name, value in headers.items() if name.lower() not in overridden}
    return kept | {str(name): str(value) for name, value in given.items()}


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        check_header(name, value)


def _signer(preset: Preset, route: Route, values: Mapping[str, str]) -> Sign:
    try:
        module = import_module(f"{__package__}.{preset.signer}")
        sign: Sign = module.signer(route.service, values)
    except ImportError as error:
        how = 'pip install "genai-otel[aws]"'
        raise ValueError(
            f"destination {preset.name!r} requires the package {error.name}: {how}"
        ) from error
    return sign
