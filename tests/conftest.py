"""Fixtures of the whole suite."""

from __future__ import annotations

import os

from tests.provider.plugin import provider, provider_server

__all__ = ["provider", "provider_server"]

pytest_plugins = ["tests.judged"]

# Errors of our own are raised in this suite; tests that show how they are contained say otherwise.
os.environ["GENAI_OTEL_STRICT"] = "1"
