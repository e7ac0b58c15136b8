"""The rows of Cohere's clients, of both versions of its API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cohere

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL, Clients, without_ids
from tests.conformance.table import WHOLE, Block, Endpoint, Library, Mode
from tests.provider.cohere_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider import Provider


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    sync = colour == "sync"
    kinds = {
        "v2": cohere.ClientV2 if sync else cohere.AsyncClientV2,
        "v1": cohere.Client if sync else cohere.AsyncClient,
    }
    made = {
        name: kind(api_key="k", base_url=f"{provider.root}/cohere") for name, kind in kinds.items()
    }
    below = {
        f"{name}_http": client._client_wrapper.httpx_client.httpx_client
        for name, client in made.items()
    }
    return {"plain": _Both(made, below)}


class _Both(Clients):
    """Cohere's clients do not close what they send with."""

    def __init__(self, made: Mapping[str, Any], below: Mapping[str, Any]) -> None:
        super().__init__(**below)
        self.v1, self.v2 = made["v1"], made["v2"]


_STREAM = Mode("stream", stream=True, verb="chat_stream")
_PARAMS: dict[str, Any] = {"temperature": 0.5, "max tokens": 99}
_TEXTS = [PROMPT, "Good night."]
_RANKED: dict[str, Any] = {"query": PROMPT, "documents": ["one", "two", "three"]}
_ONLY_INPUT: dict[str, Any] = {"output tokens": None}

_ENDPOINTS = (
    Endpoint(
        "cohere",
        "v2",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": PROMPT},
            ],
            "temperature": 0.5,
            "k": 3,
            "max_tokens": 99,
        },
        "chat",
        modes=(WHOLE, _STREAM),
        verb="chat",
        facts={"asked": ("Be brief.", PROMPT), "top k": 3, **_PARAMS},
    ),
    Endpoint(
        "cohere-v1",
        "v1",
        {"message": PROMPT, "preamble": "Be brief.", "temperature": 0.5, "max_tokens": 99},
        "chat",
        modes=(WHOLE, _STREAM),
        verb="chat",
        facts={"asked": (PROMPT,), "tool calls": without_ids, **_PARAMS},
    ),
    Endpoint(
        "cohere-embed",
        "v2",
        {"texts": _TEXTS, "input_type": "search_query", "embedding_types": ["float"]},
        "embeddings",
        verb="embed",
        facts=_ONLY_INPUT,
        told=lambda _: {"dimensions": DIMENSIONS},
    ),
    Endpoint(
        "cohere-embed-v1",
        "v1",
        {"texts": _TEXTS, "input_type": "search_query"},
        "embeddings",
        verb="embed",
        facts=_ONLY_INPUT,
        told=lambda _: {"dimensions": DIMENSIONS},
        wire="cohere-embed",
    ),
    Endpoint("cohere-rerank", "v2", _RANKED, "rerank", verb="rerank"),
    Endpoint("cohere-rerank-v1", "v1", _RANKED, "rerank", verb="rerank", wire="cohere-rerank"),
)

_MANY = (
    "ok, tools, tools-shuffled, reasoning, length, filtered, empty, future, nousage, gzip, long,"
    " cut, err400, err401, err404, err429, err500, err502-page, cut-headers"
)
_BLOCKS = (
    Block("cohere", "call", _MANY),
    Block("cohere-v1", "call", "ok, tools, length, nousage, cut, err400, err401"),
    Block("cohere, cohere-v1", "call", "ok", "stream", "closed early, dropped, dropped unread"),
    Block("cohere, cohere-v1", "call", "stalls", "stream", "cancelled"),
    Block(
        "cohere-embed, cohere-embed-v1, cohere-rerank, cohere-rerank-v1",
        "call",
        "ok, gzip, cut, err400",
    ),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="cohere",
    clients=_clients,
    providers={"plain": "cohere"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL},
    blocks=_BLOCKS,
    major=lambda: int(cohere.__version__.partition(".")[0]),
    touches={
        "generation_id": ("response id",),
        "meta": USAGE,
        "finish_reason": ("finish reasons",),
        "event_type": (*_SAID, *USAGE, "response id"),
        "text": _SAID,
        # An event that the client cannot make its own is not handed out.
        **dict.fromkeys(
            ("id", "type", "index", "delta", "message", "tool_calls", "function", "usage"),
            (*_SAID, *USAGE, "response id", "chunks"),
        ),
        "embeddings": ("dimensions",),
    },
    share=2,
)
