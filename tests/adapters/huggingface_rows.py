"""How Hugging Face's client is asked."""

from __future__ import annotations

from typing import Any

from huggingface_hub import AsyncInferenceClient, InferenceClient

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row
from tests.provider.huggingface_wire import finish

ASKED: Any = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
    "temperature": 0.5,
    "max_tokens": 99,
    "seed": 7,
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}],
}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.SERVER_ADDRESS: "127.0.0.1",
}


def _chat(client: Any, model: str, **more: Any) -> Any:
    return client.chat_completion(model=model, **ASKED, **more)


def _chat_stream(client: Any, model: str) -> Any:
    return _chat(client, model, stream=True, stream_options={"include_usage": True})


def _generate(client: Any, model: str, **more: Any) -> Any:
    address = f"{client.model}/{model}"
    asked: Any = {"temperature": 0.5, "max_new_tokens": 99, "details": True}
    return client.text_generation(PROMPT, model=address, **asked, **more)


def _generate_stream(client: Any, model: str) -> Any:
    return _generate(client, model, stream=True)


def _chat_row(name: str, kind: Any) -> Row:
    return Row(
        name,
        endpoint="chat",
        provider="huggingface",
        client=lambda root: kind(base_url=f"{root}/v1", token="k"),
        ask=_chat,
        stream=_chat_stream,
        close=_close,
        scenarios=("ok", "tools", "reasoning", "length", "nousage", "cached", "choices"),
        facts={**FACTS, names.GEN_AI_REQUEST_SEED: 7},
    )


def _text_row(name: str, kind: Any) -> Row:
    return Row(
        name,
        endpoint="hf-generate",
        provider="huggingface",
        client=lambda root: kind(model=f"{root}/hf", token="k"),
        ask=_generate,
        stream=_generate_stream,
        close=_close,
        operation="text_completion",
        finish=finish,
        scenarios=("ok", "length", "nousage"),
        facts=FACTS,
    )


def _close(client: Any) -> Any:
    stack = client.exit_stack
    return stack.aclose() if hasattr(stack, "aclose") else stack.close()


ROWS = [
    _chat_row("huggingface", InferenceClient),
    _chat_row("huggingface async", AsyncInferenceClient),
    _text_row("huggingface text", InferenceClient),
    _text_row("huggingface text async", AsyncInferenceClient),
]
