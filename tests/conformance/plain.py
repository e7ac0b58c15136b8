"""What the rows of plain clients share: the door that each has, and facts that few of them tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.table import Door
from tests.conformance.visits import closed, now

if TYPE_CHECKING:
    from tests.conformance.table import Cell
    from tests.conformance.visits import Visit


async def call(visit: Visit) -> None:
    await visit.read(await now(visit.method()(**visit.arguments)))


CALL = Door("call", call)


class Clients:
    """Clients under one roof: each is an attribute, which an endpoint's resource names."""

    def __init__(self, **clients: Any) -> None:
        self.__dict__.update(clients)

    async def close(self) -> None:
        for client in vars(self).values():
            await closed(client)


def without_ids(calls: Any) -> Any:
    """Tool calls of a provider that gives them none."""
    return tuple((None, name, arguments) for _, name, arguments in calls)


def unless_zero(count: int | None) -> int | None:
    """Of a provider that does not tell what there was none of."""
    return count or None


def call_of_the_future(cell: Cell) -> dict[str, Any]:
    """A tool call of a kind that nobody knows yet, as OpenAI's chat spells it (`Endpoint.told`)."""
    if cell.scenario == "future" and cell.mode == "whole":
        return {"tool calls": (("q1", "quantum", {"qubits": [0, 1]}),)}
    return {}
