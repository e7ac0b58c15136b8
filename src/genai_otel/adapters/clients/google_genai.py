"""Google Gen AI: Gemini and Vertex AI, whole or streamed, and embeddings.

Read where the client sends what it has serialised, so that each request is one operation: automatic
function calling makes several of them. Shapes: ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor, Patch
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_first_dict,
    get_int,
    get_str,
    host_and_port,
    parse_json,
    pick,
)
from genai_otel.instrumentation.patchers.function import patch_function, patch_leading
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import Failure, Kind
from genai_otel.record.usage import GEMINI, read_usage, running

from . import _charges as charges
from . import _google_interactions, _google_live
from ._gemini_parts import PartialCall, definitions, either, in_pieces, part, parts
from ._message_builder import MessageBuilder, assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Message, Operation

_PARAMS = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "candidateCount": "choices",
}
_ROLES = {"model": "assistant"}


def _origin(given: Json, op: Operation) -> None:
    client: Any = given["self"]
    client = getattr(client, "_api_client", client)
    op.provider = "gcp.vertex_ai" if client.vertexai else "gcp.gemini"
    op.host, op.port = host_and_port(str(client._http_options.base_url))  # noqa: SLF001 - nowhere else


def _body(given: Json) -> Json:
    path = get_str(given, "path") or ""
    name = path.rpartition(":")[0]
    return {**as_dict(given.get("request_dict")), "model": name.rpartition("models/")[2] or None}


def read_model(body: Json) -> str | None:
    return get_str(body, "model")


def read_request(body: Json, op: Operation) -> None:
    config = get_dict(body, "generationConfig")
    thinking = get_dict(config, "thinkingConfig")
    more = {"top_k": get_int(config, "topK"), "reasoning_level": _level(thinking)}
    op.params = {
        **pick(config, _PARAMS),
        **{name: value for name, value in more.items() if value is not None},
    }
    if get_str(config, "responseMimeType") == "application/json":
        op.output_type = "json"
    charges.gemini_request(body, op)


def _level(thinking: Json) -> str | None:
    level = either(thinking, "thinkingLevel", "thinking_level")
    return None if level is None else level.lower()


def read_content(body: Json, op: Operation) -> None:
    op.system = parts(get_dict(body, "systemInstruction")) or None
    op.input = [_message(each) for each in get_dicts(body, "contents")]
    tools = get_dicts(body, "tools")
    if tools:
        op.tools = [told for tool in tools for told in definitions(tool)]


def _message(said: Json) -> Message:
    role, held = get_str(said, "role") or "user", parts(said)
    answers = bool(held) and all(each["type"] == "tool_call_response" for each in held)
    return {"role": "tool" if answers else _ROLES.get(role, role), "parts": held}


# --------------------------------------------------------------------------------- the reply


def _read(reply: Any) -> Json:
    """The body of an HTTP response; the first versions of 1.x have decoded it already."""
    found = as_dict(reply)
    return as_dict(parse_json(found["body"])) if "body" in found else found


def read_response(reply: Any, op: Operation) -> None:
    reply = _read(reply)
    candidates = get_dicts(reply, "candidates")
    _read_metadata(reply, candidates, op)
    charges.candidates(candidates, op)
    if op.capture:
        op.output = [
            assistant_message(
                parts(get_dict(candidate, "content")), get_str(candidate, "finishReason")
            )
            for candidate in candidates
        ]


def _read_metadata(reply: Json, candidates: list[Json], op: Operation) -> None:
    op.response_id = get_str(reply, "responseId")
    op.response_model = get_str(reply, "modelVersion")
    reasons = (get_str(candidate, "finishReason") for candidate in candidates)
    op.finish_reasons = [reason for reason in reasons if reason is not None]
    read_usage(get_dict(reply, "usageMetadata"), op.usage, GEMINI)
    blocked = get_str(get_dict(reply, "promptFeedback"), "blockReason")
    if blocked is not None:
        op.finish_reasons = [blocked]
    told = get_dict(reply, "usageMetadata")
    if op.finish_reasons and op.usage.output is None:
        _count_nothing(told, op)
    op.tier = get_str(told, "serviceTier") or get_str(told, "trafficType")  # the latter is Vertex's
    if reply.get("error"):
        code = get_dict(reply, "error").get("code")
        op.failure = Failure(str(code) if type(code) is int else "error")


def _count_nothing(told: Json, op: Operation) -> None:
    """What was blocked has made nothing, which has no count of its own; the sum of all says so."""
    whole = get_int(told, "totalTokenCount")
    if whole is not None and whole == op.usage.input:
        op.usage.output = 0


_USED = "usageMetadata"


class Chunks(Accumulator):
    """Builds one response; each chunk is a response with further parts and running totals."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._head: Json = {}
        self._messages: dict[int, MessageBuilder] = {}
        self._reasons: dict[int, Json] = {}
        self._grounding = charges.Grounding()
        self._open: dict[int, PartialCall] = {}

    def add(self, chunk: Any) -> bool:
        reply = _read(chunk)
        before, used = get_dict(self._head, _USED), get_dict(reply, _USED)
        self._head.update((key, value) for key, value in reply.items() if value is not None)
        if before and used:
            self._head[_USED] = running(before, used)
        said = [self._candidate(candidate) for candidate in get_dicts(reply, "candidates")]
        return any(said)

    def _candidate(self, candidate: Json) -> bool:
        index = get_int(candidate, "index") or 0
        message = self._messages.get(index)
        if message is None:
            message = self._messages[index] = MessageBuilder(self._op)
        if get_str(candidate, "finishReason"):
            self._reasons[index] = {"finishReason": candidate["finishReason"]}
        metadata = get_dict(candidate, "groundingMetadata")
        if metadata:
            self._grounding.add(metadata)
        given = get_dicts(get_dict(candidate, "content"), "parts")
        added = [self._part(index, each, message) for each in given]
        return any(added)

    def _part(self, index: int, given: Json, message: MessageBuilder) -> bool:
        if not self._op.capture:
            return given.get("text") != ""
        call = get_dict(given, "functionCall")
        if "functionCall" not in given or not (index in self._open or in_pieces(call)):
            return message.add(part(given))
        if index not in self._open:
            self._open[index] = PartialCall(self._op)
        if not self._open[index].add(call):
            message.add_part(self._open.pop(index).text())
        return True

    def finish(self) -> None:
        for index, call in self._open.items():
            self._messages[index].add_part(call.text())
        order = sorted(self._messages)
        _read_metadata(self._head, [self._reasons.get(index, {}) for index in order], self._op)
        self._grounding.note(self._op.usage)
        if self._op.capture:
            self._op.output = [
                assistant_message(
                    self._messages[index].parts(), self._reasons.get(index, {}).get("finishReason")
                )
                for index in order
            ]


# -------------------------------------------------------------------------------- embeddings


def _read_embedding_request(given: Json, op: Operation) -> None:
    size = get_int(as_dict(given.get("config")), "output_dimensionality")
    op.params = {} if size is None else {"dimensions": size}


def _read_embedding_content(given: Json, op: Operation) -> None:
    contents = given.get("contents")
    if type(contents) is str or (
        type(contents) is list and all(type(each) is str for each in contents)
    ):
        op.arguments = contents


def _read_embeddings(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    vector = get_first_dict(reply, "embeddings").get("values")
    op.dimensions = len(vector) if type(vector) is list else None
    read_usage(get_dict(reply, "usage_metadata"), op.usage, GEMINI)
    counts = [
        get_int(get_dict(embedding, "statistics"), "token_count")
        for embedding in get_dicts(reply, "embeddings")
    ]
    told = [count for count in counts if count is not None]
    if told and op.usage.input is None:
        op.usage.input = sum(told)


def _chunk_from_error(error: BaseException) -> Any:
    """Find a chunk with an error, which the client raises below our wrapper."""
    given = local_in_error(error, "request_streamed", "chunk_json")
    return given or local_in_error(error, "async_generator", "chunk_json")


_GENERATE = Extractor(
    Kind.CHAT,
    read_request,
    read_response,
    read_content,
    Chunks,
    read_model,
    chunk_from_error=_chunk_from_error,
)
_EMBED = Extractor(
    Kind.EMBEDDINGS,
    _read_embedding_request,
    _read_embeddings,
    _read_embedding_content,
    read_model=read_model,
)


def _generates(given: Json) -> Extractor | None:
    path = get_str(given, "path") or ""
    return _GENERATE if "enerateContent" in path.rpartition(":")[2] else None


_send = partial(patch_function, extractor=_generates, origin=_origin, body=_body)
_CLIENT = "google.genai._api_client:BaseApiClient"


def _leading(place: str, *methods: str, streams: bool = False) -> tuple[Patch, ...]:
    """Where the model asks for functions that the client may call, it is called again."""
    return patch_leading(f"google.genai.{place}", *methods, repeats=True, streams=streams)


ADAPTER = declare(
    "google_genai",
    patches=(
        _send(f"{_CLIENT}.request"),
        _send(f"{_CLIENT}.async_request"),
        _send(f"{_CLIENT}.request_streamed"),
        _send(f"{_CLIENT}.async_request_streamed", stream=True),
        patch_function("google.genai.models:Models.embed_content", _EMBED, origin=_origin),
        patch_function("google.genai.models:AsyncModels.embed_content", _EMBED, origin=_origin),
        *_leading("models:Models", "generate_content_stream"),
        *_leading("models:AsyncModels", "generate_content"),
        *_leading("models:AsyncModels", "generate_content_stream", streams=True),
        *_leading("chats:Chat", "send_message_stream"),
        *_leading("chats:AsyncChat", "send_message"),
        *_leading("chats:AsyncChat", "send_message_stream", streams=True),
        *_google_interactions.patches(_origin),
        *_google_live.patches(_origin),
    ),
)
