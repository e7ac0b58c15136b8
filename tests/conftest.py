"""Fixtures of the whole suite."""

from __future__ import annotations

import os

# pytest compiles our modules by way of their syntax trees, which CPython 3.11 cannot do on two
# threads at once: what a thread of ours would import is imported before there are any.
import genai_otel.enrich.bundled
import genai_otel.enrich.pricelist
import genai_otel.enrich.tokenizers  # noqa: F401
from tests.provider.plugin import provider, provider_server

__all__ = ["provider", "provider_server"]

pytest_plugins = ["tests.judged"]

# Errors of our own are raised in this suite; tests that show how they are contained say otherwise.
os.environ["GENAI_OTEL_STRICT"] = "1"
