"""Input and output of any span, and messages in the shape of OpenAI's chat API.

That shape is what the pages of Langfuse, LangSmith and MLflow draw as a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names

from ._facts import apart, as_text, parts, to_json, tool_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._facts import Facts, Json


def turns(messages: list[Json]) -> list[Json]:
    """The messages as chat turns."""
    return [_turn(message, parts(message)) for message in apart(messages)]


def tools(facts: Facts) -> list[Json]:
    """The tools that a model could call, as its API takes them."""
    return [_tool(each) for each in facts.objects(names.GEN_AI_TOOL_DEFINITIONS)]


def asked(facts: Facts) -> Any:
    """What went into the operation: text or a JSON value; ``None`` where it was not recorded."""
    messages = facts.said()
    return turns(messages) if messages else _first(facts, _INPUTS)


def replied(facts: Facts) -> Any:
    """What came out of it, likewise."""
    messages = facts.answered()
    return turns(messages) if messages else _first(facts, _OUTPUTS) or facts.verdict() or None


def _first(facts: Facts, table: dict[str, Callable[[Any], Any]]) -> Any:
    known = (read(facts.parsed(name)) for name, read in table.items() if name in facts.attributes)
    return next((value for value in known if value is not None), None)


def _as_it_is(value: Any) -> Any:
    return value


_INPUTS: dict[str, Callable[[Any], Any]] = {
    names.GEN_AI_TOOL_CALL_ARGUMENTS: _as_it_is,
    names.GEN_AI_RETRIEVAL_QUERY_TEXT: _as_it_is,
    names.GEN_AI_MEMORY_QUERY_TEXT: _as_it_is,
    names.GENAI_OTEL_INPUT: _as_it_is,
}
_OUTPUTS: dict[str, Callable[[Any], Any]] = {
    names.GEN_AI_TOOL_CALL_RESULT: tool_result,
    names.GEN_AI_RETRIEVAL_DOCUMENTS: _as_it_is,
    names.GEN_AI_MEMORY_RECORDS: _as_it_is,
    names.GENAI_OTEL_OUTPUT: _as_it_is,
}
"""Where input and output stand on spans that are no model calls, and how they are read."""


def _turn(message: Json, said: list[Json]) -> Json:
    if said and said[0].get("type") == "tool_call_response":
        answer = as_text(said[0].get("response"))
        return {"role": "tool", "tool_call_id": said[0].get("id"), "content": answer}
    turn: Json = {"role": message.get("role") or "user", "content": _content(said)}
    thoughts = [as_text(p.get("content")) for p in said if p.get("type") == "reasoning"]
    if thoughts:
        turn["reasoning_content"] = "\n".join(thoughts)
    calls = [_call(part) for part in said if part.get("type") == "tool_call"]
    if calls:
        turn["tool_calls"] = calls
    return turn


def _content(said: list[Json]) -> Any:
    """Text where there is only text; else the list of parts."""
    shown = [_part(p) for p in said if p.get("type") not in ("reasoning", "tool_call")]
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
