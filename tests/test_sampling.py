"""Which traces go to a destination: whole ones, those that matter, and a share of the others."""

from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode

import genai_otel
from genai_otel import Destination, TailSampling
from genai_otel.export.pipeline.tail_sampling import TailSampler, sample_of
from genai_otel.export.pipeline.worker import ExportWorker
from tests.receiver import Receiver, until

RESOURCE = Resource({})
NOTHING = TailSampling(rate=0.0)
LAST = 2**56 - 1  # a trace id that is in no share below one


def span(
    trace: int = LAST,
    *,
    child: bool = False,
    failed: bool = False,
    seconds: float = 0,
    **facts: Any,
) -> ReadableSpan:
    return ReadableSpan(
        "s",
        SpanContext(trace, 2, is_remote=False),
        parent=SpanContext(trace, 1, is_remote=False) if child else None,
        resource=RESOURCE,
        attributes=facts,
        status=Status(StatusCode.ERROR) if failed else Status(),
        start_time=1,
        end_time=1 + int(seconds * 1e9),
    )


def kept(sample: TailSampling, *spans: ReadableSpan) -> int:
    tail = TailSampler(sample, 10**9)
    out = [item for each in spans for item in tail.add((each, 1), 0.0)]
    assert len(out) + tail.dropped == len(spans)
    return len(out)


@pytest.mark.parametrize(
    ("sample", "spans", "expected"),
    [
        (NOTHING, [span(child=True), span()], 0),
        (TailSampling(rate=1.0), [span(child=True), span()], 2),
        (NOTHING, [span(child=True, failed=True), span()], 2),
        (TailSampling(rate=0.0, errors=False), [span(child=True, failed=True), span()], 0),
        (NOTHING, [span(child=True, **{"gen_ai.guardrail.result.type": "deny"}), span()], 2),
        (NOTHING, [span(child=True, **{"gen_ai.guardrail.result.type": "allow"}), span()], 0),
        (TailSampling(rate=0.0, min_duration=2), [span(child=True), span(seconds=3)], 2),
        (TailSampling(rate=0.0, min_duration=2), [span(child=True), span(seconds=1)], 0),
        (
            TailSampling(rate=0.0, min_cost=0.1),
            [*(span(child=True, **{"gen_ai.usage.cost": 0.06}) for _ in range(2)), span()],
            3,
        ),
        (TailSampling(rate=0.0, min_cost=0.2), [span(**{"gen_ai.usage.cost": 0.1})], 0),
    ],
)
def test_what_is_kept(sample: TailSampling, spans: list[ReadableSpan], expected: int) -> None:
    assert kept(sample, *spans) == expected


def test_a_share_by_trace_id() -> None:
    tail = TailSampler(TailSampling(rate=0.25), 10**9)
    step = 2**56 // 1000
    for n in range(1000):
        tail.add((span(n * step + 1), 1), 0.0)
    assert 745 < tail.dropped < 755


def test_late_spans_follow_the_decision() -> None:
    tail = TailSampler(NOTHING, 10**9)
    assert len(tail.add((span(1, failed=True), 1), 0.0)) == 1
    assert len(tail.add((span(1, child=True), 1), 0.0)) == 1
    tail.add((span(LAST), 1), 0.0)
    assert tail.add((span(LAST, child=True, failed=True), 1), 0.0) == []


def test_a_trace_whose_root_ends_elsewhere() -> None:
    tail = TailSampler(NOTHING, 10**9)
    failed, fine = span(1, child=True, failed=True), span(LAST, child=True)
    assert tail.add((failed, 1), 0.0) == tail.add((fine, 1), 5.0) == []
    assert tail.due() == 10.0
    assert tail.expire(9.9) == []
    assert tail.expire(10.0) == [(failed, 1)]
    assert tail.expire(15.0) == []
    assert tail.dropped == 1


def test_what_is_held_is_bounded() -> None:
    tail = TailSampler(NOTHING, 100)
    for n in range(1, 50):
        tail.add((span(LAST * 2**60 + n * 2**56 + LAST, child=True), 30), 0.0)
        assert tail.held_bytes <= 100
    for n in range(20_000):
        tail.add((span(n + 1), 1), 0.0)
    assert len(tail._decided) <= 10_000


def test_mistakes_are_told() -> None:
    for wrong in (2, -0.1, "half", True):
        with pytest.raises(ValueError, match=r"rate|sample"):
            Destination("otlp", sample=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window"):
        TailSampling(window=0)
    assert sample_of(0.5) == TailSampling(rate=0.5)


def failing(number: int) -> None:
    with genai_otel.operation("workflow", f"w{number}"):
        with genai_otel.operation("step", "inside"):
            pass
        raise KeyError("this one")


def test_through_a_destination() -> None:
    with Receiver() as all_, Receiver() as some:
        genai_otel.instrument(
            destinations=[
                Destination("otlp", endpoint=all_.url),
                Destination("otlp", endpoint=some.url, sample=0),
            ]
        )
        for number in range(10):
            with pytest.raises(KeyError):
                failing(number)
        for number in range(10):
            with genai_otel.operation("workflow", f"fine{number}"):
                pass
        assert genai_otel.flush(), "what is not wanted is no loss"
        assert len(all_.names) == 30
        assert len(some.names) == 20
        status = genai_otel.status().destinations[1]
        assert (status.queued, status.exported, status.dropped) == (0, 20, {})
        assert genai_otel.shutdown()


def test_what_a_sample_waits_with_is_queued() -> None:
    with Receiver() as receiver:
        genai_otel.instrument(
            destinations=Destination("otlp", endpoint=receiver.url, sample=TailSampling(rate=0.0))
        )

        def queued() -> int:
            return genai_otel.status().destinations[0].queued

        assert queued() == 0
        with genai_otel.operation("workflow", "turn"):
            for number in range(3):
                with genai_otel.operation("step", "inside"):
                    pass
                assert queued() == number + 1
        assert until(lambda: queued() == 0), "it has been decided that none of them goes out"
        assert genai_otel.flush()
        told = genai_otel.status().destinations[0]
        assert (told.queued, told.exported, told.dropped, receiver.names) == (0, 0, {}, [])


def test_the_worker_wakes_for_what_waits() -> None:
    """A trace whose root never comes goes out by itself when its window is over."""
    with Receiver() as receiver:
        from genai_otel.export.backends.resolve import otlp_config
        from genai_otel.export.otlp.exporter import OtlpExporter, sender_for

        to = otlp_config(Destination("otlp", endpoint=receiver.url))
        sample = TailSampling(rate=0.0, window=0.2)
        worker = ExportWorker("otlp", OtlpExporter(to, sender_for(to)), sample=sample, delay=0.01)
        worker.enqueue(span(child=True, failed=True), 10, ours=True)
        assert until(lambda: receiver.names == ["s"])
        worker.enqueue(span(7, child=True, failed=True), 10, ours=True)
        worker.close(time.monotonic() + 5)
        assert worker.join(time.monotonic() + 5)
        assert receiver.names == ["s", "s"]
        assert worker._queued_bytes == 0
