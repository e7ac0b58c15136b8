"""Azure AI Inference: chat and embeddings of any model that Azure serves, in OpenAI's words.

The client's objects keep what they are made of, as it is on the wire, in ``_data``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor, Patch
from genai_otel.instrumentation.fields import Json, as_dict, get_int, host_and_port
from genai_otel.instrumentation.patchers.function import patch_function, patch_stream_class
from genai_otel.instrumentation.unreturned import json_text, local_in_error
from genai_otel.record import Kind

from . import _openai_wire as wire
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.record import Operation


def _unwrap(made: Any) -> Any:
    """What such an object is on the wire, its own parts as they are."""
    return as_dict(made).get("_data", made)


def _unwrap_deep(made: Any) -> Any:
    """The same down to the last part."""
    made = _unwrap(made)
    if type(made) is dict:
        return {key: _unwrap_deep(value) for key, value in made.items()}
    return [_unwrap_deep(each) for each in made] if type(made) is list else made


def _body(given: Json) -> Json:
    """The arguments as they are sent; a body that the caller has made itself is a file's."""
    asked = {key: value for key, value in given.items() if key != "self"}
    for name in ("messages", "tools"):
        several = asked.get(name)
        if type(several) is list:
            asked[name] = [_unwrap_deep(each) for each in several]
    own = asked.get("body")
    return {**own, **asked} if type(own) is dict else asked


def _origin(given: Json, op: Operation) -> None:
    op.provider = "azure.ai.inference"
    op.host, op.port = host_and_port(given["self"]._config.endpoint)  # noqa: SLF001 - nowhere else


def _read_response(reply: Any, op: Operation) -> None:
    wire.read_chat_response(_unwrap_deep(reply), op)


class _Updates(ChatChunks):
    """Chunks of OpenAI's, in the client's own objects."""

    add_fast = Accumulator.add_fast  # chunks are dicts in objects

    def add(self, chunk: Any) -> bool:
        """Takes a chunk, or those that were never handed out."""
        if type(chunk) is not list:
            return super().add(_unwrap_deep(chunk))
        taken = [self.add(each) for each in chunk if each is not None]
        return any(taken)


def _read_texts(body: Json, op: Operation) -> None:
    given = body.get("input")
    if type(given) is list and all(type(each) is str for each in given):
        op.arguments = list(given)


def _read_embeddings(reply: Any, op: Operation) -> None:
    found = as_dict(_unwrap(reply))
    wire.read_response(found, op)
    op.usage.input = get_int(as_dict(_unwrap(found.get("usage"))), "prompt_tokens")
    several = found.get("data")
    vector = as_dict(_unwrap(several[0])).get("embedding") if type(several) is list else None
    op.dimensions = len(vector) if type(vector) is list else None


def _chunk_from_error(error: BaseException) -> Any:
    """What came in one block of bytes with a line that is no update, and what that line says.

    The client queues a block's updates, and hands out none of a block that it cannot read.
    """
    reading = "_deserialize_and_add_to_queue"
    stream, line = (local_in_error(error, reading, name) for name in ("self", "line"))
    if stream is None or type(line) is not bytes:
        return None
    queued = list(stream._queue.queue)  # noqa: SLF001 - nowhere else
    return [*queued, json_text(line.partition(b":")[2])]


_CHAT = Extractor(
    Kind.CHAT,
    wire.read_chat_request,
    _read_response,
    wire.read_chat_content,
    _Updates,
    read_model=wire.read_model,
    chunk_from_error=_chunk_from_error,
)
_EMBED = Extractor(
    Kind.EMBEDDINGS, wire.read_request, _read_embeddings, _read_texts, read_model=wire.read_model
)
_call = partial(patch_function, origin=_origin, body=_body)


def _client_patches(package: str) -> tuple[Patch, ...]:
    return (
        _call(f"{package}._patch:ChatCompletionsClient.complete", _CHAT),
        _call(f"{package}._patch:EmbeddingsClient.embed", _EMBED),
    )


ADAPTER = declare(
    "azure_ai_inference",
    patches=(
        *_client_patches("azure.ai.inference"),
        *_client_patches("azure.ai.inference.aio"),
        *patch_stream_class("azure.ai.inference.models._patch:StreamingChatCompletions"),
        *patch_stream_class("azure.ai.inference.models._patch:AsyncStreamingChatCompletions"),
    ),
)
