"""What a stream has said so far, for clients whose chunks are pieces of one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.record import Message, reasoning, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Operation, Part

_PARTS: dict[str, Callable[[str], Part]] = {"text": text, "reasoning": reasoning}


class Said:
    """Parts in the order in which they came, words of one kind joined; nothing if not captured."""

    __slots__ = ("_keep", "_kind", "_parts", "_pieces")

    def __init__(self, op: Operation) -> None:
        self._keep = op.capture
        self._parts: list[Part] = []
        self._kind = "text"
        self._pieces: list[str] = []

    def words(self, piece: str | None, kind: str = "text") -> bool:
        """Takes a piece of ``text`` or ``reasoning``; whether there was any."""
        if piece and self._keep:
            if kind != self._kind:
                self._close(kind)
            self._pieces.append(piece)
        return bool(piece)

    def part(self, part: Part) -> bool:
        """Takes a whole part."""
        if self._keep:
            self._close(self._kind)
            self._parts.append(part)
        return True

    def parts(self) -> list[Part]:
        """All of it."""
        self._close(self._kind)
        return self._parts

    def _close(self, kind: str) -> None:
        if self._pieces:
            self._parts.append(_PARTS[self._kind]("".join(self._pieces)))
            self._pieces = []
        self._kind = kind


def spoken(parts: list[Any], reason: str | None) -> Message:
    """The model's message, with why it ended where that was told."""
    turn: Message = {"role": "assistant", "parts": parts}
    if reason is not None:
        turn["finish_reason"] = reason
    return turn
