"""A whole collection of garbage, which is what a test means by ``gc.collect()``."""

from __future__ import annotations

import gc
import time
from threading import get_ident
from typing import Any


def collect() -> None:
    """Collects on this thread; ``gc.collect()`` does nothing while another thread collects."""
    me, whole = get_ident(), 2
    ran = False

    def note(phase: str, info: dict[str, Any]) -> None:
        nonlocal ran
        ran = ran or (phase == "stop" and info["generation"] == whole and get_ident() == me)

    gc.callbacks.append(note)
    try:
        while not ran:
            gc.collect()
            time.sleep(0)
    finally:
        gc.callbacks.remove(note)
