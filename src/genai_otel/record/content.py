"""What was said: messages and their parts, in the shapes of the standard's message schema.

They are plain dicts, so that a record is encoded by one call and costs next to nothing to build.
The shapes are those of ``semconv/input_messages.schema.json``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from .bounded import bounded

if TYPE_CHECKING:
    from collections.abc import Callable


class Text(TypedDict):
    """Plain text to or from a model."""

    type: Literal["text"]
    content: str
    citations: NotRequired[list[Any]]
    metadata: NotRequired[dict[str, Any]]


class Reasoning(TypedDict):
    """What a model let be seen of its reasoning."""

    type: Literal["reasoning"]
    content: str


class ToolCall(TypedDict):
    """A model asks for a tool; ``arguments`` as an object where they could be parsed.

    ``namespace``: the MCP server or the group of tools that the name belongs to.
    """

    type: Literal["tool_call"]
    id: NotRequired[str | None]
    name: str
    arguments: NotRequired[Any]
    namespace: NotRequired[str]


class ToolResult(TypedDict):
    """What a tool answered."""

    type: Literal["tool_call_response"]
    id: NotRequired[str | None]
    name: NotRequired[str]
    response: Any
    is_error: NotRequired[bool]


class Media(TypedDict):
    """Something that is not text: never its bytes, only what tells it apart from others."""

    type: Literal["media"]
    modality: str
    mime_type: NotRequired[str]
    size: NotRequired[int]
    sha256: NotRequired[str]
    uri: NotRequired[str]
    id: NotRequired[str]
    transcript: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


class ServerToolCall(TypedDict):
    """The provider runs a tool of its own; ``server_tool_call`` has the ``type`` and the input."""

    type: Literal["server_tool_call"]
    id: NotRequired[str | None]
    name: str
    server_tool_call: dict[str, Any]


class ServerToolResult(TypedDict):
    """The outcome of a tool that the provider ran; the object has the ``type`` and the output."""

    type: Literal["server_tool_call_response"]
    id: NotRequired[str | None]
    server_tool_call_response: dict[str, Any]


class GenericPart(TypedDict):
    """A part for which the message schema has no type of its own: its wire type and its value."""

    type: str
    id: NotRequired[str]
    value: NotRequired[Any]


class Compaction(TypedDict):
    """What replaces an earlier part of a conversation; no ``content`` where it is encrypted."""

    type: Literal["compaction"]
    id: NotRequired[str]
    content: NotRequired[str]


Part = (
    Text
    | Reasoning
    | ToolCall
    | ToolResult
    | Media
    | ServerToolCall
    | ServerToolResult
    | Compaction
    | GenericPart
)


class Message(TypedDict):
    """One turn. ``finish_reason`` belongs to output messages."""

    role: str
    parts: list[Part]
    name: NotRequired[str]
    finish_reason: NotRequired[str]


class Document(TypedDict):
    """A document that a retrieval found.

    ``measure`` says what ``score`` is, where that is known: of a similarity more is better, of a
    distance less.
    """

    id: str
    score: NotRequired[float]
    measure: NotRequired[Literal["similarity", "distance"]]
    content: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


def text(content: str) -> Text:
    """A text part."""
    return {"type": "text", "content": content}


def cited_text(content: str, citations: list[Any]) -> Text:
    """A text part with the sources that it names, bounded."""
    return {**text(content), "citations": bounded(citations)} if citations else text(content)


def reasoning(content: str) -> Reasoning:
    """A reasoning part."""
    return {"type": "reasoning", "content": content}


def tool_call(call_id: str | None, name: str, arguments: Any) -> ToolCall:
    """A tool call part; give ``arguments`` parsed where that is possible."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_result(call_id: str | None, response: Any, *, is_error: bool = False) -> ToolResult:
    """A tool's answer; ``is_error`` where whoever ran the tool says that it failed."""
    part: ToolResult = {"type": "tool_call_response", "id": call_id, "response": response}
    if is_error:
        part["is_error"] = True
    return part


def server_tool_call(call_id: str | None, name: str, call: dict[str, Any]) -> ServerToolCall:
    """A call of a tool that the provider runs; bounded, ``type`` defaults to ``name``."""
    value = {"type": name, **bounded(call)}
    return {"type": "server_tool_call", "id": call_id, "name": name, "server_tool_call": value}


def server_tool_result(call_id: str | None, kind: str, result: dict[str, Any]) -> ServerToolResult:
    """What a tool that the provider ran returned; bounded, ``type`` defaults to ``kind``."""
    value = {"type": kind, **bounded(result)}
    return {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": value}


def compaction(content: str | None, part_id: str | None = None) -> Compaction:
    """The summary of an earlier part of a conversation, if it can be read."""
    part: Compaction = {"type": "compaction"}
    if part_id is not None:
        part["id"] = part_id
    if content is not None:
        part["content"] = content
    return part


_SCHEMA_TYPES = frozenset(
    (
        *("text", "reasoning", "tool_call", "tool_call_response", "blob", "file", "uri", "media"),
        *("server_tool_call", "server_tool_call_response", "compaction"),
    )
)


def generic_part(kind: str, value: Any = None, part_id: str | None = None) -> GenericPart:
    """A part of a wire type that has no reader: its type, its id and its value, bounded.

    So a type that a new release brings is recorded before anybody has written a reader for it.
    """
    kind = kind[:_LONGEST_TYPE] or "unknown"
    part: GenericPart = {"type": f"provider.{kind}" if kind in _SCHEMA_TYPES else kind}
    if part_id is not None:
        part["id"] = part_id
    if value is not None and value != {}:
        part["value"] = bounded(value)
    return part


_LONGEST_TYPE = 128


class _Keeper:
    """Where media are kept beside the record, if they are: takes source, hash and type."""

    keep: Callable[[str | bytes, str, str | None], str | None] | None = None


KEEPER = _Keeper()
"""One for the process; an address that it returns goes with the part."""


def media(modality: str, source: str, mime_type: str | None = None) -> Media:
    """Media given by address, by ``data:`` address or as base64 text.

    Bytes are told by their length and the start of their SHA-256 over the base64 text, which is
    there already: decoding megabytes on the caller's thread would be noticed.
    """
    part: Media = {"type": "media", "modality": modality}
    if source.startswith("data:"):
        head, _, source = source[5:].partition(",")
        mime_type = head.partition(";")[0] or mime_type
    elif "://" in source[:16]:
        part["uri"] = address(source)
        source = ""
    if mime_type:
        part["mime_type"] = mime_type
    if source:
        part["size"] = len(source) * 3 // 4 - source[-2:].count("=")
        _told_apart(part, source, source.encode("ascii", "replace"))
    return part


def media_bytes(modality: str, data: bytes, mime_type: str | None = None) -> Media:
    """Media given as bytes, told by their length and the start of their SHA-256."""
    part: Media = {"type": "media", "modality": modality, "size": len(data)}
    if mime_type:
        part["mime_type"] = mime_type
    _told_apart(part, data, data)
    return part


def _told_apart(part: Media, source: str | bytes, data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    part["sha256"] = digest[:16]
    if KEEPER.keep is not None:
        kept = KEEPER.keep(source, digest, part.get("mime_type"))
        if kept is not None:
            part["uri"] = kept


def address(url: str) -> str:
    """A URL without user, query and fragment, in which keys travel."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("?")[0].partition("#")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def media_id(modality: str, file_id: str) -> Media:
    """Media that the provider keeps under an id."""
    return {"type": "media", "modality": modality, "id": file_id}
