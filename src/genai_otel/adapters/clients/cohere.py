"""Cohere: chat, embeddings and reranking; both versions of its API.

Read below the clients that applications hold, because those keep some of their own methods from the
day they were made. Shapes: docs.cohere.com/reference.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor, Patch
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    host_and_port,
    parse_json,
    pick,
)
from genai_otel.instrumentation.patchers.function import (
    patch_function,
    patch_leading,
    patch_leading_own,
)
from genai_otel.record import (
    Kind,
    TextBuffer,
    cited_text,
    media,
    reasoning,
    tool_call,
)

from . import _openai_wire as wire
from ._cohere_v1 import (
    MOST,
    V1Events,
    decoded,
    read_head,
    read_v1_content,
    read_v1_response,
    with_documents,
)
from ._message_builder import MessageBuilder, assistant_message
from ._openai_parts import message_parts

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation, Part, Text

_PARAMS = {
    "temperature": "temperature",
    "p": "top_p",
    "k": "top_k",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "embedding_types": "encoding_formats",
    "top_n": "retrieved",
}


def _origin(given: Json, op: Operation) -> None:
    wrapper: Any = given["self"]._client_wrapper  # noqa: SLF001 - nowhere else
    service = _aws_service(wrapper)
    if service is None:
        op.provider = "cohere"
        op.host, op.port = host_and_port(wrapper.get_base_url())
    else:  # which only addresses what it sends
        op.provider = f"aws.{service}"


def _aws_service(wrapper: Any) -> str | None:
    """Clients of Bedrock and SageMaker are Cohere's own, with a hook that rewrites each request."""
    sending = getattr(wrapper.httpx_client.httpx_client, "event_hooks", {})
    for hook in sending.get("request", ()):
        if hook.__module__ == "cohere.aws_client":
            held = dict(zip(hook.__code__.co_freevars, hook.__closure__ or (), strict=False))
            return str(held["service"].cell_contents)
    return None


def _read_request(given: Json, op: Operation) -> None:
    op.params = pick(given, _PARAMS)
    if get_str(get_dict(given, "response_format"), "type") == "json_object":
        op.output_type = "json"


# ----------------------------------------------------------------------------- version 2


def _read_response(reply: Any, op: Operation) -> None:
    reply = decoded(reply)
    read_head(reply, get_dict(reply, "usage"), op)
    if op.capture:
        message = get_dict(reply, "message")
        plan = get_str(message, "tool_plan")
        planned: list[Part] = [reasoning(plan)] if plan else []
        parts = [*planned, *_cited(message_parts(message), get_dicts(message, "citations"))]
        op.output = [assistant_message(parts, get_str(reply, "finish_reason"))]


def _cited(parts: list[Part], citations: list[Json]) -> list[Part]:
    """The parts, with what they cite at the last text; which words cite it, is in its offsets."""
    last = max((i for i, part in enumerate(parts) if part["type"] == "text"), default=None)
    if not citations or last is None:
        return parts
    said = cast("Text", parts[last])
    cited = cited_text(said["content"], citations[:MOST])
    return [*parts[:last], cited, *parts[last + 1 :]]


def _read_content(given: Json, op: Operation) -> None:
    wire.read_chat_content(given, op)
    with_documents(given, op)


class _Events(Accumulator):
    """Typed events: text, thoughts and plans in pieces, tool calls by index, usage at the end."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._head: Json = {}
        self._calls: dict[int, Json] = {}
        self._citations: list[Json] = []

    def add_fast(self, event: Any) -> bool | None:
        """A piece of text, as most events are; an error, and so ``add``, for all others."""
        found = event.__dict__
        content = found["delta"].message.content.__dict__
        words = content["text"]
        if found["type"] != "content-delta" or content["thinking"] is not None:
            return None
        return self._message.add_text(words) if type(words) is str else None

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        kind, delta = get_str(event, "type") or "", get_dict(event, "delta")
        message = get_dict(delta, "message")
        if kind.startswith("tool-call"):
            called = get_dict(message, "tool_calls")
            return self._call(get_int(event, "index") or 0, called) if called else False
        if kind == "citation-start" and len(self._citations) < MOST and self._op.capture:
            self._citations.append(get_dict(message, "citations"))
        elif kind == "message-end":
            self._head |= {key: delta.get(key) for key in ("finish_reason", "usage")}
        elif kind == "message-start":
            self._head["id"] = event.get("id")
        content = get_dict(message, "content")
        plan = get_str(message, "tool_plan") if kind.startswith("tool-plan") else None
        words = self._message.add_text(get_str(content, "thinking") or plan, "reasoning")
        return self._message.add_text(get_str(content, "text")) or words

    def _call(self, index: int, called: Json) -> bool:
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = {"pieces": TextBuffer(self._op)}
        function = get_dict(called, "function")
        call["id"] = get_str(called, "id") or call.get("id")
        call["name"] = get_str(function, "name") or call.get("name", "")
        call["pieces"].add(get_str(function, "arguments") or "")
        return True

    def finish(self) -> None:
        read_head(self._head, get_dict(self._head, "usage"), self._op)
        if self._op.capture:
            for _, call in sorted(self._calls.items()):
                given = parse_json(call["pieces"].text())
                self._message.add_part(tool_call(call["id"], call["name"], given))
            reason = get_str(self._head, "finish_reason")
            self._op.output = [
                assistant_message(_cited(self._message.parts(), self._citations), reason)
            ]


# ---------------------------------------------------------------- embeddings and reranking


def _read_texts(given: Json, op: Operation) -> None:
    texts, images = given.get("texts"), given.get("images")
    if type(texts) is list:
        op.arguments = texts
    elif type(images) is list:
        op.arguments = [media("image", each) for each in images if type(each) is str]
    else:
        op.arguments = [message_parts(each) for each in get_dicts(given, "inputs")] or None


def _read_embeddings(reply: Any, op: Operation) -> None:
    reply = decoded(reply)
    read_head(reply, get_dict(reply, "meta"), op)
    found = reply.get("embeddings")
    by_type = next((v for v in as_dict(found).values() if type(v) is list and v), None)
    vectors = found if type(found) is list else by_type
    if vectors and type(vectors[0]) is list:
        op.dimensions = len(vectors[0])


def read_query(given: Json, op: Operation) -> None:
    op.query = get_str(given, "query")


def read_ranking(reply: Any, op: Operation) -> None:
    reply = decoded(reply)
    read_head(reply, get_dict(reply, "meta"), op)
    op.documents = [_rank(result) for result in get_dicts(reply, "results")]


def _rank(result: Json) -> Document:
    score = result.get("relevance_score")
    found: Document = {"id": str(get_int(result, "index"))}
    return {**found, "score": score} if type(score) is float else found


_extractor = partial(Extractor, read_model=wire.read_model)
_CHAT = _extractor(Kind.CHAT, _read_request, _read_response, _read_content, _Events)
_OLD_CHAT = _extractor(Kind.CHAT, _read_request, read_v1_response, read_v1_content, V1Events)
_EMBED = _extractor(Kind.EMBEDDINGS, _read_request, _read_embeddings, _read_texts)
_RERANK = _extractor(Kind.RERANK, _read_request, read_ranking, read_query)

_method = partial(patch_function, origin=_origin)
_stream = partial(_method, stream=True, lazy=True, inner="_data")


def _class_patches(prefix: str) -> tuple[Patch, ...]:
    """Return the patches of the sync or async classes, by their prefix."""
    return (
        _method(f"cohere.v2.raw_client:{prefix}RawV2Client.chat", _CHAT),
        _stream(f"cohere.v2.raw_client:{prefix}RawV2Client.chat_stream", _CHAT),
        _method(f"cohere.v2.raw_client:{prefix}RawV2Client.embed", _EMBED),
        _method(f"cohere.v2.raw_client:{prefix}RawV2Client.rerank", _RERANK),
        _method(f"cohere.raw_base_client:{prefix}RawBaseCohere.chat", _OLD_CHAT),
        _stream(f"cohere.raw_base_client:{prefix}RawBaseCohere.chat_stream", _OLD_CHAT),
        _method(f"cohere.raw_base_client:{prefix}RawBaseCohere.rerank", _RERANK),
        # Here for all of its requests, which it makes in threads of its own.
        _method(f"cohere.client:{prefix}Client.embed", _EMBED),
    )


ADAPTER = declare(
    "cohere",
    patches=(
        *patch_leading("cohere.v2.client:V2Client", "chat_stream"),
        *patch_leading("cohere.v2.client:AsyncV2Client", "chat_stream", "embed", "rerank"),
        *patch_leading("cohere.base_client:BaseCohere", "chat_stream"),
        *patch_leading("cohere.base_client:AsyncBaseCohere", "chat_stream", "rerank"),
        patch_leading_own("cohere.client:AsyncClient", "chat"),
        *(patch for prefix in ("", "Async") for patch in _class_patches(prefix)),
    ),
)
