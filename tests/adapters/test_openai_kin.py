"""Clients made like OpenAI's, for the same API: a row each, and what one of them has besides."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _names as names
from tests.provider import truth

if TYPE_CHECKING:
    from genai_otel.testing import Capture
    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Hello"}]
KIN = {
    "groq": ("groq", "Groq"),
    "together": ("together", "Together"),
    "fireworks": ("fireworks", "Fireworks"),
    "cerebras": ("cerebras.cloud.sdk", "Cerebras"),
}
OPTIONS = {"fireworks": {"account_id": "a"}, "cerebras": {"warm_tcp_connection": False}}


def made(name: str, provider: Provider, kind: str = "") -> Any:
    module, cls = KIN[name]
    pytest.importorskip(module)
    make = getattr(import_module(module), f"{kind}{cls}")
    options = OPTIONS.get(name, {})
    return make(api_key="k", base_url=provider.root, max_retries=0, **options)


@pytest.mark.parametrize("scenario", ["ok", "tools", "cached", "nousage"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", KIN)
def test_chat(
    genai_otel_capture: Capture, provider: Provider, name: str, scenario: str, *, stream: bool
) -> None:
    with made(name, provider) as client:
        reply = client.chat.completions.create(model=scenario, messages=ASK, stream=stream)
        if stream:
            list(reply)
    told = dict(genai_otel_capture.span(f"chat {scenario}").attributes or {})
    known = truth(scenario, "chat", stream=stream)
    usage = known.usage
    assert told[names.GEN_AI_PROVIDER_NAME] == name
    assert told.get(names.GEN_AI_USAGE_INPUT_TOKENS) == (usage and usage.input)
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == known.finish_reasons
    parts = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]
    assert "".join(p["content"] for p in parts if p["type"] == "text") == known.text
    assert [p["name"] for p in parts if p["type"] == "tool_call"] == [
        call.name for call in known.tool_calls
    ]


@pytest.mark.parametrize("name", KIN)
async def test_async(genai_otel_capture: Capture, provider: Provider, name: str) -> None:
    async with made(name, provider, "Async") as client:
        await client.chat.completions.create(model="ok", messages=ASK)
        stream = await client.chat.completions.create(model="ok", messages=ASK, stream=True)
        async for _ in stream:
            pass
    assert [span.name for span in genai_otel_capture.spans] == ["chat ok"] * 2


@pytest.mark.parametrize("name", KIN)
def test_an_error(genai_otel_capture: Capture, provider: Provider, name: str) -> None:
    with made(name, provider) as client, pytest.raises(Exception, match="400") as caught:
        client.chat.completions.create(model="err400", messages=ASK)
    told = dict(genai_otel_capture.span().attributes or {})
    assert told[names.ERROR_TYPE].endswith(type(caught.value).__qualname__)


@pytest.mark.parametrize("name", ["groq", "together"])
def test_embeddings(genai_otel_capture: Capture, provider: Provider, name: str) -> None:
    with made(name, provider) as client:
        client.embeddings.create(model="ok", input="Hello")
    told = dict(genai_otel_capture.span("embeddings ok").attributes or {})
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 1536


def test_fireworks_speaks_anthropic_too(genai_otel_capture: Capture, provider: Provider) -> None:
    with made("fireworks", provider) as client:
        client.messages.create(model="ok", max_tokens=9, messages=ASK)
    told = dict(genai_otel_capture.span("chat ok").attributes or {})
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("end_turn",)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
