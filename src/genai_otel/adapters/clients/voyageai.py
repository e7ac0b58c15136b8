"""Voyage AI: embeddings of texts, of texts in context and of images, and reranking.

Read from docs.voyageai.com/docs. The client tells tokens, and neither an id nor the model it used.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor, Patch
from genai_otel.instrumentation.fields import Json, as_dict, get_int, get_str, pick
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import Kind

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation


def _read_model(given: Json) -> str | None:
    return get_str(given, "model")


def _origin(_given: Json, op: Operation) -> None:
    op.provider = "voyageai"


def _read_request(given: Json, op: Operation) -> None:
    op.params = pick(given, {"top_k": "retrieved"})


def _read_texts(given: Json, op: Operation) -> None:
    """Texts only: inputs of other kinds hold images."""
    asked = given.get("texts")
    if type(asked) is str or (type(asked) is list and all(type(text) is str for text in asked)):
        op.arguments = asked


def _read_query(given: Json, op: Operation) -> None:
    op.query = get_str(given, "query")
    documents = given.get("documents")
    if type(documents) is list and all(type(each) is str for each in documents):
        op.arguments = list(documents)


def _read_embeddings(reply: Any, op: Operation) -> None:
    found = as_dict(reply)
    op.usage.input = get_int(found, "total_tokens")
    vectors = found.get("embeddings")
    if type(vectors) is list and vectors and type(vectors[0]) is list:
        op.dimensions = len(vectors[0])


def _read_ranking(reply: Any, op: Operation) -> None:
    found = as_dict(reply)
    op.usage.input = get_int(found, "total_tokens")
    results = found.get("results")
    op.documents = [_document(each) for each in results] if type(results) is list else []


def _document(result: Any) -> Document:
    """One of a named tuple's kind: index, document, score."""
    document: Document = {"id": str(result[0])}
    if type(result[2]) is float:
        document["score"] = result[2]
    return document


def _response_from_error(error: BaseException) -> Any:
    """The count of a reply that the client could not make an object of; that is a dict's kind."""
    functions = ("create", "acreate", "update", "__init__")
    found = (local_in_error(error, name, "response") for name in functions)
    reply = next((dict(each) for each in found if isinstance(each, dict)), {})
    usage = reply.get("usage")
    return dict(usage) if isinstance(usage, dict) else None


_extractor = partial(Extractor, read_model=_read_model, response_from_error=_response_from_error)
_EMBED = _extractor(Kind.EMBEDDINGS, _read_request, _read_embeddings, _read_texts)
_RERANK = _extractor(Kind.RERANK, _read_request, _read_ranking, _read_query)
_call = partial(patch_function, origin=_origin)


def _client(place: str) -> tuple[Patch, ...]:
    return (
        _call(f"{place}.embed", _EMBED),
        _call(f"{place}.multimodal_embed", _EMBED, optional=True),
        _call(f"{place}.contextualized_embed", _EMBED, optional=True),
        _call(f"{place}.rerank", _RERANK),
    )


ADAPTER = declare(
    "voyageai",
    patches=(*_client("voyageai.client:Client"), *_client("voyageai.client_async:AsyncClient")),
)
