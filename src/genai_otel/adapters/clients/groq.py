"""Groq: the OpenAI API under a path of its own."""

from __future__ import annotations

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.patchers.stainless import patch_stainless

from .openai import METHODS, under

ADAPTER = declare(
    "groq",
    patches=patch_stainless("groq", under("/openai/v1"), "groq", methods=METHODS),
)
