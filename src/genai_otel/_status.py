"""What can be told about this process: what is active, skipped and dropped, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .destinations.destination import Outlet
    from .engine.imports import Installation


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """One library: ``state`` is active, waiting (not imported yet), skipped, broken or excluded."""

    name: str
    distribution: str
    version: str | None
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination: where it is, whether content goes there, what was written and dropped."""

    name: str
    where: str
    content: str
    written: int | None = None
    dropped: dict[str, int] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that can be told about this process."""

    active: bool
    provider: str
    content: str
    libraries: tuple[LibraryStatus, ...]
    destinations: tuple[DestinationStatus, ...]
    open_streams: int
    faults: dict[str, int]


def library_status(entry: Any, installation: Installation | None) -> LibraryStatus:
    if installation is None:
        return LibraryStatus(entry.name, entry.distribution, None, "excluded", "")
    return LibraryStatus(
        entry.name, entry.distribution, installation.version, installation.state, installation.note
    )


def destination_status(outlet: Outlet) -> DestinationStatus:
    content = "full" if outlet.content else "none"
    if outlet.store is None:
        return DestinationStatus(outlet.name, outlet.where, content)
    counters = outlet.store.counters()["traces"]
    return DestinationStatus(
        outlet.name,
        outlet.where,
        content,
        counters.written,
        dict(counters.dropped),
        outlet.store.problem,
    )
