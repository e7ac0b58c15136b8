"""OpenAI: chat completions, responses, completions, embeddings, images, audio, moderations.

Also Azure OpenAI, and every server that speaks the same API under another base URL.
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
    get_dicts,
    get_first_dict,
    get_int,
    get_str,
)
from genai_otel.instrumentation.patchers.stainless import patch_stainless
from genai_otel.record import Kind, TextBuffer, media, text

from . import _openai_realtime
from . import _openai_responses as responses
from . import _openai_wire as wire
from ._hosts import provider_at
from ._openai_chunks import ChatChunks, is_usage_chunk
from ._openai_usage import count

if TYPE_CHECKING:
    from genai_otel.record import Operation

# Hosts known to accept ``stream_options.include_usage``; Groq and Together reject it.
_USAGE_HOSTS = (
    "api.openai.com",
    "openai.azure.com",
    "api.deepseek.com",
    "openrouter.ai",
    "api.x.ai",
    "api.moonshot.ai",
)


def provider(client: Any, host: str, port: int | None) -> str:
    """Return the provider of a client's host; ``openai`` for an unknown one."""
    if any(base.__name__ == "BaseAzureClient" for base in type(client).__mro__):
        return "azure.ai.openai"
    return provider_at(host, port, "openai")


def _headers(headers: Any, op: Operation) -> None:
    """Read ``openai-processing-ms``, the time inside the provider."""
    told = headers.get("openai-processing-ms")
    if type(told) is str and told.isdigit():
        op.timing.server = int(told) / 1000


def _read_completion_content(body: Json, op: Operation) -> None:
    prompt = body.get("prompt")
    given = prompt if type(prompt) is list else [prompt]
    op.input = [_user_message(words) for words in given if type(words) is str]


def _user_message(words: str) -> Any:
    return {"role": "user", "parts": [text(words)]}


def _read_embedding_content(body: Json, op: Operation) -> None:
    given = body.get("input")
    if type(given) is str or (type(given) is list and given and type(given[0]) is str):
        op.arguments = given


def _read_embeddings(reply: Any, op: Operation) -> None:
    """Never the vectors: their length only, which base64 tells as well (4 bytes a number)."""
    reply = as_dict(reply)
    wire.read_response(reply, op)
    op.usage.input = get_int(get_dict(reply, "usage"), "prompt_tokens")
    vector = get_first_dict(reply, "data").get("embedding")
    if type(vector) is list:
        op.dimensions = len(vector)
    elif type(vector) is str:
        op.dimensions = (len(vector) * 3 // 4 - vector[-2:].count("=")) // 4


def _read_image_request(body: Json, op: Operation) -> None:
    wire.read_request(body, op)
    op.output_type = "image"


def _read_prompt_content(body: Json, op: Operation) -> None:
    words = get_str(body, "prompt") or get_str(body, "input")
    if words is not None:
        op.input = [_user_message(words)]


def _read_images(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    wire.read_response(reply, op)
    count(get_dict(reply, "usage"), op)
    op.usage.images = len(get_dicts(reply, "data")) or None
    if op.capture:
        sources = [
            get_str(i, "b64_json") or get_str(i, "url") or "" for i in get_dicts(reply, "data")
        ]
        parts: list[Any] = [media("image", source) for source in sources]
        op.output = [{"role": "assistant", "parts": parts}]


def _read_speech_request(body: Json, op: Operation) -> None:
    wire.read_request(body, op)
    op.output_type = "speech"
    words = get_str(body, "input")
    op.usage.characters = None if words is None else len(words)


def _read_transcription_request(body: Json, op: Operation) -> None:
    wire.read_request(body, op)
    op.output_type = "text"


def _read_transcript(reply: Any, op: Operation) -> None:
    """Read a transcript: JSON, or plain text where that was requested."""
    found = as_dict(reply)
    wire.read_response(found, op)
    count(get_dict(found, "usage") or {"seconds": found.get("duration")}, op)
    words = reply if type(reply) is str else get_str(found, "text")
    if op.capture and words is not None:
        op.output = [{"role": "assistant", "parts": [text(words)]}]


class _MediaEvents(Accumulator):
    """Reads streams of speech, transcripts and images: text deltas, and usage in the last event."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._text = TextBuffer(op)

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        if event.get("usage"):
            count(get_dict(event, "usage"), self._op)
        kind = get_str(event, "type") or ""
        if event.get("b64_json") and kind.endswith(".completed"):
            self._op.usage.images = (self._op.usage.images or 0) + 1
        if "text" in kind:
            self._text.add(get_str(event, "delta") or "")
        return bool(event.get("delta") or event.get("audio") or event.get("b64_json"))

    def finish(self) -> None:
        words = self._text.text()
        if words:
            self._op.output = [{"role": "assistant", "parts": [text(words)]}]


def _read_moderation_content(body: Json, op: Operation) -> None:
    op.arguments = body.get("input")


_extractor = partial(Extractor, read_model=wire.read_model)


ROUTES = {
    "/chat/completions": _extractor(
        Kind.CHAT,
        wire.read_chat_request,
        wire.read_chat_response,
        wire.read_chat_content,
        ChatChunks,
        is_usage_chunk=is_usage_chunk,
    ),
    "/responses": _extractor(
        Kind.CHAT,
        responses.read_request,
        responses.read_response,
        responses.read_content,
        responses.ResponseEvents,
    ),
    "/responses/compact": _extractor(
        Kind.CHAT,
        responses.read_request,
        responses.read_compaction,
        responses.read_content,
    ),
    "/completions": _extractor(
        Kind.COMPLETION,
        wire.read_request,
        wire.read_chat_response,
        _read_completion_content,
        ChatChunks,
        is_usage_chunk=is_usage_chunk,
    ),
    "/embeddings": _extractor(
        Kind.EMBEDDINGS, wire.read_request, _read_embeddings, _read_embedding_content
    ),
    "/images/generations": _extractor(
        Kind.GENERATION, _read_image_request, _read_images, _read_prompt_content, _MediaEvents
    ),
    "/images/edits": _extractor(
        Kind.GENERATION, _read_image_request, _read_images, _read_prompt_content, _MediaEvents
    ),
    "/audio/speech": _extractor(
        Kind.GENERATION,
        _read_speech_request,
        wire.read_response,
        _read_prompt_content,
        _MediaEvents,
    ),
    "/audio/transcriptions": _extractor(
        Kind.GENERATION, _read_transcription_request, _read_transcript, None, _MediaEvents
    ),
    "/audio/translations": _extractor(
        Kind.GENERATION, _read_transcription_request, _read_transcript
    ),
    "/moderations": _extractor(
        Kind.GUARDRAIL,
        wire.read_request,
        wire.read_moderation_response,
        _read_moderation_content,
        name="moderation",
    ),
}


def under(path: str) -> dict[str, Extractor]:
    """Return these endpoints for a client that puts ``path`` before each."""
    return {f"{path}{route}": extractor for route, extractor in ROUTES.items()}


# Methods of clients with the same API.
METHODS = {
    f"{place}:Async{name}{end}": verb
    for place, name, verb in (
        ("chat.completions", "Completions", "create"),
        ("completions", "Completions", "create"),
        ("embeddings", "Embeddings", "create"),
        ("images", "Images", "generate"),
        ("audio.speech", "Speech", "create"),
        ("audio.transcriptions", "Transcriptions", "create"),
        ("audio.translations", "Translations", "create"),
    )
    for end in ("", "Resource")
}
_METHODS = {
    "chat.completions.completions:AsyncCompletions": "create parse",
    "responses.responses:AsyncResponses": "create parse compact",
    "completions:AsyncCompletions": "create",
    "embeddings:AsyncEmbeddings": "create",
    "moderations:AsyncModerations": "create",
    "images:AsyncImages": "generate edit create_variation",
    "audio.speech:AsyncSpeech": "create",
    "audio.transcriptions:AsyncTranscriptions": "create",
    "audio.translations:AsyncTranslations": "create",
}
_BLOCKS = (
    "lib.streaming.chat._completions:ChatCompletionStreamManager",
    "lib.streaming.responses._responses:ResponseStreamManager",
)
ADAPTER = declare(
    "openai",
    patches=(
        *patch_stainless(
            "openai", ROUTES, provider, _headers, _USAGE_HOSTS, methods=_METHODS, blocks=_BLOCKS
        ),
        *_openai_realtime.patches(provider),
    ),
)
