"""Ollama's client: what the table of all clients does not ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.provider.ollama_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

ollama = pytest.importorskip("ollama")

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    client = ollama.Client(provider.root)
    yield client
    client._client.close()


def test_functions_of_the_module(
    genai_otel_capture: Capture, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bound methods, taken from a client when the module was imported."""
    monkeypatch.setattr(ollama.chat.__self__, "_client", client._client)
    chat = ollama.chat
    reply = chat("ok", [{"role": "user", "content": "Hello"}])
    assert facts(genai_otel_capture)[names.GEN_AI_RESPONSE_MODEL] == reply.model == "ok"
    genai_otel_capture.clear()
    assert len(list(ollama.generate("ok", "Hello", stream=True))) > 3
    assert facts(genai_otel_capture)[names.GEN_AI_REQUEST_STREAM] is True


@pytest.mark.parametrize("given", ["one text", ["one", "two"]])
def test_embeddings(genai_otel_capture: Capture, client: Any, given: Any) -> None:
    client.embed("ok", given)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == DIMENSIONS
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == given


def test_a_turn_with_an_image_and_tools(genai_otel_capture: Capture, client: Any) -> None:
    called = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    client.chat(
        "ok",
        [
            {"role": "user", "content": "What is this?", "images": [DOT]},
            {"role": "assistant", "content": "", "tool_calls": [called]},
            {"role": "tool", "content": "21 degrees", "tool_name": "get_weather"},
        ],
        format="json",
    )
    told = facts(genai_otel_capture)
    asked, wished, answered = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert [part["type"] for part in asked["parts"]] == ["text", "media"]
    assert DOT not in told[names.GEN_AI_INPUT_MESSAGES]
    assert wished["parts"][0]["name"] == "get_weather"
    assert answered == {
        "role": "tool",
        "parts": [
            {
                "type": "tool_call_response",
                "id": None,
                "name": "get_weather",
                "response": "21 degrees",
            }
        ],
    }
    assert told[names.GEN_AI_OUTPUT_TYPE] == "json"


def test_what_only_lists_is_no_model_call(genai_otel_capture: Capture, client: Any) -> None:
    with pytest.raises(ollama.ResponseError):
        client.list()
    assert not genai_otel_capture.spans
