"""Guardrails: what is concluded from what they return, and counted. Retrievers: what they found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

import genai_otel
from genai_otel import Verdict, guardrail, retriever

if TYPE_CHECKING:
    from genai_otel.testing import Capture

TYPE = "gen_ai.guardrail.result.type"
VALUE = "gen_ai.guardrail.result.value"

VERDICTS: list[tuple[Any, float | None, str | None, float | None]] = [
    # What is returned, the threshold; the action and the score that are concluded.
    (True, None, "allow", None),
    (False, None, "deny", None),
    (True, 0.5, "allow", None),
    (0.9, None, None, 0.9),
    (0.9, 0.8, "deny", 0.9),
    (0.8, 0.8, "deny", 0.8),
    (0.7, 0.8, "allow", 0.7),
    (3, 2, "deny", 3.0),
    (Verdict("modify", 0.2, "masked", "pii"), None, "modify", 0.2),
    (Verdict("flag"), 0.5, "flag", None),
    (Verdict(None, 0.3), None, None, 0.3),
    (None, None, None, None),
    ("looks fine", 0.5, None, None),
]


@pytest.mark.parametrize(("returned", "threshold", "action", "score"), VERDICTS)
def test_verdict(
    genai_otel_capture: Capture,
    returned: Any,
    threshold: float | None,
    action: str | None,
    score: float | None,
) -> None:
    @guardrail(name="check", layer="application", phase="pre", threshold=threshold)
    def check(text: str) -> Any:
        return returned

    assert check("hello") is returned
    span = genai_otel_capture.span("apply_guardrail check")
    assert span.attributes.get(TYPE) == action
    assert span.attributes.get(VALUE) == score
    assert span.attributes["genai_otel.guardrail.layer"] == "application"
    assert span.attributes["genai_otel.guardrail.phase"] == "pre"
    assert span.status.status_code is StatusCode.UNSET, "a deny is not an error"
    metrics = genai_otel_capture.metrics()
    (invoked,) = metrics["genai_otel.guardrail.invocations"]
    assert invoked.value == 1
    assert invoked.attributes.get(TYPE) == action
    assert ("genai_otel.guardrail.denied" in metrics) is (action == "deny")
    assert "genai_otel.guardrail.errors" not in metrics


def test_reason_and_category(genai_otel_capture: Capture) -> None:
    guardrail(lambda: Verdict("deny", reason="a number", category="pii"))()
    told = genai_otel_capture.span().attributes
    assert told["gen_ai.guardrail.result.reason"] == "a number"
    assert told["gen_ai.guardrail.risk.category"] == "pii"


def test_a_guardrail_that_fails_judges_nothing(genai_otel_capture: Capture) -> None:
    @guardrail
    def broken(text: str) -> bool:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        broken("x")
    span = genai_otel_capture.span()
    assert span.status.status_code is StatusCode.ERROR
    assert TYPE not in span.attributes
    metrics = genai_otel_capture.metrics()
    (failed,) = metrics["genai_otel.guardrail.errors"]
    assert failed.attributes["error.type"] == "TimeoutError"
    assert "genai_otel.guardrail.denied" not in metrics


def test_counts_add_up(genai_otel_capture: Capture) -> None:
    @guardrail(name="even")
    def even(number: int) -> bool:
        return number % 2 == 0

    for number in range(10):
        even(number)
    metrics = genai_otel_capture.metrics()
    points = metrics["genai_otel.guardrail.invocations"]
    assert {p.attributes[TYPE]: p.value for p in points} == {"allow": 5, "deny": 5}
    (denied,) = metrics["genai_otel.guardrail.denied"]
    assert denied.value == 5
    assert sum(p.count for p in metrics["genai_otel.guardrail.duration"]) == 10


async def test_async_guardrail(genai_otel_capture: Capture) -> None:
    @guardrail(threshold=0.5)
    async def toxic(text: str) -> float:
        return 0.75

    assert await toxic("x") == 0.75
    assert genai_otel_capture.span().attributes[TYPE] == "deny"


def test_unknown_verdicts_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown verdict 'block': expected one of allow, deny"):
        Verdict("block")


# ---------------------------------------------------------------------------------- retrievers


@dataclass
class Found:
    id: str
    score: float
    text: str


class Page(BaseModel):
    page_content: str
    metadata: dict[str, Any]


RESULTS: list[tuple[Any, list[dict[str, Any]]]] = [
    (["one", "two"], [{"id": "0", "content": "one"}, {"id": "1", "content": "two"}]),
    (
        [{"id": 7, "score": 0.5, "content": "x", "metadata": {"page": 1}}],
        [{"id": "7", "score": 0.5, "content": "x", "metadata": {"page": 1}}],
    ),
    ([Found("a", 1, "words")], [{"id": "a", "score": 1.0, "content": "words"}]),
    (
        [(Page(page_content="p", metadata={"a": 1}), 0.25)],
        [{"id": "0", "score": 0.25, "content": "p", "metadata": {"a": 1}}],
    ),
    (("t",), [{"id": "0", "content": "t"}]),
    ([object()], [{"id": "0", "content": "[builtins.object]"}]),
]


@pytest.mark.parametrize(("result", "documents"), RESULTS)
def test_documents(
    genai_otel_capture: Capture, result: Any, documents: list[dict[str, Any]]
) -> None:
    @retriever(name="archive")
    def search(limit: int, query: str) -> Any:
        return result

    assert search(3, "who built it?") is result
    told = genai_otel_capture.span("retrieval archive").attributes
    assert told["gen_ai.retrieval.query.text"] == "who built it?"
    assert json.loads(told["gen_ai.retrieval.documents"]) == documents


@pytest.mark.parametrize("result", [None, [], {}, 5, "one", {"a": "b"}])
def test_what_is_no_list_has_no_documents(genai_otel_capture: Capture, result: Any) -> None:
    assert retriever(lambda q: result)("x") is result
    assert "gen_ai.retrieval.documents" not in genai_otel_capture.span().attributes


def test_a_thousand_documents_are_bounded(genai_otel_capture: Capture) -> None:
    found = [f"document {number}" for number in range(1_000)]
    assert retriever(lambda q: found)("x") is found
    told = genai_otel_capture.span().attributes
    assert len(json.loads(told["gen_ai.retrieval.documents"])) == 100


def test_retrieval_has_its_duration(genai_otel_capture: Capture) -> None:
    retriever(lambda q: [])("x")
    (point,) = genai_otel_capture.metrics()["gen_ai.client.operation.duration"]
    assert point.attributes["gen_ai.operation.name"] == "retrieval"


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("tool", "gen_ai.execute_tool.duration"),
        ("agent", "gen_ai.invoke_agent.duration"),
        ("workflow", "gen_ai.invoke_workflow.duration"),
    ],
)
def test_each_kind_has_its_duration(genai_otel_capture: Capture, kind: str, metric: str) -> None:
    getattr(genai_otel, kind)(lambda: 1)()
    (point,) = genai_otel_capture.metrics()[metric]
    assert point.count == 1
