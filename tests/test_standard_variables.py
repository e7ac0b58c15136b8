"""OpenTelemetry's own variables: each is obeyed as the SDK does it, or known to mean nothing here.

Nothing of them is ever raised at a program: what is malformed is reported and treated as not set.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import environment_variables as of_the_api
from opentelemetry.sdk import environment_variables as of_the_sdk

import genai_otel
from genai_otel import Destination, step
from genai_otel._sdk.environment import mistakes
from genai_otel._support.notices import NOTICES
from genai_otel.export import otel_environment
from genai_otel.export.backends.resolve import otlp_config
from genai_otel.export.otlp.http import HttpSender
from genai_otel.export.otlp.response import MAX_RETRY_AFTER, from_http
from tests import fresh
from tests.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.export.backends.resolve import OtlpConfig

E = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    genai_otel.shutdown()
    NOTICES.clear()
    yield
    genai_otel.shutdown()
    NOTICES.clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def says(monkeypatch: pytest.MonkeyPatch, **environ: str) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def one() -> OtlpConfig:
    """What ``destinations="otlp"`` is made to."""
    (part,) = otel_environment.split_by_transport("otlp")
    return otlp_config(part)


def chosen() -> list[tuple[str, list[str]]]:
    """Of each destination of ``instrument()``, its name and where its signals go."""
    genai_otel.instrument()
    assert genai_otel.step(lambda: 1)() == 1
    return [(each.name, each.endpoint) for each in genai_otel.status().destinations]


# ------------------------------------------------------------------------- where signals go

OTLP = "https://c.example"
SIGNALS: list[tuple[dict[str, str], dict[str, list[str]]]] = [
    ({}, {"local": ["traces", "metrics"]}),
    ({f"{E}ENDPOINT": OTLP}, {"otlp": ["traces", "metrics", "logs"]}),
    ({f"{E}TRACES_ENDPOINT": OTLP}, {"otlp": ["traces"]}),
    ({f"{E}METRICS_ENDPOINT": OTLP}, {"local": ["traces"], "otlp": ["metrics"]}),
    (
        {f"{E}TRACES_ENDPOINT": OTLP, f"{E}METRICS_ENDPOINT": OTLP},
        {"otlp": ["traces", "metrics"]},
    ),
    ({f"{E}ENDPOINT": OTLP, "OTEL_METRICS_EXPORTER": "none"}, {"otlp": ["traces", "logs"]}),
    ({f"{E}ENDPOINT": OTLP, "OTEL_TRACES_EXPORTER": "none"}, {"otlp": ["metrics", "logs"]}),
    ({f"{E}ENDPOINT": OTLP, "OTEL_LOGS_EXPORTER": "none"}, {"otlp": ["traces", "metrics"]}),
    ({"OTEL_METRICS_EXPORTER": "none"}, {"local": ["traces"]}),
    ({"OTEL_TRACES_EXPORTER": "none"}, {}),
    ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, {}),
    ({"OTEL_TRACES_EXPORTER": "console"}, {"console": []}),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, {"otlp": ["traces"]}),
    ({"OTEL_TRACES_EXPORTER": "OTLP, console"}, {"otlp": ["traces"], "console": []}),
    ({"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"}, {"otlp": ["traces"]}),
    ({"OTEL_METRICS_EXPORTER": "otlp"}, {"local": ["traces"], "otlp": ["metrics"]}),
    ({f"{E}ENDPOINT": OTLP, "OTEL_METRICS_EXPORTER": "prometheus"}, {"otlp": ["traces", "logs"]}),
    ({f"{E}ENDPOINT": OTLP, "OTEL_TRACES_EXPORTER": "zipkin"},
     {"otlp": ["traces", "metrics", "logs"]}),
    ({f"{E}ENDPOINT": "ftp://c.example"}, {"local": ["traces", "metrics"]}),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "goes"), SIGNALS, ids=lambda v: " ".join(v) or "nothing")
def test_where_signals_go(
    environ: dict[str, str], goes: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, **environ)
    otlp = any(name.endswith("ENDPOINT") for name in environ)
    found = otel_environment.defaults(otlp=otlp)
    assert {each.preset: list(each.signals or ()) for each in found} == goes


def test_traces_only_means_that_metrics_go_nowhere(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to localhost:4318, where nobody listens and the end of the process would wait."""
    says(monkeypatch, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.url}/v1/traces")
    assert chosen() == [("otlp", f"{receiver.url}/v1/traces")]
    assert genai_otel.flush()
    assert genai_otel.shutdown()
    assert {got.signal for got in receiver.received} == {"traces"}


def test_a_named_otlp_keeps_to_the_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(one().endpoints) == ["traces", "metrics", "logs"], "all to the default"
    says(monkeypatch, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=OTLP)
    assert list(one().endpoints) == ["traces"]
    says(monkeypatch, OTEL_METRICS_EXPORTER="otlp")
    assert list(one().endpoints) == ["traces", "metrics"]
    (in_code,) = otel_environment.split_by_transport(Destination("otlp", signals=["logs"]))
    assert list(otlp_config(in_code).endpoints) == ["logs"], "what is said in code wins"
    assert otel_environment.split_by_transport(Destination("otlp", endpoint=OTLP)) == [
        Destination("otlp", endpoint=OTLP)
    ]


def test_none_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    says(
        monkeypatch,
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    genai_otel.instrument(destinations="otlp")
    assert genai_otel.status().destinations == ()
    assert "receives nothing" in genai_otel.status().notices[0]


def test_the_sdk_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, OTEL_SDK_DISABLED="true")
    genai_otel.instrument()
    assert not genai_otel.status().active


# ----------------------------------------------------------------------------- how it is sent


def test_signals_that_are_sent_in_different_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    says(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://127.0.0.1:4318/v1/metrics",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
    )
    found = [otlp_config(part) for part in otel_environment.split_by_transport("otlp")]
    assert [(each.protocol, list(each.endpoints)) for each in found] == [
        ("grpc", ["traces", "logs"]),
        ("http/protobuf", ["metrics"]),
    ]
    genai_otel.instrument()
    assert [each.name for each in genai_otel.status().destinations] == ["otlp", "otlp"]


@pytest.mark.parametrize("signal", ["TRACES_", ""])
@pytest.mark.parametrize(
    ("option", "value", "attribute", "found"),
    [
        ("PROTOCOL", "http/json", "protocol", "http/json"),
        ("PROTOCOL", "grpc", "protocol", "grpc"),
        ("COMPRESSION", "none", "compression", "none"),
        ("COMPRESSION", "GZIP", "compression", "gzip"),
        ("TIMEOUT", "2.5", "timeout", 2.5),
        ("CERTIFICATE", "ca.pem", "certificate", "ca.pem"),
        ("CLIENT_CERTIFICATE", "c.pem", "client_certificate", "c.pem"),
        ("CLIENT_KEY", "k.pem", "client_key", "k.pem"),
    ],
)
def test_options(
    signal: str,
    option: str,
    value: str,
    attribute: str,
    found: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ca.pem", "c.pem", "k.pem"):
        Path(name).touch()
    says(monkeypatch, OTEL_TRACES_EXPORTER="otlp", **{f"{E}{signal}{option}": value})
    (part,) = otel_environment.defaults(otlp=True)
    made = otlp_config(otel_environment.split_by_transport(part)[0])
    have = made.limits.timeout if attribute == "timeout" else getattr(made, attribute)
    assert have == found
    assert NOTICES.texts == ()


def test_a_signals_headers_take_the_place_of_the_common_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with the SDK: the common ones may be another vendor's keys."""
    says(
        monkeypatch,
        OTEL_EXPORTER_OTLP_HEADERS="x-key=common%20one",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-team=mine",
    )
    addresses = one().endpoints
    assert addresses["traces"].headers == {"x-team": "mine"}
    assert addresses["metrics"].headers == {"x-key": "common one"}


def test_a_user_in_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the SDK's client; and the address that is shown has none."""
    says(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="https://me:p%40ss@c.example/x")
    to = one()
    assert to.endpoints["traces"].url == "https://c.example/x/v1/traces"
    assert to.endpoints["traces"].headers == {"Authorization": "Basic bWU6cEBzcw=="}
    says(monkeypatch, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer k")
    assert one().endpoints["traces"].headers == {"authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({f"{E}PROTOCOL": "grpc"}, "http://localhost:4317/v1/traces"),
        ({f"{E}ENDPOINT": "http://c:4318/base/"}, "http://c:4318/base/v1/traces"),
        ({f"{E}TRACES_ENDPOINT": "http://c:4318/as/it/is"}, "http://c:4318/as/it/is"),
        ({f"{E}ENDPOINT": "c:4317", f"{E}PROTOCOL": "grpc"}, "https://c:4317/v1/traces"),
        (
            {f"{E}ENDPOINT": "c:4317", f"{E}PROTOCOL": "grpc", f"{E}INSECURE": "TRUE"},
            "http://c:4317/v1/traces",
        ),
        (
            {f"{E}TRACES_ENDPOINT": "c:4317", f"{E}TRACES_INSECURE": "true"},
            "http://c:4317",
        ),
        (
            {f"{E}ENDPOINT": "http://c:4317", f"{E}PROTOCOL": "grpc", f"{E}INSECURE": "false"},
            "https://c:4317/v1/traces",
        ),
    ],
)
def test_endpoints(environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, **environ)
    assert one().endpoints["traces"].url == url


def test_an_assumed_scheme_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="c:4318")
    assert one().endpoints["traces"].url == "https://c:4318/v1/traces"
    assert "has no scheme: https:// is assumed" in NOTICES.texts[0]


@pytest.mark.parametrize("preference", ["cumulative", "delta", "lowmemory"])
def test_temporality(preference: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    says(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=preference,
        OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram",
    )
    genai_otel.instrument()
    with genai_otel.operation("chat"):
        pass
    assert genai_otel.flush()
    metrics = [
        metric
        for got in receiver.taken
        if got.signal == "metrics"
        for resource in got.message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    of_histograms = {
        m.exponential_histogram.aggregation_temporality
        for m in metrics
        if m.HasField("exponential_histogram")
    }
    # Up-down counters, such as the queue's size, are cumulative under each preference.
    of_sums = {m.sum.aggregation_temporality for m in metrics if m.sum.is_monotonic}
    others = [m.sum for m in metrics if m.HasField("sum") and not m.sum.is_monotonic]
    assert not [m for m in metrics if m.HasField("histogram")]
    delta, cumulative = 1, 2
    assert of_histograms == {cumulative if preference == "cumulative" else delta}
    expected = {"cumulative": {cumulative}, "delta": {delta}, "lowmemory": {delta, cumulative}}
    assert of_sums == expected[preference]
    assert {each.aggregation_temporality for each in others} == {cumulative}


def test_json_is_sent_as_json(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    says(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
    )
    genai_otel.instrument(content="full")
    with genai_otel.operation("workflow", "turn"), genai_otel.operation("tool", "look") as op:
        op.tool_call_id = "traceId"
    assert genai_otel.flush()
    assert {got.headers["content-type"] for got in receiver.received} == {"application/json"}
    told = [json.loads(got.body) for got in receiver.taken if got.signal == "traces"]
    spans = [
        span
        for request in told
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    tool, workflow = sorted(spans, key=lambda span: span["name"])
    assert (len(tool["traceId"]), len(tool["spanId"])) == (32, 16)
    assert tool["parentSpanId"] == workflow["spanId"]
    assert int(tool["traceId"], 16) > 0
    assert isinstance(tool["kind"], int)
    assert isinstance(tool["startTimeUnixNano"], str)
    assert [got for got in receiver.taken if got.signal == "metrics" and json.loads(got.body)]


# ------------------------------------------------------------------------------------ proxies


def test_all_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As requests has it, which the SDK sends with."""
    says(monkeypatch, ALL_PROXY="http://proxy.example:8080")
    (place,) = set(HttpSender(otlp_config(Destination("otlp", endpoint=OTLP)))._origins.values())
    assert place.proxy is not None
    assert place.proxy.hostname == "proxy.example"
    says(monkeypatch, HTTPS_PROXY="http://other.example:8080")
    (place,) = set(HttpSender(otlp_config(Destination("otlp", endpoint=OTLP)))._origins.values())
    assert place.proxy is not None
    assert place.proxy.hostname == "other.example"
    says(monkeypatch, NO_PROXY="c.example")
    (place,) = set(HttpSender(otlp_config(Destination("otlp", endpoint=OTLP)))._origins.values())
    assert place.proxy is None


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "https"])
def test_a_proxy_that_is_not_supported_is_not_gone_past(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, ALL_PROXY=f"{scheme}://proxy.example:1080")
    sender = HttpSender(otlp_config(Destination("otlp", endpoint=OTLP)))
    answer = sender.send("traces", b"", float("inf"))
    assert answer.error == f"a {scheme}:// proxy is not supported, only http://"
    assert f"export fails: a {scheme}://" in NOTICES.texts[0]


@pytest.mark.parametrize("asked", ["3600", "1e9", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_far_retry_after_is_capped(asked: str) -> None:
    answer = from_http("traces", 503, {"retry-after": asked}, b"")
    assert answer.retry_after == MAX_RETRY_AFTER == 60.0, "it is tried again while there is time"


# ----------------------------------------------------------------------------------- misspelt

MISSPELT = {
    "OTEL_EXPORTER_OTLP_ENDPIONT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINTS": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTOR_OTLP_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACE_ENDPOINT": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRIC_HEADERS": "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADER": "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTCOL": "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_INSECURED": "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_TRACE_EXPORTER": "OTEL_TRACES_EXPORTER",
    "OTEL_METRIC_EXPORTER": "OTEL_METRICS_EXPORTER",
    "OTEL_TRACE_SAMPLER": "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARGS": "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SERVICENAME": "OTEL_SERVICE_NAME",
    "OTEL_SERVICE_NMAE": "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTE": "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLE": "OTEL_SDK_DISABLED",
    "OTEL_BSP_SCHEDULED_DELAY": "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGES_CONTENT": (
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    ),
}
OF_OTHERS = [
    *("OTEL_EXPORTER_JAEGER_ENDPOINT", "OTEL_EXPORTER_JAEGER_AGENT_HOST"),
    *("OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", "OTEL_EXPORTER_OTLP_API_KEY"),
    *("OTEL_EXPORTER_OTLP_TRACES_ENABLED", "OTEL_EXPORTER_PROMETHEUS_ENDPOINT"),
    *("OTEL_PYTHON_LOGGER_PROVIDER", "OTEL_PYTHON_LOG_LEVEL", "OTEL_PYTHON_LOG_CORRELATION"),
    *("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"),
    *("OTEL_SERVICE_VERSION", "OTEL_SERVICE_NAMESPACE", "OTEL_SEMCONV_STABILITY_OPT_IN"),
    *("OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME"),
    *("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "OTEL_INSTRUMENTATION_GENAI_UPLOAD_FORMAT"),
    *("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "OTEL_JAVAAGENT_ENABLED"),
    *("OTEL_NODE_RESOURCE_DETECTORS", "OTEL_DOTNET_AUTO_HOME", "OTEL_GO_AUTO_TARGET_EXE"),
    *("OTEL_COLLECTOR_HOST", "OTEL_TAG", "OTEL_LEVEL", "OTEL_", "MY_OTEL_SERVICE_NMAE"),
]


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_name_is_reported_once_and_never_its_value(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    says(monkeypatch, **{name: "http://user:secret@c.example"})
    genai_otel.instrument(destinations=[])
    genai_otel.instrument(destinations=[])
    (notice,) = genai_otel.status().notices
    assert notice == (
        f"{name} is ignored: it is not a standard variable; did you mean {MISSPELT[name]}?"
    )
    assert caplog.messages == [f"genai_otel: {notice}"]


def test_names_of_others_are_not_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    says(monkeypatch, **dict.fromkeys(OF_OTHERS, "1"))
    genai_otel.instrument(destinations=[])
    assert (genai_otel.status().notices, caplog.messages) == ((), [])


def test_no_standard_name_is_taken_for_a_mistake() -> None:
    """Of none of them there is more to say than that its value is malformed."""
    texts = list(mistakes(dict.fromkeys(VARIABLES, "nonsense")))
    assert not [text for text in texts if "did you mean" in text]


# ---------------------------------------------------------------------------------- malformed


VARIABLES = sorted(
    value
    for module in (of_the_api, of_the_sdk)
    for name, value in vars(module).items()
    if name.lstrip("_").startswith("OTEL_") and isinstance(value, str)
)
REPORTED = [
    name
    for name in VARIABLES
    if name.startswith(E)
    or name.endswith(("_LIMIT", "S_EXPORTER", "EXEMPLAR_FILTER", "PYTHON_METER_PROVIDER"))
    if not name.endswith("_INSECURE")  # is of no matter where an endpoint has its scheme
    if "LOGRECORD" not in name
]


def test_the_table_is_whole() -> None:
    assert len(VARIABLES) > 80
    assert len(REPORTED) > 45


# Loaded by the API or the SDK when they are imported, or an entry point's name.
@pytest.mark.parametrize("name", VARIABLES)
def test_a_malformed_variable_is_reported_and_not_raised(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    says(monkeypatch, **{name: "\x01 nonsense: ="})
    says(monkeypatch, OTEL_BSP_SCHEDULE_DELAY="1")
    genai_otel.instrument()
    assert step(lambda: 1)() == 1
    genai_otel.flush()
    assert list(tmp_path.glob(".genai_otel/traces-*.jsonl")), "recorded all the same"
    otel_environment.split_by_transport("otlp")  # and by one who asks for it by name
    otlp_config(Destination("otlp"))
    if name in REPORTED:
        assert any(name in text for text in NOTICES.texts), NOTICES.texts


_ALL_AT_ONCE = """
import os, genai_otel
genai_otel.instrument()
assert genai_otel.step(lambda: 1)() == 1
genai_otel.flush()
print(len(genai_otel.status().notices), os.listdir())
"""


def test_all_malformed_in_a_new_process(tmp_path: Path) -> None:
    """But for what OpenTelemetry itself cannot be imported with."""
    fatal = ("OTEL_PROPAGATORS", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
    environ = {name: "nonsense: =" for name in VARIABLES if name not in fatal}
    done = fresh.script(_ALL_AT_ONCE, cwd=tmp_path, env=environ)
    count, _, files = done.stdout.partition(" ")
    assert int(count) > 20
    assert ".genai_otel" in files


@pytest.mark.parametrize("name", ["OTEL_PROPAGATORS", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"])
def test_what_the_sdk_cannot_be_imported_with(name: str, tmp_path: Path) -> None:
    done = fresh.script(_ALL_AT_ONCE, cwd=tmp_path, env={name: "nonsense"})
    assert "Traceback" not in done.stderr
    if name == "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT":
        assert "nothing is recorded: the OpenTelemetry SDK cannot be imported" in done.stderr
