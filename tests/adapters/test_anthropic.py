"""What the rows of anthropic cannot show: content in blocks, and its own spans giving way."""

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
from genai_otel import _semconv as names
from genai_otel.instrumentation.open_registry import OPEN
from tests.collected import collect

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


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with anthropic.Anthropic(api_key="k", base_url=provider.root, max_retries=0) as client:
        yield client


def facts(capture: Capture) -> dict[str, Any]:
    return dict(capture.span().attributes or {})


def _closed(stream: Any) -> None:
    next(stream)
    stream.close()


def _left(stream: Any) -> None:
    with stream:
        next(stream)


def _dropped(stream: Any) -> None:
    next(stream)


def _dropped_unread(_: Any) -> None: ...


newer = pytest.mark.skipif(
    anthropic.__version__.startswith("0."),
    reason="the streams of this version make their iterator at once, and are in a circle with it",
)


@newer
@pytest.mark.parametrize("leave", [_closed, _left, _dropped, _dropped_unread])
def test_streams_left_early_end_without_a_collection(
    genai_otel_capture: Capture, client: Any, leave: Callable[[Any], None]
) -> None:
    collect()
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


@newer
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


def test_a_cancelled_call(genai_otel_capture: Capture, provider: Provider) -> None:
    async def call() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=provider.root) as client:
            task = asyncio.ensure_future(client.messages.create(model="hang", **ASK))
            for _ in range(6_000):
                await asyncio.sleep(0.01)
                if provider.requests:
                    break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(call())
    assert facts(genai_otel_capture)[names.GENAI_OTEL_RESPONSE_COMPLETED] is False
    assert len(OPEN) == 0


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
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 10
    assert json.loads(told[names.GEN_AI_SYSTEM_INSTRUCTIONS]) == [
        {"type": "text", "content": "Be brief."}
    ]
    question, thought, result = json.loads(told[names.GEN_AI_INPUT_MESSAGES])
    assert question["parts"][1]["mime_type"] == "image/png"
    assert question["parts"][1]["size"] == 2
    assert [part["type"] for part in thought["parts"]] == ["reasoning", "tool_call"]
    assert result == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "t1", "response": "A dot."}],
    }
    (tool,) = json.loads(told[names.GEN_AI_TOOL_DEFINITIONS])
    assert tool["name"] == "look"
    assert "aGk=" not in str(told)


def test_each_round_of_a_tool_runner_is_a_call(genai_otel_capture: Capture, client: Any) -> None:
    asked: list[str] = []

    @anthropic.beta_tool  # type: ignore[untyped-decorator]
    def get_weather(city: str, unit: str) -> str:
        """Tells the weather."""
        asked.append(f"{city} {unit}")
        return "21"

    @anthropic.beta_tool  # type: ignore[untyped-decorator]
    def get_time(zone: str) -> str:
        """Tells the time."""
        asked.append(zone)
        return "noon"

    runner = client.beta.messages.tool_runner(
        model="tools", max_tokens=9, messages=ASK["messages"], tools=[get_weather, get_time]
    )
    assert "21 degrees" in runner.until_done().content[0].text
    assert sorted(asked) == ["Europe/Paris", "Paris celsius"]
    reasons = [
        dict(span.attributes or {})[names.GEN_AI_RESPONSE_FINISH_REASONS]
        for span in genai_otel_capture.spans
    ]
    assert reasons == [("tool_use",), ("end_turn",)]


def test_only_messages_are_model_calls(genai_otel_capture: Capture, client: Any) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="ok", messages=ASK["messages"])
    assert not genai_otel_capture.spans


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

    @pytest.mark.parametrize("whose", ["the host's", "ours"])
    def test_sampled_out_they_send_nobody_our_trace(
        self, provider: Provider, monkeypatch: pytest.MonkeyPatch, whose: str
    ) -> None:
        """A client that traces itself sends along whatever is current: then that was our span."""
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
        host = TracerProvider(shutdown_on_exit=False) if whose == "the host's" else None
        ask = {"model": "ok", **ASK}
        genai_otel.shutdown()
        with anthropic.Anthropic(api_key="k", base_url=provider.root) as client:
            client.messages.create(**ask)
            genai_otel.instrument(
                tracer_provider=host, destinations=None if host else InMemorySpanExporter()
            )
            client.messages.create(**ask)
            with genai_otel.operation("workflow", "all"):
                list(client.messages.create(stream=True, **ask))
            genai_otel.shutdown()
        bare, whole, streamed = provider.requests
        assert dict(whole.headers) == dict(bare.headers)
        assert set(streamed.headers) >= set(bare.headers)
        assert "traceparent" not in {name.lower() for name in streamed.headers}
