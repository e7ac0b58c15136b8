"""Settings that are ignored, and why: logged once, and kept for ``status()``."""

from __future__ import annotations

import logging

logger = logging.getLogger("genai_otel")

_MOST = 50


class Notices:
    """Notices since the last set-up, each text once."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self.logged = True  # whether each notice is also logged as a warning

    def add(self, text: str, level: int = logging.WARNING) -> None:
        if text in self._texts or len(self._texts) >= _MOST:
            return
        self._texts[text] = None
        if self.logged:
            logger.log(level, "genai_otel: %s", text)

    def clear(self) -> None:
        self._texts.clear()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts)


NOTICES = Notices()
