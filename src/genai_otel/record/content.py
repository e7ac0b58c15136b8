"""Messages and their parts, in the shapes of the semantic conventions' message schema.

They are plain dicts, which are cheap to build and are encoded by one call.
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
    """The visible part of a model's reasoning."""

    type: Literal["reasoning"]
    content: str


class ToolCall(TypedDict):
    """A model's request to run a tool; ``arguments`` are an object if they could be parsed.

    ``namespace`` is the MCP server or the group of tools to which the name belongs.
    """

    type: Literal["tool_call"]
    id: NotRequired[str | None]
    name: str
    arguments: NotRequired[Any]
    namespace: NotRequired[str]


class ToolResult(TypedDict):
    """The result of a tool that the application ran."""

    type: Literal["tool_call_response"]
    id: NotRequired[str | None]
    name: NotRequired[str]
    response: Any
    is_error: NotRequired[bool]


class Media(TypedDict):
    """Content that is not text; has size, hash, address or id, never the bytes."""

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
    """A call of a tool that the provider runs; ``server_tool_call`` has ``type`` and input."""

    type: Literal["server_tool_call"]
    id: NotRequired[str | None]
    name: str
    server_tool_call: dict[str, Any]


class ServerToolResult(TypedDict):
    """The result of a tool that the provider ran; the object has ``type`` and output."""

    type: Literal["server_tool_call_response"]
    id: NotRequired[str | None]
    server_tool_call_response: dict[str, Any]


class GenericPart(TypedDict):
    """A part whose type is not in the message schema: its wire type and its value."""

    type: str
    id: NotRequired[str]
    value: NotRequired[Any]


class Compaction(TypedDict):
    """A replacement of earlier parts of a conversation; no ``content`` if it is encrypted."""

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
    """One message; only output messages have a ``finish_reason``."""

    role: str
    parts: list[Part]
    name: NotRequired[str]
    finish_reason: NotRequired[str]


class Document(TypedDict):
    """A document that a retrieval found.

    ``measure`` is the meaning of ``score``, if known: a higher similarity or a lower distance is
    better.
    """

    id: str
    score: NotRequired[float]
    measure: NotRequired[Literal["similarity", "distance"]]
    content: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


def text(content: str) -> Text:
    """Return a text part."""
    return {"type": "text", "content": content}


def cited_text(content: str, citations: list[Any]) -> Text:
    """Return a text part with its citations, bounded."""
    return {**text(content), "citations": bounded(citations)} if citations else text(content)


def reasoning(content: str) -> Reasoning:
    """Return a reasoning part."""
    return {"type": "reasoning", "content": content}


def tool_call(call_id: str | None, name: str, arguments: Any) -> ToolCall:
    """Return a tool call part; pass ``arguments`` parsed if possible."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_result(call_id: str | None, response: Any, *, is_error: bool = False) -> ToolResult:
    """Return a tool result part; ``is_error`` if the application reports that the tool failed."""
    part: ToolResult = {"type": "tool_call_response", "id": call_id, "response": response}
    if is_error:
        part["is_error"] = True
    return part


def server_tool_call(call_id: str | None, name: str, call: dict[str, Any]) -> ServerToolCall:
    """Return a server tool call part, bounded; ``type`` defaults to ``name``."""
    value = {"type": name, **bounded(call)}
    return {"type": "server_tool_call", "id": call_id, "name": name, "server_tool_call": value}


def server_tool_result(call_id: str | None, kind: str, result: dict[str, Any]) -> ServerToolResult:
    """Return a server tool result part, bounded; ``type`` defaults to ``kind``."""
    value = {"type": kind, **bounded(result)}
    return {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": value}


def compaction(content: str | None, part_id: str | None = None) -> Compaction:
    """Return a compaction part; ``content`` is the summary, ``None`` if it is encrypted."""
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
    """Return a part of a wire type that no extractor reads: type, id and value, bounded.

    New part types of a provider are thus recorded before an extractor supports them.
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
    """The upload of media, if enabled: ``keep(source, sha256, mime_type)`` returns a URI."""

    keep: Callable[[str | bytes, str, str | None], str | None] | None = None


# One for the process; the URI that ``keep`` returns is recorded in the part.
KEEPER = _Keeper()


def media(modality: str, source: str, mime_type: str | None = None) -> Media:
    """Return a media part for a URL, a ``data:`` URL or base64 text.

    Data is recorded as its size in bytes and the first 16 hex digits of the SHA-256 of the base64
    text: decoding megabytes would delay the caller's thread.
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
    """Return a media part for bytes: their number and the first 16 hex digits of their SHA-256."""
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
    """Return a URL without user info, query and fragment, which may contain keys."""
    scheme, _, rest = url.partition("://")
    rest = rest.partition("?")[0].partition("#")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def media_id(modality: str, file_id: str) -> Media:
    """Return a media part for a file that the provider stores under an id."""
    return {"type": "media", "modality": modality, "id": file_id}
