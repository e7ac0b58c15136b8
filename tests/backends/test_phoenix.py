"""What a real Phoenix makes of a trace that genai_otel sent it, read back through its own API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import Destination
from tests.backends import servers
from tests.backends.conftest import PROJECT, SESSION
from tests.stored import run_cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.conftest import Backends

pytestmark = pytest.mark.slow

_PROJECT = """{projects{edges{node{name traceCount costSummary{total{cost}}
  sessions(first:5){edges{node{sessionId numTraces firstInput{value} lastOutput{value}}}}
  spans(first:50){edges{node{name spanKind statusCode tokenCountPrompt tokenCountCompletion
    input{value mimeType} output{value} costSummary{total{cost}} spanId parentId
    attributes documentEvaluations{name}}}}}}}}"""


@pytest.fixture(scope="module")
def url(backends: Backends) -> str:
    return backends.need("phoenix")


def query(url: str, project: str = PROJECT) -> Any:
    answer = servers.ask(f"{url}/graphql", {"query": _PROJECT})
    assert "errors" not in answer, answer["errors"]
    nodes = [edge["node"] for edge in answer["data"]["projects"]["edges"]]
    return next((node for node in nodes if node["name"] == project), None)


def rows(project: Any) -> list[Any]:
    return [edge["node"] for edge in project["spans"]["edges"]]


@pytest.fixture(scope="module")
def project(url: str, backends: Backends) -> Any:
    expected = len(backends.canonical())

    def complete() -> Any:
        found = query(url)
        return found if found and len(rows(found)) == expected else None

    return servers.eventually(complete)


@pytest.fixture(scope="module")
def spans(project: Any) -> dict[str, Any]:
    return {row["name"]: row for row in rows(project)}


def test_every_span_is_there_with_its_kind_and_parent(project: Any, backends: Backends) -> None:
    kinds = sorted((row["spanKind"], row["name"]) for row in rows(project))
    assert kinds == [
        ("agent", "invoke_agent clerk"),
        ("chain", "invoke_workflow answer a customer"),
        ("embedding", "embeddings text-embedding-3-small"),
        ("guardrail", "apply_guardrail injection"),
        ("guardrail", "apply_guardrail tone"),
        ("llm", "chat gpt-4o-mini"),
        ("llm", "chat gpt-4o-mini"),
        ("retriever", "retrieval handbook"),
        ("tool", "execute_tool notify"),
        ("tool", "execute_tool track"),
    ]
    ours = {span["spanId"]: span.get("parentSpanId") for span in backends.canonical()}
    assert {row["spanId"]: row["parentId"] for row in rows(project)} == ours


def test_the_columns_of_the_list(spans: dict[str, Any]) -> None:
    columns = {name: (row["input"], row["output"]) for name, row in spans.items()}
    asked, answered = columns["invoke_workflow answer a customer"]
    assert asked == {"value": "Where is my parcel JD014?", "mimeType": "text"}
    assert answered["value"].startswith("Your parcel waits")
    assert columns["retrieval handbook"][0]["value"] == "Where is my parcel JD014?"
    assert json.loads(columns["execute_tool track"][1]["value"])["until"] == "Friday"
    assert json.loads(columns["apply_guardrail tone"][1]["value"])["verdict"] == "flag"
    assert columns["chat gpt-4o-mini"][0]["value"] == "Where is my parcel JD014?"


def test_tokens_and_cost(project: Any, backends: Backends) -> None:
    """Phoenix prices by itself, which is a check of our prices too."""
    calls = [row for row in rows(project) if row["spanKind"] == "llm"]
    counts = sorted((row["tokenCountPrompt"], row["tokenCountCompletion"]) for row in calls)
    assert counts == [(412, 18), (466, 21)]
    told = [_facts(span) for span in backends.canonical()]
    ours = sum(f.get("gen_ai.usage.cost", 0) for f in told if f["gen_ai.operation.name"] == "chat")
    theirs = sum(row["costSummary"]["total"]["cost"] for row in calls)
    assert ours == pytest.approx(theirs)


def _facts(span: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


def test_a_failure_is_an_error_with_its_reason(spans: dict[str, Any]) -> None:
    assert spans["execute_tool notify"]["statusCode"] == "ERROR"
    assert spans["execute_tool track"]["statusCode"] == "UNSET"


def test_the_session_reads_as_a_conversation(project: Any) -> None:
    (session,) = [edge["node"] for edge in project["sessions"]["edges"]]
    assert (session["sessionId"], session["numTraces"]) == (SESSION, 1)
    assert session["firstInput"]["value"] == "Where is my parcel JD014?"
    assert session["lastOutput"]["value"].startswith("Your parcel waits")


def test_messages_tools_documents_and_metadata(spans: dict[str, Any]) -> None:
    chat = json.loads(spans["chat gpt-4o-mini"]["attributes"])["llm"]
    roles = [each["message"]["role"] for each in chat["input_messages"]]
    assert roles[:2] == ["system", "user"]
    assert chat["tools"][0]["tool"]["json_schema"]
    assert chat["provider"] == "openai"
    found = json.loads(spans["retrieval handbook"]["attributes"])["retrieval"]["documents"]
    assert [each["document"]["id"] for each in found] == ["returns.md", "hours.md"]
    embedded = json.loads(spans["embeddings text-embedding-3-small"]["attributes"])["embedding"]
    (only,) = embedded["embeddings"]
    assert only["embedding"]["text"] == "Where is my parcel JD014?"
    root = json.loads(spans["invoke_workflow answer a customer"]["attributes"])
    assert root["metadata"]["tenant"] == "north"
    assert (root["user"]["id"], root["tag"]["tags"]) == ("ada", ["beta"])


def test_a_store_can_be_sent_later_and_twice(url: str, backends: Backends, tmp_path: Path) -> None:
    """Ids stay, so that Phoenix has each span once; another project shows it is the later one."""
    expected = len(backends.canonical())
    copied = tmp_path / "store"
    copied.mkdir()
    for file in backends.store.glob("traces-*.jsonl"):  # the same spans under ids of their own
        text = file.read_text("utf-8").replace(backends.trace_id, backends.trace_id[::-1])
        for span in backends.canonical():
            text = text.replace(span["spanId"], span["spanId"][::-1])
        (copied / file.name).write_text(text, "utf-8")
    options = ("--endpoint", url, "--option", "project=later", "--content", "full")
    for _ in range(2):
        ran = run_cli("send", str(copied), "--to", "phoenix", *options, cwd=tmp_path)
        assert ran.stdout.startswith(
            f"{expected} of {expected} spans of 1 traces exported to phoenix"
        )
    found = servers.eventually(lambda: query(url, "later"))
    servers.eventually(lambda: len(rows(query(url, "later"))) == expected)
    assert found["traceCount"] == 1
    kinds = {row["spanKind"] for row in rows(query(url, "later"))}
    assert {"chain", "agent", "llm", "tool", "guardrail"} <= kinds


def test_what_is_written_to_a_store(url: str) -> None:
    """With its kind, and with what was written; of a session that the workflow learns inside."""
    qdrant = pytest.importorskip("qdrant_client")

    @genai_otel.workflow
    def ingest() -> None:
        client = qdrant.QdrantClient(":memory:")
        size = qdrant.models.VectorParams(size=2, distance=qdrant.models.Distance.COSINE)
        client.create_collection("handbook", vectors_config=size)
        point = qdrant.models.PointStruct(id=1, vector=[1.0, 0.0], payload={"text": "Rain."})
        with genai_otel.scope(session_id="ingestion", user_id="eve"):
            client.upsert("handbook", [point])

    to = Destination("phoenix", endpoint=url, options={"project": "ingest"})
    genai_otel.instrument(destinations=to, content="full")
    try:
        ingest()
        assert genai_otel.flush(60)
    finally:
        genai_otel.shutdown()

    def complete() -> Any:
        found = query(url, "ingest")
        return found if found and len(rows(found)) == 2 else None

    project = servers.eventually(complete)
    told = {row["name"]: row for row in rows(project)}
    written = told["upsert handbook"]
    assert written["spanKind"] == "chain"
    assert json.loads(written["input"]["value"]) == [{"id": 1, "payload": {"text": "Rain."}}]
    assert json.loads(written["output"]["value"])["records"] == 1
    root = json.loads(told["invoke_workflow ingest"]["attributes"])
    assert (root["session"]["id"], root["user"]["id"]) == ("ingestion", "eve")
    (session,) = [edge["node"] for edge in project["sessions"]["edges"]]
    assert (session["sessionId"], session["numTraces"]) == ("ingestion", 1)
