"""The content blocks of Bedrock's Converse API, as botocore's model of the service has them.

Read from docs.aws.amazon.com/bedrock/latest/APIReference: ContentBlock, SystemContentBlock,
ToolResultContentBlock.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    snake_case,
)
from genai_otel.record import (
    bounded,
    cited_text,
    generic_part,
    media,
    media_bytes,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
    tool_result,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Media, Part

# Media by their member, and the media types of formats with another name.
_MIME = {
    "image": {},
    "document": {
        "pdf": "application/pdf",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html": "text/html",
        "txt": "text/plain",
        "md": "text/markdown",
    },
    "video": {
        "mkv": "video/x-matroska",
        "mov": "video/quicktime",
        "flv": "video/x-flv",
        "mpg": "video/mpeg",
        "wmv": "video/x-ms-wmv",
        "three_gp": "video/3gpp",
    },
    "audio": {
        "mp3": "audio/mpeg",
        "mpga": "audio/mpeg",
        "m4a": "audio/mp4",
        "x-aac": "audio/aac",
        "mkv": "audio/x-matroska",
        "mka": "audio/x-matroska",
    },
}
# botocore's name for a member that its service model does not have yet.
_UNKNOWN_MEMBER = "SDK_UNKNOWN_MEMBER"


def parts(source: Json, key: str) -> list[Part]:
    """Of each block what it holds; a cache point holds nothing."""
    return [_part(block) for block in get_dicts(source, key) if "cachePoint" not in block]


def _part(block: Json) -> Part:
    for name, value in block.items():
        if name == "text" and type(value) is str:
            return text(value)
        read = _READERS.get(name)
        if read is not None and value is not None:
            return read(as_dict(value))
        if value is not None:
            return _unknown_part(name, value)
    return generic_part("")


def _unknown_part(name: str, value: Any) -> Part:
    """A block that has no reader, or whose name is all that the client lets through."""
    if name == _UNKNOWN_MEMBER:
        return generic_part(snake_case(get_str(as_dict(value), "name") or ""))
    return generic_part(snake_case(name), as_dict(value) or value)


def _tool_use(called: Json) -> Part:
    call_id, name = get_str(called, "toolUseId"), get_str(called, "name") or ""
    kind = get_str(called, "type")
    if kind == "server_tool_use":
        return server_tool_call(call_id, name, {"type": kind, "input": called.get("input")})
    return tool_call(call_id, name, called.get("input"))


def _tool_result(result: Json) -> Part:
    call_id, kind = get_str(result, "toolUseId"), get_str(result, "type")
    found, failed = _tool_output(get_dicts(result, "content")), get_str(result, "status") == "error"
    if kind is not None:  # only those of tools that Bedrock runs have one
        told = {"content": found, "is_error": True} if failed else {"content": found}
        return server_tool_result(call_id, kind, told)
    return tool_result(call_id, found, is_error=failed)


def _guard_block(block: Json) -> Part:
    words = get_str(get_dict(block, "text"), "text")
    return _part(block) if words is None else text(words)


def _reasoning(block: Json) -> Part:
    """What is shown of it; of redacted reasoning, that there was some."""
    return reasoning(get_str(get_dict(block, "reasoningText"), "text") or "")


def _cited(block: Json) -> Part:
    words = "".join(get_str(piece, "text") or "" for piece in get_dicts(block, "content"))
    return cited_text(words, get_dicts(block, "citations"))


def _media(modality: str, block: Json) -> Part:
    """By its bytes or its address; a document may be text, which stands for itself."""
    source, form = get_dict(block, "source"), get_str(block, "format")
    mime = _MIME[modality].get(form, f"{modality}/{form}") if form else None
    words = [get_str(source, "text")] if "text" in source else []
    words += [get_str(piece, "text") for piece in get_dicts(source, "content")]
    found = text("".join(filter(None, words))) if words else _file(modality, source, mime)
    beside = {name: block[name] for name in _BESIDE if block.get(name) is not None}
    if beside and found["type"] == "media":
        found["metadata"] = bounded(beside)
    return found


_BESIDE = ("name", "context", "error")


def _file(modality: str, source: Json, mime: str | None) -> Media:
    data, address = source.get("bytes"), get_str(get_dict(source, "s3Location"), "uri")
    if type(data) is bytes:
        return media_bytes(modality, data, mime)
    if type(data) is str or address is not None:  # base64, as bodies of InvokeModel have it
        return media(modality, address or str(data), mime)
    found: Media = {"type": "media", "modality": modality}
    if mime is not None:
        found["mime_type"] = mime
    return found


_READERS: dict[str, Callable[[Json], Part]] = {
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    "guardContent": _guard_block,
    "reasoningContent": _reasoning,
    "citationsContent": _cited,
    **{modality: partial(_media, modality) for modality in _MIME},
}


def _tool_output(blocks: list[Json]) -> Any:
    """A tool's answer: its JSON, or its text, or what it is where it is neither."""
    if len(blocks) == 1 and "json" in blocks[0]:
        return blocks[0]["json"]
    if all(type(block.get("text")) is str for block in blocks):
        return "".join(block["text"] for block in blocks)
    return [block["json"] if "json" in block else _part(block) for block in blocks]
