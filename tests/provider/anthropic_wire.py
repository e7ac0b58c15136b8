"""The Anthropic Messages API: whole messages and named events.

Written after docs.claude.com: "Messages", "Streaming Messages", "Errors" and "Extended thinking".
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.received import Request
    from tests.provider.scenario import Failure, Piece, Reply, Scenario, Usage

FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
"""Why a reply ended, as this API says it."""
SIGNATURE = "c2lnbmVk"
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def ask(request: Request, match: re.Match[str]) -> Ask:
    body: Json = request.json if isinstance(request.json, dict) else {}
    turns = [turn for turn in body.get("messages") or () if isinstance(turn, dict)]
    users = [turn for turn in turns if turn.get("role") == "user"]
    return Ask(
        model=match["model"] or str(body.get("model", "unknown")),
        endpoint="messages",
        stream=body.get("stream") is True,
        include_usage=True,
        prompt=_text_of(users[-1].get("content")) if users else "",
        tools_done=any(_answers_tool(turn) for turn in turns),
        key=request.headers.get("x-api-key") or "",
        body=body,
    )


def _answers_tool(turn: Json) -> bool:
    content = turn.get("content")
    return isinstance(content, list) and any(b.get("type") == "tool_result" for b in content)


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(block.get("text") or "") for block in content)
    return content if isinstance(content, str) else ""


def identity(ask: Ask, scenario: Scenario) -> tuple[str | None, str | None]:
    return f"msg_{ask.model}", scenario.model or f"{ask.model}-20261101"


def spell_usage(usage: Usage) -> Json:
    read, written = usage.cached or 0, usage.cache_written or 0
    return {
        "input_tokens": usage.input - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output,
        **_details(usage),
        "service_tier": "standard",
    }


def _details(usage: Usage) -> Json:
    return {"output_tokens_details": {"thinking_tokens": usage.reasoning or 0}}


def _message(ask: Ask, scenario: Scenario) -> Json:
    response_id, model = identity(ask, scenario)
    return {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": spell_usage(scenario.usage),
    }


def _blocks(reply: Reply) -> list[Json]:
    blocks: list[Json] = []
    if reply.reasoning:
        thought = {"type": "thinking", "thinking": reply.reasoning, "signature": SIGNATURE}
        blocks.append(thought)
    said = reply.text + reply.refusal
    if said or not reply.calls:
        blocks.append({"type": "text", "text": said, "citations": None})
    blocks.extend(
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        for call in reply.calls
    )
    return blocks


def _reason(reply: Reply) -> str:
    return "refusal" if reply.refusal else FINISH.get(reply.finish, reply.finish)


def whole(ask: Ask, scenario: Scenario) -> Json:
    reply = scenario.replies[0]
    body = {**_message(ask, scenario), "content": _blocks(reply), "stop_reason": _reason(reply)}
    if scenario.report == "null":
        body["usage"] = None
    elif scenario.report == "never":
        del body["usage"]
    if scenario.flavour in {"null-choices", "null-message"}:
        body["content"] = None
    if scenario.flavour == "null-choices":
        body["stop_reason"] = None
    if scenario.flavour == "future":
        body["hologram"] = {"depth": 3}
        body["content"].append(_UNKNOWN)
        body["usage"]["wormholes"] = {"left": 1}
    return body


_UNKNOWN = {"type": "quantum", "qubits": [0, 1]}

# -------------------------------------------------------------------------------------- streaming


def _event(data: Json, **told: Any) -> Frame:
    return Frame(data, event=data["type"], **told)


class _Events:
    """Spells one stream: a block opens when a piece of another kind or call comes."""

    def __init__(self, ask: Ask, scenario: Scenario) -> None:
        self._message, self._scenario = _message(ask, scenario), scenario
        self._open: tuple[str, int] | None = None
        self._blocks: dict[tuple[str, int], int] = {}

    def start(self) -> Iterator[Frame]:
        if self._scenario.report in {"never", "null"}:
            self._message["usage"], begun = None, None
        else:
            self._message["usage"] = {**self._message["usage"], "output_tokens": 1}
            begun = replace(self._scenario.usage, output=None, reasoning=None)
        yield _event({"type": "message_start", "message": self._message}, usage=begun)
        if self._scenario.flavour == "future":
            yield _event({"type": "message_hologram", "depth": 3})
        if self._scenario.flavour == "null-delta":
            yield _event({"type": "content_block_delta", "index": 0, "delta": None})

    def piece(self, piece: Piece) -> Iterator[Frame]:
        kind = "call" if piece.kind == "arguments" else piece.kind
        key = ("text" if kind == "refusal" else kind, piece.slot)
        if key not in self._blocks:
            yield from self.stop()
            others = sum(kind != "call" for kind, _ in self._blocks)
            index = self._blocks[key] = others + piece.slot
            block = _OPENING[key[0]](piece)
            opened = {"type": "content_block_start", "index": index, "content_block": block}
            yield _event(opened, piece=piece if piece.kind == "call" else None)
            self._open = key
        if piece.kind != "call":
            delta = _DELTAS[piece.kind](piece.value)
            at = self._blocks[key]
            yield _event({"type": "content_block_delta", "index": at, "delta": delta}, piece=piece)

    def stop(self) -> Iterator[Frame]:
        """Ends the block that is open; tools' calls, which may take turns, end together."""
        if self._open is not None and self._open[0] != "call":
            yield from self._stopped(self._open)
        self._open = None

    def end(self) -> Iterator[Frame]:
        reply = self._scenario.replies[0]
        for key in self._blocks:
            if key == self._open or key[0] == "call":
                yield from self._stopped(key)
        self._open = None
        if self._scenario.flavour == "future":
            at = len(self._blocks)
            opened = {"type": "content_block_start", "index": at, "content_block": _UNKNOWN}
            yield _event(opened)
            yield _event({"type": "content_block_stop", "index": at})
        reason = _reason(reply)
        usage = None if self._scenario.report in {"never", "null"} else self._scenario.usage
        told = {"output_tokens": usage.output, **_details(usage)} if usage else None
        delta = {"stop_reason": reason, "stop_sequence": None}
        yield _event(
            {"type": "message_delta", "delta": delta, "usage": told},
            usage=usage,
            finish=(0, reply.finish),
        )
        yield _event({"type": "message_stop"})

    def _stopped(self, key: tuple[str, int]) -> Iterator[Frame]:
        at = self._blocks[key]
        if key[0] == "reasoning":
            signed = {"type": "signature_delta", "signature": SIGNATURE}
            yield _event({"type": "content_block_delta", "index": at, "delta": signed})
        yield _event({"type": "content_block_stop", "index": at})


_OPENING = {
    "text": lambda _: {"type": "text", "text": ""},
    "reasoning": lambda _: {"type": "thinking", "thinking": "", "signature": ""},
    "call": lambda piece: {
        "type": "tool_use",
        "id": piece.call.id,
        "name": piece.call.name,
        "input": {},
    },
}
_DELTAS = {
    "text": lambda words: {"type": "text_delta", "text": words},
    "refusal": lambda words: {"type": "text_delta", "text": words},
    "reasoning": lambda words: {"type": "thinking_delta", "thinking": words},
    "arguments": lambda words: {"type": "input_json_delta", "partial_json": words},
}


def _pinging(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    """As the API itself sends them: the first event is followed by one that says nothing."""
    for at, frame in enumerate(frames(ask, scenario)):
        yield frame
        if at == 0:
            yield _event({"type": "ping"}, handed=False)


def frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    events = _Events(ask, scenario)
    yield from events.start()
    for piece in scenario.pieces():
        if piece.choice == 0:
            yield from events.piece(piece)
    yield from events.end()


# ----------------------------------------------------------------------------------------- errors


def error(failure: Failure, ask: Ask) -> Json:
    told = {
        "type": ERRORS.get(failure.status, "api_error"),
        "message": failure.told(ask.prompt, ask.key),
    }
    return {"type": "error", "error": told, "request_id": "req_loopback"}


STREAM_ERROR = {"type": "overloaded_error", "message": "Overloaded"}


def error_frame(_ask: Ask, _scenario: Scenario, _sequence: int) -> Frame:
    return Frame({"type": "error", "error": STREAM_ERROR}, event="error", handed=False)


ENDPOINTS = (
    Endpoint(
        name="messages",
        path=re.compile(r".*/v1/messages|.*/(?P<model>[^/:]+):(?:streamR|r)awPredict"),
        ask=ask,
        error=error,
        whole=whole,
        frames=_pinging,
        error_frame=error_frame,
        identity=identity,
        tells=frozenset({"text", "reasoning", "refusal", "call", "arguments"}),
        says_why=True,
        reasons=lambda finish: FINISH.get(finish, finish),
        fault=STREAM_ERROR,
        messages=True,
    ),
)
