"""What a real MLflow makes of the same trace, read back through its REST API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from tests.backends import servers
from tests.backends.conftest import SESSION

if TYPE_CHECKING:
    from tests.backends.conftest import Backends

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trace(backends: Backends) -> Any:
    url = backends.need("mlflow")
    expected = len(backends.canonical())
    address = f"{url}/api/3.0/mlflow/traces/get?trace_id=tr-{backends.trace_id}&allow_partial=true"

    def complete() -> Any:
        try:
            found = servers.ask(address)["trace"]
        except HTTPError:  # it is not there yet
            return None
        return found if len(found.get("spans", ())) == expected else None

    return servers.eventually(complete)


@pytest.fixture(scope="module")
def spans(trace: Any) -> dict[str, dict[str, Any]]:
    """The attributes of each span, by its name; of several with one name, those of the last."""
    return {span["name"]: _attributes(span) for span in trace["spans"]}


def _attributes(span: Any) -> dict[str, Any]:
    return {pair["key"]: _plain(pair.get("value")) for pair in span["attributes"]}


def _plain(any_value: Any) -> Any:
    """A value of its answer, which spells OTLP's messages with underscores."""
    if not any_value:
        return None
    (form, value), *_ = any_value.items()
    if form == "kvlist_value":
        return {pair["key"]: _plain(pair.get("value")) for pair in value.get("values", ())}
    if form == "array_value":
        return [_plain(each) for each in value.get("values", ())]
    return value


def test_every_span_has_its_type(spans: dict[str, dict[str, Any]]) -> None:
    assert {name: facts["mlflow.spanType"] for name, facts in spans.items()} == {
        "invoke_workflow answer a customer": "WORKFLOW",
        "apply_guardrail injection": "GUARDRAIL",
        "apply_guardrail tone": "GUARDRAIL",
        "retrieval handbook": "RETRIEVER",
        "embeddings text-embedding-3-small": "EMBEDDING",
        "invoke_agent clerk": "AGENT",
        "chat gpt-4o-mini": "CHAT_MODEL",
        "execute_tool track": "TOOL",
        "execute_tool notify": "TOOL",
    }


def test_inputs_and_outputs(spans: dict[str, dict[str, Any]]) -> None:
    chat = spans["chat gpt-4o-mini"]
    roles = [turn["role"] for turn in chat["mlflow.spanInputs"]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    (choice,) = chat["mlflow.spanOutputs"]["choices"]
    assert choice["message"]["content"].startswith("Your parcel waits")
    assert chat["mlflow.chat.tools"][0]["function"]["name"] == "track"
    documents = spans["retrieval handbook"]["mlflow.spanOutputs"]
    assert documents[0]["page_content"].startswith("Parcels wait")
    assert spans["execute_tool track"]["mlflow.spanInputs"] == {"number": "JD014"}
    assert spans["apply_guardrail tone"]["mlflow.spanOutputs"]["verdict"] == "flag"


def test_the_trace_has_tokens_cost_session_and_user(trace: Any, backends: Backends) -> None:
    known = trace["trace_info"]["trace_metadata"]
    assert (known["mlflow.trace.session"], known["mlflow.trace.user"]) == (SESSION, "ada")
    usage = json.loads(known["mlflow.trace.tokenUsage"])
    assert usage["input_tokens"] == 412 + 466 + 9
    assert usage["output_tokens"] == 18 + 21
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    ours = sum(
        next(iter(pair["value"].values()))
        for span in backends.canonical()
        for pair in span["attributes"]
        if pair["key"] == "gen_ai.usage.cost"
    )
    assert json.loads(known["mlflow.trace.cost"])["total_cost"] == pytest.approx(ours)


def test_a_failure_stays_with_the_span_that_failed(trace: Any) -> None:
    failed = [span["name"] for span in trace["spans"] if "ERROR" in str(span.get("status"))]
    assert failed == ["execute_tool notify"]
