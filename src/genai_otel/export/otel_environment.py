"""OpenTelemetry's own variables: which exporters are wanted, and how OTLP is sent.

They hold for the destination ``otlp`` without an endpoint in code, and for no other: their headers
are meant for one receiver. A value that is not valid is reported and then treated as not set.
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from genai_otel._settings import variable
from genai_otel._support.notices import NOTICES

from .backends.endpoints import check_endpoint, check_header

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from .destination import Destination

_SIGNALS = ("traces", "metrics", "logs")
# Names of OTLP in ``OTEL_*_EXPORTER``, and the protocol of Python's longer names.
_OTLP_NAMES = {"otlp": None, "otlp_proto_http": "http/protobuf", "otlp_proto_grpc": "grpc"}
# Valid exporters of metrics and logs that we do not have.
_UNSUPPORTED = ("console", "prometheus")
_ACCEPTED = {
    "traces": (*_OTLP_NAMES, "console", "none"),
    "metrics": (*_OTLP_NAMES, "none", *_UNSUPPORTED),
    "logs": (*_OTLP_NAMES, "none", *_UNSUPPORTED),
}
_PROTOCOLS = ("http/protobuf", "http/json", "grpc")
_COMPRESSIONS = ("gzip", "none")
_TEMPORALITIES = ("cumulative", "delta", "lowmemory")
_HISTOGRAMS = ("explicit_bucket_histogram", "base2_exponential_bucket_histogram")
_MAX_TIMEOUT = 3600.0


class Transport(NamedTuple):
    """Signals that agree in all of these share a connection."""

    protocol: str
    compression: str
    timeout: str | None
    certificate: str | None
    client_certificate: str | None
    client_key: str | None


# ------------------------------------------------------------------------- which destinations


def defaults(*, otlp: bool) -> list[Any]:
    """The default destinations; ``otlp``: endpoints of the environment may be used.

    Without an exporter variable a signal goes to its OTLP endpoint. Traces without one go to the
    local store, and metrics with them; metrics are never sent to an endpoint that was not set.
    """
    traces, metrics = (_wanted_exporters(signal, otlp=otlp) for signal in ("traces", "metrics"))
    if traces is None:
        traces = frozenset(["local"])
    if metrics is None:
        metrics = traces & {"local"}
    chosen: list[Any] = []
    for name in ("local", "otlp", "console"):
        signals = [s for s, names in (("traces", traces), ("metrics", metrics)) if name in names]
        if signals:
            chosen.append(_destination(name, signals, otlp=otlp))
    return chosen


def _destination(name: str, signals: list[str], *, otlp: bool) -> Any:
    from .destination import Destination

    if name == "otlp" and (_wanted_exporters("logs", otlp=otlp) or ()):
        signals.append("logs")
    return Destination(name, signals=None if name == "console" else signals)


def _wanted_exporters(signal: str, *, otlp: bool) -> frozenset[str] | None:
    """The destinations of a signal by the environment; ``None`` if it sets none."""
    names = exporters(signal)
    if names is not None:
        return names - {"none"}
    return frozenset(["otlp"]) if otlp and endpoint(signal) is not None else None


def exporters(signal: str) -> frozenset[str] | None:
    """``otlp``, ``console`` or ``none``, of ``OTEL_<SIGNAL>_EXPORTER``; ``None``: it is not set."""
    found = _valid_items(f"OTEL_{signal.upper()}_EXPORTER", _ACCEPTED[signal])
    return frozenset(_exporter(signal, name) for name in found) or None


def _exporter(signal: str, name: str) -> str:
    if name in _OTLP_NAMES:
        return "otlp"
    if signal == "traces" or name == "none":
        return name
    NOTICES.add(f"OTEL_{signal.upper()}_EXPORTER={name} is not supported: none is used")
    return "none"


def split_by_transport(destination: Any) -> list[Any]:
    """One destination, or several where the environment sends its signals in different ways.

    None, where the environment has all of its signals switched off.
    """
    if not _is_standard(destination):
        return [destination]
    from .destination import Destination

    destination = Destination("otlp") if isinstance(destination, str) else destination
    groups: dict[Transport, list[str]] = {}
    for signal in destination.signals or _named_signals():
        groups.setdefault(transport(signal), []).append(signal)
    if not groups:
        NOTICES.add("destination 'otlp' receives nothing: the OTEL_*_EXPORTER variables are none")
    return [replace(destination, signals=tuple(signals)) for signals in groups.values()]


def _is_standard(given: Any) -> bool:
    if isinstance(given, str):
        return given == "otlp"
    return getattr(given, "preset", None) == "otlp" and given.endpoint is None


def is_standard(given: Destination) -> bool:
    """Whether the environment configures this destination."""
    return _is_standard(given)


def _named_signals() -> list[str]:
    """Of ``otlp`` as named in code: all, or those with an endpoint where one is set at all."""
    wanted = [signal for signal in _SIGNALS if "none" not in (exporters(signal) or ())]
    chosen = [s for s in wanted if exporters(s) is not None or endpoint(s) is not None]
    return chosen if any(endpoint(s) is not None for s in _SIGNALS) else wanted


# --------------------------------------------------------------------------- how it is sent


def transport(signal: str) -> Transport:
    return Transport(
        protocol(signal),
        _first_valid(signal, "COMPRESSION", _COMPRESSIONS) or "gzip",
        _timeout(signal),
        _file(signal, "CERTIFICATE"),
        _file(signal, "CLIENT_CERTIFICATE"),
        _file(signal, "CLIENT_KEY"),
    )


def protocol(signal: str) -> str:
    for name in _valid_items(f"OTEL_{signal.upper()}_EXPORTER", _ACCEPTED[signal]):
        if protocol_of_name := _OTLP_NAMES.get(name):
            return protocol_of_name
    return _first_valid(signal, "PROTOCOL", _PROTOCOLS) or "http/protobuf"


def endpoint(signal: str) -> str | None:
    """A signal's own variable is the URL; the common one is a base URL."""
    for name, path in (
        (_variables(signal, "ENDPOINT")[0], ""),
        (_COMMON_ENDPOINT, f"/v1/{signal}"),
    ):
        given = variable(name)
        if given is None:
            continue
        url = _with_scheme(name, given, signal)
        try:
            url = _without_user(url)[0]
            check_endpoint(url, insecure=True)
        except ValueError as error:
            NOTICES.add(f"{name} is ignored: {error}")
        else:
            return _append_path(url, path) if path else url
    return None


_COMMON_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def _append_path(url: str, path: str) -> str:
    base = urlsplit(url)
    return base._replace(path=base.path.rstrip("/") + path).geturl()


def _without_user(url: str) -> tuple[str, str]:
    """The URL, and the user and password in it, with which the SDK's client authenticates."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl(), user


def _basic_authorization(signal: str) -> dict[str, str]:
    """The header that is made of user and password of the endpoint, if it has any."""
    given = variable(*_variables(signal, "ENDPOINT")) or ""
    with suppress(ValueError):
        if user := _without_user(given)[1]:
            return {"Authorization": "Basic " + b64encode(unquote(user).encode()).decode("ascii")}
    return {}


def _with_scheme(name: str, given: str, signal: str) -> str:
    """As in the SDK's gRPC exporter: ``host:port`` uses TLS unless INSECURE is true.

    Its exporter over HTTP cannot send to such an endpoint at all.
    """
    insecure = _first_valid(signal, "INSECURE", ("true", "false"))
    grpc = protocol(signal) == "grpc"
    if "://" in given:
        plain = given.lower().startswith("http://")
        return f"https://{given[7:]}" if grpc and plain and insecure == "false" else given
    scheme = "http" if insecure == "true" else "https"
    if not grpc:
        NOTICES.add(f"{name} has no scheme: {scheme}:// is assumed")
    return f"{scheme}://{given}"


def headers(signal: str) -> dict[str, str]:
    """``a=b,c=d``, URL-encoded as in W3C Baggage; a signal's own take the place of the common."""
    found = _basic_authorization(signal)
    name = next((n for n in _variables(signal, "HEADERS") if variable(n)), None)
    for pair in (variable(name) or "").split(",") if name else ():
        key, separator, value = (unquote(part.strip()) for part in pair.partition("="))
        if not pair.strip():
            continue
        try:
            check_header(key, value)
        except ValueError:
            separator = ""
        if separator:
            found = {k: v for k, v in found.items() if k.lower() != key.lower()} | {key: value}
        else:  # its text may be secret
            NOTICES.add(f"{name}: a part that is not name=value is ignored")
    return found


def temporality() -> str | None:
    """The temporality preference of metrics."""
    return _valid_or_none(f"{_METRICS}_TEMPORALITY_PREFERENCE", _TEMPORALITIES)


def exponential_histograms() -> bool:
    return (
        _valid_or_none(f"{_METRICS}_DEFAULT_HISTOGRAM_AGGREGATION", _HISTOGRAMS) == _HISTOGRAMS[1]
    )


_METRICS = "OTEL_EXPORTER_OTLP_METRICS"


def exemplar_filter() -> Any:
    """``OTEL_METRICS_EXEMPLAR_FILTER`` as the SDK takes it, which itself raises on other values."""
    from opentelemetry.sdk.metrics import (
        AlwaysOffExemplarFilter,
        AlwaysOnExemplarFilter,
        TraceBasedExemplarFilter,
    )

    filters: dict[str, Any] = {
        "trace_based": TraceBasedExemplarFilter,
        "always_on": AlwaysOnExemplarFilter,
        "always_off": AlwaysOffExemplarFilter,
    }
    return filters[
        _valid_or_none("OTEL_METRICS_EXEMPLAR_FILTER", tuple(filters)) or "trace_based"
    ]()


# --------------------------------------------------------------------------------- values


def _variables(signal: str, option: str) -> tuple[str, str]:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{option}", f"OTEL_EXPORTER_OTLP_{option}"


def _first_valid(signal: str, option: str, accepted: Sequence[str]) -> str | None:
    """The first valid value: of the signal's variable, then of the common one."""
    found = (_valid_or_none(name, accepted) for name in _variables(signal, option))
    return next((value for value in found if value is not None), None)


def _valid_or_none(name: str, accepted: Sequence[str]) -> str | None:
    value = (variable(name) or "").lower()
    if not value or value in accepted:
        return value or None
    NOTICES.add(f"{name}={value} is ignored: expected one of {', '.join(accepted)}")
    return None


def _valid_items(name: str, accepted: Container[str]) -> list[str]:
    found = []
    for part in (variable(name) or "").lower().split(","):
        if part.strip() in accepted:
            found.append(part.strip())
        elif part.strip():
            NOTICES.add(f"{name}: unknown exporter {part.strip()!r} is ignored")
    return found


def _timeout(signal: str) -> str | None:
    """Seconds, as in Python's SDK."""
    for name in _variables(signal, "TIMEOUT"):
        value = variable(name)
        if value is None:
            continue
        if 0 < _number(value) <= _MAX_TIMEOUT:
            return value
        NOTICES.add(f"{name}={value} is ignored: it is not a number of seconds up to 3600")
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _file(signal: str, option: str) -> str | None:
    """A missing file is kept: sending without it would be less safe than failing."""
    for name in _variables(signal, option):
        value = variable(name)
        if value is not None:
            if not Path(value).is_file():
                NOTICES.add(f"{name}: file {value} not found; export fails without it")
            return value
    return None
