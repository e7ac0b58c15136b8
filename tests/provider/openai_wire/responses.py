"""POST /v1/responses.

Shapes: OpenAI's API reference, "the response object" and "streaming events". Every event carries a
sequence number, and every item is opened, filled and closed, as the client's helpers demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tests.provider.openai_wire import common
from tests.provider.wire import Ask, Endpoint, Frame, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.scenario import Piece, Reply, Scenario, Usage

# Why a reply is incomplete, by the reason that chat completions would give.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILED = {"code": "server_error", "message": common.STREAM_ERROR["message"]}


def spell_usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def status(scenario: Scenario) -> tuple[Literal["completed", "incomplete", "failed"], str | None]:
    """How a reply ends in the words of this API, and why it is incomplete."""
    if scenario.ending == "failed":
        return "failed", None
    reason = _INCOMPLETE.get(scenario.replies[0].finish)
    return ("incomplete" if reason else "completed"), reason


def _reason(finish: str) -> str:
    """Why it ended in the words of chat completions, as far as state and items tell."""
    return finish if finish in {*_INCOMPLETE, "tool_calls"} else "stop"


# ------------------------------------------------------------------------------ items and replies


def _reasoning_item(reply: Reply) -> Json:
    summary = [{"type": "summary_text", "text": reply.reasoning}]
    return {"id": "rs_0", "type": "reasoning", "summary": summary}


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _refusal_part(text: str) -> Json:
    return {"type": "refusal", "refusal": text}


def _message_item(reply: Reply, state: str) -> Json:
    part = _refusal_part(reply.refusal) if reply.refusal else _text_part(reply.text)
    return {
        "id": "msg_0",
        "type": "message",
        "role": "assistant",
        "status": state,
        "content": [part],
    }


def _call_items(reply: Reply) -> list[Json]:
    return [
        {
            "id": f"fc_{slot}",
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }
        for slot, call in enumerate(reply.calls)
    ]


def _items(scenario: Scenario) -> list[Json]:
    reply = scenario.replies[0]
    items = [_reasoning_item(reply)] if reply.reasoning else []
    if reply.text or reply.refusal or not reply.calls:
        state = "incomplete" if reply.finish in _INCOMPLETE else "completed"
        items.append(_message_item(reply, state))
    items += _call_items(reply)
    if scenario.flavour == "future":
        items.append({"id": "hg_0", "type": "hologram_call", "depth": 3, "status": "shimmering"})
    return items


def _echoed_tools(ask: Ask) -> list[Json]:
    return [{"strict": True, "parameters": {}, **tool} for tool in ask.body.get("tools") or ()]


def _response(
    ask: Ask,
    scenario: Scenario,
    state: str,
    output: list[Json] | None,
    reason: str | None = None,
) -> Json:
    response_id, model = common.identity(ask, scenario)
    text = ask.body.get("text") or {"format": {"type": "text"}}
    return {
        "id": response_id,
        "object": "response",
        "created_at": common.CREATED,
        "status": state,
        "background": False,
        "error": _FAILED if state == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": ask.body.get("instructions"),
        "max_output_tokens": ask.body.get("max_output_tokens"),
        "metadata": ask.body.get("metadata") or {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": ask.body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "temperature": 1.0,
        "text": text,
        "tool_choice": ask.body.get("tool_choice") or "auto",
        "tools": _echoed_tools(ask),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def whole(ask: Ask, scenario: Scenario) -> Json:
    state, reason = status(scenario)
    items = [] if state == "failed" else _items(scenario)
    body = _response(ask, scenario, state, items, reason)
    if state != "failed":
        common.put_usage(body, scenario, spell_usage)
    if scenario.flavour == "null-message":
        body["output"][0]["content"] = None
    if scenario.report == "never":
        del body["usage"]
    return common.damage(body, scenario, "output")


# -------------------------------------------------------------------------------------- streaming


class _Events:
    """Numbers the events, and knows which pieces belong to which item."""

    def __init__(self, ask: Ask, scenario: Scenario) -> None:
        self._ask, self._scenario = ask, scenario
        self._pieces = [piece for piece in scenario.pieces() if piece.choice == 0]
        self._sequence = 0

    def pieces(self, kind: str, slot: int = 0) -> list[Piece]:
        return [piece for piece in self._pieces if (piece.kind, piece.slot) == (kind, slot)]

    def event(self, kind: str, piece: Piece | None = None, **fields: object) -> Frame:
        data = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return Frame(data, event=kind, piece=piece)

    def state(self, kind: str) -> Frame:
        response = _response(self._ask, self._scenario, "in_progress", [])
        return self.event(kind, response=response)

    def last(self) -> Frame:
        response = whole(self._ask, self._scenario)
        frame = self.event(f"response.{response['status']}", response=response)
        usage = self._scenario.usage if response.get("usage") else None
        return Frame(frame.data, frame.event, None, usage, (0, self._scenario.replies[0].finish))


def _opened(item: Json) -> Json:
    empty = {"summary": [], "content": [], "arguments": "", "status": "in_progress"}
    return {key: empty.get(key, value) for key, value in item.items()}


def _reasoning_events(events: _Events, item: Json) -> Iterator[Frame]:
    where: Json = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
    prefix, (part,) = "response.reasoning_summary", item["summary"]
    yield events.event(f"{prefix}_part.added", **where, part={**part, "text": ""})
    for piece in events.pieces("reasoning"):
        yield events.event(f"{prefix}_text.delta", piece, **where, delta=piece.value)
    yield events.event(f"{prefix}_text.done", **where, text=part["text"])
    yield events.event(f"{prefix}_part.done", **where, part=part)


def _message_events(events: _Events, item: Json, at: int) -> Iterator[Frame]:
    where: Json = {"item_id": item["id"], "output_index": at, "content_index": 0}
    (part,) = item["content"]
    refused = part["type"] == "refusal"
    key, kind = ("refusal", "refusal") if refused else ("text", "output_text")
    more: Json = {} if refused else {"logprobs": []}
    told: Json = {key: part[key], **more}
    yield events.event("response.content_part.added", **where, part={**part, key: ""})
    for piece in events.pieces(key):
        yield events.event(f"response.{kind}.delta", piece, **where, delta=piece.value, **more)
    yield events.event(f"response.{kind}.done", **where, **told)
    yield events.event("response.content_part.done", **where, part=part)


def _call_events(events: _Events, item: Json, at: int) -> Iterator[Frame]:
    where: Json = {"item_id": item["id"], "output_index": at}
    kind = "response.function_call_arguments"
    for piece in events.pieces("arguments", int(item["id"].removeprefix("fc_"))):
        yield events.event(f"{kind}.delta", piece, **where, delta=piece.value)
    yield events.event(f"{kind}.done", **where, name=item["name"], arguments=item["arguments"])


def _item_events(events: _Events, item: Json, at: int) -> Iterator[Frame]:
    opening = None
    if item["type"] == "function_call":
        (opening,) = events.pieces("call", int(item["id"].removeprefix("fc_")))
    yield events.event("response.output_item.added", opening, output_index=at, item=_opened(item))
    if item["type"] == "reasoning":
        yield from _reasoning_events(events, item)
    elif item["type"] == "message":
        yield from _message_events(events, item, at)
    elif item["type"] == "function_call":
        yield from _call_events(events, item, at)
    yield events.event("response.output_item.done", output_index=at, item=item)


def frames(ask: Ask, scenario: Scenario) -> Iterator[Frame]:
    events = _Events(ask, scenario)
    yield events.state("response.created")
    yield events.state("response.in_progress")
    if scenario.flavour == "future":
        yield events.event("response.hologram.delta", delta={"voxels": [1, 2]}, output_index=7)
    if scenario.flavour == "null-delta":
        where: Json = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
        yield events.event("response.output_text.delta", **where, delta=None, logprobs=None)
    for at, item in enumerate(_items(scenario)):
        yield from _item_events(events, item, at)
    yield events.last()


def error_frame(ask: Ask, scenario: Scenario, sequence: int) -> Frame:
    """A failed response, or the bare error event of a server that is lost."""
    data: Json
    if scenario.ending == "failed":
        data = {"type": "response.failed", "response": whole(ask, scenario)}
    else:
        fault = common.STREAM_ERROR
        data = {"type": "error", **{key: fault[key] for key in ("code", "message", "param")}}
    return Frame({**data, "sequence_number": sequence}, event=data["type"])


ENDPOINTS = (
    Endpoint(
        name="responses",
        path=common.path("/responses"),
        ask=common.asks("responses"),
        error=common.error,
        whole=whole,
        frames=frames,
        error_frame=error_frame,
        identity=common.identity,
        tells=frozenset({"text", "reasoning", "refusal", "call", "arguments"}),
        says_why=True,
        reasons=_reason,
        status=status,
        fault=common.STREAM_ERROR,
        messages=True,
    ),
)
