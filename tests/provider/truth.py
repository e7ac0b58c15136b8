"""What a caller is truly given, so that a test can hold a span against it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.provider.answer import frames_sent
from tests.provider.catalogue import BY_NAME
from tests.provider.fixtures import SCENARIOS, named
from tests.provider.scenario import Scenario, ToolCall, Usage
from tests.provider.wire import Ask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.provider.scenario import Failure, Piece
    from tests.provider.wire import Endpoint, Json


@dataclass(frozen=True)
class Truth:
    """Facts of one answer; of a stream, what was told before it ended or broke off.

    `text`, `reasoning`, `refusal` and `tool_calls` are those of the first choice. Texts that were
    not given are empty, everything else that was not given is `None` or empty.
    """

    text: str = ""
    texts: tuple[str, ...] = ()
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reasons: tuple[str, ...] = ()
    usage: Usage | None = None
    response_id: str | None = None
    response_model: str | None = None
    response_status: str | None = None
    """`completed`, `incomplete` or `failed`; the Responses API only."""
    incomplete_reason: str | None = None
    chunks: int | None = None
    """The items which the client hands out, when streamed."""
    first_token: int | None = None
    """The index of the first of them that holds generated output."""
    first_token_pause: float = 0.0
    """Seconds which the server waits before that one."""
    completed: bool = True
    """The answer reaches its end."""
    http_status: int | None = 200
    """`None` when the connection closes without an answer."""
    error_code: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    strict: bool = True


def truth(
    scenario: str | Scenario,
    endpoint: str = "chat",
    *,
    model: str | None = None,
    stream: bool = False,
    include_usage: bool = False,
    prompt: str = "",
    key: str = "",
    tools_done: bool = False,
    retried: bool = True,
    body: Json | None = None,
) -> Truth:
    """Return what a request to this endpoint with this model is answered.

    A scenario of a test's own goes by the `model` under which it was added. `prompt` and `key`
    matter where they are quoted, `tools_done` where tools are called, `retried` where only the
    first attempt fails, `body` where the answer depends on further fields of the request.
    """
    row = named(scenario) if isinstance(scenario, str) else scenario
    name = model or (scenario if isinstance(scenario, str) else "")
    if tools_done and row.then:
        row = SCENARIOS[row.then]
    row, spot = row.answering(prompt), BY_NAME[endpoint]
    streamed = stream and spot.frames is not None
    if row.failure and not (row.failure.once and retried):
        return _refused(row.failure, row.failure.told(prompt, key), streamed=streamed)
    ask = Ask(name, endpoint, stream, include_usage, prompt, tools_done, body=body or {})
    response_id, response_model = spot.identity(ask, row)
    known = Truth(response_id=response_id, response_model=response_model, strict=row.strict)
    return _streamed(known, ask, row, spot) if streamed else _whole(known, row, spot)


def _refused(failure: Failure, message: str, *, streamed: bool) -> Truth:
    return Truth(
        chunks=0 if streamed and failure.status == HTTPStatus.OK else None,
        completed=bool(failure.status),
        http_status=failure.status or None,
        error_code=failure.code,
        error_type=failure.type or None,
        error_message=message or None,
        strict=False,
    )


def _whole(known: Truth, row: Scenario, endpoint: Endpoint) -> Truth:
    if row.ending == "cut":
        return Truth(completed=False, strict=False)
    known = replace(known, usage=_reported(row, endpoint))
    known = _with_status(known, row, endpoint)
    if known.response_status == "failed":
        return replace(known, usage=None, finish_reasons=_FAILED)
    if not endpoint.tells:
        return known
    finishes = [(choice, reply.finish) for choice, reply in enumerate(row.replies)]
    if row.flavour == "null-choices":  # a state stands beside them
        return (
            replace(known, finish_reasons=_finish_reasons(finishes, endpoint))
            if (endpoint.status)
            else known
        )
    pieces = [piece for piece in row.pieces() if piece.kind in endpoint.tells]
    if row.flavour == "null-message" and endpoint.messages:
        pieces = []
    return _with_output(known, pieces, finishes, endpoint)


def _streamed(known: Truth, ask: Ask, row: Scenario, endpoint: Endpoint) -> Truth:
    frames = list(frames_sent(endpoint, ask, row))
    items = [frame for frame in frames if frame.handed]
    pieces = [frame.piece for frame in items if frame.piece]
    finishes = [frame.finish for frame in items if frame.finish]
    usages = [frame.usage for frame in items if frame.usage]
    at = next((at for at, frame in enumerate(items) if frame.piece), None)
    known = replace(
        known if items else Truth(strict=known.strict),
        usage=usages[-1] if usages else None,
        chunks=len(items),
        first_token=at,
        first_token_pause=pieces[0].pause if pieces else 0.0,
        completed=row.ending == "done",
    )
    if row.ending in {"error", "failed"}:
        known = _with_fault(known, endpoint)
    if finishes or row.ending == "failed":
        known = _with_status(known, row, endpoint)
    return _with_output(known, pieces, finishes, endpoint)


_FAILED = ("error",)
"""Why a reply ended whose state is `failed`."""


def _reported(row: Scenario, endpoint: Endpoint) -> Usage | None:
    if row.report in {"never", "null"}:
        return None
    return {
        "detailed": row.usage,
        "plain": row.usage.plain(),
        "input": Usage(row.usage.input, 0).plain(),
        "none": None,
    }[endpoint.counts]


def _with_status(known: Truth, row: Scenario, endpoint: Endpoint) -> Truth:
    if endpoint.status is None:
        return known
    status, reason = endpoint.status(row)
    known = replace(known, response_status=status, incomplete_reason=reason)
    return _with_fault(known, endpoint) if status == "failed" else known


def _with_fault(known: Truth, endpoint: Endpoint) -> Truth:
    told = endpoint.fault
    return replace(
        known,
        error_code=told.get("code"),
        error_type=told.get("type"),
        error_message=told.get("message"),
    )


def _with_output(
    known: Truth, pieces: list[Piece], finishes: list[tuple[int, str]], endpoint: Endpoint
) -> Truth:
    said: dict[tuple[str, int], str] = defaultdict(str)
    for piece in pieces:
        said[piece.kind, piece.choice] += piece.value
    choices = max((piece.choice for piece in pieces), default=0) + 1
    texts = tuple(said["text", choice] for choice in range(choices))
    return replace(
        known,
        text=texts[0],
        texts=texts if endpoint.many_choices else texts[:1],
        reasoning=said["reasoning", 0],
        refusal=said["refusal", 0],
        tool_calls=_calls(pieces),
        finish_reasons=_FAILED
        if known.response_status == "failed"
        else _finish_reasons(finishes, endpoint),
    )


def _calls(pieces: Iterable[Piece]) -> tuple[ToolCall, ...]:
    calls: dict[int, ToolCall] = {}
    for piece in pieces:
        if piece.call:
            calls[piece.slot] = replace(piece.call, arguments=piece.value)
        elif piece.kind == "arguments":
            before = calls[piece.slot]
            calls[piece.slot] = replace(before, arguments=before.arguments + piece.value)
    return tuple(call for _, call in sorted(calls.items()))


def _finish_reasons(finishes: list[tuple[int, str]], endpoint: Endpoint) -> tuple[str, ...]:
    if not endpoint.says_why:
        return ()
    told = [endpoint.reasons(reason) for _, reason in sorted(finishes)]
    return tuple(told if endpoint.many_choices else told[:1])
