"""Google's interactions, written from ai.google.dev/api/interactions-api."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.genai._gaos", reason="came with google-genai 2")

from google import genai

from genai_otel import _semconv as names
from tests.adapters.test_more_clients import serving
from tests.closing import closing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture

MODEL = "gemini-3-flash"
USAGE = {
    "total_input_tokens": 9,
    "total_cached_tokens": 3,
    "total_output_tokens": 4,
    "total_thought_tokens": 2,
    "total_tokens": 15,
}
THOUGHT = {"type": "thought", "summary": [{"type": "text", "text": "Hm."}]}
SAID = {"type": "model_output", "content": [{"type": "text", "text": "Hello."}]}
CALL = {"type": "function_call", "id": "call_1", "name": "weather"}
WHOLE = {
    "id": "int_1",
    "model": MODEL,
    "status": "requires_action",
    "steps": [
        {"type": "user_input", "content": [{"type": "text", "text": "Hi."}]},
        THOUGHT,
        SAID,
        {**CALL, "arguments": {"city": "Paris"}},
    ],
    "usage": USAGE,
}
EVENTS: tuple[dict[str, Any], ...] = (
    {"event_type": "interaction.created", "interaction": {"id": "int_1", "status": "in_progress"}},
    {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
    {
        "event_type": "step.delta",
        "index": 0,
        "delta": {"type": "thought_summary", "content": {"type": "text", "text": "Hm."}},
    },
    {"event_type": "step.start", "index": 1, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "Hel"}},
    {"event_type": "step.delta", "index": 1, "delta": {"type": "text", "text": "lo."}},
    {"event_type": "step.stop", "index": 1},
    {"event_type": "step.start", "index": 2, "step": {**CALL, "arguments": {}}},
    {
        "event_type": "step.delta",
        "index": 2,
        "delta": {"type": "arguments_delta", "arguments": '{"city": "Paris"}'},
    },
    {
        "event_type": "interaction.completed",
        "interaction": {key: WHOLE[key] for key in ("id", "model", "status", "usage")},
    },
)
STREAM = "".join(
    f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS
).encode()
PATH = "/v1/interactions"
ASKED: dict[str, Any] = {
    "model": MODEL,
    "input": "Hi.",
    "system_instruction": "Be kind.",
    "generation_config": {"temperature": 0.5, "max_output_tokens": 9},
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
}
pytestmark = pytest.mark.filterwarnings("ignore")  # of its being experimental


@pytest.fixture
def client() -> Iterator[Any]:
    with serving({PATH: WHOLE}) as root:
        yield closing(genai.Client(api_key="k", http_options={"base_url": root}))


@pytest.fixture
def streaming() -> Iterator[Any]:
    with serving({PATH: STREAM}) as root:
        yield closing(genai.Client(api_key="k", http_options={"base_url": root}))


def check(told: dict[str, Any]) -> None:
    assert told[names.GEN_AI_PROVIDER_NAME] == "gcp.gemini"
    assert told[names.SERVER_ADDRESS] == "127.0.0.1"
    assert told[names.GEN_AI_RESPONSE_ID] == "int_1"
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("tool_calls",)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 3
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 6
    assert told[names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS] == 2
    (asked,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "Hi."}]}
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    thought, words, call = reply["parts"]
    assert thought == {"type": "reasoning", "content": "Hm."}
    assert words == {"type": "text", "content": "Hello."}
    assert (call["id"], call["arguments"]) == ("call_1", {"city": "Paris"})


def check_asked(told: dict[str, Any]) -> None:
    assert told[names.GEN_AI_REQUEST_MODEL] == MODEL
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be kind."
    assert json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])[0]["name"] == "weather"


@pytest.mark.parametrize("way", ["arguments", "request", "async"])
async def test_an_interaction(genai_otel_capture: Capture, client: Any, way: str) -> None:
    if way == "async":
        made = await client.aio.interactions.create(**ASKED)
    elif way == "request":
        made = client.interactions.create(request={"body": ASKED})
    else:
        made = client.interactions.create(**ASKED)
    assert made.id == "int_1"
    told = dict(genai_otel_capture.span(f"chat {MODEL}").attributes or {})
    check(told)
    check_asked(told)


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_stream(genai_otel_capture: Capture, streaming: Any, colour: str) -> None:
    if colour == "sync":
        assert len(list(streaming.interactions.create(**ASKED, stream=True))) == len(EVENTS)
    else:
        stream = await streaming.aio.interactions.create(**ASKED, stream=True)
        assert len([event async for event in stream]) == len(EVENTS)
    told = dict(genai_otel_capture.span(f"chat {MODEL}").attributes or {})
    check(told)
    check_asked(told)
    assert names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told


def test_a_stream_that_is_left(genai_otel_capture: Capture, streaming: Any) -> None:
    with streaming.interactions.create(**ASKED, stream=True) as stream:
        next(iter(stream))
    told = dict(genai_otel_capture.span(f"chat {MODEL}").attributes or {})
    assert told[names.GENAI_OTEL_RESPONSE_COMPLETED] is False


def test_an_agent_and_what_it_is_answered(genai_otel_capture: Capture, client: Any) -> None:
    answered = {"type": "function_result", "call_id": "call_1", "name": "weather", "result": "dry"}
    client.interactions.create(
        agent="deep-research", input=[answered], previous_interaction_id="int_0"
    )
    told = dict(genai_otel_capture.span("invoke_agent deep-research").attributes or {})
    assert told[names.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID] == "int_0"
    (turn,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert turn == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "call_1", "response": "dry"}],
    }


def test_parts_of_a_turn(genai_otel_capture: Capture, client: Any) -> None:
    image = {
        "type": "image",
        "uri": "https://example.com/a.png?key=secret",
        "mime_type": "image/png",
    }
    client.interactions.create(model=MODEL, input=[{"type": "text", "text": "Look:"}, image])
    told = dict(genai_otel_capture.span(f"chat {MODEL}").attributes or {})
    (turn,) = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert [part["type"] for part in turn["parts"]] == ["text", "media"]
    assert "secret" not in str(told)
