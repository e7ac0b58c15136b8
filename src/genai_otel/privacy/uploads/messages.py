"""Upload messages after redaction; the span has references to them.

The references are those of the semantic convention's upload hook, and one attribute of this package
for the rest.
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

# Attribute -> suffix of its file, and the attribute that refers to it.
_FILES = {
    names.GEN_AI_INPUT_MESSAGES: ("inputs", names.GEN_AI_INPUT_MESSAGES_REF),
    names.GEN_AI_OUTPUT_MESSAGES: ("outputs", names.GEN_AI_OUTPUT_MESSAGES_REF),
    names.GEN_AI_SYSTEM_INSTRUCTIONS: ("system_instruction", names.GEN_AI_SYSTEM_INSTRUCTIONS_REF),
    names.GEN_AI_TOOL_DEFINITIONS: ("tool_definitions", names.GEN_AI_TOOL_DEFINITIONS_REF),
}

_FAILED = failed("").removesuffix("]")


class MessageUploads:
    """Uploads messages of spans; with ``both`` they stay on the span, too."""

    def __init__(self, uploads: Uploads, *, both: bool) -> None:
        self._uploads, self._both = uploads, both

    def upload(self, found: Mapping[str, Any], stem: str) -> Mapping[str, Any]:
        """Return filtered attributes with references in place of (or beside) the messages.

        ``stem`` is the prefix of the names of this span's files. Messages that do not fit into the
        queue of uploads are dropped and counted.
        """
        content = attribute_classes.CONTENT.keys() & found.keys()
        if not content:
            return found
        kept = dict(found) if self._both else {k: v for k, v in found.items() if k not in content}
        for name in content & _FILES.keys():
            suffix, reference = _FILES[name]
            self._write(f"{stem}_{suffix}.json", found[name], reference, kept)
        more = {name: found[name] for name in sorted(content - _FILES.keys())}
        if more:
            self._write(f"{stem}_more.json", to_json(more), names.GENAI_OTEL_CONTENT_REF, kept)
        return kept

    def _write(self, name: str, text: str, reference: str, kept: dict[str, Any]) -> None:
        if text.startswith(_FAILED):  # a placeholder, which is no JSON
            text = json.dumps(text)
        address = self._uploads.write(name, text.encode("utf-8", "replace"))
        if address is not None:
            kept[reference] = address
