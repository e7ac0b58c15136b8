"""What was said is written somewhere, as it may leave, and its span tells where.

The attributes that tell are those of the convention's upload hook, and one of ours for the rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.privacy import attribute_classes
from genai_otel.privacy.custom_functions import failed
from genai_otel.privacy.truncation import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .media import Uploads

_WORDS = {
    names.GEN_AI_INPUT_MESSAGES: ("inputs", names.GEN_AI_INPUT_MESSAGES_REF),
    names.GEN_AI_OUTPUT_MESSAGES: ("outputs", names.GEN_AI_OUTPUT_MESSAGES_REF),
    names.GEN_AI_SYSTEM_INSTRUCTIONS: ("system_instruction", names.GEN_AI_SYSTEM_INSTRUCTIONS_REF),
    names.GEN_AI_TOOL_DEFINITIONS: ("tool_definitions", names.GEN_AI_TOOL_DEFINITIONS_REF),
}
"""Attribute -> how its file ends, and the attribute that tells where it is."""

_FAILED = failed("").removesuffix("]")


class Texts:
    """``both``: the texts stay on the span, too."""

    def __init__(self, uploads: Uploads, *, both: bool) -> None:
        self._uploads, self._both = uploads, both

    def moved(self, found: Mapping[str, Any], stem: str) -> Mapping[str, Any]:
        """The attributes of a span, already judged, with those that tell where its texts are.

        ``stem`` tells this span's files from those of others. What there is no room for is lost,
        and counted.
        """
        said = attribute_classes.CONTENT.keys() & found.keys()
        if not said:
            return found
        kept = dict(found) if self._both else {k: v for k, v in found.items() if k not in said}
        for name in said & _WORDS.keys():
            word, told = _WORDS[name]
            self._write(f"{stem}_{word}.json", found[name], told, kept)
        more = {name: found[name] for name in sorted(said - _WORDS.keys())}
        if more:
            self._write(f"{stem}_more.json", to_json(more), names.GENAI_OTEL_CONTENT_REF, kept)
        return kept

    def _write(self, name: str, text: str, told: str, kept: dict[str, Any]) -> None:
        if text.startswith(_FAILED):  # which is no JSON
            text = json.dumps(text)
        address = self._uploads.write(name, text.encode("utf-8", "replace"))
        if address is not None:
            kept[told] = address
