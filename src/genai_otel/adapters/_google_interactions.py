"""Google's interactions: a model or an agent, in steps; ai.google.dev/api/interactions-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Accumulator, Reader
from genai_otel.engine.families.function import followed, function
from genai_otel.engine.read import Json, fields, mapping, mappings, parsed, pick, string
from genai_otel.record import Kind, Pieces, media, reasoning, text, tool_call, tool_result
from genai_otel.record.usage import GEMINI_INTERACTIONS, read_usage

from . import _openai_wire as wire
from ._said import Said, spoken

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.engine.adapter import Patch
    from genai_otel.record import Message, Operation, Part

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
    "thinking_level": "reasoning_level",
}
_MEDIA = frozenset({"image", "audio", "video", "document"})


def _body(given: Json) -> Json:
    """What is asked: in arguments of its own, or in one request."""
    return fields(fields(given.get("request")).get("body")) or given


def _ask(body: Json, op: Operation) -> None:
    before = string(body, "previous_interaction_id")
    op.params = {
        **pick(fields(body.get("generation_config")), _PARAMS),
        **({} if before is None else {"previous_response": before}),
    }


def _content(body: Json, op: Operation) -> None:
    told, given = string(body, "system_instruction"), body.get("input")
    if told:
        op.system = [text(told)]
    if type(given) is str:
        op.input = [{"role": "user", "parts": [text(given)]}]
    else:
        op.input = _turns([fields(each) for each in given] if type(given) is list else [given])
    if type(body.get("tools")) is list:
        op.tools = wire.definitions(body)


def _turns(given: list[Any]) -> list[Message]:
    """Steps, each a turn; or the parts of one turn, as the client takes them, too."""
    steps = [fields(each) for each in given]
    loose = [_part(step) for step in steps if string(step, "type") in {"text", *_MEDIA}]
    if loose:
        return [{"role": "user", "parts": loose}]
    return [_turn(step) for step in steps]


def _turn(step: Json) -> Message:
    kind = string(step, "type") or ""
    if kind == "function_result":
        answered = tool_result(string(step, "call_id"), step.get("result"))
        return {"role": "tool", "parts": [answered]}
    user = kind == "user_input" or step.get("role") == "user"
    return {"role": "user" if user else "assistant", "parts": _parts(step)}


def _parts(step: Json) -> list[Part]:
    """What the model, or the user, says in a step; what Google's own tools do is no part of it."""
    kind = string(step, "type") or ""
    if kind == "function_call":
        called = parsed(step.get("arguments"))
        return [tool_call(string(step, "id"), string(step, "name") or "", called)]
    if kind == "thought":
        return [reasoning(string(each, "text") or "") for each in mappings(step, "summary")]
    content = step.get("content")
    if type(content) is str:
        return [text(content)]
    return [_part(each) for each in mappings(step, "content")]


def _part(piece: Json) -> Part:
    kind = string(piece, "type") or ""
    if kind == "text":
        return text(string(piece, "text") or "")
    source = string(piece, "data") or string(piece, "uri") or ""
    return media(kind or "unknown", source, string(piece, "mime_type"))


def _answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    steps = [step for step in mappings(reply, "steps") if step.get("type") != "user_input"]
    calls = any(step.get("type") == "function_call" for step in steps)
    _told(reply, op, calls=calls)
    if op.capture:
        parts = [part for step in steps for part in _parts(step)]
        op.output = [spoken(parts, next(iter(op.finish_reasons or ()), None))]


def _told(reply: Json, op: Operation, *, calls: bool) -> None:
    op.response_id = string(reply, "id") or op.response_id
    op.response_model = string(reply, "model") or op.response_model
    op.tier = string(reply, "service_tier")
    status = string(reply, "status")
    ended = {"completed": "stop", "requires_action": "tool_calls", "failed": "error"}
    reason = "tool_calls" if calls and status == "completed" else ended.get(status or "", status)
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(mapping(reply, "usage"), op.usage, GEMINI_INTERACTIONS)


class _Events(Accumulator):
    """Steps in pieces, by their number; the interaction as a whole at the end."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Said(op)
        self._steps: dict[Any, Json] = {}
        self._reply: Json = {}

    def add(self, event: Any) -> bool:
        event = fields(event)
        kind = string(event, "event_type") or ""
        if "interaction" in event:
            told = fields(event["interaction"])
            self._reply.update((key, value) for key, value in told.items() if value is not None)
        elif kind == "step.start":
            step = dict(mapping(event, "step"))
            self._steps[event.get("index")] = {**step, "pieces": Pieces(self._op)}
            return string(step, "type") == "function_call"
        elif kind == "step.delta":
            return self._delta(mapping(event, "delta"), event.get("index"))
        return False

    def _delta(self, delta: Json, index: Any) -> bool:
        kind = string(delta, "type") or ""
        if kind == "text":
            return self._said.words(string(delta, "text"))
        if kind == "thought_summary":
            summary = mapping(delta, "content")
            return self._said.words(string(summary, "text"), "reasoning")
        if kind == "arguments_delta":
            step = self._steps.get(index)
            if step is None:
                step = self._steps[index] = {"pieces": Pieces(self._op)}
            step["pieces"].add(string(delta, "arguments") or "")
            return True
        return kind in _MEDIA and self._said.part(_part(delta))

    def close(self) -> None:
        calls = [each for each in self._steps.values() if each.get("type") == "function_call"]
        _told(self._reply, self._op, calls=bool(calls))
        if self._op.capture:
            for call in calls:
                whole = call["pieces"].whole() or call.get("arguments")
                self._said.part(_parts({**call, "arguments": whole})[0])
            reason = next(iter(self._op.finish_reasons or ()), None)
            self._op.output = [spoken(self._said.parts(), reason)]


def _reader(given: Json) -> Reader:
    return _AGENT if string(_body(given), "agent") is not None else _MODEL


_MODEL = Reader(Kind.CHAT, _ask, _answer, _content, _Events, model=wire.model)
_AGENT = Reader(Kind.AGENT, _ask, _answer, _content, _Events, model=wire.model)
_PLACE = "google.genai._gaos"


def patches(origin: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """Both colours of ``create``, and what is closed of their streams; newer versions have them."""

    def named(given: Json, op: Operation) -> None:
        origin(given, op)
        op.name = string(_body(given), "agent")

    create = (f"{_PLACE}.interactions:{name}.create" for name in _CLASSES)
    streams = (f"{_PLACE}.utils.eventstreaming:{name}" for name in ("Stream", "AsyncStream"))
    return (
        *(
            function(each, _reader, origin=named, body=_body, inner="generator", optional=True)
            for each in create
        ),
        *(patch for each in streams for patch in followed(each, steps=False)),
    )


_CLASSES = ("Interactions", "AsyncInteractions")
