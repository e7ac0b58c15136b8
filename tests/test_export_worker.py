"""ExportWorker to receivers that refuse, hang, drip, redirect, are full, or want less."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

import genai_otel
from genai_otel import Destination
from genai_otel import _semconv as names
from genai_otel._support.errors import FAULTS
from genai_otel.export.pipeline.handover import HandoverFile
from genai_otel.export.pipeline.worker import ExportWorker
from genai_otel.export.protocol import SdkExporter
from genai_otel.export.readable import estimated_size
from tests.export_workers import end, flush, give, span
from tests.receiver import (
    IN_TIME,
    OK,
    Receiver,
    Reply,
    certificate,
    closed_port,
    rejecting,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.receiver import Received


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    genai_otel.shutdown()


# ---------------------------------------------------------------------------------- all is well


def test_what_arrives(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url, headers={"x-key": "k"})
        give(worker, *(span(f"s{n}", k="v" * 100) for n in range(20)))
        assert flush(worker)
        assert len(receiver.names) == 20
        (got,) = receiver.received
        assert got.path == "/v1/traces"
        assert got.headers["x-key"] == "k"
        assert got.headers["content-type"] == "application/x-protobuf"
        assert got.headers["content-encoding"] == "gzip"
        assert worker.stats.dropped() == {}
        assert (worker.stats.enqueued, worker.stats.sent) == (20, 20)
        give(worker, span("later"))
        assert flush(worker)
        assert receiver.connections == 1, "the connection is kept"


def test_a_kept_connection_that_was_closed(make_worker: Any) -> None:
    closes = Reply(headers={"Connection": "close"})
    silently = iter([OK, Reply(cut=True)])
    with Receiver(lambda _: next(silently, closes)) as receiver:
        worker = make_worker(receiver.url)
        for number in range(4):
            give(worker, span(f"s{number}"))
            assert flush(worker)
        assert receiver.names == ["s0", "s1", "s2", "s3"]
        assert worker.stats.dropped() == {}


def test_without_compression(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url, options={"compression": "none"})
        give(worker, span(k="v" * 5000))
        assert flush(worker)
        assert "content-encoding" not in receiver.received[0].headers


def test_requests_by_bytes(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url, delay=5.0)
        give(worker, *(span(f"s{n}", k="v" * 60_000) for n in range(60)))
        assert flush(worker)
        assert len(receiver.names) == 60
        assert len(receiver.received) >= 4
        assert all(len(got.body) <= 1024 * 1024 for got in receiver.received)


# --------------------------------------------------------------------------- too much at once


def over(limit: int) -> Callable[[Received], Reply]:
    return lambda got: Reply(413) if len(got.body) > limit else OK


def test_a_large_span_is_shortened_before(make_worker: Any) -> None:
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 500_000}]}])
    with Receiver() as receiver:
        worker = make_worker(receiver.url)
        give(worker, span("big", **{"gen_ai.input.messages": said, "long": "y" * 100_000}))
        assert flush(worker)
        (got,) = receiver.received[0].spans
        told = {a.key: a.value.string_value for a in got.attributes}
        assert len(told["long"]) <= 65_536
        assert told["long"].startswith("yyy")
        assert "[... 100,000 characters in all, sha256 " in told["long"]
        assert len(told["gen_ai.input.messages"]) <= 65_536
        (message,) = json.loads(told["gen_ai.input.messages"])
        assert message["role"] == "user"


def test_each_span_is_counted_once(make_worker: Any) -> None:
    """Sent, lost or passed over."""

    def keep(one: ReadableSpan) -> bool:
        if one.name == "odd":
            raise KeyError("attribute")
        return one.name == "wanted"

    def script(got: Received) -> Reply:
        return rejecting(1) if any(s.name == "last" for s in got.spans) else OK

    with Receiver(script) as receiver:
        worker = make_worker(receiver.url, span_filter=keep)
        for name in ("wanted", "odd", "unwanted", "unwanted"):
            one = span(name)
            one._instrumentation_scope = InstrumentationScope("http")
            worker.enqueue(one, estimated_size(one), ours=False)
        give(worker, span("s"))
        assert not flush(worker)
        give(worker, span("last"), span("last"))
        assert not flush(worker)
        counts = worker.stats
        assert (counts.enqueued, counts.sent, counts.filtered) == (7, 3, 2)
        assert counts.dropped() == {"encoding": 1, "rejected": 1}


def test_many_large_attributes_make_no_large_span(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url)
        give(worker, span("big", **{f"k{n}": "x" * 60_000 for n in range(100)}))
        assert flush(worker)
        assert len(receiver.received[0].body) <= 256 * 1024 + 4096


def test_refused_as_too_large_is_split(make_worker: Any) -> None:
    with Receiver(over(20_000)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span(f"s{n}", k="v" * 5000) for n in range(10)))
        assert flush(worker)
        assert len(receiver.names) == 10
        assert worker.stats.dropped() == {}


def test_the_poison_span_is_alone_and_shrunk(make_worker: Any) -> None:
    with Receiver(over(20_000)) as receiver:
        worker = make_worker(receiver.url)
        poison = span("poison", k="v" * 50_000, id="kept")
        give(worker, *(span(f"s{n}") for n in range(10)), poison)
        assert flush(worker)
        assert receiver.names == ["poison", *(f"s{n}" for n in range(10))]
        assert len(receiver.received) == 4, "all, the poison, the poison shrunk, the others"


def test_a_span_that_never_fits_is_counted(make_worker: Any) -> None:
    def script(got: Received) -> Reply:
        return Reply(413) if any(s.name == "poison" for s in got.spans) else OK

    with Receiver(script) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span(f"s{n}") for n in range(9)), span("poison", k="v" * 50_000))
        assert not flush(worker)
        assert len(receiver.names) == 9
        assert worker.stats.dropped() == {"too_large": 1}


def failing(*_: object) -> Any:
    raise ZeroDivisionError


def test_errors_of_ours_are_counted(make_worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what shortens a span, in the worker, in what a child keeps: the last loses nothing."""
    counts: dict[str, int] = {}
    monkeypatch.setattr(FAULTS, "strict", False)
    monkeypatch.setattr(FAULTS, "counts", counts)
    with Receiver(over(20_000)) as receiver:
        worker = make_worker(receiver.url)
        monkeypatch.setattr(worker._exporter, "truncated", failing)
        give(worker, span("poison", k="v" * 50_000))
        assert not flush(worker)
        assert worker.stats.dropped() == {"too_large": 1}
        assert counts == {"RetryingSender.truncated: ZeroDivisionError": 1}
        turn, turns = worker._drain, iter([failing])

        def once() -> None:
            next(turns, turn)()

        monkeypatch.setattr(worker, "_drain", once)
        give(worker, span("s"))
        flush(worker)
        assert until(lambda: receiver.names == ["s"])
        assert counts["ExportWorker.run: ZeroDivisionError"] == 1
    handover = HandoverFile()
    handover.may_be_recovered, handover._failed = True, False
    monkeypatch.setattr(handover, "is_needed", lambda: True)
    monkeypatch.setattr(handover, "_append_span", failing)
    with handover.lock:
        handover.write(span("s"))
    assert counts["HandoverFile.write: ZeroDivisionError"] == 1
    monkeypatch.setattr(FAULTS, "strict", True)
    with handover.lock, pytest.raises(ZeroDivisionError):
        handover.write(span("s"))


def test_one_bad_span_does_not_take_the_others_along(make_worker: Any) -> None:
    def script(got: Received) -> Reply:
        return Reply(400) if any(s.name == "s7" for s in got.spans) else OK

    with Receiver(script) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span(f"s{n}") for n in range(20)))
        assert not flush(worker)
        assert len(receiver.names) == 19
        assert worker.stats.dropped() == {"refused": 1}


def test_several_bad_spans_in_a_row_do_not_either(make_worker: Any) -> None:
    bad = {"s0", "s1", "s2", "s40", "s41", "s63"}

    def script(got: Received) -> Reply:
        return Reply(400) if bad & {s.name for s in got.spans} else OK

    with Receiver(script) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span(f"s{n}") for n in range(64)))
        assert not flush(worker)
        assert len(receiver.names) == 64 - len(bad)
        assert worker.stats.dropped() == {"refused": len(bad)}


def test_where_nothing_is_wanted_little_is_asked(make_worker: Any) -> None:
    with Receiver(lambda _: Reply(400)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span() for _ in range(256)))
        assert not flush(worker)
        assert worker.stats.dropped() == {"refused": 256}
        assert len(receiver.received) <= 20


def test_a_full_queue_drops_and_counts(make_worker: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Exactly two lines are logged: where loss begins, and where it ends."""
    away = threading.Event()
    with Receiver(lambda _: OK if away.is_set() else Reply(503)) as receiver:
        worker = make_worker(receiver.url, max_queue_bytes=100_000)
        for _ in range(10):
            give(worker, *(span(k="v" * 2000) for _ in range(20)))
            assert not flush(worker, 0.05)
        dropped = worker.stats.dropped_queue_full
        assert 130 < dropped < 200
        assert until(lambda: worker.stats.losing)
        away.set()
        assert flush(worker)
        assert len(receiver.names) == 200 - dropped
        give(worker, span())
        assert flush(worker)
    assert worker.stats.dropped() == {"queue_full": dropped}
    said = [record.getMessage() for record in caplog.records if record.name == "genai_otel"]
    assert len(said) == 2, said
    assert "is losing telemetry: queue_full" in said[0]
    assert f"recovered; {dropped} spans dropped" in said[1]


# -------------------------------------------------------------------- away, slow, or unwilling


def test_nobody_listens(make_worker: Any) -> None:
    worker = make_worker(f"http://127.0.0.1:{closed_port()}")
    give(worker, span(), span())
    began = time.monotonic()
    assert not flush(worker, 0.5)
    assert time.monotonic() - began < IN_TIME
    assert worker.last_error == "connection refused"
    assert end(worker, 0.2)
    assert worker.stats.dropped() == {"shutdown": 2}


def test_retry_timeout(make_worker: Any, caplog: pytest.LogCaptureFixture) -> None:
    worker = make_worker(f"http://127.0.0.1:{closed_port()}", retry_timeout=0.3)
    give(worker, span())
    assert not flush(worker)
    assert worker.stats.dropped() == {"undelivered": 1}
    assert worker.stats.retried >= 1
    assert "is losing telemetry: undelivered (connection refused)" in caplog.text


def test_it_comes_back(make_worker: Any) -> None:
    answers = iter([Reply(503), Reply(429), Reply(cut=True), Reply(502)])
    with Receiver(lambda _: next(answers, OK)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span("s"))
        assert flush(worker)
        assert receiver.names == ["s"]
        assert worker.stats.retried in (3, 4), "a cut connection may be tried again at once"
        assert worker.last_error is None


def test_retry_after_is_obeyed(make_worker: Any) -> None:
    times: list[float] = []

    def script(_: Received) -> Reply:
        times.append(time.monotonic())
        return Reply(503, {"Retry-After": "1"}) if len(times) == 1 else OK

    with Receiver(script) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span())
        assert not flush(worker, 0.2), "a flush does not hurry whoever asked for a pause"
        assert flush(worker)
    assert times[1] - times[0] >= 1.0


def test_retry_after_beyond_our_timeout(make_worker: Any) -> None:
    with Receiver(lambda _: Reply(429, {"Retry-After": "3600"})) as receiver:
        worker = make_worker(receiver.url, retry_timeout=1.0)
        give(worker, span())
        assert not flush(worker)
        assert len(receiver.received) == 1
        assert worker.stats.dropped() == {"undelivered": 1}


def test_it_hangs(make_worker: Any) -> None:
    with Receiver(lambda _: Reply(hang=60)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span())
        began = time.monotonic()
        assert not flush(worker, 0.3)
        assert end(worker, 0.3), "it was cut off"
        assert time.monotonic() - began < IN_TIME
        assert worker.stats.dropped() == {"shutdown": 1}


def test_it_drips(make_worker: Any) -> None:
    """A byte now and then keeps no deadline from coming."""
    with Receiver(lambda _: Reply(drip=0.05)) as receiver:
        worker = make_worker(receiver.url, options={"timeout": "0.4"}, retry_timeout=0.2)
        give(worker, span())
        assert not flush(worker)
        assert worker.stats.dropped() == {"undelivered": 1}
        assert worker.last_error == "no response in time"
        assert len(receiver.received) == 1


def test_a_huge_answer_is_not_read(make_worker: Any) -> None:
    with Receiver(lambda _: Reply(body=b"\0" * 30_000_000)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span("a"))
        assert flush(worker)
        give(worker, span("b"))
        assert flush(worker)
        assert receiver.names == ["a", "b"]
        assert receiver.connections == 2, "nobody waits for the rest of it"


def test_endless_headers(make_worker: Any) -> None:
    with Receiver(lambda _: Reply(headers={f"x{n}": "y" * 1000 for n in range(1000)})) as receiver:
        worker = make_worker(receiver.url, retry_timeout=0.2)
        give(worker, span())
        assert not flush(worker)
        assert worker.stats.dropped() == {"undelivered": 1}


@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirects_are_not_followed(make_worker: Any, status: int) -> None:
    with Receiver() as other:
        there = Reply(status, {"Location": f"{other.url}/v1/traces"})
        with Receiver(lambda _: there) as receiver:
            worker = make_worker(receiver.url, headers={"authorization": "secret"})
            give(worker, span())
            assert not flush(worker)
        assert other.received == []
        assert worker.stats.dropped() == {"refused": 1}
        assert worker.last_error == f"HTTP {status}: redirects are not followed"


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_is_not_tried_again(make_worker: Any, status: int) -> None:
    with Receiver(lambda _: Reply(status, body=b"your key secret-key is wrong")) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span(), span())
        assert not flush(worker)
        assert len(receiver.received) == 1
        assert worker.stats.dropped() == {"refused": 2}
        assert worker.last_error == f"HTTP {status}"


def test_partial_success(make_worker: Any) -> None:
    answers = iter([rejecting(2), rejecting(0, "deprecated")])
    with Receiver(lambda _: next(answers, OK)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, *(span() for _ in range(5)))
        assert not flush(worker)
        assert (worker.stats.sent, worker.stats.dropped()) == (3, {"rejected": 2})
        give(worker, span())
        assert flush(worker), "a warning is no loss"
        assert worker.last_error == "accepted with a warning"


def test_an_answer_that_is_no_answer(make_worker: Any) -> None:
    odd = iter([b"\xff" * 50, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"{}", b"\x0a"])
    with Receiver(lambda _: Reply(body=next(odd))) as receiver:
        worker = make_worker(receiver.url)
        for _ in range(4):
            give(worker, span())
            assert flush(worker)
        assert len(receiver.names) == 4


def test_a_web_page_is_no_answer(make_worker: Any) -> None:
    """A proxy's, or that of an application which has one for every path."""
    page = Reply(headers={"Content-Type": "text/html"}, body=b"\n<!doctype html><p>Log in")
    plain = Reply(headers={"Content-Type": "text/html"}, body=b"OK")
    answers = iter([page, plain])
    with Receiver(lambda _: next(answers)) as receiver:
        worker = make_worker(receiver.url)
        give(worker, span())
        assert not flush(worker)
        assert worker.stats.dropped() == {"refused": 1}
        assert worker.last_error == "the response is a web page: check the endpoint"
        give(worker, span())
        assert flush(worker), "some frameworks call anything a page"


def test_credentials_are_in_no_log(make_worker: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(lambda got: Reply(403, body=str(got.headers).encode())) as receiver:
        worker = make_worker(receiver.url, headers={"x-key": "s3cret"}, retry_timeout=0.1)
        give(worker, span())
        assert not flush(worker)
        assert receiver.received[0].headers["x-key"] == "s3cret"
    assert "s3cret" not in caplog.text + str(worker.last_error) + repr(vars(worker))


# ----------------------------------------------------------------------------------------- TLS


def test_tls(make_worker: Any, tmp_path: Path) -> None:
    authority, context = certificate(tmp_path)
    with Receiver(context=context) as receiver:
        trusting = make_worker(receiver.url, options={"certificate": str(authority)})
        give(trusting, span("s"))
        assert flush(trusting)
        assert receiver.names == ["s"]
        doubting = make_worker(receiver.url, retry_timeout=0.1)
        give(doubting, span())
        assert not flush(doubting)
        assert doubting.last_error == "TLS failed: CERTIFICATE_VERIFY_FAILED"
        elsewhere = receiver.url.replace("127.0.0.1", "localhost")
        other = make_worker(elsewhere, options={"certificate": str(authority)}, retry_timeout=0.1)
        give(other, span())
        assert not flush(other)
        assert receiver.names == ["s"]


def test_a_handshake_that_never_ends(make_worker: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        worker = make_worker(url, options={"timeout": "0.3"}, retry_timeout=0.1)
        give(worker, span())
        assert not flush(worker)
        assert worker.last_error == "no response in time"


def test_plain_http_where_tls_is_spoken(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url.replace("http:", "https:"), retry_timeout=0.1)
        give(worker, span())
        assert not flush(worker)
        assert receiver.received == []
        assert worker.last_error is not None
        assert worker.last_error.startswith("TLS failed")


# ---------------------------------------------------------------------- exporters given in code


class Exporter(SpanExporter):
    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.threads: set[str] = set()
        self.fails = False
        self.ended = 0

    def export(self, spans: Any) -> SpanExportResult:
        names = ("suppress_instrumentation", otel_context._SUPPRESS_INSTRUMENTATION_KEY)
        self.keys.append([otel_context.get_value(name) for name in names])
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise RuntimeError("its own")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.ended += 1


def test_exporters_run_on_a_worker_and_quietly() -> None:
    exporter = Exporter()
    worker = ExportWorker("given", SdkExporter(exporter), delay=0.01)
    give(worker, span())
    assert flush(worker)
    exporter.fails = True
    give(worker, span())
    assert not flush(worker)
    assert worker.stats.dropped() == {"refused": 1}
    assert end(worker)
    assert exporter.ended == 1
    assert exporter.keys == [[True, True]] * 2
    assert exporter.threads == {"genai-otel-given"}
    give(worker, span())
    assert worker.stats.dropped_after_shutdown == 1


def test_much_that_is_queued_at_the_end_is_counted_at_once(make_worker: Any) -> None:
    worker = make_worker(f"http://127.0.0.1:{closed_port()}", delay=60.0)
    give(worker, *(span("s", k="v" * 100) for _ in range(20_000)))
    worker.close(time.monotonic() - 1)
    assert until(lambda: worker.join(0))
    assert worker.stats.dropped() == {"shutdown": 20_000}


def test_a_gauge_that_flushes() -> None:
    """Metrics are collected on the worker, which cannot wait for itself."""
    worker = ExportWorker("given", SdkExporter(Exporter()), delay=0.01)
    told: list[bool] = []

    def collect() -> None:
        told.append(flush(worker, 120))

    worker.set_metric_collector(collect)
    began = time.monotonic()
    assert flush(worker, 120)
    assert (told, time.monotonic() - began < IN_TIME) == ([False], True)
    assert end(worker)


def test_who_is_stuck_is_waited_for_once() -> None:
    """A provider's own shutdown closes us, too; ours comes after it."""
    going = threading.Event()

    class Stuck(Exporter):
        def export(self, spans: Any) -> SpanExportResult:
            going.wait(240)
            return super().export(spans)

    worker = ExportWorker("given", SdkExporter(Stuck()), delay=0.01)
    give(worker, span())
    worker.close(time.monotonic() + 0.2)
    assert not worker.join(time.monotonic() + 0.2)
    began = time.monotonic()
    assert not worker.join(time.monotonic() + 120)
    assert time.monotonic() - began < IN_TIME
    going.set()
    assert until(lambda: worker.join(0))


def test_a_worker_that_was_ended_is_replaced() -> None:
    class Leaving(BaseException):
        """Of no kind that anybody expects."""

    class Fatal(Exporter):
        def export(self, spans: Any) -> SpanExportResult:
            super().export(spans)
            raise Leaving if len(self.keys) == 1 else SystemExit

    exporter = Fatal()
    worker = ExportWorker("given", SdkExporter(exporter), delay=0.01)
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        give(worker, span())
        assert until(lambda: exporter.keys and worker._thread is None)
    finally:
        threading.excepthook = hook
    give(worker, span())
    assert not flush(worker)
    assert len(exporter.keys) == 2
    assert worker.stats.dropped() == {"refused": 1}
    assert end(worker)


def test_a_span_that_cannot_be_prepared_is_alone_in_that(make_worker: Any) -> None:
    def prepare(one: ReadableSpan) -> ReadableSpan:
        if one.name == "odd":
            raise KeyError("content")
        return one

    with Receiver() as receiver:
        worker = make_worker(receiver.url, transform=prepare)
        give(worker, span("a"), span("odd"), span("b"))
        assert not flush(worker)
        assert receiver.names == ["a", "b"]
        assert worker.stats.dropped() == {"encoding": 1}
        assert worker.last_error in (None, "a span could not be encoded: KeyError")


# ------------------------------------------------------------------------- the whole of it


def test_one_of_three_is_dead() -> None:
    """The others are complete, flush tells the truth, and the end comes in time."""
    with Receiver() as first, Receiver() as second:
        dead = f"http://127.0.0.1:{closed_port()}"
        genai_otel.instrument(
            destinations=[Destination("otlp", endpoint=e) for e in (first.url, dead, second.url)]
        )
        for number in range(50):
            with genai_otel.operation("step", f"s{number}"):
                pass
        assert not genai_otel.flush(0.5)
        assert until(lambda: len(first.names) == len(second.names) == 50)

        def told() -> dict[str, Any]:
            return {d.endpoint: d for d in genai_otel.status().destinations}

        def counted(url: str) -> tuple[int, int, dict[str, int]]:
            one = told()[f"{url}/v1/traces"]
            return one.queued, one.exported, one.dropped

        assert until(lambda: counted(first.url) == counted(second.url) == (0, 50, {}))
        assert counted(dead) == (50, 0, {}), "they are tried again"
        assert told()[f"{dead}/v1/traces"].last_error == "connection refused"
        began = time.monotonic()
        assert not genai_otel.shutdown(1.0)
        assert time.monotonic() - began < IN_TIME


def test_metrics_go_along_and_are_switched_off_where_they_are_not_taken() -> None:
    script = {"traces": OK, "metrics": Reply(405)}
    with Receiver() as both, Receiver(lambda got: script[got.signal]) as traces:
        genai_otel.instrument(
            destinations=[Destination("otlp", endpoint=e.url) for e in (both, traces)]
        )
        with genai_otel.operation("chat", "s"):
            pass
        assert genai_otel.flush(), "a signal that is not taken is no loss"
        assert {got.signal for got in both.taken} == {"traces", "metrics"}
        assert genai_otel.flush()
        (refused,) = [got.message for got in traces.received if got.signal == "metrics"]
        first, second = [got.message for got in both.taken if got.signal == "metrics"]
        assert [
            (point.as_int, len(point.attributes))
            for name, point in _points(second)
            if name == "otel.sdk.exporter.metric_data_point.exported"
        ] == [(len(_points(first)), 1), (len(_points(refused)), 2)]
        assert genai_otel.shutdown()


def _points(message: Any) -> list[tuple[str, Any]]:
    return [
        (metric.name, point)
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def test_only_the_signals_that_were_asked_for() -> None:
    with Receiver() as receiver:
        genai_otel.instrument(
            destinations=Destination("otlp", endpoint=receiver.url, signals=["traces"])
        )
        with genai_otel.operation("chat", "s"):
            pass
        assert genai_otel.flush()
        assert genai_otel.shutdown()
        assert {got.signal for got in receiver.received} == {"traces"}


def test_other_scopes_only_if_asked() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with Receiver() as plain, Receiver() as asked:
        provider = TracerProvider(shutdown_on_exit=False)
        genai_otel.instrument(
            tracer_provider=provider,
            destinations=[
                Destination("otlp", endpoint=plain.url),
                Destination("otlp", endpoint=asked.url, filter=lambda s: s.name == "wanted"),
            ],
        )
        with genai_otel.operation("step", "ours"):
            for name in ("wanted", "unwanted"):
                provider.get_tracer("http").start_span(name).end()
        assert genai_otel.flush()
        genai_otel.shutdown()
        assert plain.names == ["task ours"]
        assert asked.names == ["task ours", "wanted"]


def test_what_became_of_it_as_metrics() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with Receiver() as receiver, Receiver(lambda _: Reply(403)) as unwilling:
        for _ in range(2):  # the second time with the same instruments
            genai_otel.instrument(
                meter_provider=meters,
                destinations=[
                    Destination("otlp", endpoint=receiver.url),
                    Destination("phoenix", endpoint=unwilling.url),
                ],
            )
            with genai_otel.operation("step", "s"):
                pass
            genai_otel.flush()
            data: Any = reader.get_metrics_data()
            genai_otel.shutdown()
    found = {
        (metric.name.removeprefix("otel.sdk."), *point.attributes.values()): point.value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if names.OTEL_COMPONENT_NAME in metric.data.data_points[0].attributes
        for point in metric.data.data_points
    }
    assert found == {
        **{("processor.span.queue.size", name): 0 for name in ("otlp", "phoenix")},
        **{("processor.span.processed", name): 1 for name in ("otlp", "phoenix")},
        ("exporter.span.exported", "otlp"): 1,
        ("exporter.span.exported", "phoenix"): 0,
        ("exporter.span.exported", "phoenix", "refused"): 1,
        **{("exporter.log.exported", name): 0 for name in ("otlp", "phoenix")},
        **{("exporter.metric_data_point.exported", name): 0 for name in ("otlp", "phoenix")},
        **{("genai_otel.exporter.request.retried", name): 0 for name in ("otlp", "phoenix")},
    }
    meters.shutdown()
