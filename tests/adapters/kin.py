"""What the tests of single clients share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_otel.testing import Capture

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


def facts(capture: Capture) -> dict[str, Any]:
    """The one span's attributes."""
    return dict(capture.span().attributes or {})
