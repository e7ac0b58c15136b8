"""Usage of streams, asked for on the caller's behalf: opt-in, known hosts only, unseen by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel._support.errors import Guard
from genai_otel.adapters.clients.openai import ADAPTER
from genai_otel.instrumentation.tracker import CallTracker
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

openai = pytest.importorskip("openai")

ASK: dict[str, Any] = {"model": "ok", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def asking() -> Iterator[Capture]:
    capture = Capture()
    settings = genai_otel.Settings(strict=True, request_stream_usage=("127.0.0.1",))
    genai_otel.instrument(destinations=capture.exporter, content="full", settings=settings)
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        yield client


def options_sent(provider: Provider) -> Any:
    return provider.requests[-1].json.get("stream_options")


def test_it_is_asked_for_counted_and_kept_from_the_caller(
    asking: Capture, client: Any, provider: Provider
) -> None:
    bare = len([*client.chat.completions.create(**ASK, stream=True)])

    assert options_sent(provider) == {"include_usage": True}
    assert asking.span().attributes["gen_ai.usage.output_tokens"] == 8
    genai_otel.uninstrument()
    assert len([*client.chat.completions.create(**ASK, stream=True)]) == bare


@pytest.mark.parametrize("wanted", [True, False])
def test_what_the_caller_has_decided_stands(
    asking: Capture, client: Any, provider: Provider, wanted: bool
) -> None:
    stream = client.chat.completions.create(
        **ASK, stream=True, stream_options={"include_usage": wanted}
    )
    chunks = [*stream]

    assert options_sent(provider) == {"include_usage": wanted}
    assert (chunks[-1].usage is not None) is wanted


def test_other_stream_options_are_kept(asking: Capture, client: Any, provider: Provider) -> None:
    given = {"include_obfuscation": False}
    [*client.chat.completions.create(**ASK, stream=True, stream_options=given)]

    assert options_sent(provider) == {"include_obfuscation": False, "include_usage": True}
    assert given == {"include_obfuscation": False}


@pytest.mark.parametrize("sampler", ["always_off", "traceidratio"])
def test_not_of_calls_that_nobody_records(
    client: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """Nobody would keep the chunk from the caller that answers it."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    bare = len([*client.chat.completions.create(**ASK, stream=True)])
    settings = genai_otel.Settings(strict=True, request_stream_usage=("127.0.0.1",))
    genai_otel.instrument(destinations=InMemorySpanExporter(), settings=settings)
    try:
        chunks = [*client.chat.completions.create(**ASK, stream=True)]
    finally:
        genai_otel.shutdown()

    assert options_sent(provider) is None
    assert len(chunks) == bare


async def test_asynchronous_streams_too(asking: Capture, provider: Provider) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASK, stream=True)]

    assert all(chunk.choices for chunk in chunks)
    assert asking.span().attributes["gen_ai.usage.input_tokens"] == 12


def test_not_where_the_caller_reads_the_bytes(
    asking: Capture, client: Any, provider: Provider
) -> None:
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
        [*response.iter_lines()]

    assert options_sent(provider) is None


def test_by_default_nothing_is_asked_for(
    genai_otel_capture: Capture, client: Any, provider: Provider
) -> None:
    [*client.chat.completions.create(**ASK, stream=True)]

    assert options_sent(provider) is None
    assert "gen_ai.usage.output_tokens" not in genai_otel_capture.span().attributes


@pytest.mark.parametrize(
    ("host", "takes"),
    [
        ("api.openai.com", True),
        ("mine.openai.azure.com", True),
        ("api.groq.com", False),
        ("notopenrouter.ai", False),
        ("my-vllm.internal", False),
    ],
)
def test_known_is_a_short_list(host: str, takes: bool) -> None:
    tracker = CallTracker(None, Guard("test"), frozenset({"known"}))  # type: ignore[arg-type]
    make = next(
        p.make_wrapper for p in ADAPTER.patches if p.target.endswith(":SyncAPIClient.request")
    )
    wrapper = make(lambda: None, tracker)
    begin = next(
        cell.cell_contents
        for cell in wrapper.__closure__ or ()
        if type(cell.cell_contents).__name__ == "_Begin"
    )

    assert begin._takes_usage(host) is takes
