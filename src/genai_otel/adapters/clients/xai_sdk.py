"""xAI's own client, which speaks gRPC: chats and images.

Read from the protocol buffers that it ships (xai/api/v1/chat.proto). They are OpenAI's shapes under
other names, and are read as such. Its own spans are replaced: they tell what was said, whatever the
content policy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor, Patch
from genai_otel.instrumentation.fields import (
    Json,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    parse_json,
    proto_to_dict,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.instrumentation.patchers.native import patch_native_tracer
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import Kind, media, text

from . import _openai_wire as wire
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.record import Operation

_PROVIDER = "x_ai"
_SAME = ("id", "model", "system_fingerprint")


def _origin(_given: Json, op: Operation) -> None:
    op.provider = _PROVIDER


def _enum_value(source: Json, key: str, prefix: str) -> str | None:
    """An enumeration's value, in small letters and without what each begins with."""
    value = get_str(source, key)
    return None if value is None else value.removeprefix(prefix).lower()


# -------------------------------------------------------------------------------------- chat


def _body(given: Json) -> Json:
    """What is about to be sent, as OpenAI has it."""
    chat = given["self"]
    body = proto_to_dict(chat.proto)
    form = _enum_value(get_dict(body, "response_format"), "format_type", "FORMAT_TYPE_")
    return {
        **body,
        "n": given.get("n"),
        "messages": [_message(each) for each in get_dicts(body, "messages")],
        "tools": [_tool(each) for each in get_dicts(body, "tools")],
        "response_format": {"type": form},
        "reasoning_effort": _enum_value(body, "reasoning_effort", "EFFORT_"),
        "service_tier": _enum_value(body, "service_tier", "SERVICE_TIER_"),
    }


def _message(message: Json) -> Json:
    role = _enum_value(message, "role", "ROLE_")
    content = [_content_part(each) for each in get_dicts(message, "content")]
    told = {**message, "role": role, "content": message.get("text", content)}
    if "tool_calls" in message:
        told["tool_calls"] = [_called(call) for call in get_dicts(message, "tool_calls")]
    return told


def _content_part(piece: Json) -> Json:
    if "image_url" in piece:
        address = get_str(get_dict(piece, "image_url"), "image_url")
        return {"type": "image_url", "image_url": {"url": address}}
    if "file" in piece:
        file = get_dict(piece, "file")
        return {
            "type": "file",
            "file": {"file_id": file.get("file_id"), "file_url": file.get("url")},
        }
    return {"type": "text", **piece}


def _tool(tool: Json) -> Json:
    """A function, whose parameters are a text, or one that runs at the provider."""
    function = get_dict(tool, "function")
    if not function:
        return {"type": next(iter(tool), ""), "name": next(iter(tool), "")}
    return {"function": {**function, "parameters": parse_json(function.get("parameters"))}}


def _read_request(body: Json, op: Operation) -> None:
    wire.read_chat_request(body, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


def _read_content(body: Json, op: Operation) -> None:
    wire.read_chat_content(body, op)
    op.tools = op.tools or None


def _read_response(reply: Any, op: Operation) -> None:
    """A response; of a batch the first, since all of them hold the whole answer."""
    reply = reply[0] if isinstance(reply, (list, tuple)) else reply
    _read_output(proto_to_dict(reply.proto), op)


def _read_output(reply: Json, op: Operation) -> None:
    choices = [
        {
            "message": _spoken(get_dict(output, "message")),
            "finish_reason": _enum_value(output, "finish_reason", "REASON_"),
        }
        for output in get_dicts(reply, "outputs")
    ]
    wire.read_chat_response({**_head(reply), "choices": choices}, op)


def _spoken(message: Json) -> Json:
    said = _with_calls(message)
    return {**said, "role": "assistant", "content": get_str(said, "content")}


def _with_calls(message: Json) -> Json:
    """With the calls of tools that xAI runs told apart from those that the caller runs.

    An output of the tools' role holds what came of one.
    """
    calls = get_dicts(message, "tool_calls")
    if get_str(message, "role") == "ROLE_TOOL" and calls:
        served = {"content": message.get("content"), **_state(calls[0])}
        made = [{**_id_and_type(calls[0]), "served": served}]
        return {**message, "content": None, "tool_calls": made}
    return {**message, "tool_calls": [_called(call) for call in calls]}


def _called(call: Json) -> Json:
    told = _id_and_type(call)
    if told["type"] in _CALLERS:
        return call
    function = get_dict(call, "function")
    arguments = parse_json(function.get("arguments"))
    asked = {"name": function.get("name"), "arguments": arguments, **_state(call)}
    return {**told, "server": asked}


_CALLERS = (None, "invalid", "client_side")


def _id_and_type(call: Json) -> Json:
    kind = _enum_value(call, "type", "TOOL_CALL_TYPE_")
    return {"id": get_str(call, "id"), "type": kind and kind.removesuffix("_tool")}


def _state(call: Json) -> Json:
    status = _enum_value(call, "status", "TOOL_CALL_STATUS_")
    told = {"status": status, "error_message": get_str(call, "error_message")}
    return {name: word for name, word in told.items() if word}


def _head(reply: Json) -> Json:
    head: Json = {key: reply[key] for key in _SAME if key in reply}
    head["service_tier"] = _enum_value(reply, "service_tier", "SERVICE_TIER_")
    used = get_dict(reply, "usage")
    if used:
        head["usage"] = {
            **used,
            "prompt_tokens_details": {
                "cached_tokens": get_int(used, "cached_prompt_text_tokens"),
                "image_tokens": get_int(used, "prompt_image_tokens"),
            },
            "completion_tokens_details": {"reasoning_tokens": get_int(used, "reasoning_tokens")},
        }
    return head


class _Chunks(ChatChunks):
    """Pairs of the response so far and a piece of it, or of as many as were asked for."""

    add_fast = Accumulator.add_fast  # chunks are pairs of protobuf messages

    def add(self, pair: Any) -> bool:
        piece = pair[1][0] if type(pair[1]) is list else pair[1]
        chunk = proto_to_dict(piece.proto)
        choices = [
            {
                "index": get_int(output, "index") or 0,
                "delta": _delta(get_dict(output, "delta")),
                "finish_reason": _enum_value(output, "finish_reason", "REASON_"),
            }
            for output in get_dicts(chunk, "outputs")
        ]
        return super().add({**_head(chunk), "choices": choices})


def _delta(delta: Json) -> Json:
    """Calls come whole, each with an id of its own."""
    return _with_calls(delta)


# ------------------------------------------------------------------------------------ images


def _read_image_request(given: Json, op: Operation) -> None:
    op.output_type = "image"
    op.params = {"choices": get_int(given, "n")}


def _read_image_content(given: Json, op: Operation) -> None:
    prompt = get_str(given, "prompt")
    if prompt is not None:
        op.input = [{"role": "user", "parts": [text(prompt)]}]


def _read_images(reply: Any, op: Operation) -> None:
    reply = reply[0] if isinstance(reply, (list, tuple)) else reply
    answer = proto_to_dict(reply.proto)
    made = get_dicts(answer, "images")
    op.response_model, op.usage.images = get_str(answer, "model"), len(made) or None
    if op.capture:
        parts = [media("image", get_str(i, "url") or get_str(i, "base64") or "") for i in made]
        op.output = [{"role": "assistant", "parts": [*parts]}]


def _response_from_error(error: BaseException) -> Any:
    """The response whose text does not fit the shape that was asked for."""
    return local_in_error(error, "parse", "r")


_CHAT = Extractor(
    Kind.CHAT,
    _read_request,
    _read_response,
    _read_content,
    _Chunks,
    read_model=wire.read_model,
    response_from_error=_response_from_error,
)
_IMAGE = Extractor(
    Kind.GENERATION,
    _read_image_request,
    _read_images,
    _read_image_content,
    read_model=wire.read_model,
)
_call = partial(patch_function, origin=_origin)


def _client_patches(package: str) -> tuple[Patch, ...]:
    chat, image = f"xai_sdk.{package}.chat", f"xai_sdk.{package}.image"
    return (
        patch_native_tracer(f"{chat}:tracer", _PROVIDER),
        patch_native_tracer(f"{image}:tracer", _PROVIDER),
        *(
            _call(f"{chat}:Chat.{name}", _CHAT, body=_body, optional=name.startswith("defer"))
            for name in ("sample", "sample_batch", "stream", "stream_batch", "defer", "defer_batch")
        ),
        _call(f"{chat}:Chat.parse", _CHAT, body=_body),
        _call(f"{image}:Client.sample", _IMAGE, optional=True),
        _call(f"{image}:Client.sample_batch", _IMAGE, optional=True),
    )


ADAPTER = declare(
    "xai_sdk",
    patches=(*_client_patches("sync"), *_client_patches("aio")),
)
