"""The seam between the server and the wire formats.

A wire format is a list of `Endpoint` rows: how to read a request, how to spell a whole reply, how
to spell a streamed one, and what an error looks like. The server knows nothing else about it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Piece, Scenario, Usage

Json = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What a request asked for, as far as the answer depends on it."""

    model: str
    endpoint: str
    stream: bool = False
    include_usage: bool = False
    prompt: str = ""
    tools_done: bool = False
    """The conversation already holds tool results."""
    key: str = ""
    body: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """One event of a stream, with the facts it tells."""

    data: Json
    event: str = ""
    piece: Piece | None = None
    usage: Usage | None = None
    finish: tuple[int, str] | None = None
    """A choice and why it ended, as `Reply.finish` has it."""
    handed: bool = True
    """Whether clients hand it out as an item: some are for them alone, or become an exception."""


def to_json(data: object) -> bytes:
    """Encode as UTF-8; what UTF-8 cannot hold (lone surrogates) makes the whole text escaped."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()


def sse(frame: Frame) -> bytes:
    """Encode a frame as a server-sent event."""
    name = f"event: {frame.event}\n".encode() if frame.event else b""
    return name + b"data: " + to_json(frame.data) + b"\n\n"


@dataclass(frozen=True)
class Endpoint:
    """One row of a provider's API."""

    name: str
    path: re.Pattern[str]
    ask: Callable[[Request, re.Match[str]], Ask]
    error: Callable[[Failure, Ask], Json]
    whole: Callable[[Ask, Scenario], Json | str | bytes]
    frames: Callable[[Ask, Scenario], Iterator[Frame]] | None = None
    error_frame: Callable[[Ask, Scenario, int], Frame] | None = None
    identity: Callable[[Ask, Scenario], tuple[str | None, str | None]] = lambda _a, _s: (None, None)
    """The id and the model that a reply states."""
    method: str = "POST"
    counts: Literal["detailed", "plain", "input", "none"] = "detailed"
    """The tokens that a whole reply of this endpoint reports."""
    tells: frozenset[str] = frozenset()
    """The kinds of generated output that it can spell."""
    many_choices: bool = False
    says_why: bool = False
    """It states why a choice ended."""
    reasons: Callable[[str], str] = str
    """Its word for `Reply.finish`; that itself, where not given."""
    status: Callable[[Scenario], tuple[str, str | None]] | None = None
    """The state of a reply and why it is incomplete, where the API has such states."""
    fault: Mapping[str, str | None] = field(default_factory=dict)
    """`code`, `type` and `message` of the error that ends a stream."""
    messages: bool = False
    """Its replies hold messages, which may be null."""
    encode: Callable[[Frame], bytes] = sse
    end: bytes = b""
    """What follows the last frame of a stream."""
    binary_type: str = "application/octet-stream"
    stream_type: str = "text/event-stream; charset=utf-8"
