"""Every latency figure, by a scripted clock: the provider's time, the reader's, and the gaps."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel._support.errors import Guard
from genai_otel.adapters.clients import _openai_wire as wire
from genai_otel.adapters.clients._openai_chunks import ChatChunks
from genai_otel.instrumentation import stream_wrappers, tracker
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.instrumentation.patchers import stainless
from genai_otel.instrumentation.tracker import ObservedCall
from genai_otel.record import Kind, Operation
from genai_otel.recorder.attributes import outcome
from genai_otel.recorder.ownership import absorb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from genai_otel.testing import Capture
    from tests.provider import Provider

openai = pytest.importorskip("openai")


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (tracker, stream_wrappers):
        monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def chunk(text: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text, **delta}}]}


ROLE = chunk("", role="assistant")
USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 5}}


class Active:
    wanted, needs_content = True, False

    def finish(self, error: BaseException | None = None) -> None: ...

    def touch(self, now: float) -> None: ...


def call_at(clock: Clock) -> ObservedCall:
    op = Operation(Kind.CHAT)
    op.stream = op.capture = True
    op.timing.started = clock.now
    reader = Extractor(
        Kind.CHAT, wire.read_request, wire.read_chat_response, accumulator=ChatChunks
    )
    call = ObservedCall(op, reader, Active(), Guard("test"))  # type: ignore[arg-type]
    OPEN.add(call, SimpleNamespace())
    return call


def provided(clock: Clock, script: Sequence[tuple[float, Any]]) -> Iterator[Any]:
    for wait, item in script:
        clock.now += wait
        yield item


def read(clock: Clock, script: Sequence[tuple[float, Any]], busy: float = 0.0) -> dict[str, Any]:
    """What the span tells of a stream whose reader is ``busy`` seconds with each chunk."""
    call = call_at(clock)
    for _ in stream_wrappers.observe(provided(clock, script), call):
        clock.now += busy
    found: dict[str, Any] = {}
    outcome(call.op, found)
    return {**found, "duration": call.op.timing.duration}


def test_the_first_token_is_not_the_first_chunk(clock: Clock) -> None:
    told = read(clock, [(1, ROLE), (2, chunk(reasoning_content="hm")), (4, chunk("Hi"))])

    assert told["gen_ai.response.time_to_first_chunk"] == 1
    assert told["genai_otel.response.time_to_first_token"] == 3
    assert told["duration"] == 7


@pytest.mark.parametrize(
    "first",
    [
        chunk("Hi"),
        chunk(reasoning_content="hm"),
        chunk(reasoning="hm"),
        chunk(refusal="no"),
        chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]),
    ],
)
def test_whatever_is_generated_is_a_token(clock: Clock, first: Any) -> None:
    assert read(clock, [(1, ROLE), (2, first)])["genai_otel.response.time_to_first_token"] == 3


def test_without_a_token_there_is_no_time_to_one(clock: Clock) -> None:
    told = read(clock, [(1, ROLE), (1, USAGE)])

    assert "genai_otel.response.time_to_first_token" not in told
    assert "genai_otel.response.time_per_output_token" not in told


def test_per_token_leaves_the_readers_time_out(clock: Clock) -> None:
    script = [(1, ROLE), (2, chunk("a")), (3, chunk("b")), (5, chunk("c")), (1, USAGE)]
    quick, slow = read(clock, script), read(clock, script, busy=10)

    for told in (quick, slow):  # 8 s from the first token to the last, four tokens after the first
        assert told["genai_otel.response.time_per_output_token"] == pytest.approx(2.0)
    assert quick["genai_otel.response.consumer_time"] == 0
    assert slow["genai_otel.response.consumer_time"] == pytest.approx(50)
    assert slow["duration"] == pytest.approx(62)


def test_one_token_has_no_pace(clock: Clock) -> None:
    told = read(clock, [(1, chunk("a")), (1, USAGE)])

    assert "genai_otel.response.time_per_output_token" not in told


def test_gaps_and_stalls(clock: Clock) -> None:
    script = [(5, ROLE), *[(0.1, chunk("a"))] * 18, (3, chunk("b")), (0.1, chunk("c"))]
    told = read(clock, script)

    assert told["genai_otel.response.chunk_gap.p50"] == pytest.approx(0.1)
    assert told["genai_otel.response.chunk_gap.p95"] == pytest.approx(3)
    assert told["genai_otel.response.chunk_gap.max"] == pytest.approx(3)
    assert told["genai_otel.response.stalls"] == 1
    assert told["genai_otel.response.chunks"] == 21


def test_a_slow_reader_makes_no_gaps(clock: Clock) -> None:
    told = read(clock, [(0.1, ROLE), (0.1, chunk("a")), (0.1, chunk("b"))], busy=60)

    assert told["genai_otel.response.chunk_gap.max"] == pytest.approx(0.1)
    assert told["genai_otel.response.stalls"] == 0


def test_asynchronous_streams_tell_the_same(clock: Clock) -> None:
    script = [(1, ROLE), (2, chunk("a")), (3, chunk("b")), (1, USAGE)]

    async def items() -> AsyncIterator[Any]:
        for wait, item in script:
            clock.now += wait
            yield item

    async def read_slowly() -> dict[str, Any]:
        call = call_at(clock)
        async for _ in stream_wrappers.observe_async(items(), call):
            clock.now += 10
        found: dict[str, Any] = {}
        outcome(call.op, found)
        return {**found, "duration": call.op.timing.duration}

    assert asyncio.run(read_slowly()) == pytest.approx(read(clock, script, busy=10))


def test_a_layer_above_that_began_earlier(clock: Clock) -> None:
    """Its figures are from its own start; what lies before the client's call is no reader's."""
    owner = Operation(Kind.CHAT)
    owner.timing.started = clock.now
    clock.now += 4
    call = call_at(clock)
    script = [(1, ROLE), (2, chunk("a")), (3, chunk("b")), (1, USAGE)]
    for _ in stream_wrappers.observe(provided(clock, script), call):
        clock.now += 10
    absorb(owner, call.op)
    owner.timing.ended = clock.now
    found: dict[str, Any] = {}
    outcome(owner, found)

    assert found["gen_ai.response.time_to_first_chunk"] == 5
    assert found["genai_otel.response.time_to_first_token"] == 17
    assert found["genai_otel.response.time_per_output_token"] == pytest.approx(3 / 4)
    assert found["genai_otel.response.consumer_time"] == pytest.approx(40)
    assert owner.timing.time_per_output_chunk == pytest.approx(2)


def test_what_the_client_slept_between_attempts(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genai_otel.instrumentation.patchers.stainless.perf_counter", clock)
    op = Operation(Kind.CHAT)
    op.host = "api.openai.com"
    tracker = SimpleNamespace(recorder=SimpleNamespace(current=lambda: op), guard=Guard("test"))

    def sleep(seconds: float) -> None:
        clock.now += seconds

    watched = stainless._wrap_sleep(sleep, tracker)
    for seconds in (0.5, 1.5):
        watched(seconds)
    found: dict[str, Any] = {}
    outcome(op, found)

    assert found["genai_otel.response.attempts"] == 3
    assert found["genai_otel.response.backoff"] == pytest.approx(2.0)


def test_what_the_provider_tells_of_its_own_time() -> None:
    op = Operation(Kind.CHAT)
    op.timing.queued, op.timing.server = 0.25, 1.5
    found: dict[str, Any] = {}
    outcome(op, found)

    assert found["genai_otel.response.queue_time"] == 0.25
    assert found["genai_otel.response.server_time"] == 1.5


# --------------------------------------------------------------------------------- real calls


def test_processing_time_comes_in_a_header(genai_otel_capture: Capture, provider: Provider) -> None:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        client.chat.completions.create(model="ok", messages=[{"role": "user", "content": "Hi"}])
    told = genai_otel_capture.span().attributes

    assert told["genai_otel.response.server_time"] == 0.007
    assert "genai_otel.response.queue_time" not in told


def test_a_whole_reply_has_a_duration_and_nothing_of_tokens(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        client.chat.completions.create(model="ok", messages=[{"role": "user", "content": "Hi"}])
    told = genai_otel_capture.span().attributes

    assert not any("time_to" in name or "time_per" in name or "gap" in name for name in told)


@pytest.mark.parametrize("stream", [False, True])
def test_attempts_and_back_off_are_told(
    genai_otel_capture: Capture, provider: Provider, stream: bool
) -> None:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        reply = client.chat.completions.create(
            model="retry-429", messages=[{"role": "user", "content": "Hi"}], stream=stream
        )
        if stream:
            for _ in reply:
                pass
    told = genai_otel_capture.span().attributes

    assert told["genai_otel.response.attempts"] == len(provider.requests) == 2
    assert told["genai_otel.response.backoff"] > 0


async def test_attempts_that_all_failed_are_counted_too(
    genai_otel_capture: Capture, provider: Provider
) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(
                model="err429", messages=[{"role": "user", "content": "Hi"}]
            )

    assert genai_otel_capture.span().attributes["genai_otel.response.attempts"] == 3
    assert genai_otel.status().internal_errors == {}
