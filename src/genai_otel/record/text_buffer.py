"""The text of a stream, collected from chunks up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .snapshot import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operation import Operation

# Maximum characters for one operation; the largest responses have a tenth of that.
KEPT = 4 * 1024 * 1024
# Characters that each buffer counts as overhead, since a stream may open any number of buffers.
_OWN = 64


class TextBuffer:
    """One text of a stream; stores nothing if content is not recorded.

    ``add`` costs no more than ``list.append``: ``Operation.enforce_text_limit``, called
    periodically, counts and truncates. A truncated text is its beginning and its full length.
    """

    __slots__ = ("_blocks", "_cut", "_length", "_new", "add")

    def __init__(self, op: Operation) -> None:
        self._new: list[str] = []
        self._blocks: list[str] = []
        self._length = 0
        self._cut = False
        self.add: Callable[[str], object] = bool
        if op.capture and op.text_room > 0:
            self.add = self._new.append
            op.text_room -= _OWN
            op.text_buffers = op.text_buffers or []
            op.text_buffers.append(self)

    def enforce_limit(self, room: int) -> int:
        """Keep at most ``room`` new characters; return the remaining room."""
        came = "".join(self._new)
        self._new.clear()
        self._length += len(came)
        if came and not self._cut:
            self._blocks.append(cut(came, max(0, room)))
            self._cut = len(came) > room
        return max(0, room - len(came))

    def text(self) -> str:
        """Return the stored text, with the full length if it was truncated."""
        if self._cut:
            self.enforce_limit(0)
            return f"{''.join(self._blocks)} [... {self._length:,} characters in all ...] "
        return "".join((*self._blocks, *self._new))
