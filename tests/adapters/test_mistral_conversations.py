"""Mistral's conversations, responses and OCR, written from docs.mistral.ai/api."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

pytest.importorskip("mistralai")

from genai_otel import _semconv as names
from tests.adapters.test_mistralai import client_of
from tests.adapters.test_more_clients import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

COUNTED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
SAID = {"type": "message.output", "id": "m1", "role": "assistant", "model": "mistral-small-2506"}
CALL = {"type": "function.call", "id": "f1", "tool_call_id": "call_1", "name": "weather"}
WHOLE = {
    "object": "conversation.response",
    "conversation_id": "conv_1",
    "outputs": [{**SAID, "content": "Hello."}],
    "usage": COUNTED,
}
CALLED = {**WHOLE, "outputs": [{**CALL, "arguments": '{"city": "Paris"}'}]}


def events(*told: dict[str, Any]) -> bytes:
    lines = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in told)
    return "".join(lines).encode()


STREAM = events(
    {"type": "conversation.response.started", "conversation_id": "conv_1"},
    {**SAID, "type": "message.output.delta", "content": "Hel"},
    {**SAID, "type": "message.output.delta", "content": {"type": "text", "text": "lo."}},
    {**CALL, "type": "function.call.delta", "arguments": '{"city"'},
    {**CALL, "type": "function.call.delta", "arguments": ': "Paris"}'},
    {"type": "conversation.response.done", "usage": COUNTED},
)
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "completed_at": 2,
    "status": "completed",
    "model": "mistral-small-2506",
    "output": [
        {
            "type": "message",
            "id": "m1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    },
}
PAGE = {"index": 0, "markdown": "# A page", "images": [], "dimensions": None}
OCR = {
    "pages": [PAGE, {**PAGE, "index": 1, "markdown": "Another"}],
    "model": "mistral-ocr-2505",
    "usage_info": {"pages_processed": 2, "doc_size_bytes": 99},
}
ANSWERS: dict[str, Any] = {
    "/mistral/v1/conversations": WHOLE,
    "/mistral/v1/conversations/conv_1": CALLED,
    "/mistral/v1/responses": RESPONSE,
    "/mistral/v1/ocr": OCR,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


@pytest.fixture
def client() -> Iterator[Any]:
    with serving(dict(ANSWERS)) as root, client_of(root) as client:
        yield client


@pytest.fixture
def streaming() -> Iterator[Any]:
    with serving({"/mistral/v1/conversations": STREAM}) as root, client_of(root) as client:
        yield client


def of(client: Any, *path: str) -> Any:
    for name in path:
        client = getattr(client, name, None)
        if client is None:
            pytest.skip(f"this version has no {'.'.join(path)}")
    return client


def check(told: dict[str, Any]) -> None:
    assert told[names.GEN_AI_PROVIDER_NAME] == "mistral_ai"
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 4


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_conversation(genai_otel_capture: Capture, client: Any, colour: str) -> None:
    talks = of(client, "beta", "conversations")
    asked = {
        "model": "mistral-small-latest",
        "inputs": "Hi.",
        "instructions": "Be kind.",
        "tools": [TOOL],
        "completion_args": {"temperature": 0.5, "max_tokens": 9},
    }
    answered = [{"type": "function.result", "tool_call_id": "call_1", "result": "dry"}]
    if colour == "sync":
        assert talks.start(**asked).conversation_id == "conv_1"
        talks.append(conversation_id="conv_1", inputs=answered)
    else:
        assert (await talks.start_async(**asked)).conversation_id == "conv_1"
        await talks.append_async(conversation_id="conv_1", inputs=answered)
    first, second = genai_otel_capture.spans
    assert (first.name, second.name) == ("chat mistral-small-latest", "chat")
    told = dict(first.attributes or {})
    check(told)
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GEN_AI_CONVERSATION_ID] == "conv_1"
    assert told[names.GEN_AI_RESPONSE_MODEL] == "mistral-small-2506"
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be kind."
    assert json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])[0]["name"] == "weather"
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"] == [{"type": "text", "content": "Hello."}]
    told = dict(second.attributes or {})
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_calls",)
    (turn,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert turn["parts"][0]["response"] == "dry"
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][0]["arguments"] == {"city": "Paris"}


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_an_agents_conversation_in_a_stream(
    genai_otel_capture: Capture, streaming: Any, colour: str
) -> None:
    client = streaming
    talks = of(client, "beta", "conversations")
    if colour == "sync":
        with talks.start_stream(agent_id="ag:1", inputs="Hi.") as stream:
            assert len(list(stream)) == 6
    else:
        async with await talks.start_stream_async(agent_id="ag:1", inputs="Hi.") as stream:
            assert len([event async for event in stream]) == 6
    told = dict(genai_otel_capture.span("invoke_agent").attributes or {})
    check(told)
    assert told[names.GEN_AI_CONVERSATION_ID] == "conv_1"
    assert names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][0] == {"type": "text", "content": "Hello."}
    assert reply["parts"][1]["arguments"] == {"city": "Paris"}


async def read(talks: Any, colour: str) -> None:
    if colour == "sync":
        with talks.start_stream(agent_id="ag:1", inputs="Hi.") as stream:
            list(stream)
    else:
        async with await talks.start_stream_async(agent_id="ag:1", inputs="Hi.") as stream:
            [event async for event in stream]


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_last_event_of_another_form(genai_otel_capture: Capture, colour: str) -> None:
    """The client refuses it, or takes it for one that it does not know: it counts."""
    done = {"type": "conversation.response.done", "usage": COUNTED, "created_at": "yesterday"}
    body = STREAM[: STREAM.rindex(b"event:")] + events(done)
    error = None
    with serving({"/mistral/v1/conversations": body}) as root, client_of(root) as client:
        try:
            await read(of(client, "beta", "conversations"), colour)
        except pydantic.ValidationError as raised:
            error = type(raised).__name__
    told = dict(genai_otel_capture.span("invoke_agent").attributes or {})
    assert told.get(names.ERROR_TYPE, "").rpartition(".")[2] == (error or "")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == COUNTED["prompt_tokens"]
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == COUNTED["completion_tokens"]
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][0] == {"type": "text", "content": "Hello."}


def test_responses(genai_otel_capture: Capture, client: Any) -> None:
    made = of(client, "responses").create(model="mistral-small-latest", input="Hi.")
    assert made.id == "resp_1"
    told = dict(genai_otel_capture.span("chat mistral-small-latest").attributes or {})
    check(told)
    assert told[names.GEN_AI_RESPONSE_ID] == "resp_1"
    assert names.OPENAI_API_TYPE not in told
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"] == [{"type": "text", "content": "Hello."}]


def test_ocr(genai_otel_capture: Capture, client: Any) -> None:
    document = {"type": "document_url", "document_url": "https://example.com/a.pdf?key=secret"}
    read = of(client, "ocr").process(model="mistral-ocr-latest", document=document)
    assert len(read.pages) == 2
    told = dict(genai_otel_capture.span("generate_content mistral-ocr-latest").attributes or {})
    assert told[names.GEN_AI_RESPONSE_MODEL] == "mistral-ocr-2505"
    assert names.GEN_AI_USAGE_INPUT_TOKENS not in told
    assert "https://example.com/a.pdf" in told[names.GEN_AI_INPUT_MESSAGES]
    assert "# A page" in told[names.GEN_AI_OUTPUT_MESSAGES]
    assert "secret" not in str(told)
