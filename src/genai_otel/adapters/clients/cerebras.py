"""Cerebras: the OpenAI API."""

from __future__ import annotations

from genai_otel.instrumentation.adapter import Adapter
from genai_otel.instrumentation.patchers.stainless import stainless

from .openai import METHODS, under

ADAPTER = Adapter(
    name="cerebras",
    distribution="cerebras-cloud-sdk",
    oldest="1",
    untested="2",
    patches=stainless("cerebras.cloud.sdk", under("/v1"), "cerebras", methods=METHODS),
)
