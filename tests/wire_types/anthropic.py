"""Anthropic: the blocks of messages, in requests and in replies, with those of the beta API."""

from __future__ import annotations

from tests.wire_types import Found, WireFormat, by_tag, recorded

CHECKED = "2.14.0"
_SERVER_RESULT = "server_tool_call_response"


def reply_blocks() -> Found:
    """What a reply may hold."""
    from anthropic import types

    return by_tag(types.ContentBlock, types.beta.BetaContentBlock)


def history_blocks() -> Found:
    """What a request may hold."""
    from anthropic import types

    return by_tag(types.ContentBlockParam, types.beta.BetaContentBlockParam)


def result_blocks() -> Found:
    """What the result of a tool may hold."""
    from anthropic.types import tool_result_block_param
    from anthropic.types.beta import beta_tool_result_block_param

    return by_tag(tool_result_block_param.Content, beta_tool_result_block_param.Content)


def deltas() -> Found:
    """What the pieces of a stream may be."""
    from anthropic import types

    return by_tag(types.RawContentBlockDelta, types.beta.BetaRawContentBlockDelta)


def sources() -> Found:
    """Where images and documents may come from."""
    from anthropic import types
    from anthropic.types import beta, document_block_param, image_block_param

    return by_tag(
        image_block_param.Source,
        document_block_param.Source,
        beta.beta_image_block_param.Source,
        types.beta.beta_request_document_block_param.Source,
    )


def _blocks() -> Found:
    return {**history_blocks(), **reply_blocks()}


BLOCKS = WireFormat(
    title="Anthropic Messages: content blocks",
    package="anthropic",
    checked=CHECKED,
    found=_blocks,
    left_out=frozenset(
        ("cache_control", "caller", "data", "encrypted_content", "signature", "transformations")
    ),
    note="`data` is the data of redacted thinking.",
    rows={
        "advisor_tool_result": recorded(_SERVER_RESULT),
        "bash_code_execution_tool_result": recorded(_SERVER_RESULT),
        "code_execution_tool_result": recorded(_SERVER_RESULT),
        "compaction": recorded("compaction", left_out="tool_changes"),
        "container_upload": recorded("media"),
        "document": recorded("media", why="by size and hash; text as `text`"),
        "fallback": recorded("fallback"),
        "image": recorded("media", why="by size and hash"),
        "mcp_tool_listing": recorded("mcp_tool_listing"),
        "mcp_tool_result": recorded(_SERVER_RESULT),
        "mcp_tool_use": recorded("server_tool_call"),
        "redacted_thinking": recorded("reasoning", why="without text"),
        "search_result": recorded("search_result"),
        "server_tool_use": recorded("server_tool_call"),
        "text": recorded("text", why="with its `citations`"),
        "text_editor_code_execution_tool_result": recorded(_SERVER_RESULT),
        "thinking": recorded("reasoning"),
        "tool_addition": recorded("tool_addition"),
        "tool_removal": recorded("tool_removal"),
        "tool_result": recorded("tool_call_response", left_out="toolset_name"),
        "tool_search_tool_result": recorded(_SERVER_RESULT),
        "tool_use": recorded("tool_call"),
        "web_fetch_tool_result": recorded(_SERVER_RESULT),
        "web_search_tool_result": recorded(_SERVER_RESULT),
    },
)
RESULTS = WireFormat(
    title="Anthropic Messages: blocks of a tool's result",
    package="anthropic",
    checked=CHECKED,
    found=result_blocks,
    rows={
        "browser_state": recorded("browser_state"),
        "document": recorded("media"),
        "image": recorded("media"),
        "search_result": recorded("search_result"),
        "text": recorded("text"),
        "tool_reference": recorded("tool_reference"),
    },
)
SOURCES = WireFormat(
    title="Anthropic Messages: sources of images and documents",
    package="anthropic",
    checked=CHECKED,
    found=sources,
    rows={
        "base64": recorded("media"),
        "content": recorded("text", why="or by the type of its blocks"),
        "file": recorded("media"),
        "text": recorded("text"),
        "url": recorded("media"),
    },
)
DELTAS = WireFormat(
    title="Anthropic Messages: deltas of a stream",
    package="anthropic",
    checked=CHECKED,
    found=deltas,
    rows={
        "citations_delta": recorded("text", why="its `citations`"),
        "compaction_delta": recorded("compaction"),
        "input_json_delta": recorded("tool_call", why="its `arguments`"),
        "signature_delta": recorded(why="opaque"),
        "text_delta": recorded("text"),
        "thinking_delta": recorded("reasoning"),
    },
)
FORMATS = (BLOCKS, RESULTS, SOURCES, DELTAS)
