"""Adapters that other distributions publish as entry points.

The entry point's name is the module to wait for. The adapter is loaded when that is imported, or at
once where the user has named it; discovery reads metadata and imports nothing.
"""

from __future__ import annotations

from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from .adapter import Adapter, Bridge, Patch
from .installer import Installation, LazyAdapter
from .versions import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import EntryPoint

    from .tracker import Recorder

GROUP = "genai_otel.adapters"
_LONGEST = 200


def discover(taken: Iterable[str] = ()) -> dict[str, tuple[EntryPoint, str]]:
    """Return each entry point by its name, with the reason why it cannot be used, or "".

    ``taken`` are the names of the built-in adapters, which cannot be replaced.
    """
    found: dict[str, tuple[EntryPoint, str]] = {}
    own = frozenset(taken)
    for point in sorted(_entry_points(), key=_publisher):
        name, reason = point.name, ""
        if name in own:
            reason = "genai_otel has its own adapter of that name"
        elif not all(part.isidentifier() for part in name.split(".")):
            reason = "its name is not a module name"
        if name not in found:
            found[name] = (point, reason)
    return found


def _entry_points() -> Iterator[EntryPoint]:
    """Like ``entry_points``, which parses those of every distribution to find our group."""
    for each in distributions():
        declared = each.read_text("entry_points.txt")
        if declared and GROUP in declared:
            first = next(iter(distributions(name=each.name)), each)  # on the path, of that name
            if first.read_text("entry_points.txt") == declared:
                yield from each.entry_points.select(group=GROUP)


def _publisher(point: EntryPoint) -> str:
    """Return the distribution's name; of two with one name the same one is always taken."""
    return "" if point.dist is None else point.dist.name


class PublishedAdapter(Installation):
    """The installation of a published adapter, which has only its name until it is loaded."""

    def __init__(self, point: EntryPoint, refused: str = "", *, named: bool = False) -> None:
        self.name, self.publisher = point.name, _publisher(point)
        lazy = None if refused else LazyAdapter((point.name,), point.load)
        super().__init__(Adapter(self.name, self.publisher), lazy)
        self._point, self._refused, self._named = point, refused, named

    def install(self, recorder: Recorder, stream_usage: Iterable[str] = ()) -> None:
        if self._named:
            self.load_adapter()
        super().install(recorder, stream_usage)
        if self._refused:
            self._skip(self._refused)

    def patch_module(self, module: str) -> None:
        super().patch_module(module)
        if self._refused:
            self._skip(self._refused)

    def check(self) -> str:
        """Load the adapter and return what is wrong with it, or ""."""
        self.load_adapter()
        return self._refused

    def load_adapter(self) -> None:
        if self._lazy is None:
            return
        self._lazy = None
        try:
            found = self._point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is somebody else's code
            found, self._refused = None, f"{type(error).__name__}: {error}"
        else:
            self._refused = _problem_with(found, self.adapter.name)
        if self._refused:
            words = f"{self._point.value} of {self.publisher}: {self._refused}"
            self._refused = " ".join(words.split())[:_LONGEST]
            return
        self.adapter = found


def _problem_with(found: Any, name: str) -> str:
    """Return what is wrong with an object that should be an adapter of this name, or ""."""
    if not isinstance(found, Adapter):
        return f"it is a {type(found).__name__}, not an Adapter"
    if found.name != name:
        return f"the adapter's name is {found.name!r}, the entry point's {name!r}"
    patches = type(found.patches) is tuple and all(isinstance(p, Patch) for p in found.patches)
    if not patches or not (found.bridge is None or isinstance(found.bridge, Bridge)):
        return "patches must be a tuple of Patch, and bridge a Bridge"
    if not all(isinstance(each, str) for each in (found.distribution, found.versions)):
        return "distribution and versions must be strings"
    try:
        bounds(found.versions)
    except ValueError as error:
        return str(error)
    return ""
