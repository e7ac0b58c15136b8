"""The registry of names, its checker, and the table of constants generated from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genai_otel import _semconv as names

SEMCONV = Path(__file__).resolve().parent.parent / "semconv"
REGISTRY = json.loads((SEMCONV / "gen_ai.json").read_text("utf-8"))
OURS = REGISTRY["extensions"]
MEASURED = "genai_otel.guardrail.errors"
TYPES = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {TYPES[type(v)]: v}} for key, v in values.items()]


def span(name: str, **values: Any) -> dict[str, Any]:
    dotted = {key.replace("__", "."): value for key, value in values.items()}
    one = {"name": name, "kind": 1, "attributes": attributes(dotted)}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}


def counter(name: str, values: dict[str, Any]) -> dict[str, Any]:
    points = [{"attributes": attributes(values), "asInt": "1"}]
    unit = OURS["metrics"][MEASURED]["unit"]
    one = {"name": name, "unit": unit, "sum": {"isMonotonic": True, "dataPoints": points}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [one]}]}]}


def findings(tmp_path: Path, request: dict[str, Any], profile: str = "both") -> str:
    file = tmp_path / "line.jsonl"
    file.write_text(json.dumps(request), "utf-8")
    command = [sys.executable, str(SEMCONV / "check.py"), "--profile", profile, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == (1 if ran.stdout else 0)
    return ran.stdout


@pytest.mark.parametrize("profile", ["both", "head", "1.41"])
def test_our_operations_and_attributes_pass(tmp_path: Path, profile: str) -> None:
    good = span(
        "apply_guardrail words",
        gen_ai__operation__name="apply_guardrail",
        gen_ai__guardrail__component__name="words",
        gen_ai__guardrail__result__type="deny",
        gen_ai__guardrail__result__value=0.9,
        genai_otel__guardrail__layer="application",
        genai_otel__metadata__tenant="north",
        session__id="s",
    )
    assert findings(tmp_path, good, profile) == ""


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"genai_otel__surprise": "x"}, "not declared in extensions.attributes"),
        ({"genai_otel__response__completed": "yes"}, "is string, should be boolean"),
        ({"gen_ai__guardrail__result__type": "maybe"}, "should be one of"),
        ({"gen_ai__made_up": "x"}, "unknown in profile both"),
        ({"gen_ai__system": "openai"}, "deprecated, use"),
    ],
)
def test_what_is_not_declared_is_found(tmp_path: Path, values: dict[str, Any], told: str) -> None:
    assert told in findings(tmp_path, span("task x", gen_ai__operation__name="task", **values))


def test_a_metric_of_ours_takes_its_own_dimensions_only(tmp_path: Path) -> None:
    good = {"gen_ai.guardrail.component.name": "words", "error.type": "TimeoutError"}
    assert findings(tmp_path, counter(MEASURED, good)) == ""
    told = findings(tmp_path, counter(MEASURED, {**good, "user.id": "u"}))
    assert f"user.id is not a dimension of {MEASURED}" in told
    assert "unknown" in findings(tmp_path, counter("genai_otel.surprise", good))


def test_every_metric_of_ours_has_a_closed_list_without_people() -> None:
    people = {"user.id", "session.id", "gen_ai.conversation.id"}
    for metric in OURS["metrics"].values():
        assert metric["closed"] is True
        assert people.isdisjoint(metric["attributes"])


def test_extensions_take_no_name_of_the_standard() -> None:
    assert set(OURS["attributes"]).isdisjoint(REGISTRY["attributes"])
    assert set(OURS["metrics"]).isdisjoint(REGISTRY["metrics"])


def test_constants_are_the_registry() -> None:
    constants = {
        value for key, value in vars(names).items() if key.isupper() and type(value) is str
    }
    assert {*REGISTRY["attributes"], *OURS["attributes"], *REGISTRY["events"]} <= constants
    assert names.METRICS[MEASURED].unit == "{error}"
    assert names.METRICS["gen_ai.client.token.usage"].buckets == tuple(
        REGISTRY["metrics"]["gen_ai.client.token.usage"]["buckets"]
    )
    assert all(name == metric.name for name, metric in names.METRICS.items())


def test_both_forms_of_a_renamed_attribute_are_there() -> None:
    assert names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS != (
        names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS
    )
