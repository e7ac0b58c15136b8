"""The rows of Azure AI Inference's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azure.ai import inference
from azure.ai.inference import aio
from azure.ai.inference.models import SystemMessage
from azure.core.credentials import AzureKeyCredential

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL, Clients, call_of_the_future
from tests.conformance.table import WHOLE, Block, Endpoint, Gap, Library, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider import Provider


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    kinds: Any = inference if colour == "sync" else aio
    # Over plain http this client sends no key but by a policy that is told so.
    given: dict[str, Any] = {
        "endpoint": provider.root,
        "credential": AzureKeyCredential("k"),
        "retry_total": 0,
        "connection_verify": False,
    }
    return {
        "plain": Clients(
            chat=kinds.ChatCompletionsClient(**given),
            embeddings=kinds.EmbeddingsClient(**given),
        )
    }


_PARAMS: dict[str, Any] = {"temperature": 0.5, "seed": 7}
_USAGE: dict[str, Any] = {"model_extras": {"stream_options": {"include_usage": True}}}
_ENDPOINTS = (
    Endpoint(
        "chat",
        "chat",
        {
            "messages": [SystemMessage("Be brief."), {"role": "user", "content": PROMPT}],
            "max_tokens": 99,
            **_PARAMS,
        },
        "chat",
        modes=(
            WHOLE,
            Mode("stream", {"stream": True, **_USAGE}, stream=True),
            Mode("stream without usage", {"stream": True}, stream=True, usage=False),
        ),
        verb="complete",
        facts={"asked": ("Be brief.", PROMPT), "max tokens": 99, **_PARAMS},
        told=call_of_the_future,
    ),
    Endpoint(
        "embeddings",
        "embeddings",
        {"input": [PROMPT, "Good night."]},
        "embeddings",
        verb="embed",
        facts={"output tokens": None},
        told=lambda _: {"dimensions": 1536},
    ),
)

_MANY = (
    "ok, tools, reasoning, choices, length, filtered, empty, future, nousage, gzip,"
    " long, cut, err400, err401, err404, err429, err500, err502-page, cut-headers"
)
_EARLY = "exhausted in with, left with, closed early, dropped, closed unread, dropped unread"
_BLOCKS = (
    Block("chat", "call", _MANY, modes="whole, stream"),
    Block("chat", "call", "null-usage", "whole"),  # of a stream it keeps that chunk to itself
    Block("chat", "call", "ok, tools", "stream without usage"),
    Block("chat", "call", "ok", "stream", _EARLY),
    Block("chat", "call", "stalls", "stream", "cancelled"),
    Block("embeddings", "call", "ok, gzip, cut, err400"),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="azure_ai_inference",
    clients=_clients,
    providers={"plain": "azure.ai.inference"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL},
    blocks=_BLOCKS,
    major=lambda: int(inference.__version__.partition(".")[0]),
    touches={
        "id": ("response id",),
        "model": ("response model",),
        "usage": (*USAGE, "chunks"),  # a chunk without either is not handed out
        "choices": (*_SAID, "chunks"),
        "data": ("dimensions",),
    },
    gaps=(
        Gap(
            "the client's models accept function calls only and drop other tool calls",
            "tool calls",
            {"endpoint": "chat", "mode": "whole", "scenario": "future"},
        ),
    ),
    by_chance="x-ms-client-request-id",
    share=2,
)
