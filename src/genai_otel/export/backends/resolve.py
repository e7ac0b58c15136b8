"""A ``Destination`` and its row, filled in: the addresses that are sent to, and with what headers.

What is missing or wrong is said here, before anything is recorded.
"""

from __future__ import annotations

import base64
import string
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._settings import one_of, variable
from genai_otel.export import otel_environment
from genai_otel.export.dialects import load

from .endpoints import check_endpoint, check_header, shown
from .presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from genai_otel.export.destination import Destination
    from genai_otel.export.pipeline.batching import RequestLimits

    from .presets import Header, Preset, Route

    Project = Callable[[ReadableSpan], ReadableSpan]
    LogRecords = Callable[[ReadableSpan], Sequence[Any]]
    Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
    """Method, URL, headers and body to all headers to send."""

PROTOCOLS = ("http", "http/protobuf", "http/json", "grpc")
"""``http`` is short for ``http/protobuf``."""
TRACE_FORMS = ("w3c", "xray")


class Address(NamedTuple):
    """Where one signal goes. Headers and signature belong to this URL and no other."""

    url: str
    headers: Mapping[str, str]
    sign: Sign | None = None

    def __repr__(self) -> str:
        """Without headers, in which keys travel."""
        return f"Address({shown(self.url)!r})"


class Target(NamedTuple):
    """All that the worker of one destination needs to know."""

    name: str
    addresses: Mapping[str, Address]
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
    alone: bool = False

    @property
    def where(self) -> str:
        """Its first address without what may be secret in it."""
        return shown(next(iter(self.addresses.values())).url)

    def __repr__(self) -> str:
        """Without what is secret, or tells where that lies."""
        return f"Target({self.name!r}, {self.where!r})"


def target(given: Destination) -> Target:
    """Raises ``ValueError`` on what is missing, and where a dialect or signer cannot be loaded."""
    row = PRESETS[given.preset]
    values = _values(row, given)
    signals = [signal for signal in row.routes if not given.signals or signal in given.signals]
    of_environment = otel_environment.is_standard(given)
    if of_environment:
        values = _of_environment(signals[0], given, values)
    addresses = {
        signal: _address(row, signal, given, values, of_environment=of_environment)
        for signal in signals
    }
    protocol = values.get("protocol") or row.protocol
    one_of("protocol", protocol, PROTOCOLS)
    one_of("compression", values["compression"], ("gzip", "none"))
    for name in ("ids", "propagation"):
        one_of(name, values.get(name, "w3c"), TRACE_FORMS)
    dialect = None if row.dialect is None else load(row.dialect)
    return Target(
        name=row.name,
        addresses=addresses,
        protocol="http/protobuf" if protocol == "http" else protocol,
        limits=_limits(row.limits, values),
        compression=values["compression"],
        certificate=values.get("certificate"),
        client_certificate=values.get("client_certificate"),
        client_key=values.get("client_key"),
        project=dialect.project if dialect is not None else None,
        log_records=dialect.log_records if dialect is not None and "logs" in signals else None,
        temporality=(of_environment and otel_environment.temporality()) or row.temporality,
        exponential_histograms=of_environment and otel_environment.exponential_histograms(),
        ids=values.get("ids", "w3c"),
        propagation=values.get("propagation", "w3c"),
        alone=row.alone and given.filter is None,
    )


# ------------------------------------------------------------------------------------- options


def _values(row: Preset, given: Destination) -> dict[str, str]:
    """Each option that has a value: given in code, else by a variable, else the row's."""
    options = dict(given.options or {})
    accepted = {option.name: option for option in row.all_options()}
    for name in options:
        one_of("option", name, accepted, f"of destination {row.name!r}")
    if given.endpoint is not None:
        options["endpoint"] = given.endpoint
    values: dict[str, str] = {}
    for name, option in accepted.items():
        value = options.get(name) or variable(*option.variables)
        if value is None and option.default is not None:
            value = _filled(option.default, values)
        if value is not None:
            values[name] = str(value)
    _complain_of_missing(row, given, values)
    return values


def _of_environment(signal: str, given: Destination, values: Mapping[str, str]) -> dict[str, str]:
    """With what the standard variables say of a signal, but for options given in code."""
    said = otel_environment.transport(signal)._asdict()
    said = {name: value for name, value in said.items() if value is not None}
    found = {**values, **said, **{k: str(v) for k, v in (given.options or {}).items()}}
    if found["protocol"] == "grpc" and "endpoint" not in (given.options or {}):
        found["endpoint"] = "http://localhost:4317"  # where nothing else is said
    return found


def _complain_of_missing(row: Preset, given: Destination, values: Mapping[str, str]) -> None:
    replaced = {name.lower() for name in given.headers or {}}
    for option in row.all_options():
        if not option.required or option.name in values:
            continue
        users = [header for header in row.headers if option.name in _fields(header.template)]
        if users and all(header.name.lower() in replaced for header in users):
            continue  # the header that would carry it is given in code
        if option.name == "region" and given.endpoint is not None and row.signer is None:
            continue
        how = f"set {' or '.join(option.variables)}, or " if option.variables else ""
        how += f"say {_example(row, option.name)}"
        raise ValueError(f"destination {row.name!r} needs {option.name}: {how}")


def _example(row: Preset, option: str) -> str:
    if option == "endpoint":
        return f'Destination("{row.name}", endpoint=...)'
    return f'Destination("{row.name}", options={{"{option}": ...}})'


def _fields(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """The template with its values; ``None`` where one of them has none."""
    if any(name not in values for name in _fields(template)):
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
        raise ValueError(f"timeout {given!r} is no number of seconds")
    return limits._replace(timeout=timeout)


# ----------------------------------------------------------------------------------- addresses


def _address(
    row: Preset,
    signal: str,
    given: Destination,
    values: Mapping[str, str],
    *,
    of_environment: bool,
) -> Address:
    route = row.routes[signal]
    url = (of_environment and otel_environment.endpoint(signal)) or _url(route, given, values)
    check_endpoint(url, insecure=given.insecure or of_environment)
    headers: dict[str, str] = {}
    for header in (*row.headers, *route.headers):
        value = _header(header, values)
        if value is not None:
            headers[header.name] = value
    if of_environment:
        headers |= otel_environment.headers(signal)
    headers = _merged(headers, given.headers or {})
    _check_headers(headers)
    sign = _signer(row, route, values) if row.signer else None
    return Address(url, headers, sign)


def _url(route: Route, given: Destination, values: Mapping[str, str]) -> str:
    base = given.endpoint or _filled(route.base, values) or ""
    base = base.rstrip("/")
    return base if base.endswith(route.path) else base + route.path


def _header(header: Header, values: Mapping[str, str]) -> str | None:
    value = _filled(header.template, values)
    if value is not None and header.basic:
        return "Basic " + base64.b64encode(value.encode()).decode("ascii")
    return value


def _merged(headers: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What is given in code wins, however it is spelled."""
    replaced = {name.lower() for name in given}
    kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return kept | {str(name): str(value) for name, value in given.items()}


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        check_header(name, value)


def _signer(row: Preset, route: Route, values: Mapping[str, str]) -> Sign:
    try:
        module = import_module(f"{__package__}.{row.signer}")
        sign: Sign = module.signer(route.service, values)
    except ImportError as error:
        how = 'pip install "genai-otel[aws]"'
        raise ValueError(
            f"destination {row.name!r} needs the package {error.name}: {how}"
        ) from error
    return sign
