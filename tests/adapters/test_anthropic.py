"""Anthropic's client: messages through every door, its clouds, and its own spans giving way."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import _names as names
from genai_otel.engine.observe import OPEN
from tests.provider import truth
from tests.provider.anthropic_wire import FINISH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

anthropic = pytest.importorskip("anthropic")

ASK: dict[str, Any] = {
    "max_tokens": 100,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hello"}],
}
GOOD = ("ok", "tools", "reasoning", "cached", "length", "future", "empty")


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with anthropic.Anthropic(api_key="k", base_url=provider.root, max_retries=0) as client:
        yield client


def facts(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def answered(told: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"]  # type: ignore[no-any-return]


def assert_true(told: dict[str, Any], scenario: str, *, stream: bool) -> None:
    known = truth(scenario, "messages", stream=stream)
    assert known.usage is not None
    assert told[names.GEN_AI_PROVIDER_NAME] == "anthropic"
    assert told[names.GEN_AI_RESPONSE_ID] == known.response_id
    assert told[names.GEN_AI_RESPONSE_MODEL] == known.response_model
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == tuple(
        FINISH.get(reason, reason) for reason in known.finish_reasons
    )
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == known.usage.input
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == known.usage.output
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == known.usage.cached
    parts = answered(told)
    said = dict.fromkeys(("text", "reasoning"), "")
    for part in parts:
        if part["type"] in said:
            said[part["type"]] += part["content"]
    assert said == {"text": known.text, "reasoning": known.reasoning}
    calls = [(p["id"], p["name"], p["arguments"]) for p in parts if p["type"] == "tool_call"]
    assert calls == [(c.id, c.name, json.loads(c.arguments)) for c in known.tool_calls]
    if stream:
        assert told["genai_otel.response.chunks"] == known.chunks
        assert (names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told) == bool(
            known.first_token is not None
        )


def _whole(client: Any, scenario: str) -> Any:
    return client.messages.create(model=scenario, **ASK)


def _parsed(client: Any, scenario: str) -> Any:
    return client.messages.with_raw_response.create(model=scenario, **ASK).parse()


def _beta(client: Any, scenario: str) -> Any:
    return client.beta.messages.create(model=scenario, **ASK)


@pytest.mark.parametrize("scenario", GOOD)
@pytest.mark.parametrize("door", [_whole, _parsed, _beta])
def test_whole_messages(
    genai_otel_capture: Capture, client: Any, door: Callable[..., Any], scenario: str
) -> None:
    reply = door(client, scenario)
    assert reply.id == f"msg_{scenario}"
    told = facts(genai_otel_capture)
    assert_true(told, scenario, stream=False)
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS]) == [
        {"type": "text", "content": "Be brief."}
    ]
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 100


def _stream(client: Any, scenario: str) -> None:
    stream = client.messages.create(model=scenario, stream=True, **ASK)
    assert type(stream) is anthropic.Stream
    for _ in stream:
        pass


def _raw_stream(client: Any, scenario: str) -> None:
    raw = client.messages.with_raw_response.create(model=scenario, stream=True, **ASK)
    for _ in raw.parse():
        pass


def _helper(client: Any, scenario: str) -> None:
    with client.messages.stream(model=scenario, **ASK) as stream:
        stream.get_final_message()


@pytest.mark.parametrize("scenario", GOOD)
@pytest.mark.parametrize("door", [_stream, _raw_stream, _helper])
def test_streams(
    genai_otel_capture: Capture, client: Any, door: Callable[..., Any], scenario: str
) -> None:
    if door is _helper and scenario == "future":
        pytest.skip("the client's own helper does not know what is to come")
    door(client, scenario)
    assert_true(facts(genai_otel_capture), scenario, stream=True)
    assert len(OPEN) == 0


def _closed(stream: Any) -> None:
    next(stream)
    stream.close()


def _left(stream: Any) -> None:
    with stream:
        next(stream)


def _dropped(stream: Any) -> None:
    next(stream)


def _dropped_unread(_: Any) -> None: ...


@pytest.mark.parametrize("leave", [_closed, _left, _dropped, _dropped_unread])
def test_streams_left_early_end_without_a_collection(
    genai_otel_capture: Capture, client: Any, leave: Callable[[Any], None]
) -> None:
    gc.collect()
    gc.disable()
    try:
        stream = client.messages.create(model="slow", stream=True, **ASK)
        gone = weakref.ref(stream)
        leave(stream)
        del stream
        assert gone() is None
        told = facts(genai_otel_capture)
    finally:
        gc.enable()
    assert told[names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert names.ERROR_TYPE not in told


def test_what_the_stream_holds_when_it_is_first_read_counts(
    client: Any, provider: Provider
) -> None:
    """A subclass may set more after the client's own ``__init__``."""
    genai_otel.shutdown()
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)

    class Mine(anthropic.Stream[Any]):  # type: ignore[misc,name-defined]
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.mine = "set later"

        def __stream__(self) -> Iterator[Any]:
            assert self.mine == "set later"
            return super().__stream__()  # type: ignore[no-any-return]

    stream = client.post(
        "/v1/messages",
        cast_to=object,
        body={"model": "ok", "stream": True, **ASK},
        stream=True,
        stream_cls=Mine,
    )
    assert len(list(stream)) > 5
    genai_otel.shutdown()
    assert [span.name for span in exporter.get_finished_spans()] == ["chat ok"]


def test_async(genai_otel_capture: Capture, provider: Provider) -> None:
    async def calls() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.root) as client:
            await client.messages.create(model="ok", **ASK)
            async with client.messages.stream(model="tools", **ASK) as stream:
                await stream.get_final_message()
            async for _ in await client.messages.create(model="reasoning", stream=True, **ASK):
                pass
            task = asyncio.ensure_future(client.messages.create(model="hang", **ASK))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(calls())
    told = {span.name: dict(span.attributes or {}) for span in genai_otel_capture.spans}
    assert_true(told["chat ok"], "ok", stream=False)
    assert_true(told["chat tools"], "tools", stream=True)
    assert_true(told["chat reasoning"], "reasoning", stream=True)
    assert told["chat hang"][names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert len(OPEN) == 0


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("err400", "BadRequestError"),
        ("err401", "AuthenticationError"),
        ("err429", "RateLimitError"),
    ],
)
def test_errors(genai_otel_capture: Capture, client: Any, scenario: str, error: str) -> None:
    with pytest.raises(getattr(anthropic, error)):
        client.messages.create(model=scenario, **ASK)
    assert facts(genai_otel_capture)[names.ERROR_TYPE] == f"anthropic.{error}"


def test_an_error_in_a_stream(genai_otel_capture: Capture, client: Any) -> None:
    with pytest.raises(anthropic.APIStatusError):
        _stream(client, "error-event")
    told = facts(genai_otel_capture)
    assert told[names.ERROR_TYPE].startswith("anthropic.")
    assert told[names.GEN_AI_RESPONSE_ID] == "msg_error-event"


def test_what_is_said_in_blocks(genai_otel_capture: Capture, client: Any) -> None:
    client.messages.create(
        model="ok",
        max_tokens=10,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        tools=[{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "A dot."}],
                    }
                ],
            },
        ],
    )
    told = facts(genai_otel_capture)
    question, thought, result = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert question["parts"][1]["mime_type"] == "image/png"
    assert question["parts"][1]["size"] == 3
    assert [part["type"] for part in thought["parts"]] == ["reasoning", "tool_call"]
    assert result == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "t1", "response": "A dot."}],
    }
    (tool,) = json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])
    assert tool["name"] == "look"
    assert "aGk=" not in str(told)


def test_only_messages_are_model_calls(genai_otel_capture: Capture, client: Any) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="ok", messages=ASK["messages"])
    assert not genai_otel_capture.spans


CLOUDS = (
    ("AnthropicVertex", "gcp.vertex_ai", {"access_token": "t", "region": "r", "project_id": "p"}),
    ("AnthropicFoundry", "azure.ai.inference", {"api_key": "k"}),
)


@pytest.mark.parametrize(("name", "serves", "options"), CLOUDS)
def test_clouds(
    genai_otel_capture: Capture,
    provider: Provider,
    name: str,
    serves: str,
    options: dict[str, str],
) -> None:
    if not hasattr(anthropic, name):
        pytest.skip("not in this version")
    try:
        with getattr(anthropic, name)(base_url=provider.root, max_retries=0, **options) as cloud:
            cloud.messages.create(model="ok", **ASK)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs more than the client: {error}")
    assert facts(genai_otel_capture)[names.GEN_AI_PROVIDER_NAME] == serves


class TestItsOwnSpans:
    """From 1.0 on the client makes some, under the process's provider."""

    @pytest.fixture
    def native(self, monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
        if not hasattr(anthropic._base_client.BaseClient, "_tracer"):
            pytest.skip("this version makes none")
        exporter, host = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        host.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", host)
        return exporter

    def test_they_give_way_and_come_back(
        self, native: InMemorySpanExporter, provider: Provider
    ) -> None:
        ask = {"model": "ok", **ASK}
        with anthropic.Anthropic(api_key="k", base_url=provider.root) as client:
            genai_otel.instrument(content="none")
            client.messages.create(**ask)
            list(client.messages.create(stream=True, **ask))
            with genai_otel.suppress():
                client.messages.create(**ask)
            genai_otel.uninstrument()
            client.messages.create(**ask)
            genai_otel.shutdown()
        scopes = [span.instrumentation_scope.name for span in native.get_finished_spans()]
        assert scopes[:2] == ["genai_otel", "genai_otel"]
        assert len(scopes) == 4
        assert "genai_otel" not in scopes[2:]
