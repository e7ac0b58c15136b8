"""Google's interactions: a model or an agent, in steps; ai.google.dev/api/interactions-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    parse_json,
    pick,
    unwrap_unknown,
)
from genai_otel.instrumentation.patchers.function import patch_function, patch_stream_class
from genai_otel.record import (
    Kind,
    TextBuffer,
    bounded,
    generic_part,
    media,
    media_bytes,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
    tool_result,
)
from genai_otel.record.usage import GEMINI_INTERACTIONS, read_usage

from . import _openai_wire as wire
from ._message_builder import MessageBuilder, assistant_message
from ._openai_parts import definitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.adapter import Patch
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
_CONTENT = _MEDIA | {"text"}


def _body(given: Json) -> Json:
    """What is asked: in arguments of its own, or in one request."""
    return as_dict(as_dict(given.get("request")).get("body")) or given


def _read_request(body: Json, op: Operation) -> None:
    before = get_str(body, "previous_interaction_id")
    op.params = {
        **pick(as_dict(body.get("generation_config")), _PARAMS),
        **({} if before is None else {"previous_response": before}),
    }


def _read_content(body: Json, op: Operation) -> None:
    told, given = get_str(body, "system_instruction"), body.get("input")
    if told:
        op.system = [text(told)]
    if type(given) is str:
        op.input = [{"role": "user", "parts": [text(given)]}]
    else:
        op.input = _messages([as_dict(each) for each in given] if type(given) is list else [given])
    if type(body.get("tools")) is list:
        op.tools = definitions(body)


def _messages(given: list[Any]) -> list[Message]:
    """Steps, each a turn; or the parts of one turn, as the client takes them, too."""
    steps = [unwrap_unknown(as_dict(each)) for each in given]
    if any(get_str(step, "type") in _CONTENT for step in steps):
        loose = ([_part(s)] if get_str(s, "type") in _CONTENT else _parts(s) for s in steps)
        return [{"role": "user", "parts": [part for each in loose for part in each]}]
    return [_message(step) for step in steps]


def _message(step: Json) -> Message:
    if get_str(step, "type") == "function_result":
        return {"role": "tool", "parts": _parts(step)}
    user = get_str(step, "type") == "user_input" or step.get("role") == "user"
    return {"role": "user" if user else "assistant", "parts": _parts(step)}


_SPEAKERS = frozenset({"", "user_input", "model_output"})
_NOT_OF_IT = frozenset({"id", "call_id", "signature", "pieces"})


def _parts(step: Json) -> list[Part]:
    """What is said in a step, or which tool is called in it, or what the tool returned."""
    kind = get_str(step, "type") or ""
    if kind in _SPEAKERS:
        content = step.get("content")
        if type(content) is str:
            return [text(content)]
        return [_part(unwrap_unknown(each)) for each in get_dicts(step, "content")]
    if kind == "thought":
        return _reasoning_parts(step)
    if kind == "function_call":
        called = parse_json(step.get("arguments"))
        return [tool_call(get_str(step, "id"), get_str(step, "name") or "", called)]
    if kind == "function_result":
        return [tool_result(get_str(step, "call_id"), _function_result(step.get("result")))]
    return [_server_tool_part(kind, step)]


def _reasoning_parts(step: Json) -> list[Part]:
    """Their summary; of a thought that is sealed in a signature, that there was one."""
    summary = [unwrap_unknown(each) for each in get_dicts(step, "summary")]
    return [
        _part(each) if "text" not in each else reasoning(get_str(each, "text") or "")
        for each in summary
    ] or [reasoning("")]


def _server_tool_part(kind: str, step: Json) -> Part:
    """What Google's own tools, and those of MCP servers, were asked and what they returned."""
    told = {k: v for k, v in step.items() if v is not None and k not in _NOT_OF_IT}
    name = kind.removesuffix("_call").removesuffix("_result")
    if kind.endswith("_call"):
        return server_tool_call(get_str(step, "id"), get_str(step, "name") or name, told)
    if kind.endswith("_result"):
        return server_tool_result(get_str(step, "call_id"), kind, told)
    return generic_part(kind, told, get_str(step, "id"))


def _function_result(result: Any) -> Any:
    """What a function returned: an object, a text, or pieces of content."""
    if type(result) is not list:
        return as_dict(result) or result
    pieces = [unwrap_unknown(as_dict(each)) for each in result]
    if all(get_str(piece, "type") == "text" for piece in pieces):
        return "".join(get_str(piece, "text") or "" for piece in pieces)
    return [_part(piece) for piece in pieces]


def _part(piece: Json) -> Part:
    kind = get_str(piece, "type") or ""
    if kind == "text":
        return text(get_str(piece, "text") or "")
    if kind not in _MEDIA:
        return _server_tool_part(kind, piece)
    data, mime_type = piece.get("data"), get_str(piece, "mime_type")
    if type(data) is bytes:
        found = media_bytes(kind, data, mime_type)
    else:
        found = media(kind, get_str(piece, "data") or get_str(piece, "uri") or "", mime_type)
    beside = {k: v for k, v in piece.items() if v is not None and k not in _OF_MEDIA}
    if beside:
        found["metadata"] = bounded(beside)
    return found


_OF_MEDIA = frozenset({"type", "data", "uri", "mime_type"})


def _read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    steps = [unwrap_unknown(step) for step in get_dicts(reply, "steps")]
    steps = [step for step in steps if step.get("type") != "user_input"]
    calls = any(step.get("type") == "function_call" for step in steps)
    _read_metadata(reply, op, calls=calls)
    if op.capture:
        parts = [part for step in steps for part in _parts(step)]
        op.output = [assistant_message(parts, next(iter(op.finish_reasons or ()), None))]


def _read_metadata(reply: Json, op: Operation, *, calls: bool) -> None:
    op.response_id = get_str(reply, "id") or op.response_id
    op.response_model = get_str(reply, "model") or op.response_model
    op.tier = get_str(reply, "service_tier")
    status = get_str(reply, "status")
    ended = {"completed": "stop", "requires_action": "tool_calls", "failed": "error"}
    reason = "tool_calls" if calls and status == "completed" else ended.get(status or "", status)
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(get_dict(reply, "usage"), op.usage, GEMINI_INTERACTIONS)


class _Events(Accumulator):
    """Steps in pieces, by their number; the interaction as a whole at the end."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._steps: dict[Any, Json] = {}
        self._reply: Json = {}
        self._calls = False

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind = get_str(event, "event_type") or ""
        if "interaction" in event:
            told = as_dict(event["interaction"])
            self._reply.update((key, value) for key, value in told.items() if value is not None)
        elif kind == "step.start":
            return self._start(unwrap_unknown(get_dict(event, "step")), event.get("index"))
        elif kind == "step.delta":
            return self._delta(unwrap_unknown(get_dict(event, "delta")), event.get("index"))
        elif kind == "step.stop":
            self._stop(event.get("index"))
        return False

    def _start(self, step: Json, index: Any) -> bool:
        kind = get_str(step, "type") or ""
        self._calls = self._calls or kind == "function_call"
        if kind in _SPEAKERS:
            begun = [self._message.add(part) for part in _parts(step)]
            return any(begun)
        self._steps[index] = {**self._held(step), "pieces": TextBuffer(self._op)}
        return kind != "thought"

    def _held(self, step: Json) -> Json:
        kept: Json = bounded(step) if self._op.capture else {"type": step.get("type")}
        return kept

    def _delta(self, delta: Json, index: Any) -> bool:
        kind = get_str(delta, "type") or ""
        if kind == "text":
            return self._message.add_text(get_str(delta, "text"))
        step = self._steps.setdefault(index, {"pieces": TextBuffer(self._op)})
        if kind == "thought_summary":
            step["said"] = True
            summary = get_dict(delta, "content")
            if "text" in summary:
                return self._message.add_text(get_str(summary, "text"), "reasoning")
            return self._message.add_part(_part(unwrap_unknown(summary)))
        if kind == "arguments_delta":
            step["pieces"].add(get_str(delta, "arguments") or "")
            return True
        if kind in _MEDIA:
            return self._op.capture is False or self._message.add_part(_part(delta))
        if kind not in _BESIDE:
            step.update({"type": kind, **step, **_set_fields(self._held(delta))})
        return kind not in _BESIDE

    def _stop(self, index: Any) -> None:
        """What a step came to, unless it was said as it came."""
        step = self._steps.pop(index, None)
        if step is None or not self._op.capture or "type" not in step or "said" in step:
            return
        arguments = step["pieces"].text()
        for part in _parts({**step, "arguments": arguments} if arguments else step):
            self._message.add_part(part)

    def finish(self) -> None:
        for index in list(self._steps):
            self._stop(index)
        _read_metadata(self._reply, self._op, calls=self._calls)
        if self._op.capture:
            reason = next(iter(self._op.finish_reasons or ()), None)
            self._op.output = [assistant_message(self._message.parts(), reason)]


# Parts that belong to text that was added already.
_BESIDE = frozenset({"thought_signature", "text_annotation_delta"})


def _set_fields(delta: Json) -> Json:
    return {key: value for key, value in delta.items() if value is not None and key != "type"}


def _extractor(given: Json) -> Extractor:
    return _AGENT if get_str(_body(given), "agent") is not None else _MODEL


_MODEL = Extractor(
    Kind.CHAT, _read_request, _read_response, _read_content, _Events, read_model=wire.read_model
)
_AGENT = Extractor(
    Kind.AGENT, _read_request, _read_response, _read_content, _Events, read_model=wire.read_model
)
_PLACE = "google.genai._gaos"


def patches(origin: Callable[[Json, Operation], None]) -> tuple[Patch, ...]:
    """Return the patches of sync and async ``create`` and their streams, in newer versions."""

    def named(given: Json, op: Operation) -> None:
        origin(given, op)
        op.name = get_str(_body(given), "agent")

    create = (f"{_PLACE}.interactions:{name}.create" for name in _CLASSES)
    streams = (f"{_PLACE}.utils.eventstreaming:{name}" for name in ("Stream", "AsyncStream"))
    return (
        *(
            patch_function(
                each, _extractor, origin=named, body=_body, inner="generator", optional=True
            )
            for each in create
        ),
        *(patch for each in streams for patch in patch_stream_class(each, steps=False)),
    )


_CLASSES = ("Interactions", "AsyncInteractions")
