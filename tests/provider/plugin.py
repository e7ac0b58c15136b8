"""The fixtures: `from tests.provider.plugin import provider, provider_server` in a conftest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.provider.server import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Provider]:
    """One server for the whole session."""
    with Provider() as server:
        yield server


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    """The server of the session, with nothing remembered."""
    provider_server.clear()
    return provider_server
