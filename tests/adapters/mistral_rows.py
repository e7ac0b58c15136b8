"""How Mistral's client is asked, of either way to import it."""

from __future__ import annotations

from typing import Any

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row
from tests.provider.mistral_wire import finish

SCENARIOS = ("ok", "tools", "length", "future", "choices", "filtered")
try:
    from mistralai.client import Mistral
except ImportError:  # 1.x, which does not accept what Mistral's models think
    from mistralai import Mistral
else:
    SCENARIOS = (*SCENARIOS, "reasoning")

MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
ASKED: Any = {
    "messages": MESSAGES,
    "temperature": 0.5,
    "max_tokens": 99,
    "random_seed": 7,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.GEN_AI_REQUEST_SEED: 7,
    names.SERVER_ADDRESS: "127.0.0.1",
}
FIM: Any = {"prompt": PROMPT, "suffix": "return 1", "temperature": 0.5, "max_tokens": 99}


def client_of(root: str) -> Any:
    return Mistral(api_key="k", server_url=f"{root}/mistral")


def _row(name: str, resource: str, asked: Any, facts: Any, **more: Any) -> list[Row]:
    def call(verb: str) -> Any:
        return lambda client, model: getattr(getattr(client, resource), verb)(model=model, **asked)

    return [
        Row(
            f"{name}{colour.replace('_', ' ')}",
            endpoint="mistral",
            provider="mistral_ai",
            client=client_of,
            ask=call(f"complete{colour}"),
            stream=call(f"stream{colour}"),
            close=_close,
            finish=finish,
            facts=facts,
            **more,
        )
        for colour in ("", "_async")
    ]


async def _close(client: Any) -> None:
    client.sdk_configuration.client.close()
    await client.sdk_configuration.async_client.aclose()


ROWS = [
    *_row("mistral", "chat", ASKED, FACTS, scenarios=SCENARIOS),
    *_row(
        "mistral fim",
        "fim",
        FIM,
        {**FACTS, names.GEN_AI_REQUEST_SEED: None},
        operation="text_completion",
        scenarios=("ok",),
    ),
]
