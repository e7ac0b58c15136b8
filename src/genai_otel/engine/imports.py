"""Puts stand-ins in place when a library arrives, and the very originals back.

Nothing is imported to be patched: a hook of wrapt's waits for each module, in either order.
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

from genai_otel._locks import reentrant

from .observe import Observer
from .runs import Runs
from .safety import FAULTS, Guard, contained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .adapter import Adapter, Patch
    from .observe import Recorder

_NOTHING: dict[str, Any] = {}
_HOOKED: set[str] = set()
_LOCK = reentrant()


class _Placed(NamedTuple):
    """One replaced attribute. ``inherited``: it was not the owner's own before."""

    owner: Any
    name: str
    original: Any
    stand_in: Any
    inherited: bool

    def undo(self) -> None:
        """Restores the original, unless somebody has wrapped ours: then it stays, inert."""
        if vars(self.owner).get(self.name) is not self.stand_in:
            return
        if self.inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


class Later(NamedTuple):
    """An adapter that is loaded when one of these modules has arrived: most never do."""

    modules: tuple[str, ...]
    load: Callable[[], Adapter]


class Installation:
    """One adapter in this process: waiting, active, or skipped and why.

    With ``later``, ``adapter`` has nothing but its names until that is loaded.
    """

    def __init__(self, adapter: Adapter, later: Later | None = None) -> None:
        self.adapter, self._later = adapter, later
        self._begun = False
        self.guard = Guard(adapter.name)
        self.guard.enabled = False
        self.version: str | None = None
        self.note = ""
        self._placed: list[_Placed] = []
        self._done: set[str] = set()
        self._failed = False
        self._observer: Observer | None = None
        self._detach: Callable[[], None] | None = None

    @property
    def calls(self) -> int:
        """How many calls were seen since it was installed."""
        return 0 if self._observer is None else self._observer.calls

    @property
    def state(self) -> str:
        """``active``, ``waiting`` for its library to be imported, ``skipped`` or ``broken``."""
        if self.guard.broken:
            return "broken"
        if self._placed or self._detach is not None:
            return "active"
        return "skipped" if self.note else "waiting"

    def install(self, recorder: Recorder, stream_usage: Iterable[str] = ()) -> None:
        """Patches what is imported already and waits for the rest."""
        with _LOCK:
            self.guard.enabled, self.guard.broken = True, False
            self.note, self._failed = "", False
            self._observer = Observer(recorder, self.guard, frozenset(stream_usage))
            self._observer.runs = Runs(self._observer)
            self._wait()
        for module in () if self._later is None else self._later.modules:
            if module in sys.modules:
                self.come(module)

    def _wait(self) -> None:
        """For the modules to be patched, or for the one at which the adapter is loaded."""
        self._begun = self._later is None
        for module in self._modules():
            waiting = _WAITING.setdefault(module, [])
            if self not in waiting:
                waiting.append(self)
            if module in sys.modules:
                self.arrived(module)
            elif module not in _HOOKED:
                _HOOKED.add(module)
                wrapt.register_post_import_hook(_arrived, module)

    def _modules(self) -> set[str]:
        if self._later is not None:
            return {*self._later.modules}
        bridge = self.adapter.bridge
        own = {bridge.module} if bridge is not None else set()
        return own | {patch.module for patch in self.adapter.patches}

    def remove(self) -> None:
        """Takes everything back that is still ours; what others wrapped becomes inert."""
        with _LOCK:
            self.guard.enabled = False
            self._part()
            for waiting in _WAITING.values():
                if self in waiting:
                    waiting.remove(self)
            while self._placed:
                self._placed.pop().undo()
            self._done.clear()
            self.note = "uninstrumented"

    def _part(self) -> None:
        """Listens no more; what was open is ended."""
        detach, self._detach = self._detach, None
        if detach is not None:
            contained(detach)
        if self._observer is not None:
            contained(self._observer.runs.end_all)

    def expire(self, now: float) -> None:
        """Ends what nothing was heard of for long."""
        if self._observer is not None:
            contained(self._observer.runs.expire, now)

    def forget(self) -> None:
        """In a forked child: what is open belongs to the parent."""
        if self._observer is not None:
            self._observer.runs.forget()

    def prepare(self) -> None:
        """Loads the adapter. Without the lock: an import may wait for another thread's."""
        later = self._later
        if later is not None:
            self.adapter, self._later = later.load(), None

    def come(self, module: str) -> None:
        """The module is loaded, and so may be the adapter."""
        self.prepare()
        with _LOCK:
            self.arrived(module)

    def arrived(self, module: str) -> None:
        """The module is loaded: puts the stand-ins in place, all of them or none."""
        if self._later is not None:  # first the adapter, which must not be loaded under the lock
            return
        if not self._begun:  # only now is it known what to wait for
            self._wait()
            return
        if module in self._done or self._failed or self._observer is None or not self.suits():
            return
        self._done.add(module)
        for patch in self.adapter.patches:
            if patch.module == module and not self._failed:
                self._place(patch, self._observer)
        bridge = self.adapter.bridge
        if bridge is not None and bridge.module == module and not self._failed:
            try:
                self._detach = bridge.attach(sys.modules[module], self._observer.runs)
            except Exception as error:  # noqa: BLE001 - a framework we do not know must still load
                self._give_up(f"{module} cannot be listened to: {type(error).__name__}")

    def suits(self) -> bool:
        """Whether the library's installed version will do; sets ``version`` and ``note``."""
        from importlib.metadata import PackageNotFoundError

        try:
            self.version = self.version or _version(self.adapter.distribution)
        except PackageNotFoundError:
            self.note = f"distribution {self.adapter.distribution} has no metadata"
            return False
        if _numbers(self.version) < _numbers(self.adapter.oldest):
            self.note = f"version {self.version} is older than {self.adapter.oldest}"
            return False
        if _numbers(self.version) >= _numbers(self.adapter.untested):
            self.note = f"version {self.version} is newer than what was tested"
        return True

    def _place(self, patch: Patch, observer: Observer) -> None:
        try:
            *path, name = patch.path
            owner: Any = sys.modules[patch.module]
            for step in path:
                owner = getattr(owner, step)
            shared = (patch.captured or not path) and _held(owner, name) != _ALONE
            original = getattr(owner, name)
            inherited = name not in vars(owner)
            before = original if inherited else vars(owner)[name]
            stand_in = patch.stand_in(original, observer)
            setattr(owner, name, stand_in)
        except Exception as error:  # noqa: BLE001 - a client we do not know must still load
            if patch.optional:
                return
            self._give_up(f"{patch.target} is not there: {type(error).__name__}")
            return
        self._placed.append(_Placed(owner, name, before, stand_in, inherited))
        for below in _wrapped_below(owner, name, original):
            contained(self._place_below, below, name, patch, observer)
        if shared:
            self._placed.extend(_sweep(original, stand_in))

    def _place_below(self, owner: Any, name: str, patch: Patch, observer: Observer) -> None:
        """Over what somebody has put on a subclass, which calls the original and not ours."""
        before = vars(owner)[name]
        stand_in = patch.stand_in(getattr(owner, name), observer)
        setattr(owner, name, stand_in)
        self._placed.append(_Placed(owner, name, before, stand_in, inherited=False))

    def _give_up(self, note: str) -> None:
        self.note, self._failed = note, True
        self.guard.enabled = False
        self._part()
        while self._placed:
            self._placed.pop().undo()


def _held(owner: Any, name: str) -> Any:
    """How many hold what is there: its owner, and modules that have imported it, if any have."""
    return _COUNT(getattr(owner, name))


_COUNT = getattr(sys, "getrefcount", id)  # where nothing is counted, no two are alike
_ALONE = _held(type("Owner", (), {"function": lambda: None}), "function")
"""What is held by its owner alone needs not be looked for, which takes tens of milliseconds."""


_MOST_WRAPPED = 20


def _wrapped_below(owner: Any, name: str, original: Any) -> Iterator[type]:
    """The subclasses on which somebody has wrapped the inherited ``original``."""
    waiting: list[type] = type.__subclasses__(owner) if isinstance(owner, type) else []
    while waiting:
        cls = waiting.pop()
        waiting += type.__subclasses__(cls)
        found = vars(cls).get(name)
        for _ in range(_MOST_WRAPPED):
            if found is None or found is original:
                break
            found = getattr(found, "__wrapped__", None)
        if found is original:
            yield cls


def _sweep(original: Any, stand_in: Any) -> Iterator[_Placed]:
    """Replaces ``original``, and methods bound from it, wherever modules have imported it to."""
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", _NOTHING).items()):
            if value is original:
                new = stand_in
            elif type(value) is MethodType and value.__func__ is original:
                new = MethodType(stand_in, value.__self__)
            else:
                continue
            setattr(module, name, new)
            yield _Placed(module, name, value, new, inherited=False)


_WAITING: dict[str, list[Installation]] = {}


def _arrived(module: Any) -> None:
    """Called by the import system; nothing may escape into the host's import."""
    for installation in list(_WAITING.get(module.__name__, ())):
        try:
            installation.come(module.__name__)
        except Exception as error:  # noqa: BLE001 - see safety
            FAULTS.note(f"{installation.adapter.name}.arrived", error)


def _version(name: str) -> str:
    """As by ``importlib.metadata.version``, which takes a whole README apart to find this line."""
    from importlib.metadata import distribution

    found = distribution(name)
    lines = (found.read_text("METADATA") or "").partition("\nVersion:")[2]
    return lines.partition("\n")[0].strip() or found.version


def _numbers(text: str) -> tuple[int, ...]:
    """A version's leading numbers, enough to compare releases."""
    numbers: list[int] = []
    for part in text.split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
