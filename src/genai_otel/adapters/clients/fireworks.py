"""Fireworks: the OpenAI API, and Anthropic's."""

from __future__ import annotations

from genai_otel.instrumentation.adapter import Adapter
from genai_otel.instrumentation.patchers.stainless import stainless

from .anthropic import MESSAGES
from .openai import METHODS, under

ADAPTER = Adapter(
    name="fireworks",
    distribution="fireworks-ai",
    oldest="1",
    untested="2",
    patches=stainless(
        "fireworks",
        {**under("/v1"), "/v1/messages": MESSAGES},
        "fireworks",
        methods={**METHODS, "messages:AsyncMessagesResource": "create"},
    ),
)
