"""The same over gRPC: receivers that refuse, hang, are full, or answer oddly."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.export.otlp.grpc import _RETRYABLE
from tests.export_workers import end, flush, give, span
from tests.receiver import GrpcReceiver, Receiver, certificate, closed_port, rejecting

if TYPE_CHECKING:
    from pathlib import Path

grpc = pytest.importorskip("grpc")
error_details_pb2: Any = pytest.importorskip("google.rpc.error_details_pb2")
status_pb2: Any = pytest.importorskip("google.rpc.status_pb2")


def grpc_options(**more: str) -> dict[str, str]:
    return {"protocol": "grpc", **more}


def test_grpc(make_worker: Any) -> None:
    with GrpcReceiver() as receiver:
        worker = make_worker(receiver.url, headers={"X-Key": "k"}, options=grpc_options())
        give(worker, *(span(f"s{n}") for n in range(3)))
        assert flush(worker)
        assert receiver.names == ["s0", "s1", "s2"]
        assert receiver.metadata[0]["x-key"] == "k"


def test_grpc_too_large(make_worker: Any) -> None:
    with GrpcReceiver(**{"grpc.max_receive_message_length": 20_000}) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, *(span(f"s{n}", k="v" * 3000) for n in range(20)))
        give(worker, span("poison", k="v" * 60_000))
        assert flush(worker)
        assert len(receiver.names) == 21


def test_grpc_failures(make_worker: Any) -> None:
    codes = iter([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED])

    def script(_: str, __: Any, context: Any) -> None:
        code = next(codes, None)
        if code is not None:
            context.abort(code, "secret-key is wrong")

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, span())
        assert not flush(worker)
        assert worker.last_error == "gRPC UNAUTHENTICATED"
        assert (worker.stats.retried, worker.stats.dropped()) == (1, {"refused": 1})
        give(worker, span("s"))
        assert flush(worker)
        assert receiver.names == ["s"]


def test_grpc_nobody_listens(make_worker: Any) -> None:
    worker = make_worker(f"http://127.0.0.1:{closed_port()}", options=grpc_options())
    give(worker, span())
    assert not flush(worker, 0.5)
    assert end(worker, 0.3)
    assert worker.stats.dropped() == {"shutdown": 1}


def test_grpc_hangs(make_worker: Any) -> None:
    going = threading.Event()
    with GrpcReceiver(lambda *_: going.wait(30) and None) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, span())
        assert not flush(worker, 0.3)
        assert end(worker, 0.2)
        going.set()


# -------------------------------------------------------------------------------- busy, or full


def aborting(context: Any, code: Any, *, seconds: float | None = None) -> None:
    """Refuses; with ``seconds`` it says when to come again, as google.rpc.RetryInfo."""
    if seconds is not None:
        status = status_pb2.Status(code=code.value[0])
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(seconds * 1e9))
        status.details.add().Pack(info)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "come again")


def test_it_comes_back(make_worker: Any) -> None:
    """All that OTLP says is worth another try."""
    codes = [code for code in grpc.StatusCode if code.name in _RETRYABLE]
    assert len(codes) == len(_RETRYABLE)
    left = iter(codes)

    def script(_: str, __: Any, context: Any) -> None:
        code = next(left, None)
        if code is not None:
            aborting(context, code)

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options(), retry_timeout=60.0)
        give(worker, span("s"))
        assert flush(worker, 60)
        assert receiver.names == ["s"]
        assert worker.stats.retried == len(codes)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_retry_info_is_obeyed(make_worker: Any, code: str) -> None:
    times: list[float] = []

    def script(_: str, __: Any, context: Any) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            aborting(context, grpc.StatusCode[code], seconds=1.2)

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, span("s"))
        assert flush(worker)
        assert receiver.names == ["s"]
        assert times[1] - times[0] >= 1.2


def test_retry_info_beyond_our_timeout(make_worker: Any) -> None:
    def script(_: str, __: Any, context: Any) -> None:
        aborting(context, grpc.StatusCode.RESOURCE_EXHAUSTED, seconds=3600)

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options(), retry_timeout=1.0)
        give(worker, span())
        assert not flush(worker)
        assert len(receiver.metadata) == 1
        assert worker.stats.dropped() == {"undelivered": 1}


@pytest.mark.parametrize("details", [b"\xff" * 30, b"\x1a\x02\x0a\xff", b""])
def test_retry_info_that_is_none(make_worker: Any, details: bytes) -> None:
    codes = iter([grpc.StatusCode.UNAVAILABLE])

    def script(_: str, __: Any, context: Any) -> None:
        code = next(codes, None)
        if code is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, "no")

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, span("s"))
        assert flush(worker)
        assert receiver.names == ["s"]


def test_a_span_that_never_fits_is_counted(make_worker: Any) -> None:
    def script(_: str, message: Any, context: Any) -> None:
        spans = message.resource_spans[0].scope_spans[0].spans
        if any(each.name == "poison" for each in spans):
            aborting(context, grpc.StatusCode.RESOURCE_EXHAUSTED)

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, *(span(f"s{n}") for n in range(9)), span("poison", k="v" * 50_000))
        assert not flush(worker)
        assert len(receiver.names) == 9
        assert worker.stats.dropped() == {"too_large": 1}


def test_one_bad_span_does_not_take_the_others_along(make_worker: Any) -> None:
    def script(_: str, message: Any, context: Any) -> None:
        if any(each.name == "s3" for each in message.resource_spans[0].scope_spans[0].spans):
            aborting(context, grpc.StatusCode.INVALID_ARGUMENT)

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, *(span(f"s{n}") for n in range(8)))
        assert not flush(worker)
        assert len(receiver.names) == 7
        assert worker.stats.dropped() == {"refused": 1}


# ----------------------------------------------------------------------------------- odd answers


def test_partial_success(make_worker: Any) -> None:
    answers = iter([rejecting(2).body, rejecting(0, "deprecated").body])
    with GrpcReceiver(lambda *_: next(answers)) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, *(span() for _ in range(5)))
        assert not flush(worker)
        assert (worker.stats.sent, worker.stats.dropped()) == (3, {"rejected": 2})
        give(worker, span())
        assert flush(worker), "a warning is no loss"
        assert worker.last_error == "accepted with a warning"


@pytest.mark.parametrize("size", [100, 60_000, 1_000_000])
def test_an_answer_that_is_no_answer(make_worker: Any, size: int) -> None:
    """A huge one is not read, and is no reason to send anything again."""
    with GrpcReceiver(lambda *_: b"\xff" * size) as receiver:
        worker = make_worker(receiver.url, options=grpc_options())
        give(worker, span("a"), span("b"))
        assert flush(worker)
        assert receiver.names == ["a", "b"]
        assert (worker.stats.sent, worker.stats.dropped()) == (2, {})


def test_where_http_is_spoken(make_worker: Any) -> None:
    with Receiver() as receiver:
        worker = make_worker(receiver.url, options=grpc_options(timeout="0.5"), retry_timeout=0.2)
        give(worker, span())
        assert not flush(worker)
        assert worker.stats.dropped() == {"undelivered": 1}
        assert receiver.received == []


def test_it_drips(make_worker: Any) -> None:
    """A byte of the connection's preface now and then keeps no deadline from coming."""
    stop = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while not stop.wait(0.05):
                try:
                    connection.send(b"\0")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        worker = make_worker(url, options=grpc_options(timeout="0.5"), retry_timeout=0.2)
        give(worker, span())
        assert not flush(worker)
        assert worker.stats.dropped() == {"undelivered": 1}
        stop.set()
        thread.join(10)


# ------------------------------------------------------------------------------------------- TLS


def test_tls(make_worker: Any, tmp_path: Path) -> None:
    authority, _ = certificate(tmp_path)
    key = (tmp_path / "key.pem").read_bytes()
    with GrpcReceiver(key=key, chain=authority.read_bytes()) as receiver:
        options = grpc_options(certificate=str(authority))
        trusting = make_worker(receiver.url, options=options)
        give(trusting, span("s"))
        assert flush(trusting)
        doubting = make_worker(receiver.url, options=grpc_options(timeout="1"), retry_timeout=0.1)
        give(doubting, span())
        assert not flush(doubting)
        assert receiver.names == ["s"]


def test_a_handshake_that_never_ends(make_worker: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        worker = make_worker(url, options=grpc_options(timeout="0.4"), retry_timeout=0.1)
        give(worker, span())
        assert not flush(worker)
        assert worker.last_error == "gRPC DEADLINE_EXCEEDED"


def test_credentials_are_in_no_log(make_worker: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def script(_: str, __: Any, context: Any) -> None:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, str(context.invocation_metadata()))

    with GrpcReceiver(script) as receiver:
        worker = make_worker(receiver.url, headers={"x-key": "s3cret"}, options=grpc_options())
        give(worker, span())
        assert not flush(worker)
        assert receiver.metadata[0]["x-key"] == "s3cret"
    assert "s3cret" not in caplog.text + str(worker.last_error) + repr(vars(worker))
