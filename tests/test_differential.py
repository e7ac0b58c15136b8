"""The host program must not notice us: the same programs with and without, in two processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import fresh
from tests.differential import failures, objects, replies, streams
from tests.differential.seen import masked
from tests.differential.world import PROGRAMS
from tests.provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider import Request

__all__ = ["failures", "objects", "replies", "streams"]

pytestmark = pytest.mark.slow
# Worker threads of the SDK's and ours, there while telemetry is set up.
_OURS = ("Otel", "genai-otel", "genai_otel")
# These never reach a call of a model.
WITHOUT_SPANS = {"introspection", "surfaces"}
# These end with an exception of the client's or of their own; the others return something.
RAISING = {
    "by_hand", "by_hand_wrong_arguments", "cancelled_waiting", "cut", "cut_async", "error_event",
    "interrupted", "raised_through", "raised_through_async", "read_after_close", "retried_in_vain",
    "thrown_into", "timed_out", "unreachable",
}  # fmt: skip


class Run:
    """All programs, in one process, against a server of their own."""

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir()
        with Provider() as server:
            done = fresh.run("-m", "tests.differential", server.base_url, *options, cwd=directory)
            told = json.loads(done.stdout.splitlines()[-1])
            self.requests = [_told(request) for request in server.requests]
        self.programs, self.process = told["programs"], told["process"]
        self.stdout = done.stdout.splitlines()[:-1]
        self.stderr = done.stderr

    def requests_of(self, program: str) -> list[Any]:
        key = f"Bearer sk-{program}"
        return sorted(each for each in self.requests if dict(each[2])["authorization"] == key)


def _told(request: Request) -> Any:
    headers = [(name.lower(), masked(value)) for name, value in request.headers.items()]
    body = request.raw
    kind = request.headers.get("content-type", "")
    if "boundary=" in kind:  # random in every request
        boundary = kind.partition("boundary=")[2]
        body = body.replace(boundary.encode(), b"boundary")
        headers = [(name, value.replace(boundary, "boundary")) for name, value in headers]
    return [request.method, request.path, headers, body.decode("utf-8", "backslashreplace")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Without and with instrumentation, one after the other."""
    directory = tmp_path_factory.mktemp("differential")
    return Run(directory / "plain"), Run(directory / "observed", "--instrumented")


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_sees_the_same(runs: tuple[Run, Run], program: str) -> None:
    plain, observed = (dict(run.programs[program]) for run in runs)
    assert ("raised" in plain) is (program in RAISING), plain
    assert (observed.pop("spans") > 0) is (program not in WITHOUT_SPANS)
    surfaces = zip(observed.pop("surfaces"), plain.pop("surfaces"), strict=True)
    assert all(set(ours) >= set(theirs) for ours, theirs in surfaces)
    observed["threads"] = [name for name in observed["threads"] if not name.startswith(_OURS)]
    assert observed == plain


@pytest.mark.parametrize("program", PROGRAMS)
def test_server_sees_the_same(runs: tuple[Run, Run], program: str) -> None:
    plain, observed = (run.requests_of(program) for run in runs)
    assert observed == plain


def test_process_is_left_as_it_was(runs: tuple[Run, Run]) -> None:
    plain, observed = runs
    assert observed.process == plain.process
    assert (observed.stdout, observed.stderr) == (plain.stdout, plain.stderr) == ([], "")
