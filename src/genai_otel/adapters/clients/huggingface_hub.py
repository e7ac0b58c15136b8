"""Hugging Face's InferenceClient: chat, text generation, embeddings, images, speech, transcripts.

Chat is in the shapes of OpenAI's API; the rest is in those of text-generation-inference:
huggingface.co/docs/inference-providers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_int,
    get_str,
    host_and_port,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.instrumentation.unreturned import decoded, local_in_error
from genai_otel.record import Kind, text

from . import _openai_wire as wire
from ._message_builder import MessageBuilder, assistant_message
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.record import Operation

_ROUTER = "https://router.huggingface.co"


def _origin(given: Json, op: Operation) -> None:
    """Everything goes through Hugging Face's own router, unless the client has an address."""
    op.provider = "huggingface"
    told = (given["self"].model, given.get("model"))
    addresses = (each for each in told if type(each) is str and "://" in each)
    op.host, op.port = host_and_port(next(addresses, _ROUTER))


def _body(given: Json) -> Json:
    """The arguments, with the client's own model where the call has none; an address is no name."""
    asked = given.get("model") or given["self"].model
    named = type(asked) is str and "://" not in asked
    asked = {**given, "model": asked if named else None}
    if "max_new_tokens" in given:
        asked["max_tokens"] = given["max_new_tokens"]
    return asked


def _read_prompt(body: Json, op: Operation) -> None:
    words = get_str(body, "prompt") or get_str(body, "text")
    op.input = [{"role": "user", "parts": [text(words)]}] if words is not None else None


def _read_generated_text(reply: Any, op: Operation) -> None:
    """Text, or an object with details where the caller asked for them."""
    found = as_dict(reply)
    words = reply if type(reply) is str else get_str(found, "generated_text") or ""
    _details(get_dict(found, "details"), op)
    if op.capture:
        reason = op.finish_reasons[0] if op.finish_reasons else None
        op.output = [assistant_message([text(words)], reason)]


def _details(details: Json, op: Operation) -> None:
    reason = get_str(details, "finish_reason")
    op.finish_reasons = [] if reason is None else [reason]
    op.usage.output = get_int(details, "generated_tokens")
    op.usage.input = get_int(details, "input_length")


class _Tokens(Accumulator):
    """One token a chunk: its text, or an object with it; the last one has the details."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._last: Json = {}

    def add(self, chunk: Any) -> bool:
        if type(chunk) is str:
            return self._message.add_text(chunk)
        self._last = as_dict(chunk)
        token = get_dict(self._last, "token")
        return token.get("special") is not True and self._message.add_text(get_str(token, "text"))

    def finish(self) -> None:
        _read_generated_text({**self._last, "generated_text": ""}, self._op)
        if self._op.output:
            self._op.output[0]["parts"] = self._message.parts()


def _read_texts(body: Json, op: Operation) -> None:
    given = body.get("text")
    if type(given) is str or (type(given) is list and all(type(each) is str for each in given)):
        op.arguments = given


def _read_embeddings(reply: Any, op: Operation) -> None:
    """An array of numpy's."""
    shape = getattr(reply, "shape", ())
    op.dimensions = int(shape[-1]) if shape else None


# ----------------------------------------------------------------------------- other tasks


def _read_image_request(body: Json, op: Operation) -> None:
    wire.read_request(body, op)
    op.output_type = "image"


def _read_image(_reply: Any, op: Operation) -> None:
    """One of PIL's, of which nothing is looked at."""
    op.usage.images = 1


def _read_speech_request(body: Json, op: Operation) -> None:
    op.output_type = "speech"
    words = get_str(body, "text")
    op.usage.characters = None if words is None else len(words)


def _read_speech(_reply: Any, _op: Operation) -> None:
    """Sound is not looked into."""


def _read_transcription_request(_body: Json, op: Operation) -> None:
    op.output_type = "text"


def _read_transcript(reply: Any, op: Operation) -> None:
    words = get_str(as_dict(reply), "text")
    if op.capture and words is not None:
        op.output = [assistant_message([text(words)], None)]


def _response_from_error(error: BaseException) -> Any:
    """The client reads a reply's bytes into objects of its own, and keeps no other reference."""
    data = local_in_error(error, "chat_completion", "data")
    return decoded(data, "") if type(data) is bytes else None


def _chat_chunk_from_error(error: BaseException) -> Any:
    return local_in_error(error, "_format_chat_completion_stream_output", "json_payload")


def _token_from_error(error: BaseException) -> Any:
    return local_in_error(error, "_format_text_generation_stream_output", "json_payload")


_extractor = partial(Extractor, read_model=wire.read_model)
_CHAT = _extractor(
    Kind.CHAT,
    wire.read_chat_request,
    wire.read_chat_response,
    wire.read_chat_content,
    ChatChunks,
    response_from_error=_response_from_error,
    chunk_from_error=_chat_chunk_from_error,
)
_GENERATE = _extractor(
    Kind.COMPLETION,
    wire.read_request,
    _read_generated_text,
    _read_prompt,
    _Tokens,
    chunk_from_error=_token_from_error,
)
_EMBED = _extractor(Kind.EMBEDDINGS, wire.read_request, _read_embeddings, _read_texts)
_IMAGE = _extractor(Kind.GENERATION, _read_image_request, _read_image, _read_prompt)
_SPEECH = _extractor(Kind.GENERATION, _read_speech_request, _read_speech, _read_prompt)
_TRANSCRIPT = _extractor(Kind.GENERATION, _read_transcription_request, _read_transcript)

_CLIENTS = (
    "huggingface_hub.inference._client:InferenceClient",
    "huggingface_hub.inference._generated._async_client:AsyncInferenceClient",
)
_method = partial(patch_function, origin=_origin, body=_body)

ADAPTER = declare(
    "huggingface_hub",
    patches=tuple(
        patch
        for client in _CLIENTS
        for patch in (
            _method(f"{client}.chat_completion", _CHAT),
            _method(f"{client}.text_generation", _GENERATE),
            _method(f"{client}.feature_extraction", _EMBED),
            _method(f"{client}.text_to_image", _IMAGE),
            _method(f"{client}.text_to_speech", _SPEECH),
            _method(f"{client}.automatic_speech_recognition", _TRANSCRIPT),
        )
    ),
)
