"""How the client of Azure AI Inference is asked, in its two colours."""

from __future__ import annotations

from typing import Any

from azure.ai.inference import ChatCompletionsClient, aio
from azure.ai.inference.models import SystemMessage
from azure.core.credentials import AzureKeyCredential

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row

ASKED: Any = {
    "messages": [SystemMessage("Be brief."), {"role": "user", "content": PROMPT}],
    "temperature": 0.5,
    "max_tokens": 99,
    "seed": 7,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
    "model_extras": {"stream_options": {"include_usage": True}},
}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.GEN_AI_REQUEST_SEED: 7,
    names.SERVER_ADDRESS: "127.0.0.1",
}


def _row(name: str, cls: Any) -> Row:
    def client_of(root: str) -> Any:
        # Over plain http this client sends no key but by a policy that is told so.
        return cls(
            endpoint=root,
            credential=AzureKeyCredential("k"),
            retry_total=0,
            connection_verify=False,
        )

    return Row(
        name,
        endpoint="chat",
        provider="azure.ai.inference",
        client=client_of,
        ask=lambda client, model: client.complete(model=model, **ASKED),
        stream=lambda client, model: client.complete(model=model, stream=True, **ASKED),
        scenarios=("ok", "tools", "length", "nousage", "choices", "reasoning"),
        facts=FACTS,
    )


ROWS = [
    _row("azure ai inference", ChatCompletionsClient),
    _row("azure ai inference async", aio.ChatCompletionsClient),
]
