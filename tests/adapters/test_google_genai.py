"""Google's client: what the table of all clients does not ask."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.provider import SCENARIOS
from tests.provider.google_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

pytest.importorskip("google.genai")
from google import genai
from google.genai import types


def client_of(root: str, **more: Any) -> Any:
    options = types.HttpOptions(base_url=root, api_version="v1")
    return genai.Client(api_key="k", http_options=options, **more)


def close(client: Any, name: str) -> Any:
    """Early versions cannot be closed."""
    return getattr(client, name, lambda: None)()


pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
DOT = b"\x89PNG\r\n\x1a\n...."


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    client = client_of(provider.root)
    yield client
    close(client, "close")


def get_weather(city: str, unit: str) -> str:
    """Tell the weather."""
    return "21 degrees"


def get_time(zone: str) -> str:
    """Tell the time."""
    return "noon"


for tool in (get_weather, get_time):  # as they would be without the import of annotations
    tool.__annotations__ = dict.fromkeys(tool.__annotations__, str)


async def _now(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _run(client: Any, model: str, *, later: bool) -> Any:
    tools = types.GenerateContentConfig(tools=[get_weather, get_time])
    if not later:
        return client.models.generate_content(model=model, contents="Weather?", config=tools)

    async def ask() -> Any:
        try:
            return await client.aio.models.generate_content(
                model=model, contents="Weather?", config=tools
            )
        finally:
            await _now(close(client.aio, "aclose"))

    return asyncio.run(ask())


@pytest.mark.parametrize("later", [False, True])
def test_automatic_function_calling_is_a_span_for_each_request(
    genai_otel_capture: Capture, provider: Provider, client: Any, later: bool
) -> None:
    reply = _run(client, "tools", later=later)
    assert reply.text == SCENARIOS["tools-done"].replies[0].text
    first, second = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert len(provider.requests) == 2
    spent = [(entry.input_tokens, entry.output_tokens) for entry in provider.usage_log]
    assert [
        (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_USAGE_OUTPUT_TOKENS])
        for told in (first, second)
    ] == spent
    assert "get_weather" in first[names.GEN_AI_TOOL_DEFINITIONS]
    turns = json.loads(second[names.GEN_AI_INPUT_MESSAGES])
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool"]
    assert turns[2]["parts"][0]["response"] == {"result": "21 degrees"}


def test_chats_with_their_history(genai_otel_capture: Capture, client: Any) -> None:
    chat = client.chats.create(model="ok")
    chat.send_message("One")
    list(chat.send_message_stream("Two"))
    first, second = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert len(json.loads(first[names.GEN_AI_INPUT_MESSAGES])) == 1
    assert len(json.loads(second[names.GEN_AI_INPUT_MESSAGES])) == 3
    assert second[names.GEN_AI_REQUEST_STREAM] is True


def test_images_by_size_and_hash(genai_otel_capture: Capture, client: Any) -> None:
    image = types.Part.from_bytes(data=DOT, mime_type="image/png")
    file = types.Part.from_uri(file_uri="gs://bucket/film.mp4?key=secret", mime_type="video/mp4")
    client.models.generate_content(model="ok", contents=["What is this?", image, file])
    told = facts(genai_otel_capture)[names.GEN_AI_INPUT_MESSAGES]
    _, seen, film = json.loads(told)[0]["parts"]
    assert (seen["modality"], seen["mime_type"], seen["size"]) == ("image", "image/png", len(DOT))
    assert (film["modality"], film["uri"]) == ("video", "gs://bucket/film.mp4")
    assert "secret" not in told


def test_a_prompt_that_is_blocked(
    genai_otel_capture: Capture, provider: Provider, client: Any
) -> None:
    provider.add("blocked", replace(SCENARIOS["ok"], flavour="blocked"))
    client.models.generate_content(model="blocked", contents="Never mind.")
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("SAFETY",)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12


@pytest.mark.parametrize("given", ["one text", ["one", "two"]])
def test_embeddings(genai_otel_capture: Capture, client: Any, given: Any) -> None:
    client.models.embed_content(model="gemini-embedding-001", contents=given)
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_REQUEST_MODEL] == "gemini-embedding-001"
    assert told[names.GEN_AI_PROVIDER_NAME] == "gcp.gemini"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == DIMENSIONS
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == given
    assert names.GEN_AI_USAGE_INPUT_TOKENS not in told, "Gemini does not say"
