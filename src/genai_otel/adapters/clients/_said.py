"""What was said, in words that clients share: a stream's pieces as one message, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from genai_otel.instrumentation.fields import get_str
from genai_otel.record import Failure, Message, TextBuffer, reasoning, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.instrumentation.fields import Json
    from genai_otel.record import Operation, Part, Text

_PARTS: dict[str, Callable[[str], Part]] = {"text": text, "reasoning": reasoning}


class Said:
    """Parts in the order in which they came, words of one kind joined; nothing if not captured."""

    __slots__ = ("_kind", "_op", "_parts", "_words")

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._parts: list[Part | tuple[str, TextBuffer]] = []
        self._kind = ""
        self._words: TextBuffer | None = None

    def words(self, piece: str | None, kind: str = "text") -> bool:
        """Takes a piece of ``text`` or ``reasoning``; whether there was any."""
        if piece and self._op.capture:
            if self._words is None or kind != self._kind:
                if self._op.text_room <= 0:
                    return True
                self._kind, self._words = kind, TextBuffer(self._op)
                self._parts.append((kind, self._words))
            self._words.add(piece)
        return bool(piece)

    def part(self, part: Part) -> bool:
        """Takes a whole part."""
        if self._op.capture:
            self._words = None
            self._parts.append(part)
        return True

    def take(self, part: Part) -> bool:
        """Takes a part as a message has it; a text or a thought joins the one before."""
        kind = part["type"]
        if "metadata" in part:
            return self.part(part)
        words = cast("Text", part)["content"] if kind in _PARTS else None
        if words or kind == "text":
            return self.words(words, kind)
        return self.part(part)

    def parts(self) -> list[Part]:
        """All of it."""
        return [
            _PARTS[each[0]](each[1].text()) if isinstance(each, tuple) else each
            for each in self._parts
        ]


def spoken(parts: list[Any], reason: str | None) -> Message:
    """The model's message, with why it ended where that was told."""
    turn: Message = {"role": "assistant", "parts": parts}
    if reason is not None:
        turn["finish_reason"] = reason
    return turn


def refused(error: Json, op: Operation) -> None:
    """An error inside an answer that came as if all were well, as gateways and streams have it."""
    code = error.get("code")
    kind = code if type(code) in (str, int) else get_str(error, "type")
    message = get_str(error, "message") if op.capture else None
    op.failure = Failure(str(kind or "error"), message)
