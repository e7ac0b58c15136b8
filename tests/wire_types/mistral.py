"""Mistral: chunks of messages, and entries and events of conversations."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from tests.wire_types import Found, WireFormat, by_tag, recorded

PACKAGE, CHECKED = "mistralai", "3.7.0"
_CLIENT_ONLY = ("UNKNOWN",)


def _union(*names: str) -> Found:
    """By the `type` of each; without the client's own class for what it does not know."""
    models = import_module("mistralai.client.models")
    found = by_tag(*(getattr(models, name) for name in names))
    return {name: cls for name, cls in found.items() if name not in _CLIENT_ONLY}


_CHUNKS = {
    "text": recorded("text"),
    "image_url": recorded("media", left_out="image_url", why="its address or its hash"),
    "document_url": recorded("media", left_out="document_name", why="its address"),
    "reference": recorded("reference"),
    "file": recorded("media", why="its id"),
    "thinking": recorded("reasoning", left_out="closed signature"),
    "input_audio": recorded("media", left_out="input_audio", why="its size and hash"),
    "resource": recorded("resource"),
    "resource_link": recorded("resource_link"),
    "tool_file": recorded("media", left_out="tool file_name file_type", why="its id"),
    "tool_reference": recorded("tool_reference"),
}
_OF_ENTRIES = "id object created_at completed_at agent_id model prefix role"
_ENTRIES = {
    "message.input": recorded("text"),
    "message.output": recorded("text"),
    "function.call": recorded("tool_call", left_out="confirmation_status"),
    "function.result": recorded("tool_call_response"),
    "tool.execution": recorded("server_tool_call"),
    "agent.handoff": recorded("agent.handoff"),
}
_EVENTS = {
    "conversation.response.started": recorded(why="the conversation's id"),
    "conversation.response.done": recorded(why="usage"),
    "conversation.response.error": recorded(why="end of the stream"),
    "message.output.delta": recorded("text", why="and any other chunk"),
    "function.call.delta": recorded("tool_call"),
    "tool.execution.started": recorded("server_tool_call", why="recorded once, at its end"),
    "tool.execution.delta": recorded("server_tool_call"),
    "tool.execution.done": recorded("server_tool_call"),
    "agent.handoff.started": recorded("agent.handoff.started"),
    "agent.handoff.done": recorded("agent.handoff.done"),
}


def _format(title: str, unions: tuple[str, ...], rows: Any, left_out: str = "") -> WireFormat:
    found, outside = partial(_union, *unions), frozenset(left_out.split())
    return WireFormat(f"Mistral, {title}", PACKAGE, CHECKED, found, rows, left_out=outside)


CHUNKS = _format("chunks", ("ContentChunk", "OutputContentChunks"), _CHUNKS)
ENTRIES = _format("entries", ("InputEntries", "ConversationResponseOutput"), _ENTRIES, _OF_ENTRIES)
EVENTS = _format("events of conversations", ("ConversationEventsData",), _EVENTS)
FORMATS = [CHUNKS, ENTRIES, EVENTS]
