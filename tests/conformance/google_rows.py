"""The rows of Google's client: Gemini, and Vertex AI."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from google import genai
from google.genai import types

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL, unless_zero, without_ids
from tests.conformance.table import WHOLE, Block, Door, Endpoint, Library, Mode
from tests.conformance.visits import now
from tests.provider.google_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider

_RETRIES = types.HttpRetryOptions(attempts=2, initial_delay=0.001, max_delay=0.001, jitter=0)


async def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    made: dict[str, Any] = {
        "plain": _client(provider),
        "vertex": _client(provider, vertexai=True),
        "retrying": _client(provider, retries=_RETRIES),
    }
    if colour == "sync":
        return made
    for client in made.values():
        with warnings.catch_warnings():  # what it inherits from is told when it first asks
            warnings.simplefilter("ignore")
            await client.aio.models.generate_content(model="ok", contents=PROMPT)
    return {name: client.aio for name, client in made.items()}


def _client(provider: Provider, retries: Any = None, **more: Any) -> Any:
    options = types.HttpOptions(base_url=provider.root, api_version="v1", retry_options=retries)
    return genai.Client(api_key="k", http_options=options, **more)


_CONFIG: Any = {
    "system_instruction": "Be brief.",
    "temperature": 0.5,
    "top_k": 3,
    "max_output_tokens": 99,
}
_ENDPOINTS = (
    Endpoint(
        "gemini",
        "models",
        {"contents": PROMPT, "config": _CONFIG},
        "chat",
        modes=(WHOLE, Mode("stream", stream=True, verb="generate_content_stream")),
        verb="generate_content",
        facts={
            "asked": (PROMPT,),
            "temperature": 0.5,
            "top k": 3,
            "max tokens": 99,
            "tool calls": without_ids,
            "cached tokens": unless_zero,
            "cache-written tokens": None,
            "reasoning tokens": unless_zero,
        },
    ),
    Endpoint(
        "gemini-embed",
        "models",
        {"contents": [PROMPT, "Good night."]},
        "embeddings",
        verb="embed_content",
        told=lambda _: {"dimensions": DIMENSIONS},
    ),
)


async def _chat(visit: Visit) -> None:
    """A conversation, which holds what was said before."""
    given = dict(visit.arguments)
    words, stream = given.pop("contents"), visit.mode.stream
    chat = visit.client.chats.create(**given)
    send = chat.send_message_stream if stream else chat.send_message
    await visit.read(await now(send(words)))


_MANY = (
    "ok, tools, reasoning, cached, choices, length, filtered, empty, future, nousage, null-usage,"
    " null-choices, gzip, long, cut, error-event, err400, err401, err404, err429, err500,"
    " err502-page"
)
_BLOCKS = (
    Block("gemini", "call", _MANY),
    Block("gemini", "chat", "ok, tools, cut, err400"),
    Block("gemini", "call", "ok, tools, err400", client="vertex"),
    Block("gemini", "call", "retry-429, retry-500", client="retrying"),
    Block("gemini", "call, chat", "ok", "stream", "closed early, dropped, dropped unread"),
    Block("gemini", "call", "stalls", "stream", "cancelled"),
    Block("gemini-embed", "call", "ok, gzip, err400, cut"),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="google_genai",
    clients=_clients,
    providers={"plain": "gcp.gemini", "vertex": "gcp.vertex_ai"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL, "chat": Door("chat", _chat, "gemini")},
    blocks=_BLOCKS,
    major=lambda: int(genai.__version__.partition(".")[0]),
    touches={
        "responseId": ("response id",),
        "modelVersion": ("response model",),
        "usageMetadata": USAGE,
        "candidates": _SAID,
        "embeddings": ("dimensions",),
    },
    share=2,
)
