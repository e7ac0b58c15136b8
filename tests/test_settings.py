"""What may be set, where, what wins, and what is said of anything else."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import Budget, ContentPolicy, Destination, Settings, step
from genai_otel._sdk.environment import mistakes
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    genai_otel.shutdown()
    yield
    genai_otel.shutdown()


# -------------------------------------------------------------------------------- what is refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"destinations": "locl"}, "unknown destination 'locl': did you mean 'local'? expected one of"),
    ({"destinations": ["local", "oltp"]}, "unknown destination 'oltp': did you mean 'otlp'?"),
    ({"destinations": "zzz"}, "unknown destination 'zzz': expected one of "),
    ({"destinations": 5}, "a destination must be one of "),
    ({"destinations": [None]}, "a destination must be one of "),
    (
        {"destinations": "http://localhost:4318"},
        'pass the URL as Destination("otlp", endpoint=...)',
    ),
    ({"content": "ful"}, "unknown content mode 'ful': did you mean 'full'? expected one of none,"),
    ({"content": True}, "unknown content mode True: expected one of none,"),
    ({"destinations": ""}, "unknown destination ''"),
    ({"libraries": "opnai"}, "unknown library 'opnai': did you mean 'openai'? expected one of"),
    ({"libraries": ["openai", "zzz"]}, "unknown library 'zzz': "),
    ({"exclude": "opneai"}, "unknown library 'opneai': did you mean 'openai'?"),
    ({"libraries": 5}, "libraries must be a library's name or a list of names, not an int"),
    ({"exclude": 5}, "exclude must be a library's name or a list of names, not an int"),
    ({"service_name": 5}, "service_name must be a str, not an int"),
    ({"environment": ["prod"]}, "environment must be a str, not a list"),
    (
        {"tracer_provider": "x"},
        "tracer_provider must be an OpenTelemetry TracerProvider, not a str",
    ),
    ({"meter_provider": "x"}, "meter_provider must be an OpenTelemetry MeterProvider, not a str"),
    ({"budgets": Budget(limit=5)}, "budgets must be a list of Budget, not a Budget"),
    ({"budgets": [{"limit": 5}]}, "budgets must be a list of Budget, but contains a dict"),
    ({"settings": {"service_name": "x"}}, "settings must be a Settings object, not a dict"),
]


def refusal(act: Any) -> str:
    """The message of the ``ValueError``."""
    with pytest.raises(ValueError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_refused_arguments(arguments: dict[str, Any], message: str) -> None:
    assert message in refusal(lambda: genai_otel.instrument(**arguments))
    assert not genai_otel.status().active


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_a_refusal_leaves_what_runs_alone(arguments: dict[str, Any], message: str) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    assert message in refusal(lambda: genai_otel.instrument(**arguments))
    step(lambda: 1)()
    genai_otel.flush()
    assert len(exporter.get_finished_spans()) == 1
    assert genai_otel.status().active


VARIABLES: list[tuple[str, str, str]] = [
    ("GENAI_OTEL_CONTENT", "ful", "unknown content mode 'ful': did you mean 'full'?"),
    ("GENAI_OTEL_DESTINATIONS", "local,oltp", "unknown destination 'oltp': did you mean 'otlp'?"),
    ("GENAI_OTEL_LIBRARIES", "opnai", "unknown library 'opnai': did you mean 'openai'?"),
    ("GENAI_OTEL_EXCLUDE", "opnai", "unknown library 'opnai': did you mean 'openai'?"),
    (
        "GENAI_OTEL_PROPAGATE_TO_THREADS",
        "thread",
        "unknown thread propagation 'thread': did you mean",
    ),
    ("GENAI_OTEL_DESTINATIONS", "local,langfuse", "destination 'langfuse' requires public_key: "),
    ("GENAI_OTEL_PRICES", "no/such.toml", "no/such.toml: cannot be read"),
]


@pytest.mark.parametrize(("variable", "value", "message"), VARIABLES)
def test_refused_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert refusal(genai_otel.instrument).startswith(f"{variable}: {message}")


def test_code_is_not_told_of_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_OTEL_DESTINATIONS", "local")
    monkeypatch.setenv("GENAI_OTEL_CONTENT", "none")
    said = refusal(lambda: genai_otel.instrument(destinations="locl"))
    assert said.startswith("unknown destination 'locl'")
    assert refusal(lambda: genai_otel.instrument(content="ful")).startswith("unknown content mode")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Destination("phoenx"), "unknown destination 'phoenx'"),
        (lambda: Destination("otlp", content="al"), "unknown content mode 'al'"),
        (lambda: Destination("otlp", endpoint="collector:4318"), "is not an http or https URL"),
        (lambda: Destination("otlp", endpoint="http://far.example"), "is not encrypted"),
        (lambda: Destination("otlp", signals=[]), "signals of a destination must not be empty"),
        (lambda: Settings(content="al"), "unknown content mode 'al'"),
        (
            lambda: Settings(propagate_to_threads="of"),
            "unknown thread propagation 'of': did you mean 'off'",
        ),
        (lambda: genai_otel.uninstrument("opnai"), "unknown library 'opnai': did you mean"),
    ],
)
def test_refused_elsewhere(make: Any, message: str) -> None:
    assert message in refusal(make)


def test_unknown_settings_are_type_errors() -> None:
    with pytest.raises(TypeError, match="contents"):
        Settings(contents="full")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="destination"):
        genai_otel.instrument(destination="local")  # type: ignore[call-arg]


def test_headers_are_in_no_repr() -> None:
    assert "secret" not in repr(Destination("otlp", headers={"authorization": "secret"}))


# ------------------------------------------------------------------------------------- what wins


def test_arguments_over_settings_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_OTEL_CONTENT", "full")
    monkeypatch.setenv("GENAI_OTEL_STORE_DIRECTORY", "from_environment")
    genai_otel.instrument()
    assert genai_otel.status().destinations[0].endpoint.endswith("from_environment")
    given = Settings(content="none", store_directory="from_settings")
    genai_otel.instrument(settings=given, force=True)
    assert genai_otel.status().destinations[0].endpoint.endswith("from_settings")
    assert genai_otel.status().content == "none"
    genai_otel.instrument(settings=Settings(content="none"), content="full", force=True)
    assert genai_otel.status().content == "full"


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"GENAI_OTEL_SERVICE_NAME": " shop "}, "service_name", "shop"),
        ({"GENAI_OTEL_DESTINATIONS": "local, otlp,"}, "destinations", ("local", "otlp")),
        ({"GENAI_OTEL_EXCLUDE": ""}, "exclude", ()),
        ({"GENAI_OTEL_STRICT": "Yes"}, "strict", True),
        ({"GENAI_OTEL_STRICT": "0"}, "strict", False),
        ({"GENAI_OTEL_DISABLED": "on"}, "disabled", True),
        ({"OTEL_SDK_DISABLED": "TRUE"}, "disabled", True),
        ({"OTEL_SDK_DISABLED": "1"}, "disabled", False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp_in_environment", True),
        ({}, "otlp_in_environment", False),
    ],
)
def test_variables(environ: dict[str, str], field: str, value: Any) -> None:
    assert getattr(Settings.from_environment(environ), field) == value


MISTAKES: list[tuple[str, str, str]] = [
    ("GENAI_OTEL_CONTNET", "none", "did you mean GENAI_OTEL_CONTENT?"),
    ("GENAI_OTEL_CONTENTS", "none", "did you mean GENAI_OTEL_CONTENT?"),
    ("GENAI_OTEL_QQQ", "1", "GENAI_OTEL_QQQ is ignored: it is not a variable of genai_otel; see"),
    (
        "GENAI_OTEL_DISABLED",
        "maybe",
        "GENAI_OTEL_DISABLED=maybe is ignored: expected one of 1, true,",
    ),
    ("GENAI_OTEL_RECORD_OTEL_SPANS", "nope", "=nope is ignored"),
    ("GENAI_OTEL_ESTIMATE_USAGE", "ja", "=ja is ignored"),
    ("OTEL_SDK_DISABLED", "1", "OTEL_SDK_DISABLED=1 is ignored: expected true or false"),
    (
        "OTEL_TRACES_SAMPLER",
        "sometimes",
        "=sometimes is ignored: expected one of always_on, always_",
    ),
    ("OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", "mine", "is ignored: only upload is supported"),
]


@pytest.mark.parametrize(("variable", "value", "said"), MISTAKES)
def test_mistakes_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    genai_otel.instrument(destinations=[])
    (notice,) = genai_otel.status().notices
    assert said in notice
    assert notice.startswith(variable)


@pytest.mark.parametrize("share", ["lots", "7", "nan"])
def test_a_sampler_s_share_that_is_none(monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", share)
    genai_otel.instrument(destinations=[])
    (notice,) = genai_otel.status().notices
    assert (
        notice == f"OTEL_TRACES_SAMPLER_ARG={share} is ignored: it is not a number between 0 and 1"
    )


def test_a_malformed_switch_is_as_if_not_set() -> None:
    for each in fields(Settings):
        if isinstance(each.default, bool) and each.metadata["variable"].startswith("GENAI_OTEL_"):
            found = Settings.from_environment({each.metadata["variable"]: "perhaps"})
            assert getattr(found, each.name) == each.default


def test_what_this_project_uses_is_no_mistake() -> None:
    root = Path(__file__).parents[1]
    used = set(re.findall(r"GENAI_OTEL_[A-Z_]+", (root / "Makefile").read_text("utf-8")))
    for file in (*root.glob("tests/**/*.py"), *root.glob("scripts/*.py")):
        used.update(re.findall(r'environ\S*[(\[]"(GENAI_OTEL_\w+)', file.read_text("utf-8")))
    assert {"GENAI_OTEL_WHOLE", "GENAI_OTEL_SHARE", "GENAI_OTEL_PYTHONS"} <= used
    assert list(mistakes(dict.fromkeys(used, "1"))) == []


@pytest.mark.parametrize(
    ("raw", "mode", "told"),
    [
        ("NO_CONTENT", "none", False),
        ("span_only", "redacted", False),
        ("SPAN_AND_EVENT", "redacted", False),
        ("event_only", "none", True),
        ("true", "redacted", True),
        ("false", "none", True),
        ("everything", "none", True),
    ],
)
def test_the_standard_variable(
    raw: str, mode: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    assert Settings.from_environment({variable: raw}).content == mode
    monkeypatch.setenv(variable, raw)
    genai_otel.instrument(destinations=[])
    assert bool(genai_otel.status().notices) is told
    ours = {variable: raw, "GENAI_OTEL_CONTENT": "none"}
    assert Settings.from_environment(ours).content == "none", "ours is the more specific one"


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        ({}, "redacted"),
        ({"content": "none"}, "none"),
        ({"content": ContentPolicy(tools="none")}, "mixed"),
        ({"destinations": InMemorySpanExporter()}, "redacted"),
        ({"destinations": [InMemorySpanExporter()], "content": "full"}, "full"),
        ({"destinations": Destination("local", content="none")}, "none"),
        ({"destinations": "console"}, "redacted"),
        ({"destinations": [Destination("local", content="full"), "console"]}, "full"),
    ],
)
def test_as_much_is_recorded_as_one_destination_may_have(
    arguments: dict[str, Any], content: str
) -> None:
    genai_otel.instrument(**arguments)
    assert genai_otel.status().content == content


def test_one_destination_may_be_stricter(tmp_path: Path) -> None:
    told = InMemorySpanExporter()
    genai_otel.instrument(destinations=[told, Destination("local", content="none")], content="full")
    step(lambda text: text)("secret")
    genai_otel.flush()
    (span,) = told.get_finished_spans()
    assert "secret" in span.to_json()
    (file,) = tmp_path.glob(".genai_otel/traces-*.jsonl")
    assert "task <lambda>" in file.read_text(encoding="utf-8")
    assert "secret" not in file.read_text(encoding="utf-8")
    assert [each.content for each in genai_otel.status().destinations] == ["full", "none"]


# ----------------------------------------------------------------------------------- switched off

_SWITCHED_OFF = """
import threading, gc, os
from threading import Thread
start = Thread.start
import openai
request = openai._base_client.SyncAPIClient.request
import genai_otel
genai_otel.instrument(**eval(os.environ["ARGUMENTS"]))
assert Thread.start is start and openai._base_client.SyncAPIClient.request is request
assert threading.active_count() == 1 and not gc.callbacks
@genai_otel.workflow
def turn():
    with genai_otel.operation("chat") as op, genai_otel.scope(user_id="u"), genai_otel.suppress():
        op.model = "m"
    return genai_otel.current()
assert turn() is None
assert genai_otel.flush() and genai_otel.shutdown() and not genai_otel.status().active
genai_otel.uninstrument()
assert os.listdir() == []
"""


@pytest.mark.parametrize(
    "off", [{"GENAI_OTEL_DISABLED": "1"}, {"OTEL_SDK_DISABLED": "true"}], ids=["ours", "standard"]
)
@pytest.mark.parametrize(
    "more",
    [
        {"ARGUMENTS": "{}"},
        {"ARGUMENTS": "{'settings': genai_otel.Settings()}"},
        {"ARGUMENTS": "{}", "GENAI_OTEL_CONTENT": "nonsense"},
    ],
    ids=["plain", "settings in code", "a bad variable"],
)
def test_switched_off(off: dict[str, str], more: dict[str, str], tmp_path: Path) -> None:
    done = fresh.script(_SWITCHED_OFF, cwd=tmp_path, env={**off, **more})
    assert (done.stdout, done.stderr) == ("", "")


def test_disabled_in_code() -> None:
    genai_otel.instrument(settings=Settings(disabled=True))
    assert not genai_otel.status().active


# --------------------------------------------------------------------------------------- the store


def test_a_store_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    genai_otel.instrument(settings=Settings(store_directory=str(tmp_path / "file" / "store")))
    for number in range(5):
        step(lambda number=number: number)()
        genai_otel.flush()
    assert not genai_otel.shutdown(), "its last metrics could not be written either"
    warned = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warned) == 1, [r.getMessage() for r in warned]
    assert "; telemetry is dropped" in warned[0].getMessage()


@pytest.mark.parametrize("given", [[], ()])
def test_an_empty_list_is_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    genai_otel.instrument(destinations=given, service_name="")
    step(lambda: 1)()
    assert genai_otel.flush()
    status = genai_otel.status()
    assert (status.active, status.destinations, status.notices) == (True, (), ())
    assert not list(tmp_path.iterdir())


def test_where_telemetry_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    genai_otel.instrument(service_name="shop", environment="test")
    step(lambda: 1)()
    assert genai_otel.flush()
    (file,) = tmp_path.glob(".genai_otel/traces-*.jsonl")
    told = file.read_text(encoding="utf-8")
    assert '"stringValue":"shop"' in told
    assert '"deployment.environment.name"' in told
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    genai_otel.shutdown()
    genai_otel.instrument()
    assert [each.name for each in genai_otel.status().destinations] == ["otlp"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("opnai", "openai"), ("antropic", "anthropic"), ("lang-chain", "langchain")],
)
def test_what_is_near_is_proposed(given: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{meant}'"):
        genai_otel.instrument(libraries=given)


@pytest.mark.parametrize("given", ["django", "flask", "sqlite", "autogen", "x", ""])
def test_what_is_far_is_not_proposed(given: str) -> None:
    with pytest.raises(ValueError, match="unknown library") as caught:
        genai_otel.instrument(libraries=given)
    assert "did you mean" not in str(caught.value)
