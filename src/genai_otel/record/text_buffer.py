"""Texts that come in pieces, as streams bring them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .snapshot import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operation import Operation

KEPT = 4 * 1024 * 1024
"""Characters that are held of one operation's pieces; the largest answers have a tenth of that."""
_OWN = 64
"""Characters that a text costs besides: a stream may open one after the other."""


class Pieces:
    """One text in the making. Where content is not wanted nothing of it is held.

    ``add`` costs no more than a list's ``append``: what it took is weighed by ``Operation.weigh``,
    now and then. Of a text for which there was no more room there is the beginning, and its length.
    """

    __slots__ = ("_blocks", "_cut", "_length", "_new", "add")

    def __init__(self, op: Operation) -> None:
        self._new: list[str] = []
        self._blocks: list[str] = []
        self._length = 0
        self._cut = False
        self.add: Callable[[str], object] = bool
        if op.capture and op.room > 0:
            self.add = self._new.append
            op.room -= _OWN
            op.pieces = op.pieces or []
            op.pieces.append(self)

    def weigh(self, room: int) -> int:
        """Keeps of what came since the last time as much as there is ``room`` for; what is left."""
        came = "".join(self._new)
        self._new.clear()
        self._length += len(came)
        if came and not self._cut:
            self._blocks.append(cut(came, max(0, room)))
            self._cut = len(came) > room
        return max(0, room - len(came))

    def whole(self) -> str:
        """All that is there of it; weighs what has come, if it was found too long before."""
        if self._cut:
            self.weigh(0)
            return f"{''.join(self._blocks)} [... {self._length:,} characters in all ...] "
        return "".join((*self._blocks, *self._new))
