"""Mistral's conversations with a model or an agent, and its responses and OCR endpoints.

Read from docs.mistral.ai/api, "beta.conversations", "responses" and "ocr".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    parse_json,
    unwrap_unknown,
)
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import (
    Kind,
    TextBuffer,
    bounded,
    generic_part,
    media,
    server_tool_call,
    text,
    tool_call,
    tool_result,
)
from genai_otel.record.usage import MISTRAL, read_usage

from . import _openai_responses as responses
from . import _openai_wire as wire
from ._message_builder import MessageBuilder, assistant_message
from ._openai_parts import content_part, definitions, message_parts, rest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genai_otel.record import Message, Operation, Part

# ------------------------------------------------------------------------------ conversations


def _read_request(given: Json, op: Operation) -> None:
    wire.read_request(as_dict(given.get("completion_args")), op)
    _read_conversation_id(given, op)


def _read_conversation_id(source: Json, op: Operation) -> None:
    """Read the conversation's id; of a new one only the response has it."""
    known = get_str(source, "conversation_id")
    if known is not None:
        wire.set_detail(op, "conversation", known)


def _read_content(given: Json, op: Operation) -> None:
    told, inputs = get_str(given, "instructions"), given.get("inputs")
    if told:
        op.system = [text(told)]
    if type(inputs) is str:
        op.input = [{"role": "user", "parts": [text(inputs)]}]
    else:
        op.input = [_entry(entry) for entry in get_dicts(given, "inputs")]
    if type(given.get("tools")) is list:
        op.tools = definitions(given)


def _entry(entry: Json) -> Message:
    kind = get_str(entry, "type") or "message.input"
    call_id = get_str(entry, "tool_call_id")
    if kind == "function.result":
        return {"role": "tool", "parts": [tool_result(call_id, entry.get("result"))]}
    if kind == "function.call":
        return {"role": "assistant", "parts": [_call(entry)]}
    if kind.startswith("message"):
        return {"role": get_str(entry, "role") or "user", "parts": message_parts(entry)}
    return {"role": "assistant", "parts": _entry_parts(entry)}


def _call(entry: Json) -> Part:
    called = parse_json(entry.get("arguments"))
    return tool_call(get_str(entry, "tool_call_id"), get_str(entry, "name") or "", called)


def _read_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    entries = get_dicts(reply, "outputs")
    _read_metadata(reply, (get_str(entry, "model") for entry in entries), op)
    calls = any(get_str(entry, "type") == "function.call" for entry in entries)
    op.finish_reasons = ["tool_calls" if calls else "stop"] if entries else []
    if op.capture:
        parts = [part for entry in entries for part in _entry_parts(entry)]
        op.output = [assistant_message(parts, op.finish_reasons[0] if entries else None)]


def _read_metadata(reply: Json, models: Iterable[str | None], op: Operation) -> None:
    _read_conversation_id(reply, op)
    op.response_model = next((model for model in models if model), None)
    read_usage(get_dict(reply, "usage"), op.usage, MISTRAL)


def _entry_parts(entry: Json) -> list[Part]:
    """Convert an entry: text, a tool call, a server tool, or a handoff."""
    entry = unwrap_unknown(entry)
    kind = get_str(entry, "type") or ""
    if kind.startswith("function.call"):
        return [_call(entry)]
    if kind.startswith("message.output"):
        return message_parts(entry)
    if kind.startswith("tool.execution"):
        return [_server_tool_part(entry)]
    return [generic_part(kind, rest(entry, _NO_CONTENT), get_str(entry, "id"))]


def _server_tool_part(entry: Json) -> Part:
    """Convert the call of a tool that Mistral has run."""
    name, asked = get_str(entry, "name") or "", parse_json(entry.get("arguments"))
    told = {"type": "tool.execution", "arguments": asked, "info": entry.get("info")}
    return server_tool_call(get_str(entry, "id"), name, rest(told, _NO_CONTENT))


_NO_CONTENT = frozenset(
    {"id", "object", "created_at", "completed_at", "output_index", "agent_id", "model"}
)


class _Events(Accumulator):
    """Entries in pieces; the last event has the usage."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._calls: dict[str, Json] = {}
        self._executed: dict[str, Json] = {}
        self._ended = False
        self._model: str | None = None

    def add(self, event: Any) -> bool:
        data = unwrap_unknown(get_dict(as_dict(event), "data"))
        kind = get_str(data, "type") or ""
        self._model = get_str(data, "model") or self._model
        if kind.startswith("conversation.response"):
            _read_metadata(data, (self._model,), self._op)
            self._ended = self._ended or kind.endswith("done")
            return False
        if kind.startswith("function.call"):
            return self._add_call(data)
        if kind.startswith("tool.execution"):
            return self._add_execution(data, done=kind.endswith("done"))
        if not kind.startswith("message.output"):
            return self._op.capture is False or self._message.add_part(_entry_parts(data)[0])
        content = data.get("content")
        if type(content) is str:
            return self._message.add_text(content)
        made = _entry_parts({**data, "content": [as_dict(content)]}) if content is not None else []
        added = [self._message.add(part) for part in made]
        return any(added)

    def _add_execution(self, data: Json, *, done: bool) -> bool:
        """A tool of Mistral's: its input in pieces, and at its end what came of it."""
        called = get_str(data, "id") or ""
        if called not in self._executed:
            self._executed[called] = {"arguments": TextBuffer(self._op)}
        so_far = self._executed[called]
        so_far["arguments"].add(get_str(data, "arguments") or "")
        if self._op.capture:
            so_far["name"] = get_str(data, "name") or so_far.get("name")
            so_far["info"] = bounded(data.get("info"))
        if done:
            self._take_execution(called)
        return True

    def _take_execution(self, called: str) -> None:
        entry = self._executed.pop(called)
        if self._op.capture:
            whole = {**entry, "id": called, "arguments": entry["arguments"].text()}
            self._message.add_part(_server_tool_part(whole))

    def _add_call(self, data: Json) -> bool:
        called = get_str(data, "tool_call_id") or ""
        so_far = self._calls.get(called)
        if so_far is None:
            so_far = self._calls[called] = {**data, "pieces": TextBuffer(self._op)}
        so_far["pieces"].add(get_str(data, "arguments") or "")
        return True

    def finish(self) -> None:
        op = self._op
        op.response_model = op.response_model or self._model
        reason = "tool_calls" if self._calls else "stop"
        op.finish_reasons = [reason] if self._ended else []
        for called in list(self._executed):
            self._take_execution(called)
        if op.capture:
            for call in self._calls.values():
                self._message.add_part(_call({**call, "arguments": call["pieces"].text()}))
            op.output = [assistant_message(self._message.parts(), reason if self._ended else None)]


def event_from_error(error: BaseException) -> Any:
    """The event that was to become one of the client's models."""
    return local_in_error(error, "_parse_event", "event")


_extractor = partial(Extractor, read_model=wire.read_model, chunk_from_error=event_from_error)
_MODEL = _extractor(Kind.CHAT, _read_request, _read_response, _read_content, _Events)
_AGENT = _extractor(Kind.AGENT, _read_request, _read_response, _read_content, _Events)


def choose_conversation(given: Json) -> Extractor:
    """Of an agent where one is named; what a conversation is continued with, nobody says."""
    return _MODEL if get_str(given, "agent_id") is None else _AGENT


# ---------------------------------------------------------------------------- responses, OCR


def _read_responses_request(given: Json, op: Operation) -> None:
    responses.read_request(given, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


class _ResponseEvents(responses.ResponseEvents):
    """OpenAI's events, each inside one of the client's."""

    def add_fast(self, event: Any) -> bool | None:
        return super().add_fast(event.data)

    def add(self, event: Any) -> bool:
        return super().add(as_dict(event).get("data"))


RESPONSE = _extractor(
    Kind.CHAT,
    _read_responses_request,
    responses.read_response,
    responses.read_content,
    _ResponseEvents,
)


def _read_ocr_request(_given: Json, op: Operation) -> None:
    op.output_type = "text"


def _read_document(given: Json, op: Operation) -> None:
    document = get_dict(given, "document")
    kinds = ("document_url", "image_url", "file")
    kind = get_str(document, "type") or next((k for k in kinds if k in document), "file")
    op.input = [{"role": "user", "parts": [content_part({**document, "type": kind})]}]


def _read_ocr_response(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    op.response_model = get_str(reply, "model")
    read_usage(get_dict(reply, "usage_info"), op.usage, MISTRAL)
    if op.capture:
        parts = [part for page in get_dicts(reply, "pages") for part in _page(page)]
        op.output = [{"role": "assistant", "parts": parts}]


def _page(page: Json) -> list[Part]:
    """Its text, and the images that were cut out of it, if they were asked for."""
    images = (get_str(image, "image_base64") for image in get_dicts(page, "images"))
    cut_out = [media("image", image) for image in images if image]
    return [text(get_str(page, "markdown") or ""), *cut_out]


OCR = Extractor(
    Kind.GENERATION,
    _read_ocr_request,
    _read_ocr_response,
    _read_document,
    read_model=wire.read_model,
)
