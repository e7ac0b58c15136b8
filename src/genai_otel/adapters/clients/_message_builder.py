"""Build a message from the chunks of a stream; errors inside successful responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from genai_otel.instrumentation.fields import get_str
from genai_otel.record import Failure, Message, TextBuffer, reasoning, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Operation, Part, Text

_PARTS: dict[str, Callable[[str], Part]] = {"text": text, "reasoning": reasoning}


class MessageBuilder:
    """Collects parts in order and joins texts of one kind; empty if content is not captured."""

    __slots__ = ("_kind", "_op", "_parts", "_text")

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._parts: list[Part | tuple[str, TextBuffer]] = []
        self._kind = ""
        self._text: TextBuffer | None = None

    def add_text(self, piece: str | None, kind: str = "text") -> bool:
        """Append to the ``text`` or ``reasoning``; return whether there was anything to append."""
        if piece and self._op.capture:
            if self._text is None or kind != self._kind:
                if self._op.text_room <= 0:
                    return True
                self._kind, self._text = kind, TextBuffer(self._op)
                self._parts.append((kind, self._text))
            self._text.add(piece)
        return bool(piece)

    def add_part(self, part: Part) -> bool:
        """Add a whole part."""
        if self._op.capture:
            self._text = None
            self._parts.append(part)
        return True

    def add(self, part: Part) -> bool:
        """Add a part of a message; text and reasoning are appended to the part before."""
        kind = part["type"]
        if "metadata" in part:
            return self.add_part(part)
        words = cast("Text", part)["content"] if kind in _PARTS else None
        if words or kind == "text":
            return self.add_text(words, kind)
        return self.add_part(part)

    def parts(self) -> list[Part]:
        """Return all parts."""
        return [
            _PARTS[each[0]](each[1].text()) if isinstance(each, tuple) else each
            for each in self._parts
        ]


def assistant_message(parts: list[Any], reason: str | None) -> Message:
    """Return the model's message, with its finish reason if there is one."""
    turn: Message = {"role": "assistant", "parts": parts}
    if reason is not None:
        turn["finish_reason"] = reason
    return turn


def read_error(error: Json, op: Operation) -> None:
    """Read an error inside a successful response, as gateways and streams send it."""
    code = error.get("code")
    kind = code if type(code) in (str, int) else get_str(error, "type")
    message = get_str(error, "message") if op.capture else None
    op.failure = Failure(str(kind or "error"), message)
