"""Fixtures of the whole suite."""

from __future__ import annotations

import os

from tests.provider.plugin import provider, provider_server

__all__ = ["provider", "provider_server"]

# The conformance table is not finished: `make conformance` runs it, and cells of it fail still.
collect_ignore = [] if os.environ.get("GENAI_OTEL_CONFORMANCE") else ["conformance"]

# Errors of our own are raised in this suite; tests that show how they are contained say otherwise.
os.environ["GENAI_OTEL_STRICT"] = "1"
