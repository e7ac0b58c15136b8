"""Fixtures of the whole suite."""

from __future__ import annotations

from tests.provider.plugin import provider, provider_server

__all__ = ["provider", "provider_server"]
