"""``genai-otel send``, as a process: a written store into a receiver, and what it says of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.receiver import Receiver, Reply, attributes
from tests.stored import run_cli, spans, write_assistant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_assistant(tmp_path / ".genai_otel")
    return tmp_path


def test_every_span_arrives_once_in_the_words_of_the_backend(work: Path, sink: Receiver) -> None:
    for _ in range(2):  # the second time the same spans
        said = run_cli("send", "--to", "phoenix", "--endpoint", sink.url, cwd=work).stdout
        assert said.startswith("7 of 7 spans of 1 traces exported to phoenix")
    ours = {span["spanId"]: span for span in spans(work / ".genai_otel")}
    assert {span_id.hex() for span_id in sink.spans} == ours.keys()
    for span_id, arrived in sink.spans.items():
        told = ours[span_id.hex()]
        assert (arrived.name, arrived.trace_id.hex()) == (told["name"], told["traceId"])
        assert str(arrived.start_time_unix_nano) == told["startTimeUnixNano"]
        assert "openinference.span.kind" in attributes(arrived)


def test_content_is_sent_unless_told_otherwise(work: Path, sink: Receiver) -> None:
    to = ("send", "--to", "otlp", "--endpoint", sink.url)
    ran = run_cli(*to, "--content", "none", cwd=work)
    assert "--content redacted exports them" in ran.stderr
    assert "parcel" not in str(sink.spans).replace("name: ", "")
    assert run_cli(*to, cwd=work).stderr == ""
    assert "Where is my parcel?" in str(sink.spans)


def test_several_destinations_and_files_for_programs(work: Path, sink: Receiver) -> None:
    other = write_assistant(work / "other")
    ran = run_cli(
        "send", ".genai_otel", "other", "--to", "otlp", "--to", "mlflow",
        "--endpoint", sink.url, "--option", "experiment_id=3", "--json",
        cwd=work, code=2,
    )  # fmt: skip
    assert "unknown option 'experiment_id' of destination 'otlp'" in ran.stderr
    options = ("--to", "phoenix", "--to", "mlflow", "--endpoint", sink.url, "--json")
    told = json.loads(run_cli("send", ".genai_otel", "other", *options, cwd=work).stdout)
    assert [each["destination"] for each in told] == ["phoenix", "mlflow"]
    assert all((each["spans"], each["exported"], each["traces"]) == (14, 14, 2) for each in told)
    assert bytes.fromhex(other) in {span.trace_id for span in sink.spans.values()}


def _not_sent(*arguments: str, cwd: Path, code: int = 1) -> Any:
    return json.loads(run_cli("send", *arguments, "--json", cwd=cwd, code=code).stdout)[0]


def test_a_backend_that_is_away_is_told_and_is_no_success(work: Path) -> None:
    away = ("--to", "otlp", "--endpoint", "http://127.0.0.1:9", "--timeout", "1")
    told = _not_sent(*away, cwd=work)
    assert (told["exported"], told["spans"], sum(told["dropped"].values())) == (0, 7, 7)
    assert "shutdown" not in told["dropped"]
    assert "refused" in told["last_error"].lower()


def test_a_backend_that_refuses_is_told(work: Path, sink: Receiver) -> None:
    sink.script = lambda _: Reply(401)
    told = _not_sent("--to", "otlp", "--endpoint", sink.url, cwd=work)
    assert (told["exported"], told["dropped"]) == (0, {"refused": 7})
    assert "401" in told["last_error"]


def test_wrong_calls(work: Path) -> None:
    nowhere = run_cli("send", "nowhere", "--to", "otlp", cwd=work, code=2).stderr
    assert f"no store found at {work / 'nowhere'}" in nowhere
    unknown = run_cli("send", "--to", "phenix", cwd=work, code=2).stderr
    assert "did you mean 'phoenix'" in unknown
    assert "--to" in run_cli("send", cwd=work, code=2).stderr
    assert "is the source" in run_cli("send", "--to", "local", cwd=work, code=2).stderr
    assert "NAME=VALUE" in run_cli("send", "--to", "otlp", "--option", "x", cwd=work, code=2).stderr


def test_what_could_not_be_read_is_noted(work: Path, sink: Receiver) -> None:
    (work / ".genai_otel" / "torn.jsonl").write_text("not json\n")
    ran = run_cli("send", "--to", "otlp", "--endpoint", sink.url, "--content", "full", cwd=work)
    assert "1 line(s) that are not OTLP-JSON were skipped" in ran.stderr
    (work / "empty").mkdir()
    empty = run_cli("send", "empty", "--to", "otlp", "--endpoint", sink.url, cwd=work)
    assert "no spans found" in empty.stderr
