"""Errors of ours in this folder, which knows no engine, are counted where all others are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Counted:
    """``note`` is given the place and the error, and raises it where the process is strict."""

    note: Callable[[str, Exception], object] | None = None

    def add(self, where: str, error: Exception) -> None:
        """Counts it."""
        if self.note is not None:
            self.note(where, error)


OWN = Counted()
