"""How Google's client is asked: for Gemini, and for Vertex AI."""

from __future__ import annotations

from typing import Any

from google import genai
from google.genai import types

from genai_otel import _names as names
from tests.adapters.kin import CITY, PROMPT, Row
from tests.provider.google_wire import finish

CONFIG: Any = {
    "system_instruction": "Be brief.",
    "temperature": 0.5,
    "top_k": 3,
    "max_output_tokens": 99,
    "tools": [{"function_declarations": [{"name": "get_weather", "parameters": CITY}]}],
}
FACTS = {
    names.GEN_AI_REQUEST_TEMPERATURE: 0.5,
    names.GEN_AI_REQUEST_TOP_K: 3,
    names.GEN_AI_REQUEST_MAX_TOKENS: 99,
    names.SERVER_ADDRESS: "127.0.0.1",
    names.GEN_AI_SYSTEM_INSTRUCTIONS: '[{"type":"text","content":"Be brief."}]',
}


def client_of(root: str, **more: Any) -> Any:
    options = types.HttpOptions(base_url=root, api_version="v1")
    return genai.Client(api_key="k", http_options=options, **more)


def close(client: Any, name: str) -> Any:
    """Early versions cannot be closed."""
    return getattr(client, name, lambda: None)()


def _vertex(root: str) -> Any:
    return client_of(root, vertexai=True)


def _ask(client: Any, model: str) -> Any:
    return client.models.generate_content(model=model, contents=PROMPT, config=CONFIG)


def _stream(client: Any, model: str) -> Any:
    return client.models.generate_content_stream(model=model, contents=PROMPT, config=CONFIG)


_MANY = (
    "ok", "tools", "reasoning", "length", "nousage", "future", "cached", "null-usage", "filtered",
    "choices",
)  # fmt: skip


def _row(name: str, client: Any, provider: str, scenarios: Any = _MANY, *, later: bool) -> Row:
    return Row(
        name,
        endpoint="gemini",
        provider=provider,
        client=client,
        ask=(lambda c, model: _ask(c.aio, model)) if later else _ask,
        stream=(lambda c, model: _stream(c.aio, model)) if later else _stream,
        close=(lambda c: close(c.aio, "aclose")) if later else (lambda c: close(c, "close")),
        finish=finish,
        ids=False,
        lazy=None if later else True,
        scenarios=scenarios,
        facts=FACTS,
    )


ROWS = [
    _row("google", client_of, "gcp.gemini", later=False),
    _row("google async", client_of, "gcp.gemini", later=True),
    _row("google vertex", _vertex, "gcp.vertex_ai", ("ok", "tools"), later=False),
    _row("google vertex async", _vertex, "gcp.vertex_ai", ("ok",), later=True),
]
