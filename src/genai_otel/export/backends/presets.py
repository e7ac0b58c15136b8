"""Presets of the backends we know, one row each: endpoints, headers, options, limits, signals.

A row holds what the backend documents; ``docs/destinations.md`` is
generated from these rows. Values come from ``Destination(...)`` first, then from the backend's own
variables, then from the row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genai_otel.export.protocol import MIB, RequestLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS = ("traces", "metrics", "logs")


class Option(NamedTuple):
    """A value for the templates of a preset.

    It comes from ``Destination(options={name: ...})``, else from the first of ``variables`` that is
    set, else from ``default``, a template over the other options. A ``secret`` is never shown.
    """

    name: str
    variables: tuple[str, ...] = ()
    default: str | None = None
    required: bool = False
    secret: bool = False


class Header(NamedTuple):
    """``template`` is filled from options; without one of them the header is left out.

    ``basic``: the template gives user and password of HTTP basic authentication.
    """

    name: str
    template: str
    basic: bool = False


class Route(NamedTuple):
    """Where a signal goes: ``path`` below ``base``, a template over options.

    ``service`` is what a signer signs for. An endpoint given in code takes the place of ``base``.
    """

    path: str
    base: str = "{endpoint}"
    service: str = ""
    headers: tuple[Header, ...] = ()


COMMON_OPTIONS = (
    Option("certificate"),  # a file of certificate authorities to trust, PEM
    Option("client_certificate"),
    Option("client_key"),
    Option("compression", default="gzip"),
    Option("timeout"),  # seconds for one request
)


class Preset(NamedTuple):
    """One backend.

    ``dialect`` is one of ``export/dialects``. On the worker's thread, after the destination's
    content policy and before sizes are looked at, its ``project`` is called for every span; where
    the row has a route for logs, and the dialect has ``log_records``, these too.

    ``signer`` names a module beside this one with ``signer(service, options)``, called when the
    destination is made: it returns a function ``(method, url, headers, body) -> headers``, which is
    called on the worker's thread for each try and gives *all* headers to send. What either raises
    is counted, and the request tried again later.
    """

    name: str
    title: str
    routes: Mapping[str, Route] = MappingProxyType({})
    options: tuple[Option, ...] = ()
    headers: tuple[Header, ...] = ()
    protocol: str = "http"
    dialect: str | None = None
    signer: str | None = None
    limits: RequestLimits = RequestLimits()
    # Of its metrics.
    temporality: str = "cumulative"
    # A backend for model calls: spans of other libraries are not sent there unless a filter selects
    # them, so a span whose parent is one of those becomes a child of our nearest span, or a root.
    genai_only: bool = False
    # What users should know; one sentence for the page.
    note: str = ""

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals that the backend accepts; none for ``local`` and ``console``."""
        return tuple(self.routes)

    def all_options(self) -> tuple[Option, ...]:
        """Its own options, and those of every OTLP destination."""
        return (*self.options, *COMMON_OPTIONS) if self.routes else self.options


def _traces(path: str = "/v1/traces") -> Mapping[str, Route]:
    return {"traces": Route(path)}


def _all() -> Mapping[str, Route]:
    return {signal: Route(f"/v1/{signal}") for signal in SIGNALS}


def _endpoint(default: str | None = None, *variables: str) -> Option:
    return Option("endpoint", variables, default, required=default is None)


def _key(*variables: str, required: bool = True) -> Option:
    return Option("api_key", variables, required=required, secret=True)


_BEARER = Header("Authorization", "Bearer {api_key}")
_AWS_OPTIONS = (
    Option("region", ("AWS_REGION", "AWS_DEFAULT_REGION"), required=True),
    Option("profile", ("AWS_PROFILE",)),
    Option("ids", default="w3c"),  # or xray: see xray.py
    Option("propagation", default="w3c"),
)
# The documented limits are 200 KB a span, 10,000 spans and 5 MB a request.
_XRAY = RequestLimits(request_bytes=4 * MIB, request_spans=5_000, span_bytes=190_000)
_AWS_TRACES = Route("/v1/traces", "https://xray.{region}.amazonaws.com", "xray")

_ROWS = (
    Preset(name="local", title="The local store"),
    Preset(name="console", title="Standard output"),
    Preset(
        name="otlp",
        title="Any OTLP receiver",
        routes=_all(),
        options=(_endpoint("http://localhost:4318"), Option("protocol", default="http")),
        note="Reads the standard OTEL_EXPORTER_OTLP_* variables, including gRPC, unless an endpoint"
        " is set in code.",
    ),
    Preset(
        name="phoenix",
        title="Arize Phoenix",
        routes=_traces(),
        options=(
            _endpoint("http://localhost:6006", "PHOENIX_COLLECTOR_ENDPOINT"),
            _key("PHOENIX_API_KEY", required=False),
            Option("project", ("PHOENIX_PROJECT_NAME",)),
        ),
        headers=(_BEARER, Header("x-project-name", "{project}")),
        dialect="openinference",
        genai_only=True,
    ),
    Preset(
        name="langfuse",
        title="Langfuse",
        routes=_traces("/api/public/otel/v1/traces"),
        options=(
            _endpoint("https://cloud.langfuse.com", "LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
            Option("public_key", ("LANGFUSE_PUBLIC_KEY",), required=True),
            Option("secret_key", ("LANGFUSE_SECRET_KEY",), required=True, secret=True),
        ),
        headers=(
            Header("Authorization", "{public_key}:{secret_key}", basic=True),
            Header("x-langfuse-ingestion-version", "4"),
        ),
        dialect="langfuse",
        genai_only=True,
    ),
    Preset(
        name="langsmith",
        title="LangSmith",
        routes=_traces("/otel/v1/traces"),
        options=(
            _endpoint("https://api.smith.langchain.com", "LANGSMITH_ENDPOINT"),
            _key("LANGSMITH_API_KEY"),
            Option("project", ("LANGSMITH_PROJECT",)),
        ),
        headers=(Header("x-api-key", "{api_key}"), Header("Langsmith-Project", "{project}")),
        dialect="langsmith",
        note="Self-hosted: the endpoint ends in /api/v1.",
        genai_only=True,
    ),
    Preset(
        name="xray",
        title="AWS X-Ray",
        routes={"traces": _AWS_TRACES},
        options=_AWS_OPTIONS,
        dialect="aws",
        signer="sigv4",
        limits=_XRAY,
        note="Requires the extra aws, and Transaction Search enabled in the account.",
    ),
    Preset(
        name="cloudwatch",
        title="AWS CloudWatch",
        routes={
            "traces": _AWS_TRACES,
            "metrics": Route(
                "/v1/metrics", "https://monitoring.{region}.amazonaws.com", "monitoring"
            ),
            "logs": Route(
                "/v1/logs",
                "https://logs.{region}.amazonaws.com",
                "logs",
                (
                    Header("x-aws-log-group", "{log_group}"),
                    Header("x-aws-log-stream", "{log_stream}"),
                ),
            ),
        },
        options=(
            *_AWS_OPTIONS,
            Option("log_group", default="genai_otel"),
            Option("log_stream", default="default"),
        ),
        dialect="aws",
        signer="sigv4",
        limits=_XRAY,
        note="As xray, with content in log events; the log group must exist.",
    ),
    Preset(
        name="mlflow",
        title="MLflow",
        routes=_traces(),
        options=(
            _endpoint("http://localhost:5000", "MLFLOW_TRACKING_URI"),
            Option("experiment_id", ("MLFLOW_EXPERIMENT_ID",), "0"),
            Option("token", ("MLFLOW_TRACKING_TOKEN",), secret=True),
            Option("username", ("MLFLOW_TRACKING_USERNAME",)),
            Option("password", ("MLFLOW_TRACKING_PASSWORD",), secret=True),
        ),
        headers=(
            Header("x-mlflow-experiment-id", "{experiment_id}"),
            Header("Authorization", "{username}:{password}", basic=True),
            Header("Authorization", "Bearer {token}"),
        ),
        dialect="mlflow",
        limits=RequestLimits(timeout=30.0),  # its first ingest takes up to 10 s
        genai_only=True,
    ),
    Preset(
        name="datadog",
        title="Datadog LLM Observability",
        routes=_traces(),
        options=(
            Option("site", ("DD_SITE",), "datadoghq.com"),
            _endpoint("https://otlp.{site}"),
            _key("DD_API_KEY"),
        ),
        headers=(Header("dd-api-key", "{api_key}"), Header("dd-otlp-source", "llmobs")),
        temporality="delta",
        note="The intake host depends on the site; set endpoint if yours is different.",
        genai_only=True,
    ),
    Preset(
        name="grafana",
        title="Grafana Cloud",
        routes=_all(),
        options=(
            _endpoint(None, "GRAFANA_OTLP_ENDPOINT"),
            Option("instance_id", ("GRAFANA_INSTANCE_ID",), required=True),
            _key("GRAFANA_API_TOKEN"),
        ),
        headers=(Header("Authorization", "{instance_id}:{api_key}", basic=True),),
        note="The endpoint is the stack's OTLP gateway and ends in /otlp.",
    ),
    Preset(
        name="honeycomb",
        title="Honeycomb",
        routes=_all(),
        options=(
            _endpoint("https://api.honeycomb.io", "HONEYCOMB_API_ENDPOINT"),
            _key("HONEYCOMB_API_KEY"),
            Option("dataset", ("HONEYCOMB_DATASET",)),
        ),
        headers=(
            Header("x-honeycomb-team", "{api_key}"),
            Header("x-honeycomb-dataset", "{dataset}"),
        ),
    ),
    Preset(
        name="braintrust",
        title="Braintrust",
        routes=_traces("/otel/v1/traces"),
        options=(
            _endpoint("https://api.braintrust.dev", "BRAINTRUST_API_URL"),
            _key("BRAINTRUST_API_KEY"),
            Option("parent", ("BRAINTRUST_PARENT",), required=True),
        ),
        headers=(_BEARER, Header("x-bt-parent", "{parent}")),
        note="The parent is project_name:..., project_id:... or experiment_id:....",
        genai_only=True,
    ),
    Preset(
        name="galileo",
        title="Galileo",
        routes=_traces("/otel/traces"),
        options=(
            _endpoint("https://api.galileo.ai", "GALILEO_API_URL"),
            _key("GALILEO_API_KEY"),
            Option("project", ("GALILEO_PROJECT",), required=True),
            Option("log_stream", ("GALILEO_LOG_STREAM",), "default"),
        ),
        headers=(
            Header("Galileo-API-Key", "{api_key}"),
            Header("project", "{project}"),
            Header("logstream", "{log_stream}"),
        ),
        dialect="openinference",
        genai_only=True,
    ),
    Preset(
        name="confident-ai",
        title="Confident AI",
        routes=_traces(),
        options=(
            _endpoint("https://otel.confident-ai.com", "CONFIDENT_OTEL_URL"),
            _key("CONFIDENT_API_KEY"),
        ),
        headers=(Header("x-confident-api-key", "{api_key}"),),
        genai_only=True,
    ),
    Preset(
        name="helicone",
        title="Helicone",
        routes=_traces("/v1/trace/log-python"),
        options=(_endpoint("https://api.helicone.ai"), _key("HELICONE_API_KEY")),
        headers=(_BEARER,),
        genai_only=True,
    ),
    Preset(
        name="traceloop",
        title="Traceloop",
        routes=_traces(),
        options=(
            _endpoint("https://api.traceloop.com", "TRACELOOP_BASE_URL"),
            _key("TRACELOOP_API_KEY"),
        ),
        headers=(_BEARER,),
        genai_only=True,
    ),
    Preset(
        name="opik",
        title="Comet Opik",
        routes=_traces("/v1/private/otel/v1/traces"),
        options=(
            _endpoint("https://www.comet.com/opik/api", "OPIK_URL_OVERRIDE"),
            _key("OPIK_API_KEY", required=False),
            Option("workspace", ("OPIK_WORKSPACE",)),
            Option("project", ("OPIK_PROJECT_NAME",)),
        ),
        headers=(
            Header("Authorization", "{api_key}"),
            Header("Comet-Workspace", "{workspace}"),
            Header("projectName", "{project}"),
        ),
        note="Self-hosted: the endpoint ends in /api.",
        genai_only=True,
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}
