"""Fireworks: the OpenAI API, and Anthropic's."""

from __future__ import annotations

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.patchers.stainless import patch_stainless

from .anthropic import MESSAGES
from .openai import METHODS, under

ADAPTER = declare(
    "fireworks",
    patches=patch_stainless(
        "fireworks",
        {**under("/v1"), "/v1/messages": MESSAGES},
        "fireworks",
        methods={**METHODS, "messages:AsyncMessagesResource": "create"},
    ),
)
