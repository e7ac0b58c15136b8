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
from ._openai_chunks import ChatChunks, only_usage
from ._openai_usage import count

if TYPE_CHECKING:
    from genai_otel.record import Operation

_USAGE_HOSTS = (
    "api.openai.com",
    "openai.azure.com",
    "api.deepseek.com",
    "openrouter.ai",
    "api.x.ai",
    "api.moonshot.ai",
)
"""Known to take ``stream_options.include_usage``; Groq and Together refuse it."""


def provider(client: Any, host: str, port: int | None) -> str:
    """Who serves ``client``'s calls; ``openai`` where the host tells nothing."""
    if any(base.__name__ == "BaseAzureClient" for base in type(client).__mro__):
        return "azure.ai.openai"
    return provider_at(host, port, "openai")


def _headers(headers: Any, op: Operation) -> None:
    """``openai-processing-ms``: what the call took inside the provider."""
    told = headers.get("openai-processing-ms")
    if type(told) is str and told.isdigit():
        op.timing.server = int(told) / 1000


def _completion_content(body: Json, op: Operation) -> None:
    prompt = body.get("prompt")
    given = prompt if type(prompt) is list else [prompt]
    op.input = [_said(words) for words in given if type(words) is str]


def _said(words: str) -> Any:
    return {"role": "user", "parts": [text(words)]}


def _embedding_content(body: Json, op: Operation) -> None:
    given = body.get("input")
    if type(given) is str or (type(given) is list and given and type(given[0]) is str):
        op.arguments = given


def _vectors(reply: Any, op: Operation) -> None:
    """Never the vectors: their length only, which base64 tells as well (4 bytes a number)."""
    reply = as_dict(reply)
    wire.answer(reply, op)
    op.usage.input = get_int(get_dict(reply, "usage"), "prompt_tokens")
    vector = get_first_dict(reply, "data").get("embedding")
    if type(vector) is list:
        op.dimensions = len(vector)
    elif type(vector) is str:
        op.dimensions = (len(vector) * 3 // 4 - vector[-2:].count("=")) // 4


def _ask_image(body: Json, op: Operation) -> None:
    wire.ask(body, op)
    op.output_type = "image"


def _prompt_content(body: Json, op: Operation) -> None:
    words = get_str(body, "prompt") or get_str(body, "input")
    if words is not None:
        op.input = [_said(words)]


def _images(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    wire.answer(reply, op)
    count(get_dict(reply, "usage"), op)
    op.usage.images = len(get_dicts(reply, "data")) or None
    if op.capture:
        sources = [
            get_str(i, "b64_json") or get_str(i, "url") or "" for i in get_dicts(reply, "data")
        ]
        parts: list[Any] = [media("image", source) for source in sources]
        op.output = [{"role": "assistant", "parts": parts}]


def _ask_speech(body: Json, op: Operation) -> None:
    wire.ask(body, op)
    op.output_type = "speech"
    words = get_str(body, "input")
    op.usage.characters = None if words is None else len(words)


def _ask_transcript(body: Json, op: Operation) -> None:
    wire.ask(body, op)
    op.output_type = "text"


def _transcript(reply: Any, op: Operation) -> None:
    """JSON, or nothing but the text where that was asked for."""
    found = as_dict(reply)
    wire.answer(found, op)
    count(get_dict(found, "usage") or {"seconds": found.get("duration")}, op)
    words = reply if type(reply) is str else get_str(found, "text")
    if op.capture and words is not None:
        op.output = [{"role": "assistant", "parts": [text(words)]}]


class _MediaEvents(Accumulator):
    """Streams of speech, transcripts and images: text in deltas, usage in the last event."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._said = TextBuffer(op)

    def add(self, event: Any) -> bool:
        event = as_dict(event)
        if event.get("usage"):
            count(get_dict(event, "usage"), self._op)
        kind = get_str(event, "type") or ""
        if event.get("b64_json") and kind.endswith(".completed"):
            self._op.usage.images = (self._op.usage.images or 0) + 1
        if "text" in kind:
            self._said.add(get_str(event, "delta") or "")
        return bool(event.get("delta") or event.get("audio") or event.get("b64_json"))

    def close(self) -> None:
        words = self._said.text()
        if words:
            self._op.output = [{"role": "assistant", "parts": [text(words)]}]


def _moderation_content(body: Json, op: Operation) -> None:
    op.arguments = body.get("input")


_extractor = partial(Extractor, read_model=wire.model)


ROUTES = {
    "/chat/completions": _extractor(
        Kind.CHAT,
        wire.ask_chat,
        wire.answer_chat,
        wire.chat_content,
        ChatChunks,
        is_usage_chunk=only_usage,
    ),
    "/responses": _extractor(
        Kind.CHAT,
        responses.ask_response,
        responses.answer_response,
        responses.response_content,
        responses.ResponseEvents,
    ),
    "/responses/compact": _extractor(
        Kind.CHAT,
        responses.ask_response,
        responses.answer_compaction,
        responses.response_content,
    ),
    "/completions": _extractor(
        Kind.COMPLETION,
        wire.ask,
        wire.answer_chat,
        _completion_content,
        ChatChunks,
        is_usage_chunk=only_usage,
    ),
    "/embeddings": _extractor(Kind.EMBEDDINGS, wire.ask, _vectors, _embedding_content),
    "/images/generations": _extractor(
        Kind.GENERATION, _ask_image, _images, _prompt_content, _MediaEvents
    ),
    "/images/edits": _extractor(
        Kind.GENERATION, _ask_image, _images, _prompt_content, _MediaEvents
    ),
    "/audio/speech": _extractor(
        Kind.GENERATION, _ask_speech, wire.answer, _prompt_content, _MediaEvents
    ),
    "/audio/transcriptions": _extractor(
        Kind.GENERATION, _ask_transcript, _transcript, None, _MediaEvents
    ),
    "/audio/translations": _extractor(Kind.GENERATION, _ask_transcript, _transcript),
    "/moderations": _extractor(
        Kind.GUARDRAIL, wire.ask, wire.answer_moderation, _moderation_content, name="moderation"
    ),
}


def under(path: str) -> dict[str, Extractor]:
    """The same endpoints for a client that writes ``path`` before each."""
    return {f"{path}{route}": extractor for route, extractor in ROUTES.items()}


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
"""Those of clients that follow it."""
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
