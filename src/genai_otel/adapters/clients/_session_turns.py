"""Accumulate the turns and messages of a session, the newest hundred of each."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import SessionAccumulator
from genai_otel.record import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_otel.record import Message, Operation

# The newest turns of a session that are recorded, and the newest messages.
TURNS_KEPT = 100
# Characters of one message's text; a longer text is cut.
MAX_TEXT = 20_000


class TurnAccumulator(SessionAccumulator):
    """Keeps turns and messages; ``_input_bytes`` and ``_output_bytes`` count audio."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._messages: deque[Message] = deque(maxlen=TURNS_KEPT)
        self._reply: list[Message] = []
        self._turns: deque[Turn] = deque(maxlen=TURNS_KEPT)
        self._count = 0
        self._input_bytes = self._output_bytes = 0

    def _add_message(self, message: Message) -> None:
        self._close_reply()
        self._messages.append(message)

    def _close_reply(self) -> None:
        """Move the last response to the messages before it."""
        for reply in self._reply:
            self._messages.append({"role": reply["role"], "parts": reply["parts"]})
        self._reply = []

    def _add_turn(self, kind: str, facts: Mapping[str, Any]) -> None:
        self._count += 1
        self._turns.append(Turn(kind, facts))

    def finish(self) -> None:
        op = self._op
        op.turns = list(self._turns)
        op.details = {**(op.details or {}), "turns": self._count}
        op.input, op.output = list(self._messages), self._reply
