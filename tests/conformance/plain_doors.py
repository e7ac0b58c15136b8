"""The door that every client has: its method is called, and what it returns is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.table import Door
from tests.conformance.visits import now

if TYPE_CHECKING:
    from tests.conformance.visits import Visit


async def call(visit: Visit) -> None:
    await visit.read(await now(visit.method()(**visit.arguments)))


CALL = Door("call", call)
