"""Requests to one receiver: tried again, taken apart where they are refused, or given up."""

from __future__ import annotations

from math import inf
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING

from genai_otel._support.errors import FAULTS
from genai_otel.export.otlp.response import Answer, Kind

from .batching import halves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from genai_otel.export.protocol import Channel, Parcel

    from .stats import Ledger

    class Rest(Protocol):
        """Waits; whether it was as long as asked for. In a hurry a flush ends it, too."""

        def __call__(self, seconds: float, *, hurry: bool) -> bool: ...


PATIENCE = 300.0
"""Seconds for which a request is tried again."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_IN_VAIN = 4
"""So many bad spans in a row, and what is left is sent as it is, but not taken apart."""
_OVERDUE = 5.0
_REASONS = {
    Kind.AGAIN: "undelivered",
    Kind.TOO_LARGE: "too_large",
    Kind.BAD: "refused",
    Kind.REFUSED: "refused",
}
_jitter = SystemRandom().uniform


class Courier:
    """Used by one worker; at ``end_by``, a time of ``monotonic``, all is given up."""

    def __init__(self, channel: Channel, ledger: Ledger, patience: float, rest: Rest) -> None:
        self._channel, self._ledger, self.patience, self._rest = channel, ledger, patience, rest
        self.end_by = inf
        self.busy_since: float | None = None
        """When the request that is being tried was begun, a time of ``monotonic``."""

    def deliver(self, signal: str, parcels: list[Parcel]) -> None:
        """Sends them; takes a refused request apart until what is at fault is alone."""
        waiting = [parcels]
        in_vain = 0
        while waiting:
            part = waiting.pop()
            answer = self.tried(signal, part)
            apart = len(part) > 1 and (
                answer.kind is Kind.TOO_LARGE or (answer.kind is Kind.BAD and in_vain < _IN_VAIN)
            )
            if answer.kind is Kind.TAKEN:
                in_vain = 0
                self._ledger.arrived(part, answer)
            elif apart:
                waiting += reversed(halves(part))
            elif answer.kind is Kind.TOO_LARGE and self._tried_smaller(signal, part[0]):
                in_vain = 0
            else:
                in_vain += 1
                self._ledger.lose_all(_REASONS[answer.kind], part, answer.problem)
                if answer.kind is Kind.REFUSED:  # it is not this or that span
                    for rest in waiting:
                        self._ledger.lose_all("refused", rest, answer.problem)
                    return

    def _tried_smaller(self, signal: str, parcel: Parcel) -> bool:
        """Whether a span that was too large is taken with shorter texts."""
        try:
            smaller = self._channel.smaller(parcel, parcel.size // 4)
        except Exception as error:  # noqa: BLE001 - then it is lost as it is
            FAULTS.note("Courier.smaller", error)
            return False
        if smaller is None:
            return False
        answer = self.tried(signal, [smaller])
        if answer.kind is Kind.TAKEN:
            self._ledger.arrived([smaller], answer)
        return answer.kind is Kind.TAKEN

    def tried(self, signal: str, parcels: Sequence[Parcel]) -> Answer:
        """The last answer: the first that is not "again", or that of the last try."""
        self.busy_since = monotonic()
        try:
            return self._tried(signal, parcels)
        finally:
            self.busy_since = None

    def _tried(self, signal: str, parcels: Sequence[Parcel]) -> Answer:
        give_up, pause = monotonic() + self.patience, _FIRST_PAUSE
        while True:
            if monotonic() >= self.end_by:
                return Answer(Kind.AGAIN, "not delivered before the end")
            deadline = min(monotonic() + self._channel.limits.timeout, self.end_by)
            answer = self._channel.send(signal, parcels, deadline)
            if answer.kind is not Kind.AGAIN:
                return answer
            self._ledger.problem = answer.problem
            self._ledger.note_overflow()
            give_up += _frozen(deadline)
            wait = _jitter(pause / 2, pause) if answer.pause is None else answer.pause
            rested_by = monotonic() + wait
            if rested_by >= min(give_up, self.end_by):
                return answer
            if self._rest(wait, hurry=answer.pause is None):
                pause = min(pause * 2, _LONGEST_PAUSE)
            give_up += _frozen(rested_by)
            self._ledger.counts.retried += 1


def _frozen(awaited: float) -> float:
    """Seconds for which the process stood still, as in Lambda: they are no time of trying."""
    late = monotonic() - awaited
    return late if late > _OVERDUE else 0.0
