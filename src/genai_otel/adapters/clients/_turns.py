"""A session's turns and what was said in them: as much as the newest hundred of each."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Conversation
from genai_otel.record import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_otel.record import Message, Operation

TURNS_KEPT = 100
"""The newest turns of a session that are told, and of its messages as many."""
LONGEST = 20_000
"""Characters of one message's text; what is longer is not kept for the whole of a session."""


class Turns(Conversation):
    """What any session's ``Conversation`` keeps; ``_heard`` and ``_spoken`` are bytes of audio."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said: deque[Message] = deque(maxlen=TURNS_KEPT)
        self._reply: list[Message] = []
        self._turns: deque[Turn] = deque(maxlen=TURNS_KEPT)
        self._count = 0
        self._heard = self._spoken = 0

    def _say(self, message: Message) -> None:
        self._forget_reply()
        self._said.append(message)

    def _forget_reply(self) -> None:
        """The reply so far is no more the last thing that was said."""
        for reply in self._reply:
            self._said.append({"role": reply["role"], "parts": reply["parts"]})
        self._reply = []

    def _turn(self, kind: str, facts: Mapping[str, Any]) -> None:
        self._count += 1
        self._turns.append(Turn(kind, facts))

    def close(self) -> None:
        op = self._op
        op.turns = list(self._turns)
        op.details = {**(op.details or {}), "turns": self._count}
        op.input, op.output = list(self._said), self._reply
