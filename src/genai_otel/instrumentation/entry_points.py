"""Adapters of other distributions, which they publish as entry points.

The point's name is the library's: the module whose arrival is waited for. Only then is the adapter
loaded, or at once where the user has named it; looking for points reads metadata and no code.
"""

from __future__ import annotations

from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from .adapter import Adapter, Bridge, Patch
from .installer import Installation, Later
from .versions import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import EntryPoint

    from .tracker import Recorder

GROUP = "genai_otel.adapters"
_LONGEST = 200


def points(taken: Iterable[str] = ()) -> dict[str, tuple[EntryPoint, str]]:
    """Each published point by its name, and why it is of no use, if it is not.

    ``taken`` are the names of our own libraries, which nobody can replace.
    """
    found: dict[str, tuple[EntryPoint, str]] = {}
    own = frozenset(taken)
    for point in sorted(_published(), key=_publisher):
        name, reason = point.name, ""
        if name in own:
            reason = "genai_otel has an adapter of its own by that name"
        elif not all(part.isidentifier() for part in name.split(".")):
            reason = "its name is not that of a module"
        if name not in found:
            found[name] = (point, reason)
    return found


def _published() -> Iterator[EntryPoint]:
    """As by ``entry_points``, which reads every point of every distribution to find ours."""
    for each in distributions():
        told = each.read_text("entry_points.txt")
        if told and GROUP in told:
            first = next(iter(distributions(name=each.name)), each)  # on the path, of that name
            if first.read_text("entry_points.txt") == told:
                yield from each.entry_points.select(group=GROUP)


def _publisher(point: EntryPoint) -> str:
    """The distribution; with two of one name, always the same one is taken."""
    return "" if point.dist is None else point.dist.name


class Published(Installation):
    """A published adapter; until it is loaded, one that has nothing but its name."""

    def __init__(self, point: EntryPoint, refused: str = "", *, named: bool = False) -> None:
        self.name, self.publisher = point.name, _publisher(point)
        later = None if refused else Later((point.name,), point.load)
        super().__init__(Adapter(self.name, self.publisher), later)
        self._point, self._refused, self._named = point, refused, named

    def install(self, recorder: Recorder, stream_usage: Iterable[str] = ()) -> None:
        if self._named:
            self.prepare()
        super().install(recorder, stream_usage)
        if self._refused:
            self._give_up(self._refused)

    def arrived(self, module: str) -> None:
        super().arrived(module)
        if self._refused:
            self._give_up(self._refused)

    def look(self) -> str:
        """Loads it and says what is wrong with it, if anything is."""
        self.prepare()
        return self._refused

    def prepare(self) -> None:
        if self._later is None:
            return
        self._later = None
        try:
            found = self._point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is somebody else's code
            found, self._refused = None, f"{type(error).__name__}: {error}"
        else:
            self._refused = _complaint(found, self.adapter.name)
        if self._refused:
            words = f"{self._point.value} of {self.publisher}: {self._refused}"
            self._refused = " ".join(words.split())[:_LONGEST]
            return
        self.adapter = found


def _complaint(found: Any, name: str) -> str:
    """What is wrong with a thing that ought to be an adapter of this name."""
    if not isinstance(found, Adapter):
        return f"it is a {type(found).__name__} and not an Adapter"
    if found.name != name:
        return f"the adapter's name is {found.name!r}, the entry point's {name!r}"
    patches = type(found.patches) is tuple and all(isinstance(p, Patch) for p in found.patches)
    if not patches or not (found.bridge is None or isinstance(found.bridge, Bridge)):
        return "its patches are no tuple of Patch, or its bridge is no Bridge"
    if not all(isinstance(each, str) for each in (found.distribution, found.versions)):
        return "distribution and versions must be strings"
    try:
        bounds(found.versions)
    except ValueError as error:
        return str(error)
    return ""
