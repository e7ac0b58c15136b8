"""The content blocks of the Anthropic Messages API: what was said, asked for and done.

Read from docs.claude.com/en/api/messages. A tool that the caller runs is a ``tool_call``; one that
the provider runs, an MCP server's included, a ``server_tool_call``. A block of an unknown type is
recorded by its type, id and value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str
from genai_otel.record import (
    bounded,
    cited_text,
    compaction,
    generic_part,
    media,
    media_id,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
    tool_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Part

_USE, _RESULT = "tool_use", "tool_result"
_HEAD = frozenset({"type", "id", "cache_control", "signature"})


def block_parts(source: Json, key: str) -> list[Part]:
    """The blocks under ``key``; a text where the API, or a server like it, has one instead."""
    said = source.get(key)
    if type(said) is str:
        return [text(said)]
    return [part for block in get_dicts(source, key) for part in _parts(block)]


def _parts(block: Json) -> list[Part]:
    kind = get_str(block, "type") or ""
    read = _READERS.get(kind)
    if read is not None:
        return read(block)
    if kind.endswith(f"_{_USE}"):
        return _server_use(block)
    if kind.endswith(f"_{_RESULT}"):
        return _server_result(block)
    return [generic_part(kind, _rest(block), get_str(block, "id"))]


def _rest(block: Json) -> Json:
    return {key: value for key, value in block.items() if key not in _HEAD and value is not None}


def _text(block: Json) -> list[Part]:
    cited = block.get("citations")
    return [cited_text(get_str(block, "text") or "", cited if type(cited) is list else [])]


def _thinking(block: Json) -> list[Part]:
    """Without text where it was redacted."""
    return [reasoning(get_str(block, "thinking") or "")]


def _tool_use(block: Json) -> list[Part]:
    call = tool_call(get_str(block, "id"), get_str(block, "name") or "", block.get("input"))
    toolset = get_str(block, "toolset_name")
    if toolset is not None:
        call["namespace"] = toolset
    return [call]


def _tool_result_parts(block: Json) -> list[Part]:
    failed, answer = block.get("is_error") is True, result_of(block.get("content"))
    return [tool_result(get_str(block, "tool_use_id"), answer, is_error=failed)]


def result_of(content: Any) -> Any:
    """What a tool returned: text, its blocks' texts joined, or a list of parts."""
    if type(content) is not list:
        return bounded(as_dict(content)) if as_dict(content) else content
    blocks = [as_dict(block) for block in content]
    if all(get_str(block, "type") == "text" for block in blocks):
        return "".join(get_str(block, "text") or "" for block in blocks)
    return [part for block in blocks for part in _parts(block)]


def _server_use(block: Json) -> list[Part]:
    name = get_str(block, "name") or ""
    call: Json = {"arguments": block.get("input")}
    server = get_str(block, "server_name")
    if server is not None:
        call |= {"type": "mcp", "server_name": server}
    return [server_tool_call(get_str(block, "id"), name, call)]


def _server_result(block: Json) -> list[Part]:
    """What came of it as it is, an error included; of an MCP server as of any other tool."""
    kind = (get_str(block, "type") or "").removesuffix(f"_{_RESULT}")
    content = block.get("content")
    told = {"content": result_of(content) if kind == "mcp" else content}
    if block.get("is_error") is True:
        told["is_error"] = True
    return [server_tool_result(get_str(block, "tool_use_id"), kind, told)]


def _compaction(block: Json) -> list[Part]:
    return [compaction(get_str(block, "content"))]


def _medium(block: Json) -> list[Part]:
    """An image or a document by its source; text and blocks that stand for one as they are."""
    source = get_dict(block, "source")
    kind = get_str(block, "type") or ""
    if get_str(source, "type") == "text":
        return [text(get_str(source, "data") or "")]
    if get_str(source, "type") == "content":
        return block_parts(source, "content")
    modality = "image" if kind == "image" else "document"
    file_id = get_str(source, "file_id") or get_str(block, "file_id")
    if file_id is not None:
        part = media_id(modality, file_id)
    else:
        given = get_str(source, "data") or get_str(source, "url") or ""
        part = media(modality, given, get_str(source, "media_type"))
    described = {key: block[key] for key in ("title", "context") if get_str(block, key)}
    if described:
        part["metadata"] = described
    return [part]


# Type of a block -> its parts.
_READERS: dict[str, Callable[[Json], list[Part]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _thinking,
    _USE: _tool_use,
    "server_tool_use": _server_use,
    _RESULT: _tool_result_parts,
    "image": _medium,
    "document": _medium,
    "container_upload": _medium,
    "compaction": _compaction,
}
