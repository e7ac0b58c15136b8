"""Cohere's clients: what the table of all clients does not ask."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import _semconv as names
from genai_otel.testing import Capture
from tests.adapters.kin import CITY, facts
from tests.provider.cohere_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

cohere = pytest.importorskip("cohere")

ASKED: Any = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
}


def client_of(root: str, kind: Any = None) -> Any:
    return (kind or cohere.ClientV2)(api_key="k", base_url=f"{root}/cohere")


@pytest.fixture(params=["ClientV2", "Client"])
def client(provider: Provider, request: pytest.FixtureRequest) -> Iterator[Any]:
    client = client_of(provider.root, getattr(cohere, request.param))
    yield client
    client._client_wrapper.httpx_client.httpx_client.close()


def test_clients_made_before_are_recorded(provider: Provider) -> None:
    """They keep `chat` and `chat_stream` of that day as their own attributes."""
    genai_otel.shutdown()
    client = client_of(provider.root)
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter)
    client.chat(model="ok", **ASKED)
    list(client.chat_stream(model="ok", **ASKED))
    client._client_wrapper.httpx_client.httpx_client.close()
    assert len(capture.spans) == 2
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def test_embeddings(genai_otel_capture: Capture, client: Any) -> None:
    kinds = {"embedding_types": ["float"]} if type(client).__name__ == "ClientV2" else {}
    client.embed(texts=["one", "two"], model="embed-v4.0", input_type="search_query", **kinds)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_REQUEST_MODEL] == "embed-v4.0"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == DIMENSIONS
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == ["one", "two"]


def test_requests_in_threads_of_the_client_are_one_call(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    """Version 1 sends 96 texts at a time."""
    client = client_of(provider.root, cohere.Client)
    with genai_otel.operation("step", "index") as outer:
        client.embed(texts=["text"] * 200, model="embed-v4.0", input_type="search_query")
    assert outer is not None
    assert len(provider.requests) == 3
    embed, step = genai_otel_capture.spans
    told = dict(embed.attributes or {})
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 36
    assert embed.parent is not None
    assert embed.parent.span_id == step.context.span_id
    client._client_wrapper.httpx_client.httpx_client.close()


def test_reranking(genai_otel_capture: Capture, client: Any) -> None:
    client.rerank(model="rerank-v4", query="Which?", documents=["one", "two", "three"], top_n=2)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "rerank"
    assert told[names.GEN_AI_RETRIEVAL_QUERY_TEXT] == "Which?"
    assert told[names.GEN_AI_RETRIEVAL_TOP_K] == 2
    found = json.loads(told[names.GEN_AI_RETRIEVAL_DOCUMENTS])
    assert [(each["id"], each["score"]) for each in found] == [("2", 0.9), ("1", 0.8)]


def test_a_plan_and_a_tools_answer(genai_otel_capture: Capture, provider: Provider) -> None:
    client = client_of(provider.root)
    reply = client.chat(model="tools", **ASKED)
    facts(genai_otel_capture)
    genai_otel_capture.clear()
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": "21"}
        for call in reply.message.tool_calls
    ]
    turns = [*ASKED["messages"], reply.message, *answers]
    client.chat(model="ok", messages=turns)
    said = json.loads(facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES])
    assert [turn["role"] for turn in said] == ["system", "user", "assistant", "tool", "tool"]
    assert said[3]["parts"][0]["id"] == said[2]["parts"][0]["id"] == "call_weather"
    client._client_wrapper.httpx_client.httpx_client.close()


@pytest.mark.parametrize("kind", ["BedrockClient", "BedrockClientV2", "SagemakerClientV2"])
def test_through_aws(
    genai_otel_capture: Capture, provider: Provider, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3")
    # One of them looks for credentials in spite of those that it is given: there is no network.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": "secret"}
    client = getattr(cohere, kind)(aws_region="us-east-1", **keys)
    sending = client._client_wrapper.httpx_client.httpx_client

    def astray(request: Any) -> None:
        """Behind the client's own hook: loopback stands for AWS."""
        request.url = request.url.copy_with(scheme="http", netloc=provider.root[7:].encode())

    sending.event_hooks = {"request": [*sending.event_hooks["request"], astray]}
    asked = {"message": "Hello"} if "V2" not in kind else {"messages": ASKED["messages"]}
    with suppress(Exception):  # what comes back is not what this version would want
        client.chat(model="cohere.ok", **asked)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_PROVIDER_NAME] == f"aws.{kind.partition('Client')[0].lower()}"
    assert names.SERVER_ADDRESS not in told
    assert provider.requests[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256")
    sending.close()
