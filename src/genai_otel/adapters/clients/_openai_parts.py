"""The pieces of OpenAI's messages, which many servers and clients speak: content, calls, tools.

Read from platform.openai.com/docs/api-reference/chat/create and /responses/create. Types of other
servers that stand in the same places are read as well: ``thinking`` (Mistral, Cohere), ``images``
and ``video_url`` (OpenRouter), any other ``..._url``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    parse_json,
    unwrap_unknown,
)
from genai_otel.record import (
    bounded,
    cited_text,
    generic_part,
    media,
    media_id,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
)

if TYPE_CHECKING:
    from genai_otel.record import Part

_THOUGHTS = frozenset({"reasoning_text", "summary_text"})
_ASIDE = frozenset({"type", "id", "prompt_cache_breakpoint"})
# Fields of an MCP server's definition with its address and credentials.
_SECRETS = frozenset({"authorization", "headers"})


def content_part(item: Json) -> Part:
    """One piece of a message's content."""
    item = unwrap_unknown(item)
    kind = get_str(item, "type") or ""
    words = get_str(item, "text")
    words = get_str(item, "refusal") if words is None else words
    if words is not None:
        return reasoning(words) if kind in _THOUGHTS else _cited(words, item)
    if "thinking" in item:
        thought = item["thinking"]
        pieces = get_dicts(item, "thinking")  # text, and references to what it is about
        words = "".join(get_str(piece, "text") or "" for piece in pieces)
        return reasoning(thought if type(thought) is str else words)
    return _media(item, kind) or generic_part(kind, rest(item, _ASIDE), get_str(item, "id"))


def _cited(words: str, item: Json) -> Part:
    """Text, with the sources that it names."""
    cited = item.get("annotations")
    return cited_text(words, cited) if cited and type(cited) is list else text(words)


def _media(item: Json, kind: str) -> Part | None:
    if kind.endswith("_url") and kind != "image_url":
        return _media_at(item, kind)
    if "image" in kind or "screenshot" in kind:
        url = get_dict(item, "image_url")
        return _by_id_or_address(item, "image", get_str(url, "url") or item.get("image_url"))
    if "audio" in kind:
        return _audio(item)
    if "file" in kind:
        file = get_dict(item, "file") or item
        address = get_str(file, "file_data") or get_str(file, "file_url")
        return _by_id_or_address(file, "document", address)
    return None


def _media_at(item: Json, kind: str) -> Part:
    """``video_url``, ``document_url`` ...: the address alone, or in an object."""
    address = get_str(item, kind) or get_str(get_dict(item, kind), "url")
    modality = kind.removesuffix("_url").removeprefix("input_")
    return media("document" if modality == "file" else modality, address or "")


def _audio(item: Json) -> Part:
    audio = get_dict(item, "input_audio") or item
    form = get_str(audio, "format")
    data = get_str(audio, "data") or get_str(item, "input_audio") or ""
    part = media("audio", data, f"audio/{form}" if form else None)
    transcript = get_str(audio, "transcript")
    if transcript is not None:
        part["transcript"] = transcript
    return part


def _by_id_or_address(item: Json, modality: str, address: Any) -> Part:
    file_id = get_str(item, "file_id")
    if file_id is not None:
        return media_id(modality, file_id)
    return media(modality, address if type(address) is str else "")


def rest(item: Json, left_out: frozenset[str]) -> Json:
    """The fields that hold something, without those that are recorded elsewhere or nowhere."""
    return {key: value for key, value in item.items() if value is not None and key not in left_out}


def tool_output(content: Any) -> Any:
    """What a tool returned: text as one, a list of parts where it is more than text."""
    if type(content) is not list:
        return content
    items = [{"text": item} if type(item) is str else as_dict(item) for item in content]
    words = [get_str(item, "text") for item in items]
    if all(each is not None for each in words):
        return "".join(each or "" for each in words)
    return [
        content_part(item) if "type" in item else bounded(given)
        for item, given in zip(items, content, strict=True)
    ]


def message_parts(message: Json) -> list[Part]:
    """Reasoning, text or refusal, then what else there is: the order in which models make them."""
    content = message.get("content")
    if type(content) is str and not any(map(message.get, _BESIDE_TEXT)):  # as most
        return [text(content)]
    parts: list[Part] = []
    thought = get_str(message, "reasoning_content") or get_str(message, "reasoning")
    if thought:
        parts.append(reasoning(thought))
    if type(content) is str:
        parts.append(_cited(content, message))
    elif content is not None:
        pieces = content if type(content) is list else ()
        parts.extend(text(i) if type(i) is str else content_part(as_dict(i)) for i in pieces)
    refusal = get_str(message, "refusal")
    if refusal:
        parts.append(text(refusal))
    if message.get("tool_calls"):
        for call in get_dicts(message, "tool_calls"):
            if "server" in call or "served" in call:
                parts.extend(_server_tool_parts(call))
            else:
                parts.append(_call(call))
    if any(map(message.get, _RARER)):
        parts.extend(_rare_parts(message))
    return parts


_RARER = ("function_call", "images", "audio", "executed_tools")
# Fields of a message that become parts, besides its content.
_BESIDE_TEXT = (
    *("reasoning_content", "reasoning", "annotations", "refusal", "tool_calls"),
    *_RARER,
)


def _rare_parts(message: Json) -> list[Part]:
    """A call in the form that tools replaced, pictures of OpenRouter's, and speech.

    Also what tools did that the provider has run, as Groq tells it.
    """
    parts: list[Part] = [
        part for tool in get_dicts(message, "executed_tools") for part in _executed_tool_parts(tool)
    ]
    called = get_dict(message, "function_call")
    if called:
        parts.append(
            tool_call(None, get_str(called, "name") or "", parse_json(called.get("arguments")))
        )
    parts.extend(content_part(image) for image in get_dicts(message, "images"))
    audio = get_dict(message, "audio")
    if audio:
        data, spoken = get_str(audio, "data"), get_str(audio, "id")
        parts.append(
            media_id("audio", spoken) if spoken and not data else media("audio", data or "")
        )
        parts.append(text(get_str(audio, "transcript") or ""))
    return parts


def _executed_tool_parts(tool: Json) -> list[Part]:
    kind = get_str(tool, "type") or ""
    name = get_str(tool, "name") or kind
    asked = {"type": kind, "arguments": parse_json(tool.get("arguments"))}
    return [
        server_tool_call(None, name, asked),
        server_tool_result(None, kind, rest(tool, _ASKED)),
    ]


_ASKED = frozenset({"type", "name", "index", "arguments"})


def _server_tool_parts(call: Json) -> list[Part]:
    """A call of a tool that the provider runs, and its result.

    Clients whose shapes are read as OpenAI's have them in ``server`` and ``served``.
    """
    call_id, kind = get_str(call, "id"), get_str(call, "type") or ""
    asked, found = get_dict(call, "server"), get_dict(call, "served")
    name = get_str(asked, "name") or kind
    parts: list[Part] = [server_tool_call(call_id, name, {"type": kind, **asked})] if asked else []
    return [*parts, server_tool_result(call_id, kind, found)] if found else parts


def _call(call: Json) -> Part:
    function = get_dict(call, "function") or get_dict(call, "custom")
    if not function:  # of a kind that we do not know
        kind = get_str(call, "type") or ""
        return tool_call(get_str(call, "id"), kind, bounded(call.get(kind)))
    arguments = parse_json(function.get("arguments", function.get("input")))
    return tool_call(get_str(call, "id"), get_str(function, "name") or "", arguments)


def definitions(body: Json) -> list[Json] | None:
    """The offered tools, a function's own fields lifted out of their wrapping."""
    if "tools" not in body and "functions" not in body:
        return None
    tools = get_dicts(body, "tools")
    if "functions" in body:  # the form that tools replaced
        tools += get_dicts(body, "functions")
    return [
        {"type": "function", "name": "", **described}
        if (described := get_dict(tool, "function"))
        else _other_definition(tool)
        for tool in tools
    ]


def _other_definition(tool: Json) -> Json:
    own = get_dict(tool, "custom") or tool
    kind = get_str(tool, "type") or "function"
    name = get_str(tool, "server_label") or ("" if kind == "function" else kind)
    return {"type": kind, "name": name, **rest(own, _SECRETS)}
