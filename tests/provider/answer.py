"""From a request and a scenario to what the server shall send."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from tests.provider.wire import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.provider.scenario import Failure, Scenario
    from tests.provider.wire import Ask, Endpoint, Frame, Json

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Part:
    """Bytes to send, and the seconds to wait before."""

    data: bytes
    pause: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Status 0 closes the connection without an answer; `cut` closes it in the middle."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: Iterable[Part] | None = None
    pause: float = 0.0
    cut: bool = False
    spent: tuple[int | None, int | None] = (None, None)
    """Input and output tokens."""


def answer_for(endpoint: Endpoint, ask: Ask, scenario: Scenario, *, retry: bool) -> Answer:
    """Return the answer; `retry` tells that this is a further attempt at the same call."""
    failure = scenario.failure
    if failure and not (failure.once and retry):
        return _refuse(endpoint, ask, failure)
    spent = scenario.usage.input, scenario.usage.output if endpoint.tells else 0
    cut = scenario.ending == "cut"
    if ask.stream and endpoint.frames:
        head = {"content-type": endpoint.stream_type, "cache-control": "no-cache"}
        parts = stream_parts(frames_sent(endpoint, ask, scenario), endpoint, scenario)
        return Answer(headers=head, parts=parts, cut=cut, spent=spent)
    kind, body = _encoded(endpoint, endpoint.whole(ask, scenario))
    head = {"content-type": kind}
    if scenario.gzip:
        head["content-encoding"], body = "gzip", gzip.compress(body, mtime=0)
    return Answer(headers=head, body=body, cut=cut, spent=spent)


def _refuse(endpoint: Endpoint, ask: Ask, failure: Failure) -> Answer:
    headers = dict(failure.headers)
    if failure.plain:
        headers["content-type"], body = "text/html", failure.message.encode()
    else:
        headers["content-type"], body = "application/json", to_json(endpoint.error(failure, ask))
    return Answer(failure.status, headers, body, pause=failure.pause)


def _encoded(endpoint: Endpoint, whole: Json | str | bytes) -> tuple[str, bytes]:
    if isinstance(whole, bytes):
        return endpoint.binary_type, whole
    if isinstance(whole, str):
        return "text/plain; charset=utf-8", whole.encode()
    return "application/json", to_json(whole)


def frames_sent(endpoint: Endpoint, ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    """Yield the frames of a stream up to where the scenario lets it stop."""
    assert endpoint.frames is not None
    frames = endpoint.frames(ask, scenario)
    sent = 0
    for frame in _stopping(frames, scenario):
        sent += 1
        yield frame
    if scenario.ending in {"error", "failed"} and endpoint.error_frame:
        yield endpoint.error_frame(ask, scenario, sent)


def _stopping(frames: Iterator[Frame], scenario: Scenario) -> Iterator[Frame]:
    unit, limit = scenario.stop or ("frames", None)
    counted = 0
    for frame in frames:
        if limit is not None and counted >= limit:
            return
        counted += unit == "frames" or frame.piece is not None
        yield frame


def stream_parts(frames: Iterator[Frame], endpoint: Endpoint, scenario: Scenario) -> Iterator[Part]:
    """Yield the encoded frames; what ends a stream properly travels with the last one."""
    start = b": still working\n\n" if scenario.comments else b""
    end = endpoint.end if scenario.ending == "done" else b""
    for frame, last in marking_last(frames):
        pause = frame.piece.pause if frame.piece else 0.0
        yield Part(start + endpoint.encode(frame) + (end if last else b""), pause)


def marking_last(items: Iterable[_Item]) -> Iterator[tuple[_Item, bool]]:
    """Yield each item, and whether it is the last one."""
    held: list[_Item] = []
    for item in items:
        if held:
            yield held.pop(), False
        held.append(item)
    for item in held:
        yield item, True
