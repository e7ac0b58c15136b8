"""Puts stand-ins in place when a library arrives, and the very originals back.

Nothing is imported to be patched: an import hook waits for each module, in either order.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.errors import FAULTS, Guard, contained
from genai_otel._support.locks import reentrant

from .import_hook import ImportHook
from .patching import Placed, owner_of, replace
from .runs import Runs
from .tracker import Observer
from .versions import bounds, installed_version, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .adapter import Adapter, Bridge, Patch
    from .tracker import Recorder

_LOCK = reentrant()
UNINSTRUMENTED = "uninstrumented"


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
        self._placed: dict[int, list[Placed]] = {}  # by the patch's index
        # The modules that were looked at; held weakly, since a program may import them anew.
        self._done: dict[str, Any] = {}
        self._failed = False
        self._observer: Observer | None = None
        self._detach: Callable[[], None] | None = None

    @property
    def calls(self) -> int:
        """How many calls were seen since it was installed."""
        return 0 if self._observer is None else self._observer.calls

    @property
    def state(self) -> str:
        """``active``, ``waiting`` for its library, ``unpatched``, ``skipped`` or ``broken``."""
        if self.guard.broken:
            return "broken"
        if self._placed or self._detach is not None:
            return "active"
        if self.note:
            return "skipped"
        return "unpatched" if self.passed_by() else "waiting"

    def passed_by(self) -> list[str]:
        """The modules that are imported, but of which the import hook has not heard."""
        if not self.guard.enabled or self._failed:
            return []
        names = sorted(self._modules())
        return [name for name in names if HOOK.loaded(name) and not self._is_done(name)]

    def _is_done(self, module: str) -> bool:
        done = self._done.get(module)
        return done is not None and done() is sys.modules.get(module)

    def why_unpatched(self) -> str:
        """What has passed by, why, and what helps; empty where nothing has."""
        modules = self.passed_by()
        if not modules:
            return ""
        why = "its import passed no import hook" if HOOK.placed() else "sys.meta_path was replaced"
        return (
            f"{modules[0]} is imported but not patched, {why}: call instrument() after the import"
        )

    def install(self, recorder: Recorder, stream_usage: Iterable[str] = ()) -> None:
        """Patches what is imported already and waits for the rest."""
        with _LOCK:
            self.guard.enabled, self.guard.broken = True, False
            self.note, self._failed = "", False
            self._observer = Observer(recorder, self.guard, frozenset(stream_usage))
            self._observer.runs = Runs(self._observer)
            self._wait()
        self.catch_up()

    def catch_up(self) -> None:
        """Patches what is imported, but is not patched."""
        HOOK.place()
        for module in self.passed_by():
            self.come(module)

    def _wait(self) -> None:
        """For the modules to be patched, or for the one at which the adapter is loaded."""
        self._begun = self._later is None
        for module in self._modules():
            waiting = _WAITING.setdefault(module, [])
            if self not in waiting:
                waiting.append(self)
            HOOK.watch(module)
            if HOOK.loaded(module):
                self.arrived(module)

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
            self._undo()
            self._done.clear()
            self.note = UNINSTRUMENTED

    def _undo(self) -> None:
        while self._placed:
            _, placed = self._placed.popitem()
            for each in reversed(placed):
                each.undo()

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

    def come_anew(self, module: str) -> None:
        """The module has been executed, for the first time or once more."""
        with _LOCK:
            self._done.pop(module, None)
        self.come(module)

    def arrived(self, module: str) -> None:
        """The module is loaded: puts the stand-ins in place, all of them or none."""
        if self._later is not None:  # first the adapter, which must not be loaded under the lock
            return
        if not self._begun:  # only now is it known what to wait for
            self._wait()
        if self._failed or self._observer is None or module not in self._modules():
            return
        if self._is_done(module) or not self.suits():
            return
        self._done[module] = _reference(module)
        for index, patch in enumerate(self.adapter.patches):
            if patch.module == module and not self._failed:
                self._place(index, patch, self._observer)
        bridge = self.adapter.bridge
        if bridge is not None and bridge.module == module and not self._failed:
            self._listen(bridge, self._observer)

    def _listen(self, bridge: Bridge, observer: Observer) -> None:
        if self._detach is not None:  # from the module as it was before
            self._part()
        try:
            self._detach = bridge.attach(sys.modules[bridge.module], observer.runs)
        except Exception as error:  # noqa: BLE001 - a framework we do not know must still load
            self._give_up(f"{bridge.module} cannot be listened to: {type(error).__name__}")

    def suits(self) -> bool:
        """Whether the library's installed version will do; sets ``version`` and ``note``."""
        self.version = self.version or installed_version(self.adapter.distribution)
        if self.version is None:
            self.note = f"distribution {self.adapter.distribution} has no metadata"
            return False
        version, (oldest, untested) = release(self.version), bounds(self.adapter.versions)
        if version < release(oldest):
            self.note = f"version {self.version} is older than {oldest}"
            return False
        if untested and version >= release(untested):
            self.note = f"version {self.version} is newer than what was tested"
        return True

    def _place(self, index: int, patch: Patch, observer: Observer) -> None:
        try:
            owner, name = owner_of(patch)
            before = self._placed.get(index)
            if before and before[0].keeps(owner):
                return
            # What a module had before it was imported anew keeps its stand-in, and is let go.
            placed: list[Placed] = []
            for each in replace(owner, name, patch, observer):
                placed.append(each)
                self._placed[index] = placed
        except Exception as error:  # noqa: BLE001 - a client we do not know must still load
            if not patch.optional:
                self._give_up(f"{patch.target} is not there: {type(error).__name__}")

    def _give_up(self, note: str) -> None:
        self.note, self._failed = note, True
        self.guard.enabled = False
        self._part()
        self._undo()


_WAITING: dict[str, list[Installation]] = {}


def _arrived(module: str) -> None:
    """Called by the import system; nothing may escape into the host's import."""
    for installation in list(_WAITING.get(module, ())):
        try:
            installation.come_anew(module)
        except Exception as error:  # noqa: BLE001 - see safety
            FAULTS.note(f"{installation.adapter.name}.arrived", error)


HOOK = ImportHook(_arrived)
"""One for the process; it stays on ``sys.meta_path``, since another thread may be going through."""


def _reference(module: str) -> Any:
    """Leads to the module that is imported by this name, as long as there is one."""
    try:
        return weakref.ref(sys.modules[module])
    except TypeError:  # any object, which a program has put there
        return lambda: sys.modules.get(module)
