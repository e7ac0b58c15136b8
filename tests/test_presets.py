"""The rows of backends: what becomes of them, and what is said when something is missing."""

from __future__ import annotations

import base64
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import ContentPolicy, Destination
from genai_otel.export.backends.presets import PRESETS
from genai_otel.export.backends.resolve import otlp_config
from tests import fresh

if TYPE_CHECKING:
    from genai_otel.export.backends.resolve import OtlpConfig


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in PRESETS.values():
        for option in row.all_options():
            for name in option.variables:
                monkeypatch.delenv(name, raising=False)
    for name in ("ENDPOINT", "HEADERS", "PROTOCOL", "INSECURE"):
        for signal in ("", "TRACES_", "METRICS_", "LOGS_"):
            monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{signal}{name}", raising=False)


def sent(given: OtlpConfig, signal: str = "traces") -> tuple[str, dict[str, str]]:
    address = given.endpoints[signal]
    return address.url, dict(address.headers)


BASIC = "Basic " + base64.b64encode(b"pk-1:sk-1").decode()
ROWS: list[tuple[str, dict[str, str], str, dict[str, str]]] = [
    ("phoenix", {}, "http://localhost:6006/v1/traces", {}),
    (
        "phoenix",
        {
            "PHOENIX_COLLECTOR_ENDPOINT": "https://p.example/s/team/v1/traces",
            "PHOENIX_API_KEY": "k",
            "PHOENIX_PROJECT_NAME": "shop",
        },
        "https://p.example/s/team/v1/traces",
        {"Authorization": "Bearer k", "x-project-name": "shop"},
    ),
    (
        "langfuse",
        {"LANGFUSE_PUBLIC_KEY": "pk-1", "LANGFUSE_SECRET_KEY": "sk-1"},
        "https://cloud.langfuse.com/api/public/otel/v1/traces",
        {"Authorization": BASIC, "x-langfuse-ingestion-version": "4"},
    ),
    (
        "langsmith",
        {"LANGSMITH_API_KEY": "k", "LANGSMITH_PROJECT": "p"},
        "https://api.smith.langchain.com/otel/v1/traces",
        {"x-api-key": "k", "Langsmith-Project": "p"},
    ),
    (
        "mlflow",
        {"MLFLOW_TRACKING_URI": "http://127.0.0.1:5017/", "MLFLOW_EXPERIMENT_ID": "7"},
        "http://127.0.0.1:5017/v1/traces",
        {"x-mlflow-experiment-id": "7"},
    ),
    (
        "datadog",
        {"DD_API_KEY": "k", "DD_SITE": "datadoghq.eu"},
        "https://otlp.datadoghq.eu/v1/traces",
        {"dd-api-key": "k", "dd-otlp-source": "llmobs"},
    ),
    (
        "grafana",
        {
            "GRAFANA_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp",
            "GRAFANA_INSTANCE_ID": "pk-1",
            "GRAFANA_API_TOKEN": "sk-1",
        },
        "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp/v1/traces",
        {"Authorization": BASIC},
    ),
    (
        "honeycomb",
        {"HONEYCOMB_API_KEY": "k"},
        "https://api.honeycomb.io/v1/traces",
        {"x-honeycomb-team": "k"},
    ),
    (
        "braintrust",
        {"BRAINTRUST_API_KEY": "k", "BRAINTRUST_PARENT": "project_name:p"},
        "https://api.braintrust.dev/otel/v1/traces",
        {"Authorization": "Bearer k", "x-bt-parent": "project_name:p"},
    ),
    (
        "galileo",
        {"GALILEO_API_KEY": "k", "GALILEO_PROJECT": "p"},
        "https://api.galileo.ai/otel/traces",
        {"Galileo-API-Key": "k", "project": "p", "logstream": "default"},
    ),
    (
        "confident-ai",
        {"CONFIDENT_API_KEY": "k"},
        "https://otel.confident-ai.com/v1/traces",
        {"x-confident-api-key": "k"},
    ),
    (
        "helicone",
        {"HELICONE_API_KEY": "k"},
        "https://api.helicone.ai/v1/trace/log-python",
        {"Authorization": "Bearer k"},
    ),
    (
        "traceloop",
        {"TRACELOOP_API_KEY": "k"},
        "https://api.traceloop.com/v1/traces",
        {"Authorization": "Bearer k"},
    ),
    (
        "opik",
        {"OPIK_API_KEY": "k", "OPIK_WORKSPACE": "w", "OPIK_PROJECT_NAME": "p"},
        "https://www.comet.com/opik/api/v1/private/otel/v1/traces",
        {"Authorization": "k", "Comet-Workspace": "w", "projectName": "p"},
    ),
]


@pytest.mark.parametrize(("name", "environ", "url", "headers"), ROWS, ids=[r[0] for r in ROWS])
def test_rows(
    name: str,
    environ: dict[str, str],
    url: str,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=for-another-vendor")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://another.example")
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert sent(otlp_config(Destination(name))) == (url, headers)


def test_every_sent_row_is_tried() -> None:
    signed = {row.name for row in PRESETS.values() if row.signer}
    tried = {row[0] for row in ROWS} | signed | {"otlp"}
    assert tried == {row.name for row in PRESETS.values() if row.routes}


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match=r"requires public_key: set LANGFUSE_PUBLIC_KEY, or pass"):
        otlp_config(Destination("langfuse"))
    with pytest.raises(ValueError, match=r'Destination\("grafana", endpoint=...\)'):
        otlp_config(Destination("grafana"))
    with pytest.raises(ValueError, match="did you mean 'project'"):
        otlp_config(Destination("phoenix", options={"projet": "x"}))
    with pytest.raises(ValueError, match="unknown signal 'metrics' of destination 'phoenix'"):
        Destination("phoenix", signals=["metrics"])
    with pytest.raises(ValueError, match="timeout 'soon' is not a number of seconds"):
        otlp_config(Destination("phoenix", options={"timeout": "soon"}))


def test_given_in_code_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_API_KEY", "from-the-environment")
    given = Destination("langsmith", headers={"X-API-Key": "mine"}, options={"project": "p"})
    assert sent(otlp_config(given))[1] == {"X-API-Key": "mine", "Langsmith-Project": "p"}
    monkeypatch.delenv("LANGSMITH_API_KEY")
    assert sent(otlp_config(given))[1]["X-API-Key"] == "mine", "nothing else is missing"


def test_standard_variables_are_for_otlp_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.internal:4318/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/in?x=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c, Team = x ,,bad")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "team=y")
    plain = otlp_config(Destination("otlp"))
    assert sent(plain) == ("http://collector.internal:4318/v1/traces", {"team": "y"})
    assert sent(plain, "metrics") == ("https://m.example/in?x=1", {"a": "b c", "Team": "x"})
    coded = otlp_config(Destination("otlp", endpoint="https://other.example"))
    assert sent(coded) == ("https://other.example/v1/traces", {})


def test_grpc_of_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    assert otlp_config(Destination("otlp")).protocol == "grpc"
    assert sent(otlp_config(Destination("otlp")))[0].startswith("https://collector:4317")


def test_secrets_are_not_shown() -> None:
    given = Destination(
        "langsmith", headers={"x-more": "s3cret"}, options={"api_key": "s3cret"}, content="none"
    )
    assert "s3cret" not in repr(given) + repr(otlp_config(given))
    for endpoint in ("http://u:s3cret@10.0.0.1/x", "https://u:s3cret@h/x", "s3cret@h?key=s3cret"):
        with pytest.raises(ValueError) as told:
            Destination("otlp", endpoint=endpoint)
        assert "s3cret" not in str(told.value)
    with pytest.raises(ValueError) as told:
        otlp_config(Destination("otlp", headers={"x-key": "s3cret\r\nx: y"}))
    assert "s3cret" not in str(told.value)


_ELSEWHERE = {"xray": "aws", "cloudwatch": "aws", "otlp": "collector", "console": "README"}


@pytest.mark.parametrize("name", PRESETS)
def test_each_has_a_page(name: str) -> None:
    docs = fresh.ROOT / "docs"
    page = docs / "backends" / f"{_ELSEWHERE.get(name, name)}.md"
    if name == "local":
        page = docs / "local-store.md"
    told = page.read_text(encoding="utf-8")
    assert name in told or name == "console"
    assert f"`{name}`" in (docs / "destinations.md").read_text(encoding="utf-8")


EXTRAS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("aws", "botocore", "backends/aws.md", {"destinations": "xray"}),
    ("aws", "botocore", "backends/aws.md", {"destinations": "cloudwatch"}),
    (
        "upload",
        "fsspec",
        "privacy.md",
        {"content": ContentPolicy(media="upload", upload_to="s3://bucket/media")},
    ),
]


@pytest.mark.parametrize(("extra", "package", "page", "given"), EXTRAS)
def test_a_package_that_is_missing_comes_with_an_extra_of_ours(
    extra: str, package: str, page: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says it as the documentation does, and there is such an extra."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(ValueError, match=f"requires .*{package}: ") as caught:
        genai_otel.instrument(**given)
    command = str(caught.value).partition(f"{package}: ")[2]
    root = Path(__file__).parents[1]
    assert command == f'pip install "genai-otel[{extra}]"'
    assert command in (root / "docs" / page).read_text("utf-8")
    with (root / "pyproject.toml").open("rb") as file:
        assert package in tomllib.load(file)["project"]["optional-dependencies"][extra][0]
