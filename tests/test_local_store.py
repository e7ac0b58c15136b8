"""The local store's promises: private, whole lines, bounded, and never the program's problem."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind

from genai_otel.store.write import files, writer
from genai_otel.store.write.store import LocalStore
from tests.stored import lines, run_python, spans, tracing, write_assistant

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK = Path(__file__).parent.parent / "semconv" / "check.py"
POSIX = pytest.mark.skipif(os.name == "nt", reason="modes, links and fork are POSIX")
RESOURCE = Resource({"service.name": "shop"})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "work" / ".genai_otel"


def span(name: str = "one", **attributes: Any) -> ReadableSpan:
    return ReadableSpan(
        name,
        context=SpanContext(trace_id=7, span_id=9, is_remote=False),
        resource=RESOURCE,
        attributes=attributes,
        kind=SpanKind.CLIENT,
        start_time=1,
        end_time=2,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def store_files(directory: Path, pattern: str = "*.jsonl") -> list[Path]:
    return sorted(directory.glob(pattern))


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "genai_otel"]


# -------------------------------------------------------------------------------- what is written


def test_nothing_is_touched_before_the_first_export(directory: Path) -> None:
    store = LocalStore(directory)
    exporters = [store.span_exporter(), store.metric_exporter(), store.log_exporter()]
    for exporter in exporters:
        exporter.shutdown()
    assert not directory.parent.exists()


@POSIX
def test_directory_and_files_are_private_whatever_the_umask(directory: Path) -> None:
    before = os.umask(0)
    try:
        LocalStore(directory).span_exporter().export([span()])
    finally:
        os.umask(before)
    (file,) = store_files(directory)
    assert (mode(directory), mode(file)) == (0o700, 0o600)
    assert files.FILE_NAME.fullmatch(file.name)
    assert f"-{os.getpid()}-" in file.name
    assert (directory / ".gitignore").read_text() == "*\n"


@POSIX
def test_a_directory_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    LocalStore(tmp_path).span_exporter().export([span()])
    assert mode(tmp_path) == 0o755
    assert not (tmp_path / ".gitignore").exists()
    assert mode(store_files(tmp_path)[0]) == 0o600


def test_what_is_written_passes_the_registry_check(directory: Path) -> None:
    write_assistant(directory)
    command = [sys.executable, str(CHECK), *map(str, store_files(directory))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_line_is_a_whole_request(directory: Path) -> None:
    store = LocalStore(directory)
    exporter = store.span_exporter()
    assert exporter.export([span("a"), span("b")]) is SpanExportResult.SUCCESS
    assert exporter.export([]) is SpanExportResult.SUCCESS
    (line,) = lines(directory)
    (resource,) = line["resourceSpans"]
    assert resource["resource"]["attributes"][0]["value"] == {"stringValue": "shop"}
    assert [s["name"] for s in resource["scopeSpans"][0]["spans"]] == ["a", "b"]
    counters = store.counters()["traces"]
    assert (counters.written, counters.lines, dict(counters.dropped)) == (2, 1, {})
    assert counters.bytes == store_files(directory)[0].stat().st_size


def test_metrics_and_logs_are_stored_beside_the_spans(directory: Path) -> None:
    store = LocalStore(directory)
    reader = PeriodicExportingMetricReader(store.metric_exporter(), 60_000)
    meters = MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    counter = meters.get_meter("genai_otel").create_counter("calls")
    counter.add(1, {"model": "a"})
    counter.add(2, {"model": "b"})
    meters.shutdown()
    logs = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(store.log_exporter()))
    logs.get_logger("genai_otel").emit(
        severity_number=SeverityNumber.INFO, body={"text": "hello"}, event_name="said"
    )
    logs.shutdown()
    (metrics,) = lines(directory, "metrics-*.jsonl")
    points = metrics["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"]
    assert sorted(point["asInt"] for point in points) == ["1", "2"]
    (events,) = lines(directory, "logs-*.jsonl")
    assert events["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["eventName"] == "said"
    assert {name: c.written for name, c in store.counters().items()} == {
        "traces": 0,
        "metrics": 2,
        "logs": 1,
    }


def test_long_batches_are_several_lines(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LINE_BYTES", 1000)
    batch = [span(f"s{i}", text="x" * 150) for i in range(9)]
    LocalStore(directory).span_exporter().export(batch)
    sizes = [len(line) for line in store_files(directory)[0].read_bytes().splitlines()]
    assert max(sizes) <= 1000
    assert [s["name"] for s in spans(directory)] == [f"s{i}" for i in range(9)]


def test_a_span_that_cannot_be_encoded_is_dropped_alone(directory: Path) -> None:
    poison = span("poison")
    poison._kind = None  # type: ignore[assignment]
    store = LocalStore(directory)
    result = store.span_exporter().export([span("a"), poison, span("b")])
    assert result is SpanExportResult.FAILURE
    assert [s["name"] for s in spans(directory)] == ["a", "b"]
    assert store.counters()["traces"].dropped == {"encoding": 1}


def test_the_standard_serialiser_stands_in(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = span("é", text="\ud800 ✓", number=float("nan"), raw=b"\xff")
    LocalStore(directory).span_exporter().export([odd])
    monkeypatch.setitem(sys.modules, "pydantic_core", None)
    LocalStore(directory).span_exporter().export([odd])
    first, second = lines(directory)
    assert first == second


def test_a_program_that_changes_directory_keeps_one_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.span_exporter().export([span()])
    assert store.directory == tmp_path / ".genai_otel"
    assert len(spans(tmp_path / ".genai_otel")) == 1


# ---------------------------------------------------------------------------- threads, processes


def test_lines_of_many_threads_never_mix(directory: Path) -> None:
    exporter = LocalStore(directory).span_exporter()

    def work(worker: int) -> None:
        for number in range(50):
            exporter.export([span(f"{worker}-{number}", text="x" * 5000)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {s["name"] for s in spans(directory)}
    assert names == {f"{worker}-{number}" for worker in range(8) for number in range(50)}


WRITER = """
import sys
from tests.test_local_store import LocalStore, span
exporter = LocalStore(sys.argv[1]).span_exporter()
for number in range(100):
    exporter.export([span(f"{sys.argv[2]}-{number}", text="x" * 5000)])
"""


def test_several_processes_write_at_once(directory: Path, tmp_path: Path) -> None:
    workers = [
        threading.Thread(
            target=run_python, args=("-c", WRITER, str(directory), str(n)), kwargs={"cwd": tmp_path}
        )
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(store_files(directory)) == 4
    names = {s["name"] for s in spans(directory)}
    assert names == {f"{worker}-{number}" for worker in range(4) for number in range(100)}


FORKER = """
import json, os, sys, threading
from tests.test_local_store import LocalStore, span
store = LocalStore(sys.argv[1])
exporter = store.span_exporter()
exporter.export([span("before")])
state = store._appenders["traces"]._state()
held, done = threading.Event(), threading.Event()
def hold():
    with state.lock:
        held.set()
        done.wait()
threading.Thread(target=hold).start()
held.wait()                       # the child inherits a lock that nobody will release
child = os.fork()
if child == 0:
    exporter.export([span("child")])
    os._exit(0 if store.counters()["traces"].written == 1 else 3)
_, status = os.waitpid(child, 0)
done.set()
exporter.export([span("after")])
sys.exit(os.waitstatus_to_exitcode(status) or (store.counters()["traces"].written != 2))
"""


@POSIX
def test_a_forked_child_writes_a_file_of_its_own(directory: Path, tmp_path: Path) -> None:
    run_python("-W", "ignore::DeprecationWarning", "-c", FORKER, str(directory), cwd=tmp_path)
    found = {
        tuple(
            json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"]
            for line in file.read_text().splitlines()
        )
        for file in store_files(directory)
    }
    assert found == {("before", "after"), ("child",)}


ENDLESS = """
import sys
from tests.test_local_store import LocalStore, span
exporter = LocalStore(sys.argv[1]).span_exporter()
while True:
    exporter.export([span("again", text="x" * 50_000)])
    print("written", flush=True)
"""


@POSIX
def test_what_was_written_survives_a_kill(directory: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", ENDLESS, str(directory)]
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=tmp_path, env=env) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    *whole, _ = store_files(directory)[0].read_bytes().split(b"\n")
    assert len([json.loads(line) for line in whole]) >= 5


# ---------------------------------------------------------------------------------------- bounds


def test_a_full_file_is_followed_by_another(directory: Path) -> None:
    store = LocalStore(directory, max_file_bytes=2000)
    exporter = store.span_exporter()
    for number in range(12):
        exporter.export([span(f"s{number}", text="x" * 300)])
    assert len(store_files(directory)) > 2
    assert all(file.stat().st_size <= 2000 for file in store_files(directory))
    assert {s["name"] for s in spans(directory)} == {f"s{n}" for n in range(12)}


def test_another_hour_is_another_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = LocalStore(directory).span_exporter()
    exporter.export([span("a")])
    later = time.gmtime(time.time() + 3600)
    monkeypatch.setattr(files.time, "gmtime", lambda: later)
    exporter.export([span("b")])
    exporter.export([span("c")])
    first, second = store_files(directory)
    assert time.strftime("%Y%m%dT%H", later) in second.name
    assert (len(first.read_bytes().splitlines()), len(second.read_bytes().splitlines())) == (1, 2)


def old_file(directory: Path, hour: str, size: int) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"traces-20200101T{hour}-1-00aa.jsonl"
    file.write_bytes(b"\n" * size)
    return file


def test_the_oldest_files_make_room_for_new_ones(directory: Path) -> None:
    oldest, old, young = (old_file(directory, hour, 4000) for hour in ("01", "02", "03"))
    stranger = directory / "mine.txt"
    stranger.write_bytes(b"x" * 9000)
    store = LocalStore(directory, max_file_bytes=4000, max_total_bytes=9000)
    store.span_exporter().export([span()])
    assert not oldest.exists()
    assert old.exists()
    assert young.exists()
    assert stranger.exists()
    assert store.counters()["traces"].removed_files == 1


def test_the_whole_store_stays_bounded_while_it_is_written(directory: Path) -> None:
    store = LocalStore(directory, max_file_bytes=4000, max_total_bytes=12_000)
    exporter = store.span_exporter()
    for number in range(100):
        exporter.export([span(f"s{number}", text="x" * 800)])
        assert sum(file.stat().st_size for file in store_files(directory)) <= 12_000 + 4000
    assert "s99" in {s["name"] for s in spans(directory)}
    assert store.counters()["traces"].removed_files > 10


def test_a_file_being_written_is_never_removed(directory: Path) -> None:
    store = LocalStore(directory, max_file_bytes=4000, max_total_bytes=100)
    exporter = store.span_exporter()
    for number in range(5):
        exporter.export([span(f"s{number}", text="x" * 300)])
    assert [s["name"] for s in spans(directory)] == [f"s{n}" for n in range(5)]


def test_a_span_larger_than_a_file_is_dropped_and_counted(directory: Path) -> None:
    store = LocalStore(directory, max_file_bytes=1000)
    assert store.span_exporter().export([span(text="x" * 2000)]) is SpanExportResult.FAILURE
    assert store.counters()["traces"].dropped == {"too_large": 1}


# ---------------------------------------------------------------------- what can go wrong outside


def blocked_by_file(directory: Path) -> Path:
    directory.parent.mkdir(parents=True)
    directory.write_text("in the way")
    return directory


def blocked_by_kernel(_: Path) -> Path:
    return Path("/proc/genai_otel")


def blocked_by_nul(_: Path) -> Path:
    return Path("a\0b")


@POSIX
@pytest.mark.parametrize("block", [blocked_by_file, blocked_by_kernel, blocked_by_nul])
def test_an_unwritable_directory_is_told_once_and_costs_nothing(
    directory: Path, block: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(block(directory))
    exporter = store.span_exporter()
    metrics = store.metric_exporter()
    for _ in range(3):
        assert exporter.export([span(), span()]) is SpanExportResult.FAILURE
    metrics.shutdown()
    exporter.shutdown()
    (warning,) = warnings_of(caplog)
    assert "; telemetry is dropped" in warning
    assert store.counters()["traces"].dropped == {"directory": 6}
    assert store.problem
    assert store.problem in warning


@POSIX
def test_a_directory_that_becomes_writable_is_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(blocked_by_file(directory))
    exporter = store.span_exporter()
    exporter.export([span()])
    directory.unlink()
    exporter.export([span()])  # not yet: each try costs the program something
    now = time.monotonic()
    monkeypatch.setattr(files.time, "monotonic", lambda: now + 3600)
    exporter.export([span("late")])
    assert [s["name"] for s in spans(directory)] == ["late"]
    assert store.problem is None
    assert len(warnings_of(caplog)) == 2


def test_a_full_disk_loses_what_does_not_fit_and_nothing_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(directory)
    exporter = store.span_exporter()
    exporter.export([span("a")])
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def half(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[: len(data) // 2])

    for broken in (full, half, full):
        monkeypatch.setattr(files.os, "write", broken)
        assert exporter.export([span("lost")]) is SpanExportResult.FAILURE
    monkeypatch.setattr(files.os, "write", write)
    exporter.export([span("b")])
    kept = []
    for line in store_files(directory)[0].read_bytes().splitlines():
        try:
            kept.append(json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"])
        except ValueError:
            kept.append("torn")
    assert kept == ["a", "torn", "b"]
    assert store.counters()["traces"].dropped == {"disk": 3}
    assert len(warnings_of(caplog)) == 2  # when loss began, and when it ended


@POSIX
def test_a_linked_directory_is_not_followed(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    directory.parent.mkdir()
    directory.symlink_to(victim)
    store = LocalStore(directory)
    assert store.span_exporter().export([span()]) is SpanExportResult.FAILURE
    assert list(victim.iterdir()) == []
    assert len(warnings_of(caplog)) == 1


@POSIX
@pytest.mark.parametrize("kind", ["link", "pipe", "file"])
def test_what_lies_under_a_name_of_ours_is_not_written_to(
    directory: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory.mkdir(parents=True)
    names = iter([b"\0\0", b"\0\0", b"\x11\x11"])
    monkeypatch.setattr(files.os, "urandom", lambda _: next(names))
    hour = time.struct_time((2026, 11, 23, 8, 0, 0, 0, 327, 0))
    monkeypatch.setattr(files.time, "gmtime", lambda: hour)
    planted = directory / f"traces-20261123T08-{os.getpid()}-0000.jsonl"
    if kind == "link":
        planted.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(planted)
    else:
        planted.write_text("precious")
    assert LocalStore(directory).span_exporter().export([span()]) is SpanExportResult.SUCCESS
    assert victim.read_text() == "precious"
    assert kind != "file" or planted.read_text() == "precious"
    assert (directory / planted.name.replace("0000.", "1111.")).stat().st_size > 0


@POSIX
def test_a_store_removed_under_a_running_program_comes_back(directory: Path) -> None:
    exporter = LocalStore(directory).span_exporter()
    exporter.export([span("a")])
    shutil.rmtree(directory)
    exporter.export([span("b")])
    assert [s["name"] for s in spans(directory)] == ["b"]


@POSIX
def test_a_descriptor_that_the_host_has_reused_is_not_ours(directory: Path, tmp_path: Path) -> None:
    store = LocalStore(directory)
    exporter = store.span_exporter()
    exporter.export([span("a")])
    descriptor = store._appenders["traces"]._state().descriptor
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), descriptor)  # as when a daemon closes all and opens its own
        exporter.export([span("b")])
        exporter.shutdown()
        os.write(descriptor, b"still open")
        os.close(descriptor)
    assert (tmp_path / "theirs").read_bytes() == b"still open"
    assert {s["name"] for s in spans(directory)} == {"a", "b"}


def test_after_shutdown_spans_are_counted_and_files_closed(directory: Path) -> None:
    store = LocalStore(directory)
    exporter = store.span_exporter()
    exporter.export([span("a")])
    for _ in range(2):
        exporter.shutdown()
    assert exporter.export([span("b")]) is SpanExportResult.FAILURE
    assert exporter.force_flush()
    assert store.counters()["traces"].dropped == {"shutdown": 1}
    assert store._appenders["traces"]._state().descriptor == -1
    with tracing(store) as tracer:  # another exporter of the same store begins anew
        tracer.start_span("c").end()
    assert {s["name"] for s in spans(directory)} == {"a", "c"}


def test_the_warning_does_not_feed_itself(directory: Path) -> None:
    store = LocalStore(blocked_by_file(directory))
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(store.log_exporter()))

    class ToOTel(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            provider.get_logger("root").emit(body=record.getMessage())

    handler = ToOTel()
    logging.getLogger().addHandler(handler)
    try:
        store.span_exporter().export([span()])
    finally:
        logging.getLogger().removeHandler(handler)
        provider.shutdown()
    assert store.counters()["logs"].dropped == {"directory": 1}
