"""What nobody has seen anything of for an hour is ended; what is still read, or runs, is not."""

from __future__ import annotations

import time
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import _semconv as names
from genai_otel import operation, step
from genai_otel.export.pipeline import worker
from genai_otel.instrumentation import open_registry
from genai_otel.instrumentation.open_registry import OPEN
from genai_otel.record import Kind, Operation
from genai_otel.recorder import ACTIVE
from tests import lumen
from tests.test_functions import installed
from tests.test_runs import weft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

__all__ = ["installed", "weft"]
ASK: list[Any] = [{"role": "user", "content": "Hello"}]


class Clock:
    """Looks at what is open, as the worker does, at a time of the test's."""

    def __init__(self) -> None:
        self.now = perf_counter()

    def later(self, seconds: float, runs: Any = None) -> None:
        self.now += seconds
        OPEN.expire(self.now)
        if runs is not None:
            runs.expire(self.now)


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url) as client:
        yield client


def expired(capture: Capture) -> list[str]:
    told = [(span.name, dict(span.attributes or {})) for span in capture.spans]
    for _, facts in told:
        assert (names.GENAI_OTEL_EXPIRED in facts) <= (
            facts.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is False
        )
    return [name for name, facts in told if facts.get(names.GENAI_OTEL_EXPIRED)]


def test_a_stream_that_is_read_for_hours(
    client: openai.OpenAI, genai_otel_capture: Capture
) -> None:
    clock, stream = Clock(), client.chat.completions.create(model="ok", messages=ASK, stream=True)
    for _ in stream:
        clock.later(3_500)
    assert clock.now - perf_counter() > 10_000
    assert [span.name for span in genai_otel_capture.spans] == ["chat ok"]
    assert expired(genai_otel_capture) == []


def test_a_stream_that_nobody_reads_any_more(
    client: openai.OpenAI, genai_otel_capture: Capture
) -> None:
    """It ends where it was last seen, not when that was noticed; the reader may still come."""
    clock, stream = Clock(), client.chat.completions.create(model="ok", messages=ASK, stream=True)
    first = [next(stream), next(stream), next(stream)]
    time.sleep(0.05)
    read = time.time_ns()
    clock.later(60)
    clock.later(3_000)
    assert genai_otel_capture.spans == ()
    clock.later(700)
    assert expired(genai_otel_capture) == ["chat ok"]
    (span,) = genai_otel_capture.spans
    assert (span.end_time or 0) < read
    assert (span.attributes or {})[names.GENAI_OTEL_RESPONSE_CHUNKS] == 3
    assert len([*first, *stream]) > 3
    assert len(genai_otel_capture.spans) == 1
    assert len(OPEN) == 0


def test_who_waits_for_a_chunk_reads(installed: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    words = lumen._words

    def slow(model: str) -> Iterator[str]:
        for word in words(model):
            clock.later(4_000)  # while the reader waits for this one
            yield word

    monkeypatch.setattr(lumen, "_words", slow)
    for ask in (partial(lumen.eager, stream=True), lumen.Client().stream):
        assert list(ask("small")) == lumen.WORDS
        assert expired(installed) == []
    assert len(installed.spans) == 2


def test_a_body_that_is_read_piece_by_piece(
    client: openai.OpenAI, genai_otel_capture: Capture
) -> None:
    clock, raw = Clock(), client.chat.completions.with_streaming_response
    with raw.create(model="ok", messages=ASK, stream=True) as response:
        for _ in response.iter_bytes(1):
            clock.later(1_000)
            if clock.now - perf_counter() > 5_000:
                break
        # All of it has come by now, since it is small: only reading more would show.
        clock.later(3_700)
        assert expired(genai_otel_capture) == ["chat ok"]


def test_runs_in_which_something_happens(weft: Any, genai_otel_capture: Capture) -> None:
    """A graph of hours, in whose one node an application's own step asks again and again."""
    clock = Clock()
    weft.start("graph", None, "graph")
    weft.start("node", "graph", "node")
    call = weft.runs._open["node"].call
    call.enter()
    with operation("step", "outer"):
        for _ in range(3):
            clock.later(3_000, weft.runs)
            asked_at(clock.now)
    call.leave()
    assert expired(genai_otel_capture) == []
    clock.later(3_500, weft.runs)
    assert len(weft.runs) == 2
    clock.later(200, weft.runs)
    assert expired(genai_otel_capture) == ["task node", "task graph"]
    weft.end("node")
    weft.end("graph")
    assert len(weft.runs) == 0
    assert len(expired(genai_otel_capture)) == 2


def asked_at(now: float) -> None:
    op = Operation(Kind.STEP, "asked")
    op.timing.started = now
    assert ACTIVE.recorder is not None
    recording = ACTIVE.recorder.start(op)
    assert recording is not None
    recording.finish()


def test_a_run_whose_model_is_read(weft: Any, genai_otel_capture: Capture) -> None:
    """Tokens, and streams of clients below, are signs of life of all that is around them."""
    weft.start("graph", None, "graph")
    weft.start("node", "graph", "node")
    active = weft.runs._open["graph"].call.active
    active.last_activity = weft.runs._open["node"].call.active.last_activity = (
        perf_counter() - 3_700
    )
    weft.runs.token("node", generated=True)
    weft.runs.expire(perf_counter())
    assert genai_otel_capture.spans == ()
    weft.end("node")
    weft.end("graph")


def test_without_a_worker_the_next_one_looks(
    client: openai.OpenAI, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time, since somebody waits for it."""
    kept = [
        client.chat.completions.create(model="ok", messages=ASK, stream=True) for _ in range(20)
    ]
    for call in OPEN._calls.values():
        call.idle_seconds(call.last_activity)
    monkeypatch.setattr(open_registry, "IDLE", 1e-9)
    assert genai_otel_capture.spans == ()
    monkeypatch.setattr(OPEN, "_last_expired", 0.0)
    kept.append(client.chat.completions.create(model="ok", messages=ASK, stream=True))
    assert len(expired(genai_otel_capture)) == open_registry.MAX_EXPIRED_AT_ONCE
    kept.append(client.chat.completions.create(model="ok", messages=ASK, stream=True))
    assert len(expired(genai_otel_capture)) == 20


def test_the_worker_looks(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that has nothing else to do, and has leaked a stream."""
    genai_otel.shutdown()
    monkeypatch.setattr(worker, "METRIC_INTERVAL", 0.05)
    monkeypatch.setattr(open_registry, "IDLE", 0.1)
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    try:
        step(lambda: None)()  # the first span that ends begins the worker
        client = openai.OpenAI(api_key="sk", base_url=provider.base_url)
        leaked = client.chat.completions.create(model="ok", messages=ASK, stream=True)
        until = time.monotonic() + 60
        while len(exporter.get_finished_spans()) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        assert "chat ok" in [span.name for span in exporter.get_finished_spans()]
        leaked.close()
        client.close()
    finally:
        genai_otel.shutdown()
