"""How LiteLLM is asked, with OpenAI's client below and with its own requests."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the network when imported

import litellm

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row

ASKED: Any = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    "temperature": 0.5,
    "max_tokens": 99,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
    "api_key": "k",
    "num_retries": 0,
    "max_retries": 0,
}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.SERVER_ADDRESS: "127.0.0.1",
}


def _call(name: str, **more: Any) -> Any:
    def call(root: str, model: str) -> Any:
        asked = {**ASKED, "api_base": f"{root}/v1", **more}
        return getattr(litellm, name)(model=f"openai/{model}", **asked)

    return call


def _row(name: str, function: str) -> Row:
    options = {"include_usage": True}
    return Row(
        name,
        endpoint="chat",
        provider="openai",
        client=lambda root: root,
        ask=_call(function),
        stream=_call(function, stream=True, stream_options=options),
        close=lambda _: None,
        later=function.startswith("a"),
        rewrites=True,
        scenarios=("ok", "tools", "reasoning", "length", "cached"),
        facts=FACTS,
    )


ROWS = [_row("litellm", "completion"), _row("litellm async", "acompletion")]
