"""xAI's own client, which speaks gRPC: chats and images.

Read from the protocol buffers that it ships (xai/api/v1/chat.proto). They are OpenAI's shapes under
other names, and are read as such. Its own spans are replaced: they tell what was said, whatever the
content policy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator, Adapter, Patch, Reader
from genai_otel.instrumentation.fields import (
    Json,
    integer,
    mapping,
    mappings,
    parsed,
    proto,
    string,
)
from genai_otel.instrumentation.patchers.function import function
from genai_otel.instrumentation.patchers.native import giving_way
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


def _word(source: Json, key: str, prefix: str) -> str | None:
    """An enumeration's value, in small letters and without what each begins with."""
    value = string(source, key)
    return None if value is None else value.removeprefix(prefix).lower()


# -------------------------------------------------------------------------------------- chat


def _body(given: Json) -> Json:
    """What is about to be sent, as OpenAI has it."""
    chat = given["self"]
    body = proto(chat.proto)
    form = _word(mapping(body, "response_format"), "format_type", "FORMAT_TYPE_")
    return {
        **body,
        "n": given.get("n"),
        "messages": [_message(each) for each in mappings(body, "messages")],
        "tools": [_tool(each) for each in mappings(body, "tools")],
        "response_format": {"type": form},
        "reasoning_effort": _word(body, "reasoning_effort", "EFFORT_"),
        "service_tier": _word(body, "service_tier", "SERVICE_TIER_"),
    }


def _message(message: Json) -> Json:
    role = _word(message, "role", "ROLE_")
    content = [_content(each) for each in mappings(message, "content")]
    told = {**message, "role": role, "content": message.get("text", content)}
    if "tool_calls" in message:
        told["tool_calls"] = [_called(call) for call in mappings(message, "tool_calls")]
    return told


def _content(piece: Json) -> Json:
    if "image_url" in piece:
        address = string(mapping(piece, "image_url"), "image_url")
        return {"type": "image_url", "image_url": {"url": address}}
    if "file" in piece:
        file = mapping(piece, "file")
        return {
            "type": "file",
            "file": {"file_id": file.get("file_id"), "file_url": file.get("url")},
        }
    return {"type": "text", **piece}


def _tool(tool: Json) -> Json:
    """A function, whose parameters are a text, or one that runs at the provider."""
    function = mapping(tool, "function")
    if not function:
        return {"type": next(iter(tool), ""), "name": next(iter(tool), "")}
    return {"function": {**function, "parameters": parsed(function.get("parameters"))}}


def _ask(body: Json, op: Operation) -> None:
    wire.ask_chat(body, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


def _content_of(body: Json, op: Operation) -> None:
    wire.chat_content(body, op)
    op.tools = op.tools or None


def _answer(reply: Any, op: Operation) -> None:
    """A response; of a batch the first, since all of them hold the whole answer."""
    reply = reply[0] if isinstance(reply, (list, tuple)) else reply
    _said(proto(reply.proto), op)


def _said(reply: Json, op: Operation) -> None:
    choices = [
        {
            "message": _spoken(mapping(output, "message")),
            "finish_reason": _word(output, "finish_reason", "REASON_"),
        }
        for output in mappings(reply, "outputs")
    ]
    wire.answer_chat({**_head(reply), "choices": choices}, op)


def _spoken(message: Json) -> Json:
    said = _with_calls(message)
    return {**said, "role": "assistant", "content": string(said, "content")}


def _with_calls(message: Json) -> Json:
    """With the calls of tools that xAI runs told apart from those that the caller runs.

    An output of the tools' role holds what came of one.
    """
    calls = mappings(message, "tool_calls")
    if string(message, "role") == "ROLE_TOOL" and calls:
        served = {"content": message.get("content"), **_state(calls[0])}
        made = [{**_id_and_type(calls[0]), "served": served}]
        return {**message, "content": None, "tool_calls": made}
    return {**message, "tool_calls": [_called(call) for call in calls]}


def _called(call: Json) -> Json:
    told = _id_and_type(call)
    if told["type"] in _CALLERS:
        return call
    function = mapping(call, "function")
    arguments = parsed(function.get("arguments"))
    asked = {"name": function.get("name"), "arguments": arguments, **_state(call)}
    return {**told, "server": asked}


_CALLERS = (None, "invalid", "client_side")


def _id_and_type(call: Json) -> Json:
    kind = _word(call, "type", "TOOL_CALL_TYPE_")
    return {"id": string(call, "id"), "type": kind and kind.removesuffix("_tool")}


def _state(call: Json) -> Json:
    status = _word(call, "status", "TOOL_CALL_STATUS_")
    told = {"status": status, "error_message": string(call, "error_message")}
    return {name: word for name, word in told.items() if word}


def _head(reply: Json) -> Json:
    head: Json = {key: reply[key] for key in _SAME if key in reply}
    head["service_tier"] = _word(reply, "service_tier", "SERVICE_TIER_")
    used = mapping(reply, "usage")
    if used:
        head["usage"] = {
            **used,
            "prompt_tokens_details": {
                "cached_tokens": integer(used, "cached_prompt_text_tokens"),
                "image_tokens": integer(used, "prompt_image_tokens"),
            },
            "completion_tokens_details": {"reasoning_tokens": integer(used, "reasoning_tokens")},
        }
    return head


class _Chunks(ChatChunks):
    """Pairs of the response so far and a piece of it, or of as many as were asked for."""

    quick = Accumulator.quick  # chunks are pairs of protobuf messages

    def add(self, pair: Any) -> bool:
        piece = pair[1][0] if type(pair[1]) is list else pair[1]
        chunk = proto(piece.proto)
        choices = [
            {
                "index": integer(output, "index") or 0,
                "delta": _delta(mapping(output, "delta")),
                "finish_reason": _word(output, "finish_reason", "REASON_"),
            }
            for output in mappings(chunk, "outputs")
        ]
        return super().add({**_head(chunk), "choices": choices})


def _delta(delta: Json) -> Json:
    """Calls come whole, each with an id of its own."""
    return _with_calls(delta)


# ------------------------------------------------------------------------------------ images


def _ask_image(given: Json, op: Operation) -> None:
    op.output_type = "image"
    op.params = {"choices": integer(given, "n")}


def _image_content(given: Json, op: Operation) -> None:
    prompt = string(given, "prompt")
    if prompt is not None:
        op.input = [{"role": "user", "parts": [text(prompt)]}]


def _images(reply: Any, op: Operation) -> None:
    reply = reply[0] if isinstance(reply, (list, tuple)) else reply
    answer = proto(reply.proto)
    made = mappings(answer, "images")
    op.response_model, op.usage.images = string(answer, "model"), len(made) or None
    if op.capture:
        parts = [media("image", string(i, "url") or string(i, "base64") or "") for i in made]
        op.output = [{"role": "assistant", "parts": [*parts]}]


def _unparsed(error: BaseException) -> Any:
    """The response whose text does not fit the shape that was asked for."""
    return local_in_error(error, "parse", "r")


_CHAT = Reader(Kind.CHAT, _ask, _answer, _content_of, _Chunks, model=wire.model, held=_unparsed)
_IMAGE = Reader(Kind.GENERATION, _ask_image, _images, _image_content, model=wire.model)
_call = partial(function, origin=_origin)


def _colour(package: str) -> tuple[Patch, ...]:
    chat, image = f"xai_sdk.{package}.chat", f"xai_sdk.{package}.image"
    return (
        giving_way(f"{chat}:tracer", _PROVIDER),
        giving_way(f"{image}:tracer", _PROVIDER),
        *(
            _call(f"{chat}:Chat.{name}", _CHAT, body=_body, optional=name.startswith("defer"))
            for name in ("sample", "sample_batch", "stream", "stream_batch", "defer", "defer_batch")
        ),
        _call(f"{chat}:Chat.parse", _CHAT, body=_body),
        _call(f"{image}:Client.sample", _IMAGE, optional=True),
        _call(f"{image}:Client.sample_batch", _IMAGE, optional=True),
    )


ADAPTER = Adapter(
    name="xai_sdk",
    distribution="xai-sdk",
    oldest="1.21",
    untested="2",
    patches=(*_colour("sync"), *_colour("aio")),
)
