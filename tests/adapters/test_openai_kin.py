"""What the rows of clients made like OpenAI's do not have: other APIs that one of them speaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from genai_otel.testing import Capture
    from tests.provider import Provider


def test_fireworks_speaks_anthropic_too(genai_otel_capture: Capture, provider: Provider) -> None:
    fireworks = pytest.importorskip("fireworks")
    with fireworks.Fireworks(api_key="k", account_id="a", base_url=provider.root) as client:
        client.messages.create(
            model="ok", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )
    told = dict(genai_otel_capture.span("chat ok").attributes or {})
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("end_turn",)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12


def test_together_ranks(genai_otel_capture: Capture, provider: Provider) -> None:
    together = pytest.importorskip("together")
    path = "/cohere/v1" if together.__version__.startswith("2.") else "/cohere"
    with together.Together(api_key="k", base_url=f"{provider.root}{path}") as client:
        client.rerank.create(model="ok", query="Which?", documents=["one", "two", "three"], top_n=2)
    told = dict(genai_otel_capture.span("rerank ok").attributes or {})
    assert told[names.GEN_AI_PROVIDER_NAME] == "together"
    found = json.loads(told[names.GEN_AI_RETRIEVAL_DOCUMENTS])
    assert [document["id"] for document in found] == ["2", "1"]
