"""How Cohere's clients are asked, in both versions of its API."""

from __future__ import annotations

from typing import Any

import cohere

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row
from tests.provider.cohere_wire import finish, old_finish

ASKED: Any = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    "temperature": 0.5,
    "k": 3,
    "max_tokens": 99,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
}
OLD: Any = {"message": PROMPT, "preamble": "Be brief.", "temperature": 0.5, "max_tokens": 99}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.SERVER_ADDRESS: "127.0.0.1",
}


def client_of(root: str, kind: Any = cohere.ClientV2) -> Any:
    return kind(api_key="k", base_url=f"{root}/cohere")


async def _close(client: Any) -> None:
    inner = client._client_wrapper.httpx_client.httpx_client
    if "Async" in type(client).__name__:
        await inner.aclose()
    else:
        inner.close()


def _row(name: str, kind: Any, asked: Any, facts: Any, **more: Any) -> Row:
    return Row(
        name,
        provider="cohere",
        client=lambda root: client_of(root, kind),
        ask=lambda client, model: client.chat(model=model, **asked),
        stream=lambda client, model: client.chat_stream(model=model, **asked),
        close=_close,
        lazy=True,
        facts=facts,
        **more,
    )


_V2: Any = {"endpoint": "cohere", "finish": finish}
_V1: Any = {
    "endpoint": "cohere-v1",
    "finish": old_finish,
    "ids": False,
    "scenarios": ("ok", "tools", "length", "nousage"),
}
ROWS = [
    _row("cohere", cohere.ClientV2, ASKED, {**FACTS, names.GEN_AI_REQUEST_TOP_K: 3}, **_V2),
    _row("cohere async", cohere.AsyncClientV2, ASKED, FACTS, **_V2),
    _row("cohere v1", cohere.Client, OLD, FACTS, **_V1),
    _row("cohere v1 async", cohere.AsyncClient, OLD, FACTS, **_V1),
]
