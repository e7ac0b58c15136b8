"""The rows of Ollama's client."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import ollama

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL, unless_zero, without_ids
from tests.conformance.table import WHOLE, Block, Endpoint, Library, Mode
from tests.provider.ollama_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider import Provider


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    kind = ollama.Client if colour == "sync" else ollama.AsyncClient
    return {"plain": kind(provider.root)}


_OPTIONS = {"temperature": 0.5, "num_predict": 99}
_PARAMS = {"temperature": 0.5, "max tokens": 99}
_MODES = (WHOLE, Mode("stream", {"stream": True}, stream=True))
_ENDPOINTS = (
    Endpoint(
        "ollama-chat",
        "",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": PROMPT},
            ],
            "options": _OPTIONS,
        },
        "chat",
        modes=_MODES,
        verb="chat",
        facts={"asked": ("Be brief.", PROMPT), "tool calls": without_ids, **_PARAMS},
    ),
    Endpoint(
        "ollama-generate",
        "",
        {"prompt": PROMPT, "options": _OPTIONS},
        "text_completion",
        modes=_MODES,
        verb="generate",
        facts={"asked": (PROMPT,), **_PARAMS},
    ),
    Endpoint(
        "ollama-embed",
        "",
        {"input": [PROMPT, "Good night."]},
        "embeddings",
        verb="embed",
        facts={"output tokens": unless_zero},
        told=lambda _: {"dimensions": DIMENSIONS},
    ),
)

_MANY = (
    "ok, tools, reasoning, length, empty, future, nousage, gzip, long, cut, error-event, err400,"
    " err401, err404, err500, err502-page, cut-headers"
)
_BLOCKS = (
    Block("ollama-chat", "call", _MANY),
    Block("ollama-generate", "call", "ok, reasoning, length, nousage, cut, error-event, err400"),
    Block(
        "ollama-chat, ollama-generate",
        "call",
        "ok",
        "stream",
        "closed early, dropped, dropped unread",
    ),
    Block("ollama-chat", "call", "stalls", "stream", "cancelled"),
    Block("ollama-embed", "call", "ok, gzip, cut, err400"),
)

_SAID = ("texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="ollama",
    clients=_clients,
    providers={"plain": "ollama"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL},
    blocks=_BLOCKS,
    major=lambda: int(version("ollama").partition(".")[0]),
    touches={
        "model": ("response model",),
        "done_reason": ("finish reasons",),
        **dict.fromkeys(("prompt_eval_count", "eval_count"), USAGE),
        **dict.fromkeys(("message", "response", "thinking"), _SAID),
        "embeddings": ("dimensions",),
    },
    share=2,
)
