"""The content of a span: messages, tool calls, documents, a step's input and output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from .text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.store.read.decoder import StoredSpan

Passage = tuple[str, str]

_MAX_MESSAGES = 6
_VALUES = (
    (names.GEN_AI_TOOL_CALL_ARGUMENTS, "arguments"),
    (names.GEN_AI_TOOL_CALL_RESULT, "result"),
    (names.GEN_AI_RETRIEVAL_QUERY_TEXT, "query"),
    (names.GENAI_OTEL_INPUT, "input"),
    (names.GENAI_OTEL_OUTPUT, "output"),
)


def passages(span: StoredSpan) -> Iterator[Passage]:
    """Labels and texts in chronological order, neither cleaned nor shortened."""
    facts = span.attributes
    instructions = _parsed(facts.get(names.GEN_AI_SYSTEM_INSTRUCTIONS))
    if isinstance(instructions, list):
        yield from (("system", _part(part)) for part in instructions)
    yield from _messages(facts.get(names.GEN_AI_INPUT_MESSAGES))
    for name, label in _VALUES:
        if name in facts:
            yield label, _as_text(facts[name])
    yield from _documents(facts.get(names.GEN_AI_RETRIEVAL_DOCUMENTS))
    yield from _messages(facts.get(names.GEN_AI_OUTPUT_MESSAGES))
    for event in span.events:
        kind = event.attributes.get(names.EXCEPTION_TYPE)
        if kind is not None:
            message = event.attributes.get(names.EXCEPTION_MESSAGE)
            if message:
                yield _label(kind), _as_text(message)


def _messages(value: Any) -> Iterator[Passage]:
    """The first message, which is often an instruction, and the last ones."""
    messages = _parsed(value)
    if not isinstance(messages, list):
        return
    left_out = len(messages) - _MAX_MESSAGES
    for index, message in enumerate(messages):
        if left_out > 0 and index == 1:
            yield "…", counted(left_out, "more message")
        if index == 0 or index > left_out:
            yield from _message(message)


def _message(message: Any) -> Iterator[Passage]:
    if not isinstance(message, dict):
        return
    parts = message.get("parts")
    for part in parts if isinstance(parts, list) else []:
        yield _label(message.get("role")), _part(part)


def _part(part: Any) -> str:
    show = _SHOWN.get(str(part.get("type"))) if isinstance(part, dict) else None
    return _as_text(part) if show is None else show(part)


def _media(part: dict[str, Any]) -> str:
    """Type, size and location; never the bytes, which other tools may have recorded."""
    size = part.get("size")
    facts = [
        part.get("mime_type") or part.get("modality") or part.get("type"),
        counted(size, "byte") if type(size) is int else None,
        part.get("uri") or part.get("file_id") or part.get("id"),
        part.get("transcript"),
    ]
    return f"({', '.join(_as_text(fact) for fact in facts if fact)})"


_SHOWN: dict[str, Callable[[dict[str, Any]], str]] = {
    **dict.fromkeys(("media", "uri", "file", "blob"), _media),
    "text": lambda part: _as_text(part.get("content")),
    "reasoning": lambda part: f"(reasoning) {_as_text(part.get('content'))}",
    "tool_call": lambda part: (
        f"tool call: {_as_text(part.get('name'))}({_as_text(part.get('arguments'))})"
    ),
    "tool_call_response": lambda part: (
        f"tool result: {_as_text(part.get('response', part.get('result')))}"
    ),
    "server_tool_call": lambda part: (
        f"server tool call: {_as_text(part.get('name'))}({_as_text(part.get('server_tool_call'))})"
    ),
    "server_tool_call_response": lambda part: (
        f"server tool result: {_as_text(part.get('server_tool_call_response'))}"
    ),
}


def _documents(value: Any) -> Iterator[Passage]:
    documents = _parsed(value)
    for document in documents if isinstance(documents, list) else []:
        if isinstance(document, dict):
            name = document.get("id", "?")
            score = document.get("score")
            label = f"document {name}" if score is None else f"document {name} ({score})"
            yield _label(label), _as_text(document.get("content", ""))


def _label(value: Any) -> str:
    return one_line(str(value))[:60] or "?"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except (ValueError, RecursionError):
        return "?"


def _parsed(value: Any) -> Any:
    """Structured content is a JSON string on spans; some writers store a plain value."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
