"""Together: the OpenAI API, and reranking."""

from __future__ import annotations

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
    pick,
)
from genai_otel.instrumentation.patchers.stainless import patch_stainless
from genai_otel.record import Kind, snapshot

from . import _openai_wire as wire
from ._openai_usage import count
from .openai import METHODS, ROUTES

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation


def _read_rerank_request(body: Json, op: Operation) -> None:
    op.params = pick(body, {"top_n": "retrieved"})


def _read_rerank_content(body: Json, op: Operation) -> None:
    op.query = get_str(body, "query")
    op.arguments = snapshot(body.get("documents"))


def _read_ranking(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    wire.read_response(reply, op)
    count(get_dict(reply, "usage"), op)
    op.documents = [_document(result) for result in get_dicts(reply, "results")]


def _document(result: Json) -> Document:
    found: Document = {"id": str(get_int(result, "index"))}
    score = result.get("relevance_score")
    if type(score) is float:
        found["score"] = score
    return found


_RERANK = Extractor(
    Kind.RERANK,
    _read_rerank_request,
    _read_ranking,
    _read_rerank_content,
    read_model=wire.read_model,
)

_ROUTES = {**ROUTES, "/rerank": _RERANK}  # as the versions before 3 have them
_ROUTES |= {f"/v1{route}": extractor for route, extractor in _ROUTES.items()}

ADAPTER = declare(
    "together",
    patches=patch_stainless(
        "together",
        _ROUTES,
        "together",
        methods={**METHODS, "rerank:AsyncRerankResource": "create"},
    ),
)
