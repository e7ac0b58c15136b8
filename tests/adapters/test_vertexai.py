"""Classic Vertex AI over gRPC: a real server on loopback, which speaks its protocol buffers."""

from __future__ import annotations

import json
from concurrent import futures
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("vertexai.generative_models")

import grpc
import vertexai
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as wire
from google.cloud.aiplatform_v1.services.prediction_service import transports
from vertexai import generative_models as models
from vertexai.language_models import TextEmbeddingInput, TextEmbeddingModel

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

NAME = "gemini-2.5-pro"
SERVICE = "google.cloud.aiplatform.v1.PredictionService"
USAGE = {
    "prompt_token_count": 9,
    "candidates_token_count": 4,
    "thoughts_token_count": 2,
    "cached_content_token_count": 3,
    "total_token_count": 15,
}
COUNTS = wire.GenerateContentResponse.UsageMetadata
NEW = "thoughts_token_count" in COUNTS.meta.fields
CALL = {"function_call": {"name": "weather", "args": {"city": "Paris", "days": [1.0, None]}}}
pytestmark = pytest.mark.filterwarnings("ignore")  # the library warns of its own end


def reply(*parts: dict[str, Any], **more: Any) -> Any:
    said = {"role": "model", "parts": list(parts)}
    candidate = {"content": said, **({"finish_reason": "STOP"} if more else {})}
    told = {"model_version": f"{NAME}-001", "response_id": "r1", **more}
    return wire.GenerateContentResponse({"candidates": [candidate], **known(told)})


def known(told: dict[str, Any], message: Any = wire.GenerateContentResponse) -> dict[str, Any]:
    """What this version has a field for: the older ones know fewer."""
    return {key: value for key, value in told.items() if key in message.meta.fields}


def generate(request: Any, _context: Any) -> Any:
    if request.contents[-1].parts[0].text == "Unsafe?":
        return unsafe()
    if request.tools and request.contents[-1].role == "user":
        return reply(CALL, usage_metadata=known(USAGE, COUNTS))
    return reply({"text": "Hello."}, usage_metadata=known(USAGE, COUNTS))


def unsafe() -> Any:
    blocked = reply({"text": "Hello."}, usage_metadata=known(USAGE, COUNTS))
    blocked.candidates[0].finish_reason = "SAFETY"
    return blocked


def stream(request: Any, _context: Any) -> Iterator[Any]:
    if request.contents[-1].parts[0].text == "Unsafe?":
        yield unsafe()
        return
    yield reply({"text": "Hel"})
    yield reply({"text": "lo."}, usage_metadata=known(USAGE, COUNTS))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    shapes = {
        "request_deserializer": wire.GenerateContentRequest.deserialize,
        "response_serializer": wire.GenerateContentResponse.serialize,
    }
    handlers = {
        "GenerateContent": grpc.unary_unary_rpc_method_handler(generate, **shapes),
        "StreamGenerateContent": grpc.unary_stream_rpc_method_handler(stream, **shapes),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    vertexai.init(project="p", location="us-central1", credentials=AnonymousCredentials())
    yield f"127.0.0.1:{port}"
    server.stop(None)


def model(address: str, **more: Any) -> Any:
    made = models.GenerativeModel(NAME, system_instruction="Be kind.", **more)
    transport = transports.PredictionServiceGrpcTransport(channel=grpc.insecure_channel(address))
    own = wire.PredictionServiceClient(transport=transport)
    vars(made).update(_prediction_client=own, _prediction_client_value=own)  # newer, older
    return made


def asynchronous(address: str) -> Any:
    made = models.GenerativeModel(NAME, system_instruction="Be kind.")
    transport = transports.PredictionServiceGrpcAsyncIOTransport(
        channel=grpc.aio.insecure_channel(address)
    )
    own = wire.PredictionServiceAsyncClient(transport=transport)
    vars(made).update(_prediction_async_client=own, _prediction_async_client_value=own)
    return made


ASKED = [
    models.Content(
        role="user",
        parts=[models.Part.from_text("Look:"), models.Part.from_data(b"abc", "image/png")],
    )
]
CONFIG = models.GenerationConfig(temperature=0.5, max_output_tokens=9, stop_sequences=["x"])


def check(capture: Capture, *, streamed: bool) -> None:
    (span,) = capture.spans
    told = dict(span.attributes or {})
    assert span.name == f"chat {NAME}"
    assert told[names.GEN_AI_PROVIDER_NAME] == "gcp.vertex_ai"
    assert told[names.GEN_AI_RESPONSE_MODEL] == f"{NAME}-001"
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("STOP",)
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GENAI_OTEL_RESPONSE_REGION] == "us-central1"
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    assert told.get(names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS) == (3 if NEW else None)
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == (6 if NEW else 4)
    if NEW:
        assert told[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] == 2
        assert told[names.GEN_AI_RESPONSE_ID] == "r1"
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be kind."
    (asked,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert asked["parts"][0] == {"type": "text", "content": "Look:"}
    assert asked["parts"][1].items() >= {"modality": "image", "size": 3}.items()
    (said,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert said["parts"] == [{"type": "text", "content": "Hello."}]
    assert (names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told) is streamed


@pytest.mark.parametrize("streamed", [False, True])
def test_a_model(genai_otel_capture: Capture, address: str, streamed: bool) -> None:
    answer = model(address).generate_content(ASKED, generation_config=CONFIG, stream=streamed)
    words = "".join(each.text for each in answer) if streamed else answer.text
    assert words == "Hello."
    check(genai_otel_capture, streamed=streamed)


@pytest.mark.parametrize("streamed", [False, True])
async def test_asynchronously(genai_otel_capture: Capture, address: str, streamed: bool) -> None:
    answer = await asynchronous(address).generate_content_async(
        ASKED, generation_config=CONFIG, stream=streamed
    )
    words = "".join([each.text async for each in answer]) if streamed else answer.text
    assert words == "Hello."
    check(genai_otel_capture, streamed=streamed)


def test_a_chat_with_a_tool(genai_otel_capture: Capture, address: str) -> None:
    given = {"type": "object", "properties": {"city": {"type": "string"}}}
    weather = models.FunctionDeclaration(name="weather", parameters=given, description="W.")
    tools = [models.Tool.from_function_declarations([weather])]
    chat = model(address, tools=tools, generation_config={"temperature": 0.25}).start_chat()
    chat.send_message("Is it dry?")
    answer = models.Part.from_function_response("weather", {"sky_is": "dry"})
    chat.send_message(models.Content(role="function", parts=[answer]))
    first, second = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert first[names.GEN_AI_REQUEST_TEMPERATURE] == 0.25
    (part,) = json.loads(first[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]
    assert (part["name"], part["arguments"]) == ("weather", {"city": "Paris", "days": [1.0, None]})
    (tool,) = json.loads(first[names.GEN_AI_TOOL_DEFINITIONS])
    assert tool["name"] == "weather"
    assert tool["parameters"]["properties"]["city"]
    turns = json.loads(second[names.GEN_AI_INPUT_MESSAGES])
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool"]
    assert turns[2]["parts"][0]["response"] == {"sky_is": "dry"}


def test_plain_words_and_a_mixture(genai_otel_capture: Capture, address: str) -> None:
    made = model(address)
    made.generate_content("Hi.")
    made.generate_content(["Look:", models.Part.from_data(b"abc", "image/png")])
    words, mixed = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    (turn,) = json.loads(words[names.GEN_AI_INPUT_MESSAGES])
    assert turn == {"role": "user", "parts": [{"type": "text", "content": "Hi."}]}
    (turn,) = json.loads(mixed[names.GEN_AI_INPUT_MESSAGES])
    assert [part["type"] for part in turn["parts"]] == ["text", "media"]


def test_nobody_there(genai_otel_capture: Capture) -> None:
    with pytest.raises(Exception, match="connect"):
        model("127.0.0.1:9").generate_content("Hi.")
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})[names.ERROR_TYPE].endswith("ServiceUnavailable")


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_session_refuses_was_paid_for(
    genai_otel_capture: Capture, address: str, streamed: bool
) -> None:
    """It looks at what the recorded call has returned: no error of that call."""
    chat = model(address).start_chat()
    with pytest.raises(models.ResponseValidationError):
        list(chat.send_message("Unsafe?", stream=streamed))
    (span,) = genai_otel_capture.spans
    told = dict(span.attributes or {})
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == (6 if NEW else 4)
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("SAFETY",)
    assert names.ERROR_TYPE not in told


class Endpoint:
    """What an embedding model sends through; a whole endpoint needs Google's resources."""

    def __init__(self, **counted: Any) -> None:
        statistics = {"token_count": 3, "truncated": False}
        self._made = {"embeddings": {"statistics": statistics, **counted}}

    def predict(self, instances: Any, parameters: Any) -> Any:
        predictions = [self._made for _ in instances]
        return type("Answer", (), {"predictions": predictions, "metadata": None})()

    async def predict_async(self, instances: Any, parameters: Any) -> Any:
        return self.predict(instances, parameters)


def embedder(**counted: Any) -> Any:
    made = TextEmbeddingModel.__new__(TextEmbeddingModel)
    made._model_id, made._endpoint = "text-embedding-005", Endpoint(**counted)
    return made


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_embeddings_without_a_vector(genai_otel_capture: Capture, colour: str) -> None:
    async def ask() -> None:
        made = embedder()
        if colour == "async":
            await made.get_embeddings_async(["One.", "Two."])
        else:
            made.get_embeddings(["One.", "Two."])

    with pytest.raises(KeyError, match="values"):
        await ask()
    told = genai_otel_capture.span("embeddings text-embedding-005").attributes or {}
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 6
    assert told[names.ERROR_TYPE] == "KeyError"


def test_embeddings(genai_otel_capture: Capture) -> None:
    made = embedder(values=[0.5, 0.25])
    found = made.get_embeddings(["One.", TextEmbeddingInput("Two.")])
    assert [each.values for each in found] == [[0.5, 0.25]] * 2
    told = genai_otel_capture.span("embeddings text-embedding-005").attributes or {}
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 6
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 2
    assert json.loads(str(told[names.GENAI_OTEL_INPUT])) == ["One.", "Two."]
