"""Cerebras: the OpenAI API."""

from __future__ import annotations

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.patchers.stainless import patch_stainless

from .openai import METHODS, under

ADAPTER = declare(
    "cerebras",
    patches=patch_stainless("cerebras.cloud.sdk", under("/v1"), "cerebras", methods=METHODS),
)
