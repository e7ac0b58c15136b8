"""The rows of Mistral's client, of either way to import it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL
from tests.conformance.table import WHOLE, Block, Cell, Endpoint, Library, Mode
from tests.provider.mistral_wire import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider import Provider

try:
    from mistralai.client import Mistral
except ImportError:  # 1.x
    from mistralai import Mistral


def _clients(provider: Provider, _colour: str) -> Mapping[str, Any]:
    return {"plain": _Client(api_key="k", server_url=f"{provider.root}/mistral")}


class _Client(Mistral):  # type: ignore[misc] - which major's it is, is known at run time
    async def close(self) -> None:
        self.sdk_configuration.client.close()
        await self.sdk_configuration.async_client.aclose()


_MESSAGES: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": PROMPT},
]
_MODES = (WHOLE, Mode("stream", stream=True, verb="stream"))
_ASKED = ("Be brief.", PROMPT)


def _verdict(cell: Cell) -> dict[str, Any]:
    return {"verdict": "flag" if cell.scenario == "filtered" else "allow"}


_ENDPOINTS = (
    Endpoint(
        "mistral",
        "chat",
        {"messages": _MESSAGES, "temperature": 0.5, "max_tokens": 99, "random_seed": 7},
        "chat",
        modes=_MODES,
        verb="complete",
        facts={"asked": _ASKED, "temperature": 0.5, "max tokens": 99, "seed": 7},
    ),
    Endpoint(
        "mistral-agents",
        "agents",
        {"messages": _MESSAGES},
        "chat",
        modes=_MODES,
        verb="complete",
        facts={"asked": _ASKED, "name": "chat", "model": None},
        model="agent_id",
        wire="mistral",
    ),
    Endpoint(
        "mistral-fim",
        "fim",
        {"prompt": PROMPT, "suffix": "return 1"},
        "text_completion",
        modes=_MODES,
        verb="complete",
        facts={"asked": (f"{PROMPT}return 1",)},
        wire="mistral",
    ),
    Endpoint(
        "mistral-embed",
        "embeddings",
        {"inputs": [PROMPT, "Good night."]},
        "embeddings",
        facts={"output tokens": None},
        told=lambda _: {"dimensions": DIMENSIONS},
    ),
    Endpoint(
        "mistral-moderations",
        "classifiers",
        {"inputs": [PROMPT]},
        "apply_guardrail",
        verb="moderate",
        facts={"name": "apply_guardrail moderation"},
        told=_verdict,
    ),
)

_MANY = (
    "ok, tools, reasoning, choices, length, filtered, empty, future, gzip, long, cut, err400,"
    " err401, err404, err429, err500, err502-page, cut-headers"
)
_EARLY = "exhausted in with, left with, closed early, dropped, closed unread, dropped unread"
_BLOCKS = (
    Block("mistral", "call", _MANY),
    Block("mistral-agents, mistral-fim", "call", "ok, cut, err400"),
    Block("mistral", "call", "ok", "stream", _EARLY),
    Block("mistral", "call", "stalls", "stream", "cancelled"),
    Block("mistral-embed, mistral-moderations", "call", "ok, filtered, gzip, cut, err400"),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="mistralai",
    clients=_clients,
    providers={"plain": "mistral_ai"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL},
    blocks=_BLOCKS,
    major=lambda: int(version("mistralai").partition(".")[0]),
    touches={
        "id": ("response id",),
        "model": ("response model",),
        "usage": USAGE,
        "choices": _SAID,
        "data": ("dimensions",),
        "results": ("verdict",),
    },
    later="{}_async".format,
    share=2,
)
