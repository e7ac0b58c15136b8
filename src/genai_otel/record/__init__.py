"""What happened, in neutral words; the standard library only."""

from .by_hand import HandMade, take
from .content import (
    Document,
    Media,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    media,
    media_bytes,
    media_id,
    reasoning,
    text,
    tool_call,
    tool_result,
)
from .operation import (
    CATEGORIES,
    Failure,
    Kind,
    Operation,
    PromptTag,
    Refusal,
    Scalar,
    Timing,
    Verdict,
)
from .snapshot import snapshot
from .usage import Usage

__all__ = [
    "CATEGORIES",
    "Document",
    "Failure",
    "HandMade",
    "Kind",
    "Media",
    "Message",
    "Operation",
    "Part",
    "PromptTag",
    "Reasoning",
    "Refusal",
    "Scalar",
    "Text",
    "Timing",
    "ToolCall",
    "ToolResult",
    "Usage",
    "Verdict",
    "media",
    "media_bytes",
    "media_id",
    "reasoning",
    "snapshot",
    "take",
    "text",
    "tool_call",
    "tool_result",
]
