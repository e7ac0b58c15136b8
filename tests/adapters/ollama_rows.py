"""How Ollama's client is asked."""

from __future__ import annotations

from typing import Any

import ollama

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row
from tests.provider.ollama_wire import finish

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.SERVER_ADDRESS: "127.0.0.1",
    names.GENAI_OTEL_RESPONSE_SERVER_TIME: 1.25,
}


def _chat(client: Any, model: str, **more: Any) -> Any:
    options = {"temperature": 0.5, "num_predict": 99}
    return client.chat(model, MESSAGES, tools=TOOLS, options=options, **more)


def _generate(client: Any, model: str, **more: Any) -> Any:
    options = {"temperature": 0.5, "num_predict": 99}
    return client.generate(model, PROMPT, options=options, **more)


def _close(client: Any) -> Any:
    return client._client.close() if isinstance(client, ollama.Client) else client._client.aclose()


def _row(name: str, client: Any, call: Any, **more: Any) -> Row:
    return Row(
        name,
        client=client,
        ask=call,
        stream=lambda client, model: call(client, model, stream=True),
        provider="ollama",
        close=_close,
        finish=finish,
        ids=False,
        lazy=True,
        facts=FACTS,
        **more,
    )


_GENERATE = {
    "endpoint": "ollama-generate",
    "operation": "text_completion",
    "scenarios": ("ok", "reasoning", "length", "nousage"),
}
ROWS = [
    _row("ollama", ollama.Client, _chat, endpoint="ollama-chat"),
    _row("ollama async", ollama.AsyncClient, _chat, endpoint="ollama-chat"),
    _row("ollama generate", ollama.Client, _generate, **_GENERATE),
    _row("ollama generate async", ollama.AsyncClient, _generate, **_GENERATE),
]
