"""Mistral's other endpoints: conversations, with a model or an agent, responses, and OCR.

Read from docs.mistral.ai/api, "beta.conversations", "responses" and "ocr".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator, Reader
from genai_otel.instrumentation.fields import Json, fields, known, mapping, mappings, parsed, string
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import (
    Kind,
    Pieces,
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
from ._openai_parts import content_part, definitions, message_parts, rest
from ._said import Said, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genai_otel.record import Message, Operation, Part

# ------------------------------------------------------------------------------ conversations


def _ask(given: Json, op: Operation) -> None:
    wire.ask(fields(given.get("completion_args")), op)
    _belongs(given, op)


def _belongs(source: Json, op: Operation) -> None:
    """To which conversation; of a new one the reply tells it first."""
    known = string(source, "conversation_id")
    if known is not None:
        wire.detail(op, "conversation", known)


def _content(given: Json, op: Operation) -> None:
    told, inputs = string(given, "instructions"), given.get("inputs")
    if told:
        op.system = [text(told)]
    if type(inputs) is str:
        op.input = [{"role": "user", "parts": [text(inputs)]}]
    else:
        op.input = [_entry(entry) for entry in mappings(given, "inputs")]
    if type(given.get("tools")) is list:
        op.tools = definitions(given)


def _entry(entry: Json) -> Message:
    kind = string(entry, "type") or "message.input"
    call_id = string(entry, "tool_call_id")
    if kind == "function.result":
        return {"role": "tool", "parts": [tool_result(call_id, entry.get("result"))]}
    if kind == "function.call":
        return {"role": "assistant", "parts": [_call(entry)]}
    if kind.startswith("message"):
        return {"role": string(entry, "role") or "user", "parts": message_parts(entry)}
    return {"role": "assistant", "parts": _made(entry)}


def _call(entry: Json) -> Part:
    called = parsed(entry.get("arguments"))
    return tool_call(string(entry, "tool_call_id"), string(entry, "name") or "", called)


def _answer(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    entries = mappings(reply, "outputs")
    _told(reply, (string(entry, "model") for entry in entries), op)
    calls = any(string(entry, "type") == "function.call" for entry in entries)
    op.finish_reasons = ["tool_calls" if calls else "stop"] if entries else []
    if op.capture:
        parts = [part for entry in entries for part in _made(entry)]
        op.output = [spoken(parts, op.finish_reasons[0] if entries else None)]


def _told(reply: Json, models: Iterable[str | None], op: Operation) -> None:
    _belongs(reply, op)
    op.response_model = next((model for model in models if model), None)
    read_usage(mapping(reply, "usage"), op.usage, MISTRAL)


def _made(entry: Json) -> list[Part]:
    """What an entry holds: words, a call, what a tool of Mistral's did, to whom it handed over."""
    entry = known(entry)
    kind = string(entry, "type") or ""
    if kind.startswith("function.call"):
        return [_call(entry)]
    if kind.startswith("message.output"):
        return message_parts(entry)
    if kind.startswith("tool.execution"):
        return [_executed(entry)]
    return [generic_part(kind, rest(entry, _NO_CONTENT), string(entry, "id"))]


def _executed(entry: Json) -> Part:
    """A tool that Mistral has run: what it was given, and what it tells of it."""
    name, asked = string(entry, "name") or "", parsed(entry.get("arguments"))
    told = {"type": "tool.execution", "arguments": asked, "info": entry.get("info")}
    return server_tool_call(string(entry, "id"), name, rest(told, _NO_CONTENT))


_NO_CONTENT = frozenset(
    {"id", "object", "created_at", "completed_at", "output_index", "agent_id", "model"}
)


class _Events(Accumulator):
    """Entries in pieces; the last event has the usage."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = Said(op)
        self._calls: dict[str, Json] = {}
        self._executed: dict[str, Json] = {}
        self._ended = False
        self._model: str | None = None

    def add(self, event: Any) -> bool:
        data = known(mapping(fields(event), "data"))
        kind = string(data, "type") or ""
        self._model = string(data, "model") or self._model
        if kind.startswith("conversation.response"):
            _told(data, (self._model,), self._op)
            self._ended = self._ended or kind.endswith("done")
            return False
        if kind.startswith("function.call"):
            return self._add_call(data)
        if kind.startswith("tool.execution"):
            return self._add_execution(data, done=kind.endswith("done"))
        if not kind.startswith("message.output"):
            return self._op.capture is False or self._said.part(_made(data)[0])
        content = data.get("content")
        if type(content) is str:
            return self._said.words(content)
        made = _made({**data, "content": [fields(content)]}) if content is not None else []
        added = [self._said.take(part) for part in made]
        return any(added)

    def _add_execution(self, data: Json, *, done: bool) -> bool:
        """A tool of Mistral's: its input in pieces, and at its end what came of it."""
        called = string(data, "id") or ""
        if called not in self._executed:
            self._executed[called] = {"arguments": Pieces(self._op)}
        so_far = self._executed[called]
        so_far["arguments"].add(string(data, "arguments") or "")
        if self._op.capture:
            so_far["name"] = string(data, "name") or so_far.get("name")
            so_far["info"] = bounded(data.get("info"))
        if done:
            self._take_execution(called)
        return True

    def _take_execution(self, called: str) -> None:
        entry = self._executed.pop(called)
        if self._op.capture:
            whole = {**entry, "id": called, "arguments": entry["arguments"].whole()}
            self._said.part(_executed(whole))

    def _add_call(self, data: Json) -> bool:
        called = string(data, "tool_call_id") or ""
        so_far = self._calls.get(called)
        if so_far is None:
            so_far = self._calls[called] = {**data, "pieces": Pieces(self._op)}
        so_far["pieces"].add(string(data, "arguments") or "")
        return True

    def close(self) -> None:
        op = self._op
        op.response_model = op.response_model or self._model
        reason = "tool_calls" if self._calls else "stop"
        op.finish_reasons = [reason] if self._ended else []
        for called in list(self._executed):
            self._take_execution(called)
        if op.capture:
            for call in self._calls.values():
                self._said.part(_call({**call, "arguments": call["pieces"].whole()}))
            op.output = [spoken(self._said.parts(), reason if self._ended else None)]


def refused_event(error: BaseException) -> Any:
    """The event that was to become one of the client's models."""
    return local_in_error(error, "_parse_event", "event")


_reader = partial(Reader, model=wire.model, refused=refused_event)
_MODEL = _reader(Kind.CHAT, _ask, _answer, _content, _Events)
_AGENT = _reader(Kind.AGENT, _ask, _answer, _content, _Events)


def conversation(given: Json) -> Reader:
    """Of an agent where one is named; what a conversation is continued with, nobody says."""
    return _MODEL if string(given, "agent_id") is None else _AGENT


# ---------------------------------------------------------------------------- responses, OCR


def _ask_response(given: Json, op: Operation) -> None:
    responses.ask_response(given, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


class _ResponseEvents(responses.ResponseEvents):
    """OpenAI's events, each inside one of the client's."""

    def quick(self, event: Any) -> bool | None:
        return super().quick(event.data)

    def add(self, event: Any) -> bool:
        return super().add(fields(event).get("data"))


RESPONSE = _reader(
    Kind.CHAT,
    _ask_response,
    responses.answer_response,
    responses.response_content,
    _ResponseEvents,
)


def _ask_pages(_given: Json, op: Operation) -> None:
    op.output_type = "text"


def _document(given: Json, op: Operation) -> None:
    document = mapping(given, "document")
    kinds = ("document_url", "image_url", "file")
    kind = string(document, "type") or next((k for k in kinds if k in document), "file")
    op.input = [{"role": "user", "parts": [content_part({**document, "type": kind})]}]


def _pages(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    op.response_model = string(reply, "model")
    read_usage(mapping(reply, "usage_info"), op.usage, MISTRAL)
    if op.capture:
        parts = [part for page in mappings(reply, "pages") for part in _page(page)]
        op.output = [{"role": "assistant", "parts": parts}]


def _page(page: Json) -> list[Part]:
    """Its text, and the images that were cut out of it, if they were asked for."""
    images = (string(image, "image_base64") for image in mappings(page, "images"))
    cut_out = [media("image", image) for image in images if image]
    return [text(string(page, "markdown") or ""), *cut_out]


OCR = Reader(Kind.GENERATION, _ask_pages, _pages, _document, model=wire.model)
