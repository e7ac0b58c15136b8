"""Google's live sessions, over a real WebSocket server on loopback, with the TLS that they demand.

Written from ai.google.dev/api/live.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.genai.live")

from google import genai
from google.genai import types
from websockets.sync.server import serve

import genai_otel
from genai_otel import _semconv as names
from tests.receiver import certificate, closed_port
from tests.surfaces import differences, surface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

    from genai_otel.testing import Capture

MODEL = "gemini-live"
SPAN = f"generate_content {MODEL}"
AUDIO = base64.b64encode(b"\x00" * 6).decode()
USED = {
    "promptTokenCount": 9,
    "responseTokenCount": 4,
    "totalTokenCount": 13,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
}
CALL = {"functionCalls": [{"id": "call_1", "name": "weather", "args": {"city": "Paris"}}]}


def handle(connection: ServerConnection) -> None:
    for message in connection:
        event = {key.replace("_", "").lower(): told for key, told in json.loads(message).items()}
        for answer in answers(event):
            connection.send(json.dumps(answer))
        if event.get("realtimeinput", {}).get("text") == "break":
            connection.close(1011, "broken")


def answers(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "setup" in event:
        yield {"setupComplete": {}}
    elif "clientcontent" in event:
        yield {"toolCall": CALL, "usageMetadata": USED}
    elif "toolresponse" in event:
        yield said({"text": "Dry."})
        yield {"serverContent": {"turnComplete": True}, "usageMetadata": USED}
    elif "audio" in event.get("realtimeinput", {}):
        yield {"serverContent": {"inputTranscription": {"text": "Is it?"}}}
        yield said({"inlineData": {"data": AUDIO, "mimeType": "audio/pcm"}})
        yield {"serverContent": {"outputTranscription": {"text": "It is."}}}
        yield {"serverContent": {"turnComplete": True}, "usageMetadata": USED}


def said(part: dict[str, Any]) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"parts": [part]}}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    crt, context = certificate(tmp_path_factory.mktemp("tls"))
    with serve(handle, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        yield f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=str(crt))
        server.shutdown()
        thread.join()


@pytest.fixture
def client(root: tuple[str, ssl.SSLContext]) -> Any:
    made = genai.Client(api_key="k", http_options={"base_url": root[0]})
    made._api_client._websocket_ssl_ctx = {"ssl": root[1]}
    return made


async def until_answered(session: Any) -> list[Any]:
    return [message async for message in session.receive()]


async def _surfaces(client: Any) -> list[dict[str, Any]]:
    async with client.aio.live.connect(model=MODEL) as session:
        seen = [surface(session)]
        await session.send_realtime_input(audio=types.Blob(data=b"1", mime_type="audio/pcm"))
        await until_answered(session)
        seen.append(surface(session))
    return [*seen, surface(session)]


async def test_a_session_shows_nothing_of_us(genai_otel_capture: Capture, client: Any) -> None:
    with_us = await _surfaces(client)
    assert len(genai_otel_capture.spans) == 1
    genai_otel.uninstrument()
    assert differences(with_us, await _surfaces(client)) == []


async def test_a_session(genai_otel_capture: Capture, client: Any) -> None:
    config = {
        "response_modalities": ["AUDIO"],
        "system_instruction": "Be kind.",
        "temperature": 0.5,
    }
    asked = types.Content(role="user", parts=[types.Part(text="Is it dry?")])
    answered = types.FunctionResponse(id="call_1", name="weather", response={"sky": "dry"})
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        await session.send_client_content(turns=asked)
        called = await session._receive()
        assert called.tool_call.function_calls[0].name == "weather"
        await session.send_tool_response(function_responses=[answered])
        assert len(await until_answered(session)) == 2
        blob = types.Blob(data=b"\x01" * 6, mime_type="audio/pcm;rate=16000")
        await session.send_realtime_input(audio=blob)
        assert len(await until_answered(session)) == 4
    (span,) = genai_otel_capture.spans
    told = dict(span.attributes or {})
    assert span.name == SPAN
    assert told[names.GEN_AI_PROVIDER_NAME] == "gcp.gemini"
    assert told[names.SERVER_ADDRESS] == "127.0.0.1"
    assert told[names.GEN_AI_OUTPUT_TYPE] == "speech"
    assert told[names.GEN_AI_REQUEST_TEMPERATURE] == 0.5
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 27
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 12
    assert told[names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS] == 15
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS])[0]["content"] == "Be kind."
    turns = [dict(event.attributes or {}) for event in span.events]
    assert [turn[names.GENAI_OTEL_SESSION_TURN_KIND] for turn in turns] == [
        *("input", "tool_call", "response", "tool_result", "response", "input", "response"),
    ]
    assert turns[-1][names.GENAI_OTEL_SESSION_TURN_AUDIO_SIZE] == 6
    messages = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert messages[1]["parts"][0]["arguments"] == {"city": "Paris"}
    assert messages[4]["parts"] == [
        {"type": "media", "modality": "audio", "size": 6},
        {"type": "text", "content": "Is it?"},
    ]
    (reply,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert reply["parts"][1] == {"type": "text", "content": "It is."}
    assert AUDIO not in str(told)


async def test_a_broken_connection(genai_otel_capture: Capture, client: Any) -> None:
    async with client.aio.live.connect(model=MODEL) as session:
        await session.send_realtime_input(text="break")
        with pytest.raises(Exception, match="broken"):
            await until_answered(session)
    (span,) = genai_otel_capture.spans
    assert str((span.attributes or {})[names.ERROR_TYPE]).startswith("google.genai.errors.")


async def test_nobody_there(genai_otel_capture: Capture) -> None:
    root = f"https://127.0.0.1:{closed_port()}"
    client = genai.Client(api_key="k", http_options={"base_url": root})
    with pytest.raises(OSError, match="onnect"):
        await client.aio.live.connect(model=MODEL).__aenter__()
    (span,) = genai_otel_capture.spans
    assert span.name == SPAN
    assert (span.attributes or {})[names.ERROR_TYPE] == "ConnectionRefusedError"
