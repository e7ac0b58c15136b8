"""Bedrock beside what the conformance table asks: what is sent, bodies, and the smaller calls."""

from __future__ import annotations

import io
import json
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
import wrapt

import genai_otel
from genai_otel import _semconv as names
from genai_otel._support.background import finish
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.returned_objects import _OBSERVED
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider import Provider

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402 - after it is known to be there
from botocore.response import StreamingBody  # noqa: E402
from botocore.stub import Stubber  # noqa: E402

from tests.collected import collect  # noqa: E402
from tests.conformance.bedrock_rows import BODIES  # noqa: E402
from tests.conformance.facts import PROMPT  # noqa: E402

HELLO: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
OPTIONS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "secret",
}


def client_of(provider: Provider, service: str = "bedrock-runtime", retries: int = 0) -> Any:
    config = Config(retries={"total_max_attempts": 1 + retries, "mode": "standard"})
    return boto3.client(service, endpoint_url=provider.root, config=config, **OPTIONS)


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    client = client_of(provider)
    yield client
    client.close()


def facts(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def parts_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]  # type: ignore[no-any-return]


def test_what_converse_is_asked(genai_otel_capture: Capture, client: Any) -> None:
    client.converse(
        modelId="ok",
        messages=HELLO,
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5},
    )
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GENAI_OTEL_RESPONSE_SERVER_TIME] == 0.007
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be brief."


@pytest.fixture
def priced() -> Iterator[Capture]:
    capture = Capture()
    prices = {"models": {"*": {"input": 1.0, "output": 2.0}}}
    genai_otel.instrument(destinations=capture.exporter, prices=prices)
    finish()  # the table of prices is read
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def test_what_a_guardrail_costs_is_not_in_the_price(priced: Capture, client: Any) -> None:
    guarded = {"guardrailIdentifier": "g1", "guardrailVersion": "1"}
    client.converse(modelId="ok", messages=HELLO)
    client.converse(modelId="ok", messages=HELLO, guardrailConfig=guarded)
    stream = client.converse_stream(modelId="ok", messages=HELLO, guardrailConfig=guarded)
    list(stream["stream"])
    body = json.dumps(BODIES["meta"])
    client.invoke_model(modelId="meta.ok", body=body, **guarded)["body"].read()
    plain, *others = [span.attributes or {} for span in priced.spans]
    assert names.GEN_AI_USAGE_COST in plain
    assert [list(told[names.GENAI_OTEL_COST_UNPRICED]) for told in others] == [["guardrails"]] * 3
    assert not any(names.GEN_AI_USAGE_COST in told for told in others)


def test_retries_are_counted(genai_otel_capture: Capture, provider: Provider) -> None:
    client = client_of(provider, retries=2)
    client.converse(modelId="retry-500", messages=HELLO)
    client.close()
    assert facts(genai_otel_capture)[names.GENAI_OTEL_RESPONSE_ATTEMPTS] == 2


def test_what_is_said_in_blocks(genai_otel_capture: Capture, client: Any) -> None:
    client.converse(
        modelId="ok",
        messages=[
            {
                "role": "user",
                "content": [
                    {"text": "What is this?"},
                    {"image": {"format": "png", "source": {"bytes": b"PNG"}}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t", "name": "look", "input": {"at": 1}}}],
            },
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}]}}],
            },
        ],
        toolConfig={"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {}}}}]},
    )
    told = facts(genai_otel_capture)
    question, asked, result = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert question["parts"][1]["size"] == 3
    assert question["parts"][1]["mime_type"] == "image/png"
    assert asked["parts"][0]["arguments"] == {"at": 1}
    assert result["role"] == "tool"
    assert result["parts"][0]["response"] == {"a": 1}
    assert json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])[0]["name"] == "look"


# --------------------------------------------------------------------------------- InvokeModel


@pytest.mark.parametrize("family", BODIES)
def test_what_invoke_model_is_asked(genai_otel_capture: Capture, client: Any, family: str) -> None:
    client.invoke_model(modelId=f"{family}.ok", body=json.dumps(BODIES[family]))["body"].read()
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    asked = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]


def test_vectors_are_not_told(genai_otel_capture: Capture, client: Any) -> None:
    body = json.dumps({"inputText": "Hello"})
    client.invoke_model(modelId="amazon.titan-embed.ok", body=body)["body"].read()
    assert "0.5" not in str(facts(genai_otel_capture))


PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3"
NOVA = {
    "taskType": "SINGLE_EMBEDDING",
    "singleEmbeddingParams": {
        "embeddingPurpose": "GENERIC_INDEX",
        "embeddingDimension": 3,
        "text": {"truncationMode": "END", "value": "Hello"},
    },
}
VECTOR = [0.25, 0.5, 0.75]
# What is asked, what comes, and what is told of the former.
EMBEDDINGS: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "nova": (NOVA, {"embeddings": [{"embeddingType": "TEXT", "embedding": VECTOR}]}, "Hello"),
    "titan": ({"inputText": "Hello"}, {"embedding": VECTOR}, "Hello"),
    "titan, of images, too": (
        {"inputText": "Hello", "embeddingConfig": {"outputEmbeddingLength": 3}},
        {"embedding": VECTOR, "inputTextTokenCount": 9},
        "Hello",
    ),
    "cohere": (
        {"texts": ["Hello"], "input_type": "search_query"}, {"embeddings": [VECTOR]}, ["Hello"],
    ),
    "cohere, by types": (
        {"texts": ["Hello"], "input_type": "search_query", "embedding_types": ["float"]},
        {"embeddings": {"float": [VECTOR]}},
        ["Hello"],
    ),
}  # fmt: skip


def invoked(client: Any, model: str, asked: Any, answer: Any, headers: dict[str, str]) -> None:
    """One InvokeModel that is answered with this body and these headers."""
    data = json.dumps(answer).encode()
    response = {
        "contentType": "application/json",
        "body": StreamingBody(io.BytesIO(data), len(data)),
        "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers},
    }
    with Stubber(client) as stub:
        stub.add_response("invoke_model", response)
        client.invoke_model(modelId=model, body=json.dumps(asked))["body"].read()


@pytest.mark.parametrize("model", [PROFILE, "amazon.nova-2-multimodal-embeddings-v1:0"])
@pytest.mark.parametrize("case", EMBEDDINGS)
def test_embeddings_of_any_shape_by_any_name(
    genai_otel_capture: Capture, client: Any, case: str, model: str
) -> None:
    asked, answer, given = EMBEDDINGS[case]
    invoked(client, model, asked, answer, {"x-amzn-bedrock-input-token-count": "7"})
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    counted = answer.get("inputTextTokenCount", 7)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == counted
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 3
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == given
    assert "0.25" not in str(told)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"inputText": "Hello", "textGenerationConfig": {}}, {"results": [{"outputText": "Hi"}]}),
        ({"prompt": "Hello"}, {"generation": "Hi", "stop_reason": "stop"}),
        ({"prompt": "Hello"}, {"outputs": [{"text": "Hi", "stop_reason": "stop"}]}),
        ({"prompt": "Hello"}, {"generations": [{"text": "Hi"}]}),
    ],
)
def test_headers_count_what_a_body_does_not(
    genai_otel_capture: Capture, client: Any, asked: Any, answer: Any
) -> None:
    headers = {
        "x-amzn-bedrock-input-token-count": "7",
        "x-amzn-bedrock-output-token-count": "2",
    }
    invoked(client, PROFILE, asked, answer, headers)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "text_completion"
    assert (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_USAGE_OUTPUT_TOKENS]) == (7, 2)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"query": "q", "documents": ["a"], "api_version": 2}, "rerank"),
        ({"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a"}}, "generate_content"),
        ({"messages": [], "max_tokens": 9}, "chat"),
    ],
)
def test_what_a_profile_is_asked_for(
    genai_otel_capture: Capture, client: Any, asked: Any, kind: str
) -> None:
    invoked(client, PROFILE, asked, {}, {})
    assert facts(genai_otel_capture)[names.GEN_AI_OPERATION_NAME] == kind


def _by_hand(body: Any) -> bytes:
    pieces = []
    while piece := body.read(5):
        pieces.append(piece)
    return b"".join(pieces)


def _as_lines(body: Any) -> bytes:
    return b"".join(body.iter_lines())


@pytest.mark.parametrize("read", [_by_hand, _as_lines])
def test_a_body_is_seen_as_the_host_reads_it(
    genai_otel_capture: Capture, client: Any, read: Callable[[Any], bytes]
) -> None:
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    found = json.loads(read(reply["body"]))
    assert parts_of(facts(genai_otel_capture))[0]["content"] == found["generation"]


def _events_of(client: Any) -> Any:
    return client.converse_stream(modelId="ok", messages=HELLO)["stream"]


def _body_of(client: Any) -> Any:
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    return reply["body"]


def _one(handed: Any) -> Any:
    return handed.read(1) if hasattr(handed, "read") else next(iter(handed))


def test_a_proxy_of_another_tools_is_seen_through(
    genai_otel_capture: Capture, client: Any, uncollected: None
) -> None:
    """As tracers wrap a body, or an event stream, before we are given the reply."""

    def wrap(parsed: Any, **_: Any) -> None:
        found = {name: wrapt.ObjectProxy(parsed[name]) for name in {"body", "stream"} & {*parsed}}
        parsed.update(found)

    client.meta.events.register("after-call.bedrock-runtime", wrap)
    body = _body_of(client)
    found = json.loads(_by_hand(body))
    assert parts_of(facts(genai_otel_capture))[0]["content"] == found["generation"]
    genai_otel_capture.clear()
    events = _events_of(client)
    _one(events)
    events.close()
    assert len(genai_otel_capture.spans) == 1
    del body, events
    assert len(OPEN) == len(_OBSERVED) == 0


@pytest.mark.parametrize("leave", [lambda body: body.close(), lambda body: body.read(1)])
def test_a_body_that_is_not_read(
    genai_otel_capture: Capture, client: Any, leave: Callable[[Any], None]
) -> None:
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    leave(reply["body"])
    del reply
    collect()
    assert names.ERROR_TYPE not in facts(genai_otel_capture)
    assert len(OPEN) == 0


@pytest.mark.parametrize("ask", [_events_of, _body_of])
def test_what_is_dropped_ends_as_it_is_dropped(
    genai_otel_capture: Capture, client: Any, uncollected: None, ask: Callable[[Any], Any]
) -> None:
    handed = ask(client)
    connection = handed._raw_stream
    _one(handed)
    assert genai_otel_capture.spans == ()
    del handed
    assert len(genai_otel_capture.spans) == 1
    assert len(OPEN) == len(_OBSERVED) == 0
    connection.close()


@pytest.mark.parametrize("ask", [_events_of, _body_of])
def test_what_is_read_goes_on_without_us(
    genai_otel_capture: Capture, client: Any, ask: Callable[[Any], Any]
) -> None:
    bare = list(ask(client))
    handed = ask(client)
    seen = [_one(handed)]
    genai_otel.uninstrument()
    seen += handed
    assert b"".join(seen) == b"".join(bare) if ask is _body_of else seen == bare
    del handed
    assert len(_OBSERVED) == 0


class _Watched(io.BytesIO):
    """Counts what is asked of it; being of another class, it is the client's alone."""

    asked = 0

    def getvalue(self) -> bytes:
        self.asked += 1
        return super().getvalue()


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("kind", [io.BytesIO, _Watched])
def test_a_buffer_is_sent_from_where_it_stands(
    genai_otel_capture: Capture, client: Any, provider: Provider, kind: Any, start: int
) -> None:
    """Nothing of it is read: the client sends what it would have sent without us."""
    body = kind(b" " * start + json.dumps(BODIES["meta"]).encode())
    body.seek(start)
    client.invoke_model(modelId="meta.ok", body=body)["body"].read()
    assert provider.requests[-1].raw == json.dumps(BODIES["meta"]).encode()
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_MODEL] == "meta.ok"
    assert not getattr(body, "asked", 0)
    assert (names.GEN_AI_INPUT_MESSAGES in told) is (kind is io.BytesIO)


# -------------------------------------------------------------------------- agents and the rest


def test_the_session_of_an_agent(genai_otel_capture: Capture, provider: Provider) -> None:
    client = client_of(provider, "bedrock-agent-runtime")
    reply = client.invoke_agent(agentId="ok", agentAliasId="a", sessionId="s1", inputText="Hello")
    list(reply["completion"])
    client.close()
    assert facts(genai_otel_capture)[names.GEN_AI_CONVERSATION_ID] == "s1"


STUBBED: tuple[tuple[str, str, dict[str, Any], dict[str, Any], str], ...] = (
    (
        "bedrock-agent-runtime",
        "retrieve",
        {"knowledgeBaseId": "KB12345678", "retrievalQuery": {"text": "Why?"}},
        {
            "retrievalResults": [
                {
                    "content": {"text": "Because."},
                    "location": {"type": "S3", "s3Location": {"uri": "s3://b/k"}},
                    "score": 0.5,
                }
            ]
        },
        "retrieval KB12345678",
    ),
    (
        "bedrock-agent-runtime",
        "retrieve_and_generate",
        {
            "input": {"text": "Why?"},
            "retrieveAndGenerateConfiguration": {
                "type": "KNOWLEDGE_BASE",
                "knowledgeBaseConfiguration": {
                    "knowledgeBaseId": "KB12345678",
                    "modelArn": "anthropic.claude",
                },
            },
        },
        {"sessionId": "s1", "output": {"text": "Because."}},
        "chat anthropic.claude",
    ),
    (
        "bedrock-runtime",
        "apply_guardrail",
        {
            "guardrailIdentifier": "g1",
            "guardrailVersion": "2",
            "source": "INPUT",
            "content": [{"text": {"text": "Why?"}}],
        },
        {
            "usage": {
                "topicPolicyUnits": 1,
                "contentPolicyUnits": 1,
                "wordPolicyUnits": 0,
                "sensitiveInformationPolicyUnits": 0,
                "sensitiveInformationPolicyFreeUnits": 0,
                "contextualGroundingPolicyUnits": 0,
            },
            "action": "GUARDRAIL_INTERVENED",
            "outputs": [],
            "assessments": [],
        },
        "apply_guardrail g1",
    ),
    (
        "sagemaker-runtime",
        "invoke_endpoint",
        {"EndpointName": "mine", "Body": b"x"},
        {"Body": StreamingBody(io.BytesIO(b"y"), 1)},
        "text_completion mine",
    ),
)


@pytest.mark.parametrize("row", STUBBED, ids=lambda row: row[1])
def test_the_smaller_calls(genai_otel_capture: Capture, provider: Provider, row: Any) -> None:
    service, method, params, answer, name = row
    client = client_of(provider, service)
    with Stubber(client) as stub:
        stub.add_response(method, answer)
        reply = getattr(client, method)(**params)
    if "Body" in reply:
        reply["Body"].read()
    client.close()
    told = dict(genai_otel_capture.span(name).attributes or {})
    for attribute, value in TOLD[method].items():
        assert told[attribute] == value


TOLD = {
    "retrieve": {
        names.GEN_AI_RETRIEVAL_DOCUMENTS: ('[{"id":"s3://b/k","score":0.5,"content":"Because."}]'),
        names.GEN_AI_RETRIEVAL_QUERY_TEXT: "Why?",
    },
    "apply_guardrail": {
        names.GEN_AI_GUARDRAIL_RESULT_TYPE: "deny",
        names.GEN_AI_GUARDRAIL_POLICY_VERSION: "2",
    },
    "retrieve_and_generate": {
        names.GEN_AI_OUTPUT_MESSAGES: (
            '[{"role":"assistant","parts":[{"type":"text","content":"Because."}],'
            '"finish_reason":"unknown"}]'
        ),
    },
    "invoke_endpoint": {names.GEN_AI_PROVIDER_NAME: "aws.sagemaker"},
}


def test_other_services_are_left_alone(genai_otel_capture: Capture, provider: Provider) -> None:
    client = client_of(provider, "sts")
    with Stubber(client) as stub:
        stub.add_response("get_caller_identity", {"Account": "1"})
        client.get_caller_identity()
    client.close()
    assert not genai_otel_capture.spans


def test_a_body_that_is_read_for_hours(genai_otel_capture: Capture, client: Any) -> None:
    now = perf_counter()
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    body = reply["body"]
    for hour in range(1, 4):
        body.read(1)
        OPEN.expire(now + 3_700 * hour)
    assert genai_otel_capture.spans == ()
    OPEN.expire(now + 3_700 * 5)
    assert facts(genai_otel_capture)[names.GENAI_OTEL_EXPIRED] is True
    assert body.read()
