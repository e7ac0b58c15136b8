"""One file a library, and ``catalogue`` as their table; no library is imported here.

What is named here is for authors of adapters in other distributions, and kept stable for them; see
docs/adapters.md. Each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_otel.instrumentation.adapter import Accumulator, Adapter, Bridge, Patch, Reader
    from genai_otel.instrumentation.fields import (
        address,
        fields,
        first,
        integer,
        mapping,
        mappings,
        parsed,
        pick,
        string,
    )
    from genai_otel.instrumentation.patchers.function import followed, function
    from genai_otel.instrumentation.patchers.stainless import stainless
    from genai_otel.record import (
        Document,
        Failure,
        Kind,
        Message,
        Operation,
        Pieces,
        Usage,
        Verdict,
        compaction,
        generic_part,
        media,
        media_bytes,
        media_id,
        reasoning,
        server_tool_call,
        server_tool_result,
        text,
        tool_call,
        tool_result,
    )
    from genai_otel.record.usage import OPENAI_CHAT, OPENAI_RESPONSES, Rule, read_usage

__all__ = [
    "OPENAI_CHAT",
    "OPENAI_RESPONSES",
    "Accumulator",
    "Adapter",
    "Bridge",
    "Document",
    "Failure",
    "Kind",
    "Message",
    "Operation",
    "Patch",
    "Pieces",
    "Reader",
    "Rule",
    "Usage",
    "Verdict",
    "address",
    "compaction",
    "fields",
    "first",
    "followed",
    "function",
    "generic_part",
    "integer",
    "mapping",
    "mappings",
    "media",
    "media_bytes",
    "media_id",
    "parsed",
    "pick",
    "read_usage",
    "reasoning",
    "server_tool_call",
    "server_tool_result",
    "stainless",
    "string",
    "text",
    "tool_call",
    "tool_result",
]

_HOMES = (
    "genai_otel.record",
    "genai_otel.record.usage",
    "genai_otel.instrumentation.adapter",
    "genai_otel.instrumentation.fields",
    "genai_otel.instrumentation.patchers.function",
    "genai_otel.instrumentation.patchers.stainless",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in map(import_module, _HOMES):
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
