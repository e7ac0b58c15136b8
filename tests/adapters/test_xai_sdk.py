"""xAI's client over gRPC: a real server on loopback, made of the stubs that the client ships."""

from __future__ import annotations

import inspect
import json
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("xai_sdk")

import grpc
import pydantic
import xai_sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from xai_sdk import chat as said
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, image_pb2, image_pb2_grpc, sample_pb2, usage_pb2

import genai_otel
from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

MODEL = "grok-4"
USAGE = usage_pb2.SamplingUsage(
    prompt_tokens=20,
    cached_prompt_text_tokens=8,
    completion_tokens=6,
    reasoning_tokens=4,
    total_tokens=30,
    cost_in_usd_ticks=25_000_000,
)
CALL = chat_pb2.ToolCall(
    id="call_1", function=chat_pb2.FunctionCall(name="weather", arguments='{"city": "Paris"}')
)
HEAD = {"id": "r1", "model": "grok-4-0709", "system_fingerprint": "fp"}


def _output(content: str, thought: str, index: int = 0, **more: Any) -> Any:
    message = chat_pb2.CompletionMessage(
        content=content, reasoning_content=thought, role=chat_pb2.ROLE_ASSISTANT, **more
    )
    reason = sample_pb2.REASON_TOOL_CALLS if more else sample_pb2.REASON_STOP
    return chat_pb2.CompletionOutput(index=index, message=message, finish_reason=reason)


def _piece(content: str = "", thought: str = "", **more: Any) -> Any:
    delta = chat_pb2.Delta(content=content, reasoning_content=thought, role=chat_pb2.ROLE_ASSISTANT)
    return chat_pb2.CompletionOutputChunk(delta=delta, **more)


def _search(state: str) -> Any:
    return chat_pb2.ToolCall(
        id="call_2",
        type=chat_pb2.TOOL_CALL_TYPE_WEB_SEARCH_TOOL,
        status=getattr(chat_pb2, f"TOOL_CALL_STATUS_{state}"),
        function=chat_pb2.FunctionCall(name="web_search", arguments='{"query": "Paris"}'),
    )


def _searching() -> Iterator[Any]:
    """A search that is told of again as it goes on, beside a call of the caller's."""
    for calls in ([CALL], [_search("IN_PROGRESS")], [_search("COMPLETED")]):
        yield chat_pb2.CompletionOutputChunk(delta=chat_pb2.Delta(tool_calls=calls))
    found = chat_pb2.Delta(
        role=chat_pb2.ROLE_TOOL, content="12 degrees.", tool_calls=[_search("COMPLETED")]
    )
    yield chat_pb2.CompletionOutputChunk(index=1, delta=found)
    yield _piece("Mild.", index=2)


def _one(piece: Any) -> Any:
    return chat_pb2.GetChatCompletionChunk(outputs=[piece], **HEAD)


class Chats(chat_pb2_grpc.ChatServicer):
    """Thinks, says hello, or asks for the weather if it may."""

    def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
        if request.model == "refused":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down")
        if request.model == "searching":
            outputs = [
                _output("", "", tool_calls=[CALL, _search("COMPLETED")]),
                _output("12 degrees.", "", 1, tool_calls=[_search("COMPLETED")]),
                _output("Mild.", "", 2),
            ]
            outputs[1].message.role = chat_pb2.ROLE_TOOL
        elif request.tools:
            outputs = [_output("", "", tool_calls=[CALL])]
        else:
            outputs = [_output("Hello.", "Hm.", index) for index in range(request.n or 1)]
        return chat_pb2.GetChatCompletionResponse(outputs=outputs, usage=USAGE, **HEAD)

    def GetCompletionChunk(self, request: Any, _context: Any) -> Iterator[Any]:  # noqa: N802
        if request.model == "searching":
            yield from map(_one, _searching())
            return
        pieces = [
            _piece(thought="Hm."),
            _piece("Hel"),
            _piece("lo.", finish_reason=sample_pb2.REASON_STOP),
        ]
        for piece in pieces:
            yield chat_pb2.GetChatCompletionChunk(outputs=[piece], **HEAD)
        yield chat_pb2.GetChatCompletionChunk(usage=USAGE, **HEAD)


class Images(image_pb2_grpc.ImageServicer):
    def GenerateImage(self, request: Any, _context: Any) -> Any:  # noqa: N802
        image = image_pb2.GeneratedImage(url="https://x.ai/i.png?key=secret")
        return image_pb2.ImageResponse(images=[image], model=request.model)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    chat_pb2_grpc.add_ChatServicer_to_server(Chats(), server)
    image_pb2_grpc.add_ImageServicer_to_server(Images(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@contextmanager
def client(host: str, cls: Any = xai_sdk.Client) -> Iterator[Any]:
    given = cls(api_key="k", api_host=host, use_insecure_channel=True)
    try:
        yield given
    finally:
        if cls is xai_sdk.Client:
            given.close()


def chat(given: Any, **more: Any) -> Any:
    made = given.chat.create(model=MODEL, temperature=0.5, max_tokens=9, **more)
    made.append(said.system("Be kind."))
    made.append(said.user("Look:", said.image("https://x.ai/a.png?key=secret")))
    return made


def check(capture: Capture, *, streamed: bool = False) -> None:
    (span,) = capture.spans
    told = dict(span.attributes or {})
    assert span.name == f"chat {MODEL}"
    assert told[names.GEN_AI_PROVIDER_NAME] == "x_ai"
    assert told[names.GEN_AI_RESPONSE_MODEL] == "grok-4-0709"
    assert told[names.GEN_AI_RESPONSE_ID] == "r1"
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 20
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 8
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 10
    assert told[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] == 4
    assert told[names.GEN_AI_USAGE_COST] == 0.0025
    system, asked = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]}
    assert asked["parts"][1]["uri"] == "https://x.ai/a.png"
    reply = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]
    assert [part["content"] for part in reply["parts"]] == ["Hm.", "Hello."]
    assert reply["finish_reason"] == "stop"
    assert (names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told) is streamed
    assert "secret" not in str(told)


@pytest.mark.parametrize("way", ["sample", "sample_batch", "stream", "stream_batch"])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_chat(genai_otel_capture: Capture, host: str, way: str) -> None:
    with client(host) as given:
        method, many = getattr(chat(given), way), (1,) if way.endswith("batch") else ()
        if way.startswith("stream"):
            for response, _chunk in method(*many):
                last = response
            assert (last[0] if many else last).content == "Hello."
        else:
            response = method(*many)
            assert (response[0] if many else response).content == "Hello."
    check(genai_otel_capture, streamed=way.startswith("stream"))


@pytest.mark.parametrize("way", ["sample", "stream"])
async def test_an_asynchronous_chat(genai_otel_capture: Capture, host: str, way: str) -> None:
    with client(host, xai_sdk.AsyncClient) as given:
        if way == "sample":
            response = await chat(given).sample()
        else:
            async for response, _chunk in chat(given).stream():  # noqa: B007 - the last of them
                pass
        assert response.content == "Hello."
        await given.close()
    check(genai_otel_capture, streamed=way == "stream")


async def now(ask: Any) -> None:
    """Of either call style."""
    made = ask()
    if inspect.isawaitable(made):
        await made


class Sky(pydantic.BaseModel):
    colour: str


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_reply_that_does_not_fit_its_shape(
    genai_otel_capture: Capture, host: str, colour: str
) -> None:
    """The one thing that the client does with a reply and that may fail: the rest is typed."""
    cls = xai_sdk.Client if colour == "sync" else xai_sdk.AsyncClient
    with client(host, cls) as given:
        with pytest.raises(pydantic.ValidationError):
            await now(lambda: chat(given).parse(Sky))
        if colour == "async":
            await given.close()
    check(genai_otel_capture, streamed=False)
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})[names.ERROR_TYPE].endswith("ValidationError")
    assert not span.status.is_ok


def test_a_tool(genai_otel_capture: Capture, host: str) -> None:
    weather = said.tool("weather", "The weather.", {"type": "object", "properties": {}})
    with client(host) as given:
        asking = chat(given, tools=[weather])
        asking.append(asking.sample())
        asking.append(said.tool_result("dry", tool_call_id="call_1"))
        asking.sample()
    first, second = genai_otel_capture.spans
    told = first.attributes or {}
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_calls",)
    (part,) = json.loads(str(told[names.GEN_AI_OUTPUT_MESSAGES]))[0]["parts"]
    assert part == {
        "type": "tool_call",
        "id": "call_1",
        "name": "weather",
        "arguments": {"city": "Paris"},
    }
    (tool,) = json.loads(str(told[names.GEN_AI_TOOL_DEFINITIONS]))
    assert (tool["name"], tool["parameters"]["type"]) == ("weather", "object")
    turns = json.loads(str((second.attributes or {})[names.GEN_AI_INPUT_MESSAGES]))
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "tool"]
    assert turns[3]["parts"][0]["response"] == "dry"


@pytest.mark.parametrize("way", ["sample", "stream"])
def test_tools_that_xai_runs(genai_otel_capture: Capture, host: str, way: str) -> None:
    with client(host) as given:
        asked = given.chat.create(model="searching", messages=[said.user("Paris?")])
        made = getattr(asked, way)()
        for _ in made if way == "stream" else ():
            pass
    told = genai_otel_capture.span("chat searching").attributes or {}
    outputs = json.loads(str(told[names.GEN_AI_OUTPUT_MESSAGES]))
    parts = [part for output in outputs for part in output["parts"] if part.get("content") != ""]
    state = {"status": "completed"}
    searched = {"name": "web_search", "arguments": {"query": "Paris"}, **state}
    assert parts == [
        {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Paris"}},
        {
            "type": "server_tool_call",
            "id": "call_2",
            "name": "web_search",
            "server_tool_call": {"type": "web_search", **searched},
        },
        {
            "type": "server_tool_call_response",
            "id": "call_2",
            "server_tool_call_response": {
                "type": "web_search",
                "content": "12 degrees.",
                **state,
            },
        },
        {"type": "text", "content": "Mild."},
    ]


def test_several_choices(genai_otel_capture: Capture, host: str) -> None:
    with client(host) as given, pytest.warns(PendingDeprecationWarning):
        assert len(chat(given).sample_batch(2)) == 2
    told = genai_otel_capture.span(f"chat {MODEL}").attributes or {}
    assert told[names.GEN_AI_REQUEST_CHOICE_COUNT] == 2
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 10
    assert len(json.loads(str(told[names.GEN_AI_OUTPUT_MESSAGES]))) == 2


def test_an_error(genai_otel_capture: Capture, host: str) -> None:
    with client(host) as given, pytest.raises(grpc.RpcError, match="slow down"):
        given.chat.create(model="refused", messages=[said.user("Hi.")]).sample()
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})[names.GENAI_OTEL_ERROR_CATEGORY] == "throttle"


def test_a_stream_that_is_left(genai_otel_capture: Capture, host: str) -> None:
    with client(host) as given:
        stream = chat(given).stream()
        next(stream)
        stream.close()
    (span,) = genai_otel_capture.spans
    assert (span.attributes or {})[names.GENAI_OTEL_RESPONSE_COMPLETED] is False


def test_an_image(genai_otel_capture: Capture, host: str) -> None:
    with client(host) as given:
        assert given.image.sample("A cat.", "grok-2-image").url.startswith("https://x.ai/i.png")
    told = genai_otel_capture.span("generate_content grok-2-image").attributes or {}
    assert told[names.GEN_AI_OUTPUT_TYPE] == "image"
    assert "https://x.ai/i.png" in str(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert "secret" not in str(told)


def test_its_own_spans_are_made_where_ours_are_not(host: str) -> None:
    """Ours replace them: theirs would tell what was said, and count the same tokens again."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    genai_otel.instrument(content="none")
    try:
        with client(host) as given:
            chat(given).sample()
            list(chat(given).stream())
            given.image.sample("A cat.", "grok-2-image")
            ours = [span.name for span in exporter.get_finished_spans()]
            exporter.clear()
            genai_otel.uninstrument("xai_sdk")
            chat(given).sample()
            theirs = [span.name for span in exporter.get_finished_spans()]
    finally:
        genai_otel.shutdown()
    assert ours == [f"chat {MODEL}", f"chat {MODEL}", "generate_content grok-2-image"]
    assert theirs == [f"chat.sample {MODEL}"]
