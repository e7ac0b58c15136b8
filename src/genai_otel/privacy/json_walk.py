"""Redact every text in a JSON value: messages, tools, documents, anything else."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from . import attribute_classes
from .attribute_classes import NONE, REDACTED, WITHHELD
from .truncation import KEPT_WHOLE, NOTE

if TYPE_CHECKING:
    from .text_redactor import TextRedactor

# The encoded text between two adjacent texts of a message.
SEAM = '"},{"type":"text","content":"'
_PLAIN = ("type", "content")
_MOST_DEEP = 100
_SYSTEM_ROLES = ("system", "developer")
_TOOL_PARTS = ("tool_call", "tool_call_response", "server_tool_call", "server_tool_call_response")
# Also the names of fields of these parts: objects with a ``type``, that of the tool.
_SERVER_PARTS = _TOOL_PARTS[2:]
TALK = (names.GEN_AI_INPUT_MESSAGES, names.GEN_AI_OUTPUT_MESSAGES)
_ENTRIES = (
    names.GEN_AI_SYSTEM_INSTRUCTIONS,
    names.GEN_AI_TOOL_DEFINITIONS,
    names.GEN_AI_RETRIEVAL_DOCUMENTS,
    names.GEN_AI_MEMORY_RECORDS,
)


def _is_plain_text(part: Any) -> bool:
    return (
        type(part) is dict
        and len(part) == len(_PLAIN)
        and part.get("type") == "text"
        and type(part.get("content")) is str
    )


def _withheld(value: Any) -> Any:
    """Return the placeholder of withheld content; notes of truncation are kept."""
    if value is None:
        return None
    if type(value) is str and value.endswith(("…", "]")):
        shortened = value.endswith("…") and WITHHELD.startswith(value[:-1])
        if shortened or NOTE.fullmatch(value):
            return value
    return WITHHELD


class JsonWalk:
    """Redacts each text of a JSON value; returns a new value."""

    __slots__ = ("_mode", "_redactor", "_until")

    def __init__(self, redactor: TextRedactor, mode: str, until: float) -> None:
        self._redactor, self._mode, self._until = redactor, mode, until

    def attribute(self, name: str, value: Any) -> Any:
        if name in TALK and type(value) is list:
            return [self._message(message) for message in value]
        if name in _ENTRIES and type(value) is list:
            return [self._entry(entry, self._mode) for entry in self._joined(value, self._mode)]
        return self._any(value, self._mode)

    def _message(self, message: Any) -> Any:
        if type(message) is not dict or type(message.get("parts")) is not list:
            return self._any(message, self._mode)
        system = message.get("role") in _SYSTEM_ROLES
        mode = self._redactor.modes[attribute_classes.SYSTEM] if system else self._mode
        parts = [self._part(part, mode) for part in self._joined(message["parts"], mode)]
        return {**self._entry({**message, "parts": None}, mode), "parts": parts}

    def _joined(self, parts: list[Any], mode: str) -> list[Any]:
        """Return the parts; join adjacent texts if a finding spans them."""
        if mode != REDACTED:
            return parts
        joined: list[Any] = []
        for plain, row in groupby(parts, _is_plain_text):
            texts = list(row)
            if plain and self._redactor.finds_across([text["content"] for text in texts]):
                texts = [{**texts[0], "content": "".join(text["content"] for text in texts)}]
            joined += texts
        return joined

    def _part(self, part: Any, mode: str) -> Any:
        if type(part) is dict and part.get("type") in _TOOL_PARTS:
            mode = self._redactor.modes[attribute_classes.TOOLS]
        if type(part) is dict and part.get("type") == "media":
            part = self._redactor.media(part)
        return self._entry(part, mode)

    def _entry(self, entry: Any, mode: str) -> Any:
        """Redact a part, a tool, a document: some fields are structure, the others arbitrary."""
        if type(entry) is not dict:
            return self._any(entry, mode)
        redacted: dict[str, Any] = {}
        for key, value in entry.items():
            structural = key in KEPT_WHOLE
            if mode == NONE and key in _SERVER_PARTS and type(value) is dict:
                redacted[key] = {"type": value.get("type"), "value": _withheld(value)}
            elif mode == NONE and not structural:
                redacted[key] = _withheld(value)
            elif structural and type(value) is str:
                redacted[key] = self._text(value, mode, structural=True)
            else:
                redacted[key] = self._any(value, mode, key)
        return redacted

    def _any(self, value: Any, mode: str, name: str | None = None, depth: int = 0) -> Any:
        kind = type(value)
        if depth > _MOST_DEEP:
            return "[deeper values left out]"
        if kind is dict:
            if value.get("type") == "media":  # in the result of a tool
                value = self._redactor.media(value)
            return {
                self._key(key, mode): self._any(child, mode, key, depth + 1)
                for key, child in value.items()
            }
        if kind is list:
            return [self._any(child, mode, name, depth + 1) for child in value]
        return self._value(value, mode, name)

    def _value(self, value: Any, mode: str, name: str | None) -> Any:
        if mode == NONE:
            return _withheld(value)
        if type(value) is str:
            label = None
            if mode == REDACTED and name is not None:
                label = self._redactor.placeholder(name, value)
            return f"[{label}]" if label is not None else self._text(value, mode)
        return self._redactor.number(value, mode)

    def _key(self, key: str, mode: str) -> str:
        return self._text(key, mode, structural=True)

    def _text(self, text: str, mode: str, *, structural: bool = False) -> str:
        if mode == NONE:
            if not structural:
                return str(_withheld(text))
            mode = REDACTED
        return self._redactor.part(text, mode, self._until, structural=structural)
