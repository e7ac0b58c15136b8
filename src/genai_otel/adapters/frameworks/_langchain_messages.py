"""The messages of LangChain, which are its own objects, whichever provider made them.

Shapes: reference.langchain.com/python/langchain/messages. Content is text, or a list of blocks:
LangChain's own, or a provider's as they came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_dicts, get_str
from genai_otel.record import (
    Document,
    Message,
    media,
    media_id,
    reasoning,
    snapshot,
    text,
    tool_call,
    tool_result,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel.record import Part

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "function": "tool"}
_MEDIA = ("image", "audio", "video", "file")
_NEWEST = 20
_NODES, _CHARS = 500, 32_768
_DOCUMENTS = 100


def is_message(value: Any) -> bool:
    """Whether ``value`` is one of theirs, or what they take for one."""
    found = as_dict(value)
    if type(value) is dict:
        return "role" in found and "content" in found
    if type(value) is tuple:
        return [type(each) for each in value] == [str, str]
    return "content" in found and "additional_kwargs" in found


def message(given: Any) -> Message:
    """One of their messages, as a turn."""
    if type(given) is tuple:
        kind, words = given
        return {"role": _ROLES.get(kind) or kind, "parts": [text(words)]}
    found = as_dict(given)
    kind = get_str(found, "role") or get_str(found, "type") or "user"
    role = _ROLES.get(kind) or kind
    if role == "tool":
        failed, answered = get_str(found, "status") == "error", _tool_output(found.get("content"))
        answer = tool_result(get_str(found, "tool_call_id"), answered, is_error=failed)
        return {"role": role, "parts": [answer]}
    parts = content(found.get("content"))
    for call in get_dicts(found, "tool_calls"):
        arguments = snapshot(call.get("args"))
        parts.append(tool_call(get_str(call, "id"), get_str(call, "name") or "", arguments))
    return {"role": role, "parts": parts}


def content(given: Any) -> list[Part]:
    """What was said, in pieces; tool calls stand beside it and are left out here."""
    if isinstance(given, str):
        return [text(given)] if given else []
    blocks = given if type(given) is list else ()
    return [part for block in blocks if (part := _part(block)) is not None]


def _part(block: Any) -> Part | None:
    if type(block) is str:
        return text(block)
    block = as_dict(block)
    kind = get_str(block, "type") or ""
    if kind == "text":
        return text(get_str(block, "text") or "")
    if kind in ("reasoning", "thinking"):
        words = get_str(block, "reasoning") or get_str(block, "thinking")
        return reasoning(words) if words else None
    modality = next((each for each in _MEDIA if each in kind), None)
    return None if modality is None else _media(modality, block)


def _media(modality: str, block: Json) -> Part:
    """LangChain's own blocks, and OpenAI's and Anthropic's, which it takes as well."""
    inner = get_dict(block, "source") or get_dict(block, f"{modality}_url") or block
    kind = "document" if modality == "file" else modality
    file_id = get_str(block, "file_id") or get_str(block, "id")
    source = get_str(inner, "base64") or get_str(inner, "url") or get_str(inner, "data")
    if source is None and file_id is not None:
        return media_id(kind, file_id)
    mime_type = get_str(inner, "mime_type") or get_str(inner, "media_type")
    return media(kind, source or get_str(block, "image_url") or "", mime_type)


def _tool_output(given: Any) -> Any:
    """A tool's answer: text, or its pieces joined."""
    if type(given) is list:
        return "".join(get_str(as_dict(item), "text") or "" for item in given)
    return given if type(given) is str else snapshot(given, nodes=_NODES, chars=_CHARS)


def messages(given: Any) -> list[Message]:
    """The newest messages in what a chain or a graph was given or has made; none in most."""
    found: Any = as_dict(given).get("messages")
    if type(given) is list:
        found = given
    elif is_message(given):
        found = [given]
    if type(found) is not list:
        return []
    return [message(each) for each in found[-_NEWEST:] if is_message(each)]


def state(given: Any) -> Any:
    """What a step was given or has made, bounded: graphs hand the whole conversation around."""
    if type(given).__name__ == "Command":  # langgraph.types: it has slots only
        given = given.update
    if type(given) is list and len(given) == 1:
        given = given[0] if is_message(given[0]) else state(given[0])
    told = messages(given)
    if not told:
        return snapshot(given, nodes=_NODES, chars=_CHARS)
    rest = given if type(given) is dict else {}
    others = {key: value for key, value in rest.items() if key != "messages"}
    return {"messages": told, **snapshot(others, nodes=_NODES, chars=_CHARS)}


def document(given: Any) -> Document:
    """A document that a retriever found; it tells no score."""
    found = as_dict(given)
    told: Document = {
        "id": get_str(found, "id") or "",
        "content": get_str(found, "page_content") or "",
    }
    metadata = found.get("metadata")
    if metadata:
        told["metadata"] = snapshot(metadata, nodes=_NODES, chars=_CHARS)
    return told


def documents(given: Any, hits: Sequence[Document] = ()) -> list[Document]:
    """What a retriever gave, with the scores that the store's own ``hits`` tell of it."""
    found = [document(each) for each in given[:_DOCUMENTS]] if type(given) is list else []
    known = {hit["id"]: hit for hit in hits}
    in_order = len(hits) == len(found)
    for at, each in enumerate(found):
        hit = known.get(each["id"]) or (hits[at] if in_order and not each["id"] else None)
        if hit is not None:
            facts: Any = {key: hit[key] for key in ("id", "score", "measure") if key in hit}
            each.update(facts)
    return found
