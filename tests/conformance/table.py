"""The rows of the table, and the cells that they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tests.provider import SCENARIOS
from tests.provider.catalogue import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from tests.conformance.visits import Visit
    from tests.provider import Provider
    from tests.provider.wire import Endpoint as Served

COLOURS = ("sync", "async")


@dataclass(frozen=True)
class Mode:
    """How an endpoint is asked: for a whole reply, or for a stream of one sort or another."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    usage: bool = True
    """Whether the caller asked for the usage, where streams tell it only if asked."""
    doors: str = ""
    """The doors that know this mode; all, when not given."""
    verb: str = ""
    """Its method, where it is not the endpoint's."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """As those of its endpoint."""


WHOLE = Mode("whole")


@dataclass(frozen=True)
class Endpoint:
    """One endpoint: its method in the client, what it is asked, and what only its spans tell."""

    name: str
    """As `tests.provider` names it; another name where no provider serves it."""
    resource: str
    """What leads from the client to the object with the method, dotted; empty: the client."""
    arguments: Mapping[str, Any]
    operation: str
    modes: tuple[Mode, ...] = (WHOLE,)
    verb: str = "create"
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What every span tells instead of what the truth says; a function is given what it says."""
    untold: str = ""
    """Facts which the provider's truth does not hold."""
    model: str = "model"
    """The argument that names the model; empty where none does."""
    spelled: Callable[[str], str] = str
    """How a scenario is named as a model, where a name alone will not do."""
    route: Any = None
    """For doors that go by the path: whatever they need to know."""
    early: tuple[Literal["pieces", "frames"], int] = ("pieces", 5)
    """What a reader takes of a stream before it leaves early."""
    told: Callable[[Cell], Mapping[str, Any]] = lambda _cell: {}
    """Further facts of an answer that was read."""
    wire: str = ""
    """As `tests.provider` names it, where the name is that of another endpoint already."""

    @property
    def served(self) -> Served | None:
        """What answers there; nothing, where no provider does."""
        return BY_NAME.get(self.wire or self.name)


@dataclass(frozen=True)
class Door:
    """One way through the client to an endpoint, for the endpoints that have it."""

    name: str
    go: Callable[[Visit], Awaitable[None]]
    endpoints: str = ""
    modes: str = ""
    endings: str = ""
    """The endings that can be had through it; all, when not given."""
    scenarios: str = ""
    """The scenarios that can be had through it; all, when not given."""
    counts: Mapping[str, str] = field(default_factory=dict)
    """By endpoint: the types of the items that stand for a chunk each; all of them, if none."""
    unread: Literal["never", "streams", "always"] = "never"
    """Whether it leaves without having read the answer."""


@dataclass(frozen=True)
class Ending:
    """How a stream is left: `take` chunks are read, all when `None`."""

    name: str
    leave: str
    take: bool | None
    """All of it (`None`), some of it, or nothing (`False`)."""
    colours: tuple[str, ...] = COLOURS

    @property
    def early(self) -> bool:
        return self.take is not None


ENDINGS = {
    ending.name: ending
    for ending in (
        Ending("exhausted", "nothing", None),
        Ending("exhausted in with", "with", None),
        Ending("closed early", "close", take=True),
        Ending("left with", "with", take=True),
        Ending("dropped", "drop", take=True),
        Ending("cancelled", "cancel", take=True, colours=("async",)),
        Ending("closed unread", "close", take=False),
        Ending("dropped unread", "drop", take=False),
    )
}


class Cell(NamedTuple):
    """One call of the table, by names."""

    library: str
    endpoint: str
    client: str
    door: str
    mode: str
    colour: str
    scenario: str
    ending: str

    def __str__(self) -> str:
        return "-".join(self).replace(" ", "_")


@dataclass(frozen=True)
class Block:
    """Rows to multiply; each text lists names, and `scenarios` may be a list of its own."""

    endpoints: str
    doors: str
    scenarios: str | Iterable[str] = "ok"
    modes: str = ""
    endings: str = "exhausted"
    client: str = "plain"
    colours: tuple[str, ...] = COLOURS


@dataclass(frozen=True)
class Gap:
    """What is not as it should be, where, and why.

    `where` names the values of some of a cell's dimensions, `majors` the client majors; `facts` the
    facts that differ in each such cell.
    """

    reason: str
    facts: str | Iterable[str]
    where: Mapping[str, str]
    majors: tuple[int, ...] = ()

    def covers(self, cell: Cell, major: int) -> bool:
        return self.fits(cell) and (not self.majors or major in self.majors)

    def fits(self, cell: Cell) -> bool:
        """The same for whichever major has it."""
        return all(getattr(cell, what) in listed(names) for what, names in self.where.items())


@dataclass(frozen=True)
class Library:
    """All rows of one library."""

    name: str
    clients: Callable[[Provider, str], Any]
    """The clients by name, for one colour, or what is awaited for them; a name may lack in one."""
    providers: Mapping[str, str]
    """Which provider's name the spans of each client bear; without one, `plain`'s."""
    endpoints: Mapping[str, Endpoint]
    doors: Mapping[str, Door]
    blocks: tuple[Block, ...]
    major: Callable[[], int]
    finals: Mapping[str, Callable[[Any], Mapping[str, Any]]] = field(default_factory=dict)
    """By endpoint: the facts of the client's own final message."""
    gaps: tuple[Gap, ...] = ()
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What a scenario needs in the call."""
    shown: Callable[[Any], str] = repr
    """What the host sees of a value, to be compared; never an address in memory."""
    touches: Mapping[str, str | Iterable[str]] = field(default_factory=dict)
    """For answers of odd form: a key in them -> the facts that hang on it."""
    by_chance: str = ""
    """Request headers that are other ones at each call: signatures, dates, ids."""
    later: Callable[[str], str] = str
    """What its asynchronous clients call a method: ``"{}_async".format``, where not the same."""
    share: int = 3
    """So many values go together in the share that `make test` runs; fewer where much is shared."""


def listed(names: str | Iterable[str]) -> list[str]:
    """Names, separated by commas."""
    if not isinstance(names, str):
        return list(names)
    return [name.strip() for name in names.split(",") if name.strip()]


def known(name: str, among: str | Iterable[str]) -> bool:
    """Whether a list without entries, which means all, or with that name."""
    return name in (listed(among) or [name])


def cells(library: Library) -> list[Cell]:
    """Every cell once, in the order of the blocks."""
    return list(
        dict.fromkeys(cell for block in library.blocks for cell in _multiplied(library, block))
    )


def _multiplied(library: Library, block: Block) -> Iterator[Cell]:
    for name, door_name in product(listed(block.endpoints), listed(block.doors)):
        endpoint, door = library.endpoints[name], library.doors[door_name]
        if not known(name, door.endpoints):
            continue
        for mode in endpoint.modes:
            if not all(known(mode.name, each) for each in (block.modes, door.modes)):
                continue
            if not known(door_name, mode.doors):
                continue
            yield from _cells_of(library, block, endpoint, door, mode)


def _cells_of(
    library: Library, block: Block, endpoint: Endpoint, door: Door, mode: Mode
) -> Iterator[Cell]:
    endings = [ENDINGS[name] for name in listed(block.endings) if known(name, door.endings)]
    for scenario, ending, colour in product(listed(block.scenarios), endings, block.colours):
        if colour not in ending.colours or not known(scenario, door.scenarios):
            continue
        if not mode.stream and (ending.name != "exhausted" or _streams_only(endpoint, scenario)):
            continue
        yield Cell(
            library.name, endpoint.name, block.client, door.name, mode.name, colour, scenario,
            ending.name,
        )  # fmt: skip


def _streams_only(endpoint: Endpoint, scenario: str) -> bool:
    """Whether a whole reply shows nothing of what the scenario is about."""
    row = SCENARIOS.get(scenario)
    served = endpoint.served
    if row is None or served is None or served.frames is None:
        return False
    return bool(
        row.ending == "error" or row.turn_pause or row.pause or row.comments or row.shuffled
    )
