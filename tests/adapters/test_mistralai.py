"""Mistral's client: what the table of all clients does not ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from genai_otel.instrumentation.open_registry import OPEN
from tests.adapters.kin import facts
from tests.provider.mistral_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

pytest.importorskip("mistralai")

try:
    from mistralai.client import Mistral
except ImportError:  # 1.x
    from mistralai import Mistral

MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def client_of(root: str) -> Any:
    return Mistral(api_key="k", server_url=f"{root}/mistral")


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with client_of(provider.root) as client:
        yield client


def test_a_stream_keeps_its_type_and_ends_with_its_block(
    genai_otel_capture: Capture, client: Any
) -> None:
    with client.chat.stream(model="long", messages=MESSAGES) as stream:
        assert type(stream).__name__ == "EventStream"
        assert next(stream).data.choices
        next(stream)
    assert facts(genai_otel_capture)[names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert not len(OPEN)


def test_parsing_is_one_call(genai_otel_capture: Capture, provider: Provider, client: Any) -> None:
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        celsius: int

    reply = client.chat.parse(Weather, model="json", messages=MESSAGES)
    assert reply.choices[0].message.parsed == Weather(city="Paris", celsius=21)
    assert facts(genai_otel_capture)[names.GEN_AI_OUTPUT_TYPE] == "json"
    assert len(provider.requests) == 1


def test_a_turn_of_the_clients_own_models(genai_otel_capture: Capture, client: Any) -> None:
    reply = client.chat.complete(model="tools", messages=iter(MESSAGES))
    told = facts(genai_otel_capture)
    assert names.GEN_AI_INPUT_MESSAGES not in told or told[names.GEN_AI_INPUT_MESSAGES] == "[]"
    genai_otel_capture.clear()
    answered = {"role": "tool", "content": "21", "tool_call_id": "call_weather", "name": "f"}
    image = [{"type": "image_url", "image_url": "https://example.com/a.png?key=secret"}]
    seen = {"role": "user", "content": [{"type": "text", "text": "And?"}, *image]}
    turns = [*MESSAGES, reply.choices[0].message, answered, seen]
    client.chat.complete(model="ok", messages=turns)
    told = facts(genai_otel_capture)
    said = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert [turn["role"] for turn in said] == ["system", "user", "assistant", "tool", "user"]
    assert [part["name"] for part in said[2]["parts"] if "name" in part] == [
        "get_weather",
        "get_time",
    ]
    assert said[3]["parts"][0]["response"] == "21"
    assert said[4]["parts"][1]["uri"] == "https://example.com/a.png"


def test_embeddings(genai_otel_capture: Capture, client: Any) -> None:
    client.embeddings.create(model="mistral-embed", inputs=["one", "two"])
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == DIMENSIONS
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == ["one", "two"]


@pytest.mark.parametrize(("model", "verdict"), [("ok", "allow"), ("filtered", "flag")])
def test_moderation(genai_otel_capture: Capture, client: Any, model: str, verdict: str) -> None:
    client.classifiers.moderate(model=model, inputs=["Be nice."])
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "apply_guardrail"
    assert told[names.GEN_AI_GUARDRAIL_RESULT_TYPE] == verdict
    flagged = "violence_and_threats" if verdict == "flag" else None
    assert told.get(names.GEN_AI_GUARDRAIL_RISK_CATEGORY) == flagged
