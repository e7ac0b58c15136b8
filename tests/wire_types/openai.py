"""OpenAI: the items of responses, the content of messages, the conversation of a realtime session.

The client's types are imported when they are asked for: the tables are also read without it.
"""

from __future__ import annotations

from typing import Any

from tests.wire_types import Found, WireFormat, by_tag, recorded

CHECKED = "3.57.0"
_CALL, _RESULT = "tool_call", "tool_call_response"
_SERVER_CALL, _SERVER_RESULT = "server_tool_call", "server_tool_call_response"
_EITHER = "`server_tool_call` where the provider runs it"


def reply_items() -> Found:
    """What a reply may hold."""
    from openai.types import beta, responses

    return by_tag(responses.ResponseOutputItem, beta.BetaResponseOutputItem)


def history_items() -> Found:
    """What a request may hold."""
    from openai.types import beta, responses

    return by_tag(responses.ResponseInputItemParam, beta.BetaResponseInputItemParam)


def _items() -> Found:
    from openai.types import responses
    from openai.types.conversations import ConversationItem

    return {**by_tag(responses.ResponseItem, ConversationItem), **history_items(), **reply_items()}


ITEMS = WireFormat(
    title="OpenAI Responses: items",
    package="openai",
    checked=CHECKED,
    found=_items,
    left_out=frozenset(
        (
            *("agent", "async", "caller", "created_by", "encrypted_content", "fingerprint"),
            *("id", "phase", "role", "status"),
        )
    ),
    note="An item's own `id` is recorded where it has no `call_id`, the `status` of what the "
    "provider does. The `role` is that of the message.",
    rows={
        "additional_tools": recorded("additional_tools"),
        "agent_message": recorded("agent_message"),
        "apply_patch_call": recorded(_CALL),
        "apply_patch_call_output": recorded(_RESULT),
        "code_interpreter_call": recorded(_SERVER_CALL, _SERVER_RESULT),
        "compaction": recorded("compaction"),
        "compaction_trigger": recorded("compaction_trigger"),
        "computer_call": recorded(_CALL),
        "computer_call_output": recorded(_RESULT, left_out="acknowledged_safety_checks"),
        "configuration_update": recorded("configuration_update"),
        "custom_tool_call": recorded(_CALL),
        "custom_tool_call_output": recorded(_RESULT),
        "file_search_call": recorded(_SERVER_CALL, _SERVER_RESULT),
        "function_call": recorded(_CALL),
        "function_call_output": recorded(_RESULT, left_out="name namespace"),
        "image_generation_call": recorded(
            _SERVER_CALL, "media", left_out="result", why="the image by size and hash"
        ),
        "item_reference": recorded("item_reference"),
        "local_shell_call": recorded(_CALL),
        "local_shell_call_output": recorded(_RESULT),
        "mcp_approval_request": recorded(_CALL),
        "mcp_approval_response": recorded(_RESULT),
        "mcp_call": recorded(_SERVER_CALL, _SERVER_RESULT),
        "mcp_list_tools": recorded(_SERVER_CALL, _SERVER_RESULT),
        "message": recorded("text"),
        "multi_agent_call": recorded(_SERVER_CALL),
        "multi_agent_call_output": recorded(_SERVER_RESULT),
        "program": recorded(_SERVER_CALL),
        "program_output": recorded(_SERVER_RESULT),
        "reasoning": recorded("reasoning", "reasoning"),
        "shell_call": recorded(_CALL, left_out="environment", why=_EITHER),
        "shell_call_output": recorded(_RESULT, left_out="max_output_length", why=_EITHER),
        "tool_search_call": recorded(_SERVER_CALL, why="`tool_call` where the caller runs it"),
        "tool_search_output": recorded(_SERVER_RESULT, why="its own `response`"),
        "web_search_call": recorded(_SERVER_CALL),
    },
)


def _contents() -> Found:
    from openai.types import responses
    from openai.types.conversations import message

    return by_tag(
        message.Content,
        responses.response_output_message.Content,
        responses.ResponseInputContentParam,
        responses.ResponseFunctionCallOutputItemParam,
    )


CONTENT = WireFormat(
    title="OpenAI Responses: content of messages and of tools' results",
    package="openai",
    checked=CHECKED,
    found=_contents,
    left_out=frozenset(("detail", "logprobs", "prompt_cache_breakpoint")),
    rows={
        "computer_screenshot": recorded("media"),
        "input_file": recorded("media"),
        "input_image": recorded("media"),
        "input_text": recorded("text"),
        "output_text": recorded("text", why="its `annotations` as `citations`"),
        "reasoning_text": recorded("reasoning"),
        "refusal": recorded("text"),
        "summary_text": recorded("reasoning"),
        "text": recorded("text"),
    },
)


def _chat_parts() -> Found:
    from openai.types import chat
    from openai.types.chat import chat_completion_assistant_message_param as assistant

    return by_tag(chat.ChatCompletionContentPartParam, assistant.ContentArrayOfContentPart)


CHAT = WireFormat(
    title="OpenAI Chat Completions: content of messages",
    package="openai",
    checked=CHECKED,
    found=_chat_parts,
    left_out=frozenset(("prompt_cache_breakpoint",)),
    rows={
        "file": recorded("media"),
        "image_url": recorded("media"),
        "input_audio": recorded("media"),
        "refusal": recorded("text"),
        "text": recorded("text"),
    },
    beyond={
        "audio_url": recorded("media", why="vLLM"),
        "document_url": recorded("media", why="Mistral"),
        "thinking": recorded("reasoning", why="Mistral"),
        "video_url": recorded("media", why="OpenRouter, vLLM"),
    },
)


def _tool_calls() -> Found:
    from openai.types import chat

    return by_tag(chat.ChatCompletionMessageToolCallUnion)


CALLS = WireFormat(
    title="OpenAI Chat Completions: tool calls",
    package="openai",
    checked=CHECKED,
    found=_tool_calls,
    rows={"custom": recorded(_CALL), "function": recorded(_CALL)},
)


def _message_fields() -> Found:
    from openai.types.chat import ChatCompletionAssistantMessageParam, ChatCompletionMessage

    from tests.wire_types import fields_of

    return fields_of(ChatCompletionMessage) | fields_of(ChatCompletionAssistantMessageParam)


MESSAGE = WireFormat(
    title="OpenAI Chat Completions: fields of the model's message",
    package="openai",
    checked=CHECKED,
    found=_message_fields,
    rows={
        "annotations": recorded("text", why="its `citations`"),
        "audio": recorded("media", "text"),
        "content": recorded("text"),
        "function_call": recorded(_CALL),
        "name": recorded(why="the message's name"),
        "refusal": recorded("text"),
        "role": recorded(why="the message's role"),
        "tool_calls": recorded(_CALL),
    },
    beyond={
        "images": recorded("media", why="OpenRouter"),
        "reasoning": recorded("reasoning", why="OpenRouter, vLLM"),
        "reasoning_content": recorded("reasoning", why="DeepSeek, vLLM"),
    },
)


def _realtime_items() -> Found:
    from openai.types import realtime

    return by_tag(realtime.ConversationItem)


REALTIME = WireFormat(
    title="OpenAI Realtime: items of the conversation",
    package="openai",
    checked=CHECKED,
    found=_realtime_items,
    left_out=frozenset(("id", "object", "role", "status")),
    rows={
        "function_call": recorded(_CALL),
        "function_call_output": recorded(_RESULT),
        "mcp_approval_request": recorded(_CALL),
        "mcp_approval_response": recorded(_RESULT),
        "mcp_call": recorded(_SERVER_CALL, _SERVER_RESULT),
        "mcp_list_tools": recorded(_SERVER_CALL, _SERVER_RESULT),
        "message": recorded("text"),
    },
)


def _realtime_parts() -> Found:
    from openai.types import realtime

    messages = (
        realtime.realtime_conversation_item_system_message,
        realtime.realtime_conversation_item_user_message,
        realtime.realtime_conversation_item_assistant_message,
    )
    contents: list[Any] = [module.Content for module in messages]
    return by_tag(*contents)


SPOKEN = WireFormat(
    title="OpenAI Realtime: content of messages",
    package="openai",
    checked=CHECKED,
    found=_realtime_parts,
    rows={
        "input_audio": recorded("media", "text", why="with its transcript"),
        "input_image": recorded("media"),
        "input_text": recorded("text"),
        "output_audio": recorded("media", "text", why="with its transcript"),
        "output_text": recorded("text"),
    },
)

_STATES = recorded(why="a state of the item")
_WITH_ITEM = recorded(why="its item or its response has the same")


def _response_events() -> Found:
    from openai.types import responses

    return by_tag(responses.ResponseStreamEvent, responses.ResponsesServerEvent)


def _names(prefix: str, *names: str) -> list[str]:
    return [f"{prefix}{name}" for name in names]


EVENTS = WireFormat(
    title="OpenAI Responses: events of a stream",
    package="openai",
    checked=CHECKED,
    found=_response_events,
    rows={
        **dict.fromkeys(
            [
                *_names("response.code_interpreter_call.", "completed", "in_progress"),
                "response.code_interpreter_call.interpreting",
                "response.compaction.compacting",
                *_names("response.file_search_call.", "completed", "in_progress", "searching"),
                *_names("response.image_generation_call.", "completed", "generating"),
                "response.image_generation_call.in_progress",
                *_names("response.mcp_call.", "completed", "failed", "in_progress"),
                *_names("response.mcp_list_tools.", "completed", "failed", "in_progress"),
                *_names("response.web_search_call.", "completed", "in_progress", "searching"),
                *_names("response.steer.", "accepted", "failed", "pending"),
            ],
            _STATES,
        ),
        **dict.fromkeys(
            [
                *_names("response.", "code_interpreter_call_code.done", "output_text.done"),
                *_names("response.", "custom_tool_call_input.done", "refusal.done"),
                *_names("response.", "function_call_arguments.done", "reasoning_text.done"),
                *_names("response.", "mcp_call_arguments.done", "output_text.annotation.added"),
                *_names("response.content_part.", "added", "done"),
                *_names("response.reasoning_summary_part.", "added", "done"),
                "response.reasoning_summary_text.done",
                *_names("response.shell_call_command.", "added", "done"),
                *_names("response.shell_call_output_content.", "delta", "done"),
                *_names("response.audio.", "done", "transcript.done"),
                "response.image_generation_call.partial_image",
            ],
            _WITH_ITEM,
        ),
        **dict.fromkeys(
            _names("response.", "created", "in_progress", "queued"),
            recorded(why="the response so far"),
        ),
        **dict.fromkeys(
            _names("response.", "completed", "incomplete", "failed"),
            recorded(why="the whole response: all its items"),
        ),
        "error": recorded(why="the span's error"),
        "response.audio.delta": recorded(why="bytes; over a WebSocket their number"),
        "response.audio.transcript.delta": recorded("text"),
        "response.output_item.added": recorded(why="its item, if the stream is interrupted"),
        "response.output_item.done": recorded(why="its item, if the stream is interrupted"),
        "response.output_text.delta": recorded("text"),
        "response.refusal.delta": recorded("text"),
        "response.reasoning_text.delta": recorded("reasoning"),
        "response.reasoning_summary_text.delta": recorded("reasoning"),
        "response.function_call_arguments.delta": recorded(_CALL),
        "response.custom_tool_call_input.delta": recorded(_CALL),
        "response.shell_call_command.delta": recorded(_CALL),
        "response.mcp_call_arguments.delta": recorded(_SERVER_CALL),
        "response.code_interpreter_call_code.delta": recorded(_SERVER_CALL),
    },
    beyond={
        "response.apply_patch_call_operation_diff.delta": recorded(
            _CALL, why="in the API's reference"
        ),
    },
)

FORMATS = (ITEMS, EVENTS, CONTENT, CHAT, CALLS, MESSAGE, REALTIME, SPOKEN)
