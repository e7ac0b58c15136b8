"""What a test file leaves to the garbage collector is found."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.leftovers import left_to_the_collector

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """Closes its socket as it goes, if it goes before that."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.parts = [self]

    def __del__(self) -> None:
        self.socket.close()


@pytest.mark.parametrize(
    ("make", "kind"),
    [(socket.socket, "socket"), (asyncio.new_event_loop, "EventLoop"), (Client, "socket")],
)
def test_what_only_a_cycle_holds_is_found(
    uncollected: None, make: Callable[[], Any], kind: str
) -> None:
    cycle: list[Any] = [make()]
    cycle.append(cycle)
    del cycle
    assert any(kind in text for text in left_to_the_collector())
    assert left_to_the_collector() == []


def test_what_was_closed_or_can_be_reached_is_not(uncollected: None) -> None:
    cycle: list[Any] = [socket.socket()]
    cycle[0].close()
    cycle.append(cycle)
    del cycle
    with socket.socket() as held:
        assert left_to_the_collector() == []
        assert held.fileno() != -1
