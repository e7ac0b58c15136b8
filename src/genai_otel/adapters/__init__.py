"""The public API for authors of adapters; see docs/adapters.md.

The names in ``__all__`` are stable. Each is loaded at its first use; no library is imported here.
The adapters of this distribution are in the packages below, listed in ``catalogue``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genai_otel.instrumentation.adapter import Accumulator, Adapter, Bridge, Extractor, Patch
    from genai_otel.instrumentation.fields import (
        as_dict,
        get_dict,
        get_dicts,
        get_first_dict,
        get_int,
        get_str,
        host_and_port,
        parse_json,
        pick,
    )
    from genai_otel.instrumentation.patchers.function import patch_function, patch_stream_class
    from genai_otel.instrumentation.patchers.stainless import patch_stainless
    from genai_otel.record import (
        Document,
        Failure,
        Kind,
        Message,
        Operation,
        TextBuffer,
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
    "Extractor",
    "Failure",
    "Kind",
    "Message",
    "Operation",
    "Patch",
    "Rule",
    "TextBuffer",
    "Usage",
    "Verdict",
    "as_dict",
    "compaction",
    "generic_part",
    "get_dict",
    "get_dicts",
    "get_first_dict",
    "get_int",
    "get_str",
    "host_and_port",
    "media",
    "media_bytes",
    "media_id",
    "parse_json",
    "patch_function",
    "patch_stainless",
    "patch_stream_class",
    "pick",
    "read_usage",
    "reasoning",
    "server_tool_call",
    "server_tool_result",
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
