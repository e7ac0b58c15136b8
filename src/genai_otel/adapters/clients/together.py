"""Together: the OpenAI API, and reranking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Adapter, Reader
from genai_otel.instrumentation.fields import Json, fields, integer, mapping, mappings, pick, string
from genai_otel.instrumentation.patchers.stainless import stainless
from genai_otel.record import Kind, snapshot

from . import _openai_wire as wire
from ._openai_usage import count
from .openai import METHODS, ROUTES

if TYPE_CHECKING:
    from genai_otel.record import Document, Operation


def _ask_rerank(body: Json, op: Operation) -> None:
    op.params = pick(body, {"top_n": "retrieved"})


def _rerank_content(body: Json, op: Operation) -> None:
    op.query = string(body, "query")
    op.arguments = snapshot(body.get("documents"))


def _ranked(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    wire.answer(reply, op)
    count(mapping(reply, "usage"), op)
    op.documents = [_document(result) for result in mappings(reply, "results")]


def _document(result: Json) -> Document:
    found: Document = {"id": str(integer(result, "index"))}
    score = result.get("relevance_score")
    if type(score) is float:
        found["score"] = score
    return found


_RERANK = Reader(Kind.RERANK, _ask_rerank, _ranked, _rerank_content, model=wire.model)

_ROUTES = {**ROUTES, "/rerank": _RERANK}  # as the versions before 3 have them
_ROUTES |= {f"/v1{route}": reader for route, reader in _ROUTES.items()}

ADAPTER = Adapter(
    name="together",
    distribution="together",
    oldest="2",
    untested="4",
    patches=stainless(
        "together",
        _ROUTES,
        "together",
        methods={**METHODS, "rerank:AsyncRerankResource": "create"},
    ),
)
