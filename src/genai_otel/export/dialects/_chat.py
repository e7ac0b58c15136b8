"""Input and output of any span, and messages in the shape of OpenAI's chat API.

That shape is what the pages of Langfuse, LangSmith and MLflow draw as a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from ._span_view import as_text, split_tool_responses, to_json, tool_result, visible_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._span_view import Json, SpanView


def chat_messages(messages: list[Json]) -> list[Json]:
    """The messages as those of the chat API."""
    return [
        _chat_message(message, visible_parts(message)) for message in split_tool_responses(messages)
    ]


def chat_tools(view: SpanView) -> list[Json]:
    """The tools that a model could call, as its API takes them."""
    return [_tool(each) for each in view.objects(names.GEN_AI_TOOL_DEFINITIONS)]


def input_value(view: SpanView) -> Any:
    """The input of the operation: text or a JSON value; ``None`` if it was not recorded."""
    messages = view.input_messages()
    return chat_messages(messages) if messages else _first(view, _INPUTS)


def output_value(view: SpanView) -> Any:
    """The output of the operation, likewise."""
    messages = view.output_messages()
    return chat_messages(messages) if messages else _first(view, _OUTPUTS) or view.verdict() or None


def _first(view: SpanView, table: dict[str, Callable[[Any], Any]]) -> Any:
    known = (read(view.parsed(name)) for name, read in table.items() if name in view.attributes)
    return next((value for value in known if value is not None), None)


def _unchanged(value: Any) -> Any:
    return value


# Input and output of spans that are no model calls, and how they are read.
_INPUTS: dict[str, Callable[[Any], Any]] = {
    names.GEN_AI_TOOL_CALL_ARGUMENTS: _unchanged,
    names.GEN_AI_RETRIEVAL_QUERY_TEXT: _unchanged,
    names.GEN_AI_MEMORY_QUERY_TEXT: _unchanged,
    names.GENAI_OTEL_INPUT: _unchanged,
}
_OUTPUTS: dict[str, Callable[[Any], Any]] = {
    names.GEN_AI_TOOL_CALL_RESULT: tool_result,
    names.GEN_AI_RETRIEVAL_DOCUMENTS: _unchanged,
    names.GEN_AI_MEMORY_RECORDS: _unchanged,
    names.GENAI_OTEL_OUTPUT: _unchanged,
}


def _chat_message(message: Json, message_parts: list[Json]) -> Json:
    if message_parts and message_parts[0].get("type") == "tool_call_response":
        response = as_text(message_parts[0].get("response"))
        return {"role": "tool", "tool_call_id": message_parts[0].get("id"), "content": response}
    chat: Json = {"role": message.get("role") or "user", "content": _content(message_parts)}
    reasoning = [as_text(p.get("content")) for p in message_parts if p.get("type") == "reasoning"]
    if reasoning:
        chat["reasoning_content"] = "\n".join(reasoning)
    calls = [_call(part) for part in message_parts if part.get("type") == "tool_call"]
    if calls:
        chat["tool_calls"] = calls
    return chat


def _content(message_parts: list[Json]) -> Any:
    """Text where there is only text; else the list of parts."""
    shown = [_part(p) for p in message_parts if p.get("type") not in ("reasoning", "tool_call")]
    if not shown:
        return None
    if all(part["type"] == "text" for part in shown):
        return "\n".join(part["text"] for part in shown)
    return shown


def _part(part: Json) -> Json:
    if part.get("type") == "text":
        return {"type": "text", "text": as_text(part.get("content", ""))}
    uri = part.get("uri")
    if part.get("modality") == "image" and isinstance(uri, str):
        return {"type": "image_url", "image_url": {"url": uri}}
    return {"type": "text", "text": to_json(part)}


def _call(part: Json) -> Json:
    arguments = part.get("arguments")
    function = {
        "name": part.get("name"),
        "arguments": as_text({} if arguments is None else arguments),
    }
    return {"id": part.get("id"), "type": "function", "function": function}


def _tool(definition: Json) -> Json:
    """``{"type": "function", "function": {...}}`` from the flat form of the conventions."""
    if isinstance(definition.get("function"), dict):
        return definition
    kept = {
        key: definition[key] for key in ("name", "description", "parameters") if key in definition
    }
    return {"type": definition.get("type") or "function", "function": kept}
