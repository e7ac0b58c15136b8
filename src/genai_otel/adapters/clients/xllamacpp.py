"""xllamacpp: llama.cpp's server in this process, asked without HTTP, in the words of OpenAI's API.

Read from its README. Requests are dicts, or JSON in texts. What is given a callback answers into
that, whole or piece by piece: it is the host's own function, which nothing is put in front of, so
that of such a call only the request and its time are told.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_dicts,
    get_int,
    get_str,
    parse_json,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Kind

from . import _openai_wire as wire
from . import llama_cpp as llama

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation


def _body(given: Json) -> Json:
    return _json(given.get("body"))


def _json(value: Any) -> Json:
    return as_dict(parse_json(value.decode() if type(value) is bytes else value))


def _read_model(body: Json) -> str | None:
    return llama.file_name(get_str(body, "model"))


def _read(reply: Any) -> Json:
    return llama.with_model_name(_json(reply))


def _read_response(reply: Any, op: Operation) -> None:
    if reply is not None:
        llama.read_response(_json(reply), op)


def _read_embeddings(reply: Any, op: Operation) -> None:
    llama.read_embeddings(_json(reply), op)


def _read_query(body: Json, op: Operation) -> None:
    op.query = get_str(body, "query")


def _read_ranking(reply: Any, op: Operation) -> None:
    found = _read(reply)
    wire.read_response(found, op)
    op.usage.input = get_int(get_dict(found, "usage"), "prompt_tokens")
    op.documents = [_document(each) for each in get_dicts(found, "results")]


def _document(result: Json) -> Document:
    document: Document = {"id": str(result.get("index", ""))}
    if type(result.get("relevance_score")) is float:
        document["score"] = result["relevance_score"]
    return document


_extractor = partial(Extractor, read_model=_read_model)
_call = partial(
    patch_function,
    origin=llama.origin,
    body=_body,
    arguments=("self", "body", "callback"),
    stream=False,
)
_SERVER = "xllamacpp.xllamacpp:Server"

ADAPTER = declare(
    "xllamacpp",
    patches=(
        _call(
            f"{_SERVER}.handle_chat_completions",
            _extractor(Kind.CHAT, llama.read_chat_request, _read_response, wire.read_chat_content),
        ),
        _call(
            f"{_SERVER}.handle_completions",
            _extractor(Kind.COMPLETION, wire.read_request, _read_response, llama.read_prompt),
        ),
        _call(
            f"{_SERVER}.handle_embeddings",
            _extractor(Kind.EMBEDDINGS, wire.read_request, _read_embeddings, llama.read_texts),
        ),
        _call(
            f"{_SERVER}.handle_rerank",
            _extractor(Kind.RERANK, wire.read_request, _read_ranking, _read_query),
            optional=True,
        ),
    ),
)
