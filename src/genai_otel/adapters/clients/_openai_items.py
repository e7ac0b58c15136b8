"""The items of OpenAI's responses: what was said, what the caller is asked to do, what was done.

Read from platform.openai.com/docs/api-reference/responses/object. A tool that the caller runs is a
``tool_call``; one that the provider runs is a ``server_tool_call``, with its outcome beside it
where the item has that. An item of an unknown type is recorded by its type, id and value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_str,
    parse_json,
)
from genai_otel.record import (
    bounded,
    compaction,
    generic_part,
    media,
    reasoning,
    server_tool_call,
    server_tool_result,
    text,
    tool_call,
    tool_result,
)

from ._openai_parts import content_part, message_parts, rest, tool_output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from genai_otel.record import Message, Part

# Fields that identify an item, or that have a part of their own.
_HEAD = frozenset({"type", "id", "call_id", "created_by", "caller"})
_OPAQUE = frozenset({"encrypted_content", "fingerprint"})


def item_messages(items: list[Json]) -> list[Message]:
    """Each item of the conversation as a message of its own."""
    hosted = _hosted(items)
    return [_message(item, hosted) for item in items]


def items_parts(items: list[Json]) -> list[Part]:
    """The parts of all items of one reply."""
    hosted = _hosted(items)
    return [part for item in items for part in _parts(item, hosted)]


def _message(item: Json, hosted: Collection[str | None]) -> Message:
    content, said_by = item.get("content"), item.get("role")
    if len(item) == 2 and type(content) is str and type(said_by) is str:  # noqa: PLR2004 - as most
        return {"role": said_by, "parts": [text(content)]}
    kind = _kind(item)
    role = get_str(item, "role")
    if role is None:
        default = "user" if kind in _CALLERS else "assistant"
        role = "tool" if returns(kind) else default
    return {"role": role, "parts": _parts(item, hosted)}


# Types of items that the caller makes, and only the caller.
_CALLERS = frozenset({"message", "compaction_trigger", "configuration_update"})


def returns(kind: str) -> bool:
    """Whether an item of this type answers a call."""
    return kind.endswith("_output") or kind == "mcp_approval_response"


def _kind(item: Json) -> str:
    """The type, which a message may leave out, and a reference to an item, too."""
    kind = get_str(item, "type")
    if kind is not None:
        return kind
    return "message" if "content" in item or "role" in item else "item_reference"


def _hosted(items: list[Json]) -> Collection[str | None]:
    """The calls of a shell in a container of the provider's, whose outputs do not say so."""
    calls = [item for item in items if item.get("type") == "shell_call"]
    return {_call_id(call) for call in calls if not _is_client_call(call)} if calls else ()


def _parts(item: Json, hosted: Collection[str | None]) -> list[Part]:
    kind = _kind(item)
    if kind == "shell_call_output" and _call_id(item) in hosted:
        return _outcome("shell")(item)
    read = _READERS.get(kind)
    if read is not None:
        return read(item)
    if kind.endswith("_call_output"):
        return [tool_result(_call_id(item), tool_output(item.get("output")))]
    return [generic_part(kind, rest(item, _HEAD | _OPAQUE), get_str(item, "id"))]


def _call_id(item: Json) -> str | None:
    return get_str(item, "call_id") or get_str(item, "id")


def awaited(items: list[Json]) -> list[Json]:
    """The calls that the caller must answer: those of its own tools that nothing has answered."""
    asking = [item for item in items if _is_client_call(item)]
    if not asking:
        return asking
    answered = {get_str(item, "call_id") for item in items if returns(_kind(item))}
    return [item for item in asking if _call_id(item) not in answered]


def calls(items: list[Json]) -> list[Json]:
    """The calls of any tool, whoever runs it."""
    return [item for item in items if _kind(item).endswith("_call") or _is_client_call(item)]


_ASKING = frozenset(
    {
        *("function_call", "custom_tool_call", "computer_call", "local_shell_call"),
        *("apply_patch_call", "shell_call", "tool_search_call", "mcp_approval_request"),
    }
)


def _is_client_call(item: Json) -> bool:
    kind = get_str(item, "type")
    return kind in _ASKING and not (kind in _EITHER and _EITHER[kind](item))


def _in_container(item: Json) -> bool:
    return get_str(get_dict(item, "environment"), "type") == "container_reference"


def _on_server(item: Json) -> bool:
    return get_str(item, "execution") == "server"


# Tools that either side may run -> whether the provider runs this call.
_EITHER: dict[str, Callable[[Json], bool]] = {
    "shell_call": _in_container,
    "tool_search_call": _on_server,
}


# ------------------------------------------------------------------------- what the model thought


def _reasoning(item: Json) -> list[Part]:
    """The summary and the thoughts; without any, which is usual, that there were some."""
    pieces = [*get_dicts(item, "summary"), *get_dicts(item, "content")]
    return [reasoning(get_str(piece, "text") or "") for piece in pieces] or [reasoning("")]


def _compaction(item: Json) -> list[Part]:
    return [compaction(get_str(item, "content"), get_str(item, "id"))]


# --------------------------------------------------------------------- what the caller is asked for


def _named_call(item: Json) -> list[Part]:
    """Of a function, of a custom tool, or of an MCP server's that needs an approval."""
    arguments = parse_json(item.get("arguments", item.get("input")))
    call = tool_call(_call_id(item), get_str(item, "name") or "", arguments)
    namespace = get_str(item, "namespace") or get_str(item, "server_label")
    if namespace is not None:
        call["namespace"] = namespace
    return [call]


def _known_call(name: str, key: str) -> Callable[[Json], list[Part]]:
    """A call of a tool that the API knows; ``key`` has what it is to do."""

    def read(item: Json) -> list[Part]:
        arguments = parse_json(item.get(key)) if key in item else rest(item, _HEAD | {"status"})
        if _kind(item) in _EITHER and not _is_client_call(item):
            return [server_tool_call(_call_id(item), name, _payload(item))]
        return [tool_call(_call_id(item), name, bounded(arguments))]

    return read


def _computer(item: Json) -> list[Part]:
    """One action or several, and what must be confirmed before they are done."""
    return [tool_call(_call_id(item), "computer", bounded(rest(item, _HEAD | {"status"})))]


def _payload(item: Json) -> Json:
    return rest(item, _HEAD | _OPAQUE | {"name"})


# --------------------------------------------------------------------------- what the provider does


def _server_tool(name: str, *outcome: str) -> Callable[[Json], list[Part]]:
    """A tool that the provider runs; ``outcome``: the fields with what came of it."""

    def read(item: Json) -> list[Part]:
        called = get_str(item, "name") or name
        work = {"type": name, **_payload(item)}
        result = {key: work.pop(key) for key in outcome if key in work}
        if "arguments" in work:
            work["arguments"] = parse_json(work["arguments"])
        parts: list[Part] = [server_tool_call(_call_id(item), called, work)]
        if result:
            parts.append(server_tool_result(_call_id(item), name, result))
        return parts

    return read


def _code(item: Json) -> list[Part]:
    """Logs as they are; pictures by their size or address."""
    outputs = [
        media("image", get_str(each, "url") or "") if get_str(each, "type") == "image" else each
        for each in get_dicts(item, "outputs")
    ]
    return _server_tool("code_interpreter", "outputs")({**item, "outputs": outputs or None})


def _picture(item: Json) -> list[Part]:
    call = _server_tool("image_generation")({**item, "result": None})
    picture = get_str(item, "result")
    form = get_str(item, "output_format")
    if picture:
        call.append(media("image", picture, f"image/{form}" if form else None))
    return call


def _outcome(name: str) -> Callable[[Json], list[Part]]:
    """What came of it, where that is an item of its own."""
    return lambda item: [server_tool_result(_call_id(item), name, _payload(item))]


# --------------------------------------------------------------------------------- what came of it


def _tool_search_result(item: Json) -> list[Part]:
    found = {"tools": item.get("tools")}
    if _on_server(item):
        return [server_tool_result(_call_id(item), "tool_search", found)]
    return [tool_result(_call_id(item), bounded(found))]


def _screenshot(item: Json) -> list[Part]:
    return [tool_result(_call_id(item), [content_part(as_dict(item.get("output")))])]


def _shell_output(item: Json) -> list[Part]:
    return [tool_result(_call_id(item), bounded(item.get("output")))]


def _patched(item: Json) -> list[Part]:
    return [tool_result(_call_id(item), bounded(rest(item, _HEAD)))]


def _approval(item: Json) -> list[Part]:
    answer = {"approve": item.get("approve"), "reason": item.get("reason")}
    return [tool_result(get_str(item, "approval_request_id"), bounded(answer))]


# Type of an item -> its parts.
_READERS: dict[str, Callable[[Json], list[Part]]] = {
    "message": message_parts,
    "reasoning": _reasoning,
    "compaction": _compaction,
    "function_call": _named_call,
    "custom_tool_call": _named_call,
    "mcp_approval_request": _named_call,
    "computer_call": _computer,
    "local_shell_call": _known_call("local_shell", "action"),
    "shell_call": _known_call("shell", "action"),
    "apply_patch_call": _known_call("apply_patch", "operation"),
    "tool_search_call": _known_call("tool_search", "arguments"),
    "web_search_call": _server_tool("web_search"),
    "file_search_call": _server_tool("file_search", "results"),
    "code_interpreter_call": _code,
    "image_generation_call": _picture,
    "mcp_call": _server_tool("mcp", "output", "error"),
    "mcp_list_tools": _server_tool("mcp_list_tools", "tools", "error"),
    "program": _server_tool("program"),
    "program_output": _outcome("program"),
    "multi_agent_call": _server_tool("multi_agent"),
    "multi_agent_call_output": _outcome("multi_agent"),
    "computer_call_output": _screenshot,
    "shell_call_output": _shell_output,
    "apply_patch_call_output": _patched,
    "tool_search_output": _tool_search_result,
    "mcp_approval_response": _approval,
}
