"""IBM watsonx.ai: chat and generation, whole or streamed, embeddings and reranking.

Chats have OpenAI's shapes; the older generation has its own, read from cloud.ibm.com/apidocs/
watsonx-ai. Prompts in a list are a request each, and so are their operations.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor, Patch
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dicts,
    get_first_dict,
    get_int,
    get_str,
    host_and_port,
    pick,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import Kind, text
from genai_otel.record.usage import WATSONX, read_usage

from . import _openai_wire as wire
from ._message_builder import MessageBuilder, assistant_message
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_new_tokens": "max_tokens",
    "random_seed": "seed",
    "stop_sequences": "stop",
}


def _origin(given: Json, op: Operation) -> None:
    op.provider = "ibm.watsonx.ai"
    client = given["self"]._client  # noqa: SLF001 - nowhere else
    op.host, op.port = host_and_port(str(client.credentials.url))


def _client_attribute(given: Json, name: str) -> Any:
    return getattr(given["self"], name, None)


def _read_model(body: Json) -> str | None:
    return get_str(body, "model_id")


# -------------------------------------------------------------------------------------- chat


def _chat_body(given: Json) -> Json:
    """What will be sent; parameters that the call leaves out, the model has."""
    asked = given.get("params")
    asked = _client_attribute(given, "params") if asked is None else asked
    told = {"messages": given.get("messages"), "model_id": _client_attribute(given, "model_id")}
    tools = given.get("tools")
    return {**as_dict(asked), **told, **({"tools": tools} if tools else {})}


def _read_chat_request(body: Json, op: Operation) -> None:
    wire.read_chat_request(body, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


def _read_chat_response(reply: Any, op: Operation) -> None:
    wire.read_chat_response(_with_model_name(reply), op)


def _with_model_name(reply: Any) -> Json:
    found = as_dict(reply)
    return {**found, "model": found.get("model_id") or found.get("model")}


class _ChatChunks(ChatChunks):
    add_fast = Accumulator.add_fast  # chunks are dicts

    def add(self, chunk: Any) -> bool:
        return super().add(_with_model_name(chunk))


# -------------------------------------------------------------------------------- generation


def _body(given: Json) -> Json:
    return as_dict(given.get("payload"))


def _read_request(body: Json, op: Operation) -> None:
    op.params = pick(as_dict(body.get("parameters")), _PARAMS)


def _read_prompt(body: Json, op: Operation) -> None:
    words = get_str(body, "input")
    if words is not None:
        op.input = [{"role": "user", "parts": [text(words)]}]


def _read_response(reply: Any, op: Operation) -> None:
    found = as_dict(reply)
    result = get_first_dict(found, "results")
    _read_metadata(found, result, op)
    if op.capture:
        words = get_str(result, "generated_text") or ""
        op.output = [assistant_message([text(words)], get_str(result, "stop_reason"))]


def _read_metadata(reply: Json, result: Json, op: Operation) -> None:
    op.response_model = get_str(reply, "model_id")
    reason = get_str(result, "stop_reason")
    op.finish_reasons = [] if reason is None else [reason]
    read_usage(result, op.usage, WATSONX)


class _Chunks(Accumulator):
    """Raw replies, whose counts are running totals and 0 where unknown, or nothing but text."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)
        self._reply: Json = {}
        self._result: Json = {}

    def add(self, chunk: Any) -> bool:
        if type(chunk) is str:
            return self._message.add_text(chunk)
        found = as_dict(chunk)
        result = get_first_dict(found, "results")
        self._reply = {**self._reply, **found}
        self._result = {**self._result, **{k: v for k, v in result.items() if v}}
        return self._message.add_text(get_str(result, "generated_text"))

    def finish(self) -> None:
        _read_metadata(self._reply, self._result, self._op)
        if self._op.capture:
            reason = get_str(self._result, "stop_reason")
            self._op.output = [assistant_message(self._message.parts(), reason)]


# ------------------------------------------------------------------------ embeddings, reranking


def _with_model(given: Json) -> Json:
    return {**given, "model_id": _client_attribute(given, "model_id")}


def _read_inputs_request(_given: Json, _op: Operation) -> None: ...


def _read_texts(given: Json, op: Operation) -> None:
    asked = given.get("inputs")
    if type(asked) is list and all(type(each) is str for each in asked):
        op.arguments = list(asked)


def _read_embeddings(reply: Any, op: Operation) -> None:
    found = as_dict(reply)
    op.response_model, op.usage.input = get_str(found, "model_id"), _counted(found)
    vector = get_first_dict(found, "results").get("embedding")
    op.dimensions = len(vector) if type(vector) is list else None


def _counted(reply: Json) -> int | None:
    return get_int(reply, "input_token_count")


def _read_query(given: Json, op: Operation) -> None:
    op.query = get_str(given, "query")
    _read_texts(given, op)


def _read_ranking(reply: Any, op: Operation) -> None:
    found = as_dict(reply)
    op.response_model, op.usage.input = get_str(found, "model_id"), _counted(found)
    op.documents = [_document(result) for result in get_dicts(found, "results")]


def _document(result: Json) -> Document:
    document: Document = {"id": str(result.get("index", ""))}
    score = result.get("score")
    if type(score) is float:
        document["score"] = score
    return document


_CHAT = Extractor(
    Kind.CHAT,
    _read_chat_request,
    _read_chat_response,
    wire.read_chat_content,
    _ChatChunks,
    read_model=_read_model,
)


def _chunk_from_error(error: BaseException) -> Any:
    """The raw reply from which the client takes the text that it hands out."""
    return local_in_error(error, "_return_guardrails_stats", "single_response")


_TEXT = Extractor(
    Kind.COMPLETION,
    _read_request,
    _read_response,
    _read_prompt,
    _Chunks,
    read_model=_read_model,
    chunk_from_error=_chunk_from_error,
)
_EMBED = Extractor(
    Kind.EMBEDDINGS, _read_inputs_request, _read_embeddings, _read_texts, read_model=_read_model
)
_RERANK = Extractor(
    Kind.RERANK, _read_inputs_request, _read_ranking, _read_query, read_model=_read_model
)
_call = partial(patch_function, origin=_origin)
_PLACE = "ibm_watsonx_ai.foundation_models"


def _chats(place: str) -> tuple[Patch, ...]:
    chat = partial(_call, extractor=_CHAT, body=_chat_body, optional=True)
    return (
        chat(f"{place}.chat"),
        chat(f"{place}.chat_stream", stream=True, lazy=True),
        chat(f"{place}.achat"),
        chat(f"{place}.achat_stream", stream=True, lazy=True),
    )


_BASE = f"{_PLACE}.inference.base_model_inference:BaseModelInference"
_text = partial(_call, extractor=_TEXT, body=_body, optional=True)

ADAPTER = declare(
    "watsonx",
    patches=(
        *_chats(f"{_PLACE}.inference.fm_model_inference:FMModelInference"),
        *_chats(f"{_PLACE}.inference.deployment_model_inference:DeploymentModelInference"),
        _text(f"{_BASE}._send_inference_payload"),
        _text(f"{_BASE}._asend_inference_payload"),
        _text(f"{_BASE}._BaseModelInference__make_request"),
        _text(f"{_BASE}._generate_stream_with_url"),
        _text(f"{_BASE}._agenerate_stream_with_url"),
        _call(f"{_PLACE}.embeddings.embeddings:Embeddings.generate", _EMBED, body=_with_model),
        _call(
            f"{_PLACE}.embeddings.embeddings:Embeddings.agenerate",
            _EMBED,
            body=_with_model,
            optional=True,
        ),
        _call(f"{_PLACE}.rerank.rerank:Rerank.generate", _RERANK, body=_with_model, optional=True),
    ),
)
