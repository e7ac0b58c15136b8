"""Groq: the OpenAI API under a path of its own."""

from __future__ import annotations

from genai_otel.instrumentation.adapter import Adapter
from genai_otel.instrumentation.patchers.stainless import stainless

from .openai import METHODS, under

ADAPTER = Adapter(
    name="groq",
    distribution="groq",
    oldest="0.9",
    untested="2",
    patches=stainless("groq", under("/openai/v1"), "groq", methods=METHODS),
)
