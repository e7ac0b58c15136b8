"""Clients that are closed when their test ends, for helpers that make a client and return it.

A client that nobody closes is part of a cycle: its sockets stay open until the collector runs, in
the middle of some other test, which then fails with the ResourceWarning.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_Client = TypeVar("_Client")
_MADE = ExitStack()


def closing(client: _Client, http: Any = None) -> _Client:
    """The client. When the test ends it is closed, or its ``http`` if it has no ``close``."""
    _MADE.callback((http or client).close)
    return client


@pytest.fixture(autouse=True)
def clients_closed() -> Iterator[None]:
    """Closes what `closing` was given."""
    yield
    _MADE.close()
