"""Bedrock through boto3 and aiobotocore: Converse, InvokeModel, agents, and the smaller calls."""

from __future__ import annotations

import gc
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _names as names
from genai_otel.engine.observe import OPEN
from tests.provider import truth
from tests.provider.bedrock_wire import FINISH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402 - after it is known to be there
from botocore.eventstream import EventStream  # noqa: E402
from botocore.exceptions import ClientError, EventStreamError  # noqa: E402
from botocore.response import StreamingBody  # noqa: E402
from botocore.stub import Stubber  # noqa: E402

HELLO: list[Any] = [{"role": "user", "content": [{"text": "Hello"}]}]
GOOD = ("ok", "tools", "reasoning", "cached", "length", "empty")
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


def assert_converse(told: dict[str, Any], scenario: str, *, stream: bool) -> None:
    known = truth(scenario, "converse", stream=stream)
    assert known.usage is not None
    assert told[names.GEN_AI_PROVIDER_NAME] == "aws.bedrock"
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == tuple(
        FINISH.get(reason, reason) for reason in known.finish_reasons
    )
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == known.usage.input
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == known.usage.output
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == known.usage.cached
    assert told[names.GENAI_OTEL_RESPONSE_SERVER_TIME] == 0.007
    parts = parts_of(told)
    assert "".join(p["content"] for p in parts if p["type"] == "text") == known.text
    assert "".join(p["content"] for p in parts if p["type"] == "reasoning") == known.reasoning
    calls = [(p["id"], p["name"], p["arguments"]) for p in parts if p["type"] == "tool_call"]
    assert calls == [(c.id, c.name, json.loads(c.arguments)) for c in known.tool_calls]
    if stream:
        assert told[names.GENAI_OTEL_RESPONSE_CHUNKS] == known.chunks


@pytest.mark.parametrize("scenario", GOOD)
def test_converse(genai_otel_capture: Capture, client: Any, scenario: str) -> None:
    client.converse(
        modelId=scenario,
        messages=HELLO,
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5},
    )
    told = facts(genai_otel_capture)
    assert_converse(told, scenario, stream=False)
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be brief."


@pytest.mark.parametrize("scenario", GOOD)
def test_converse_stream(genai_otel_capture: Capture, client: Any, scenario: str) -> None:
    reply = client.converse_stream(modelId=scenario, messages=HELLO)
    assert type(reply["stream"]) is EventStream
    list(reply["stream"])
    assert_converse(facts(genai_otel_capture), scenario, stream=True)
    assert len(OPEN) == 0


def _closed(stream: Any) -> None:
    next(iter(stream))
    stream.close()


def _broken_off(stream: Any) -> None:
    next(iter(stream))


@pytest.mark.parametrize("leave", [_closed, _broken_off, lambda _: None])
def test_a_stream_left_early(
    genai_otel_capture: Capture, client: Any, leave: Callable[[Any], None]
) -> None:
    reply = client.converse_stream(modelId="slow", messages=HELLO)
    leave(reply["stream"])
    del reply
    gc.collect()
    told = facts(genai_otel_capture)
    assert told[names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert names.ERROR_TYPE not in told
    assert len(OPEN) == 0


def test_an_error_in_a_stream(genai_otel_capture: Capture, client: Any) -> None:
    reply = client.converse_stream(modelId="error-event", messages=HELLO)
    with pytest.raises(EventStreamError):
        list(reply["stream"])
    assert facts(genai_otel_capture)[names.ERROR_TYPE].endswith("EventStreamError")


def test_an_error(genai_otel_capture: Capture, client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.converse(modelId="err400", messages=HELLO)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    told = facts(genai_otel_capture)
    assert told[names.ERROR_TYPE] == "botocore.errorfactory.ValidationException"


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

BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
    },
    "amazon.nova": {"messages": HELLO, "inferenceConfig": {"maxTokens": 9}},
    "amazon.titan": {"inputText": "Hello", "textGenerationConfig": {"maxTokenCount": 9}},
    "meta": {"prompt": "Hello", "max_gen_len": 9},
    "mistral": {"prompt": "Hello", "max_tokens": 9},
    "cohere": {"message": "Hello", "max_tokens": 9},
    "ai21": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
    "deepseek": {"prompt": "Hello", "max_tokens": 9},
}
COUNTED = {"anthropic", "amazon.nova", "amazon.titan", "meta", "ai21"}
"""The families whose bodies have counts; the others' are in headers."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", BODIES)
def test_invoke_model(
    genai_otel_capture: Capture, client: Any, family: str, *, stream: bool
) -> None:
    model, body = f"{family}.ok", json.dumps(BODIES[family])
    known = truth("ok", "converse")
    if stream:
        reply = client.invoke_model_with_response_stream(modelId=model, body=body)
        list(reply["body"])
    else:
        reply = client.invoke_model(modelId=model, body=body)
        assert type(reply["body"]) is StreamingBody
        assert json.loads(reply["body"].read())
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_REQUEST_MODEL] == model
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert parts_of(told) == [{"type": "text", "content": known.text}]
    assert len(told[names.GEN_AI_RESPONSE_FINISH_REASONS]) == 1
    asked = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}]
    if stream or family in COUNTED:
        assert known.usage is not None
        assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == known.usage.input
        assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == known.usage.output


def test_embeddings(genai_otel_capture: Capture, client: Any) -> None:
    body = json.dumps({"inputText": "Hello"})
    client.invoke_model(modelId="amazon.titan-embed.ok", body=body)["body"].read()
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 256
    assert "0.5" not in str(told)


def _in_pieces(body: Any) -> bytes:
    return b"".join(body.iter_chunks(7))


def _by_hand(body: Any) -> bytes:
    pieces = []
    while piece := body.read(5):
        pieces.append(piece)
    return b"".join(pieces)


def _as_lines(body: Any) -> bytes:
    return b"".join(body.iter_lines())


@pytest.mark.parametrize("read", [_in_pieces, _by_hand, _as_lines, lambda body: body.read()])
def test_a_body_is_seen_as_the_host_reads_it(
    genai_otel_capture: Capture, client: Any, read: Callable[[Any], bytes]
) -> None:
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    found = json.loads(read(reply["body"]))
    assert parts_of(facts(genai_otel_capture))[0]["content"] == found["generation"]


@pytest.mark.parametrize("leave", [lambda body: body.close(), lambda body: body.read(1)])
def test_a_body_that_is_not_read(
    genai_otel_capture: Capture, client: Any, leave: Callable[[Any], None]
) -> None:
    reply = client.invoke_model(modelId="meta.ok", body=json.dumps(BODIES["meta"]))
    leave(reply["body"])
    del reply
    gc.collect()
    assert names.ERROR_TYPE not in facts(genai_otel_capture)
    assert len(OPEN) == 0


def test_a_file_as_body_is_the_clients_alone(
    genai_otel_capture: Capture, client: Any, provider: Provider
) -> None:
    body = io.BytesIO(json.dumps(BODIES["meta"]).encode())
    client.invoke_model(modelId="meta.ok", body=body)["body"].read()
    assert provider.requests[-1].json == BODIES["meta"]
    assert facts(genai_otel_capture)[names.GEN_AI_REQUEST_MODEL] == "meta.ok"


# -------------------------------------------------------------------------- agents and the rest


def test_an_agent(genai_otel_capture: Capture, provider: Provider) -> None:
    client = client_of(provider, "bedrock-agent-runtime")
    reply = client.invoke_agent(
        agentId="ok", agentAliasId="a", sessionId="s1", inputText="Hello", enableTrace=True
    )
    list(reply["completion"])
    client.close()
    told = facts(genai_otel_capture)
    assert genai_otel_capture.span().name == "invoke_agent ok"
    assert told[names.GEN_AI_CONVERSATION_ID] == "s1"
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert parts_of(told)[0]["content"] == truth("ok").text


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


# -------------------------------------------------------------------------------- aiobotocore


async def test_aiobotocore(genai_otel_capture: Capture, provider: Provider) -> None:
    session = pytest.importorskip("aiobotocore.session").get_session()
    options = {**OPTIONS, "endpoint_url": provider.root}
    async with session.create_client("bedrock-runtime", **options) as client:
        await client.converse(modelId="ok", messages=HELLO)
        reply = await client.converse_stream(modelId="tools", messages=HELLO)
        events = [event async for event in reply["stream"]]
        body = json.dumps(BODIES["meta"])
        whole = await client.invoke_model(modelId="meta.ok", body=body)
        assert json.loads(await whole["body"].read())
        left = await client.converse_stream(modelId="slow", messages=HELLO)
        async for _ in left["stream"]:
            break
        left["stream"].close()
    told = {span.name: dict(span.attributes or {}) for span in genai_otel_capture.spans}
    assert_converse(told["chat ok"], "ok", stream=False)
    assert_converse(told["chat tools"], "tools", stream=True)
    assert len(events) == told["chat tools"][names.GENAI_OTEL_RESPONSE_CHUNKS]
    assert parts_of(told["text_completion meta.ok"])[0]["content"] == truth("ok").text
    assert told["chat slow"][names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert len(OPEN) == 0
