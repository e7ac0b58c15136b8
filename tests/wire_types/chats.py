"""Clients with few types of their own: Cohere, Groq, Together, Hugging Face, Ollama, xAI."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, get_args

from tests.wire_types import Found, WireFormat, by_tag, fields_of, recorded


def _union(module: str, *names: str) -> Found:
    return by_tag(*(getattr(import_module(module), name) for name in names))


def _fields(module: str, name: str) -> Found:
    return fields_of(getattr(import_module(module), name))


def _literal(module: str, name: str) -> Found:
    return dict.fromkeys(get_args(getattr(import_module(module), name)))


_TEXT, _IMAGE = recorded("text"), recorded("media", left_out="image_url", why="address or hash")
_COHERE = {
    "text": _TEXT,
    "image_url": _IMAGE,
    "thinking": recorded("reasoning"),
    "document": recorded("document"),
}
_NONE = recorded(why="a marker, or repeated in full elsewhere")
_COHERE_EVENTS = {
    "message-start": recorded(why="the reply's id"),
    "message-end": recorded(why="finish reason and usage"),
    "content-start": _TEXT,
    "content-delta": recorded("text", why="or `reasoning`"),
    "tool-plan-delta": recorded("reasoning"),
    "tool-call-start": recorded("tool_call"),
    "tool-call-delta": recorded("tool_call"),
    "citation-start": recorded("text", why="`citations` of the last text"),
    **dict.fromkeys(("content-end", "tool-call-end", "citation-end", "debug"), _NONE),
}
_GROQ = {"text": _TEXT, "image_url": _IMAGE, "document": recorded("document")}
_GROQ_REPLY = {
    "content": _TEXT,
    "reasoning": recorded("reasoning"),
    "tool_calls": recorded("tool_call"),
    "function_call": recorded("tool_call"),
    "executed_tools": recorded("server_tool_call", "server_tool_call_response"),
    "annotations": recorded(why="offsets into the text"),
    "role": recorded(why="the message's role"),
}
_OLLAMA = {
    "content": _TEXT,
    "thinking": recorded("reasoning"),
    "images": recorded("media", left_out="images", why="size and hash"),
    "tool_calls": recorded("tool_call"),
    "tool_name": recorded("tool_call_response", why="its `name`"),
    "role": recorded(why="the message's role"),
}


def _format(title: str, package: str, checked: str, found: Any, rows: Any) -> WireFormat:
    return WireFormat(title, package, checked, found, rows)


_TYPES = ("AssistantMessageResponseContentItem", "Content", "ToolContent")
COHERE = _format(
    "Cohere, content of messages", "cohere", "7.3.1", partial(_union, "cohere", *_TYPES), _COHERE
)
COHERE_EVENTS = _format(
    "Cohere, events of streams",
    "cohere",
    "7.3.1",
    partial(_union, "cohere", "V2ChatStreamResponse"),
    _COHERE_EVENTS,
)
GROQ = _format(
    "Groq, content of messages",
    "groq",
    "1.7.0",
    partial(_union, "groq.types.chat", "ChatCompletionContentPartParam"),
    _GROQ,
)
GROQ_REPLY = _format(
    "Groq, fields of a reply",
    "groq",
    "1.7.0",
    partial(_fields, "groq.types.chat.chat_completion_message", "ChatCompletionMessage"),
    _GROQ_REPLY,
)
HUGGING_FACE = _format(
    "Hugging Face, content of messages",
    "huggingface_hub",
    "2.4.0",
    partial(
        _literal,
        "huggingface_hub.inference._generated.types.chat_completion",
        "ChatCompletionInputMessageChunkType",
    ),
    {"text": _TEXT, "image_url": _IMAGE},
)
OLLAMA = _format(
    "Ollama, fields of a message", "ollama", "0.6.3", partial(_fields, "ollama", "Message"), _OLLAMA
)
TOGETHER = _format(
    "Together, content of messages",
    "together",
    "3.1.1",
    partial(
        _union,
        "together.types.chat.chat_completion_user_message_param",
        "ContentChatCompletionUserMessageContentMultimodal",
    ),
    {
        "text": _TEXT,
        "image_url": _IMAGE,
        **dict.fromkeys(("video_url", "audio_url"), recorded("media", why="address")),
        "input_audio": recorded("media", left_out="data", why="size and hash"),
    },
)
TOGETHER_REPLY = _format(
    "Together, fields of a reply",
    "together",
    "3.1.1",
    partial(_fields, "together.types.chat.chat_completion_message", "ChatCompletionMessage"),
    {
        "content": _TEXT,
        **dict.fromkeys(("reasoning", "reasoning_content"), recorded("reasoning")),
        "tool_calls": recorded("tool_call"),
        "role": recorded(why="the message's role"),
    },
)


def _proto(message: str) -> Found:
    """The fields of one of xAI's messages."""
    module = import_module("xai_sdk.proto").chat_pb2
    return dict(getattr(module, message).DESCRIPTOR.fields_by_name)


def _tool_kinds() -> Found:
    return dict(import_module("xai_sdk.proto").chat_pb2.ToolCallType.items())


_SERVED = recorded("server_tool_call", "server_tool_call_response")
XAI = _format(
    "xAI, content of messages", "xai-sdk", "1.21.0", partial(_proto, "Content"),
    {"text": _TEXT, "image_url": _IMAGE, "file": recorded("media", why="id or address")},
)  # fmt: skip
XAI_REPLY = _format(
    "xAI, fields of a reply", "xai-sdk", "1.21.0", partial(_proto, "CompletionMessage"),
    {
        "content": _TEXT,
        "reasoning_content": recorded("reasoning"),
        "tool_calls": recorded("tool_call", why="or `server_tool_call`, by the table below"),
        "encrypted_content": recorded(why="encrypted reasoning"),
        "citations": recorded(why="sources of the whole answer"),
        "role": recorded(why="the message's role; for tools, the result of a call"),
    },
)  # fmt: skip
XAI_TOOLS = _format(
    "xAI, kinds of tool calls", "xai-sdk", "1.21.0", _tool_kinds,
    {
        **dict.fromkeys(
            ("TOOL_CALL_TYPE_INVALID", "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL"), recorded("tool_call")
        ),
        **{
            f"TOOL_CALL_TYPE_{kind}_TOOL": _SERVED
            for kind in (
                *("WEB_SEARCH", "X_SEARCH", "CODE_EXECUTION", "COLLECTIONS_SEARCH", "MCP"),
                *("ATTACHMENT_SEARCH", "IMAGE_GENERATION"),
            )
        },
    },
)  # fmt: skip
FORMATS = [
    *(COHERE, COHERE_EVENTS, GROQ, GROQ_REPLY, HUGGING_FACE, OLLAMA),
    *(TOGETHER, TOGETHER_REPLY, XAI, XAI_REPLY, XAI_TOOLS),
]
