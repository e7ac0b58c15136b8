"""The rows of Hugging Face's client."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from huggingface_hub import AsyncInferenceClient, InferenceClient

from tests.conformance.facts import PROMPT, USAGE
from tests.conformance.plain import CALL, Clients, call_of_the_future
from tests.conformance.table import WHOLE, Block, Door, Endpoint, Library, Mode
from tests.conformance.visits import now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider


def _clients(provider: Provider, colour: str) -> Mapping[str, Any]:
    kind: Any = InferenceClient if colour == "sync" else AsyncInferenceClient
    chat = kind(base_url=provider.base_url, token="k")
    return {"plain": Clients(chat=chat, text=_Text(kind(token="k"), f"{provider.root}/hf"))}


class _Text:
    """Its models are addresses, of which the table knows the last word."""

    def __init__(self, client: Any, root: str) -> None:
        self._client, self._root = client, root
        self.close = client.close

    def text_generation(self, model: str, **given: Any) -> Any:
        return self._client.text_generation(model=f"{self._root}/{model}", **given)


_MESSAGES: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": PROMPT},
]
_PARAMS: dict[str, Any] = {"temperature": 0.5, "seed": 7}
_ENDPOINTS = (
    Endpoint(
        "chat",
        "chat",
        {"messages": _MESSAGES, "max_tokens": 99, **_PARAMS},
        "chat",
        modes=(
            WHOLE,
            Mode(
                "stream", {"stream": True, "stream_options": {"include_usage": True}}, stream=True
            ),
            Mode("stream without usage", {"stream": True}, stream=True, usage=False),
        ),
        verb="chat_completion",
        facts={"asked": ("Be brief.", PROMPT), "max tokens": 99, **_PARAMS},
        told=call_of_the_future,
    ),
    Endpoint(
        "hf-generate",
        "text",
        {"prompt": PROMPT, "details": True, "max_new_tokens": 99, **_PARAMS},
        "text_completion",
        modes=(WHOLE, Mode("stream", {"stream": True}, stream=True)),
        verb="text_generation",
        facts={
            "asked": (PROMPT,),
            "name": "text_completion",
            "model": None,
            "max tokens": 99,
            **_PARAMS,
        },
    ),
)


async def _as_openais(visit: Visit) -> None:
    """The name by which OpenAI's client has it."""
    create = visit.client.chat.chat.completions.create
    await visit.read(await now(create(**visit.arguments)))


_MANY = (
    "ok, tools, tools-shuffled, reasoning, refusal, cached, choices, length, filtered, empty,"
    " future, nousage, null-usage, null-delta, gzip, long, cut, err400, err401, err404, err429,"
    " err500, err502-page, cut-headers"
)
_EARLY = "closed early, dropped, closed unread, dropped unread"
_BLOCKS = (
    Block("chat", "call", _MANY, modes="whole, stream"),
    Block("chat", "openai", "ok, tools, err400", modes="whole, stream"),
    Block("chat", "call, openai", "ok", "stream without usage"),
    Block("hf-generate", "call", "ok, length, nousage, gzip, cut, err400"),
    Block("chat, hf-generate", "call", "ok", "stream", _EARLY),
    Block("chat", "call", "stalls", "stream", "cancelled"),
)

_SAID = ("finish reasons", "texts", "reasoning", "tool calls", "first token")

LIBRARY = Library(
    name="huggingface_hub",
    clients=_clients,
    providers={"plain": "huggingface"},
    endpoints={endpoint.name: endpoint for endpoint in _ENDPOINTS},
    doors={"call": CALL, "openai": Door("openai", _as_openais, "chat")},
    blocks=_BLOCKS,
    major=lambda: int(version("huggingface_hub").partition(".")[0]),
    touches={
        "id": ("response id",),
        "model": ("response model",),
        "usage": USAGE,
        "choices": _SAID,
        **dict.fromkeys(("token", "generated_text"), _SAID),
        "details": (*USAGE, *_SAID),
    },
    by_chance="x-amzn-trace-id",
    share=2,
)
