"""Apply an adapter's patches when its library is imported, and restore the originals.

No module is imported to be patched: an import hook waits for each, in any order.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._support.errors import FAULTS, Guard, contained
from genai_otel._support.locks import reentrant

from .import_hook import ImportHook
from .patching import AppliedPatch, owner_of, replace
from .runs import Runs
from .tracker import CallTracker
from .versions import bounds, installed_version, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .adapter import Adapter, Bridge, Patch
    from .tracker import Recorder

_LOCK = reentrant()
UNINSTRUMENTED = "uninstrumented"


class LazyAdapter(NamedTuple):
    """An adapter that is loaded when one of these modules is imported: most never are."""

    modules: tuple[str, ...]
    load: Callable[[], Adapter]


class Installation:
    """One adapter in this process: waiting, active, or skipped and why.

    With ``lazy``, ``adapter`` has only its name and distribution until the real one is loaded.
    """

    def __init__(self, adapter: Adapter, lazy: LazyAdapter | None = None) -> None:
        self.adapter, self._lazy = adapter, lazy
        self._patches_known = False
        self.guard = Guard(adapter.name)
        self.guard.enabled = False
        self.version: str | None = None
        self.note = ""
        self._applied: dict[int, list[AppliedPatch]] = {}  # by the patch's index
        # The modules that were looked at; held weakly, since a program may import them anew.
        self._seen_modules: dict[str, Any] = {}
        self._failed = False
        self._tracker: CallTracker | None = None
        self._detach: Callable[[], None] | None = None

    @property
    def calls(self) -> int:
        """The number of calls seen since it was installed."""
        return 0 if self._tracker is None else self._tracker.calls

    @property
    def state(self) -> str:
        """``active``, ``waiting`` for its library, ``unpatched``, ``skipped`` or ``broken``."""
        if self.guard.broken:
            return "broken"
        if self._applied or self._detach is not None:
            return "active"
        if self.note:
            return "skipped"
        return "unpatched" if self.missed_modules() else "waiting"

    def missed_modules(self) -> list[str]:
        """Return the modules that are imported without having passed the import hook."""
        if not self.guard.enabled or self._failed:
            return []
        names = sorted(self._modules())
        return [name for name in names if HOOK.loaded(name) and not self._is_seen(name)]

    def _is_seen(self, module: str) -> bool:
        done = self._seen_modules.get(module)
        return done is not None and done() is sys.modules.get(module)

    def why_unpatched(self) -> str:
        """Explain which module was missed, why, and what to do; empty where none was."""
        modules = self.missed_modules()
        if not modules:
            return ""
        cause = "the import hook was bypassed" if HOOK.placed() else "sys.meta_path was replaced"
        return (
            f"{modules[0]} is imported but not patched, {cause}: call instrument() after the import"
        )

    def install(self, recorder: Recorder, stream_usage: Iterable[str] = ()) -> None:
        """Patch what is imported already and wait for the rest."""
        with _LOCK:
            self.guard.enabled, self.guard.broken = True, False
            self.note, self._failed = "", False
            self._tracker = CallTracker(recorder, self.guard, frozenset(stream_usage))
            self._tracker.runs = Runs(self._tracker)
            self._watch_imports()
        self.catch_up()

    def catch_up(self) -> None:
        """Patch what is imported but not patched."""
        HOOK.place()
        for module in self.missed_modules():
            self.load(module)

    def _watch_imports(self) -> None:
        """Watch the modules to be patched, or the one at which the adapter is loaded."""
        self._patches_known = self._lazy is None
        for module in self._modules():
            waiting = _WAITING.setdefault(module, [])
            if self not in waiting:
                waiting.append(self)
            HOOK.watch(module)
            if HOOK.loaded(module):
                self.patch_module(module)

    def _modules(self) -> set[str]:
        if self._lazy is not None:
            return {*self._lazy.modules}
        bridge = self.adapter.bridge
        own = {bridge.module} if bridge is not None else set()
        return own | {patch.module for patch in self.adapter.patches}

    def remove(self) -> None:
        """Restore the originals; wrappers that others have wrapped stay, disabled."""
        with _LOCK:
            self.guard.enabled = False
            self._unsubscribe()
            for waiting in _WAITING.values():
                if self in waiting:
                    waiting.remove(self)
            self._undo()
            self._seen_modules.clear()
            self.note = UNINSTRUMENTED

    def _undo(self) -> None:
        while self._applied:
            _, applied = self._applied.popitem()
            for each in reversed(applied):
                each.undo()

    def _unsubscribe(self) -> None:
        """Detach from the framework's callbacks and end the open runs."""
        detach, self._detach = self._detach, None
        if detach is not None:
            contained(detach)
        if self._tracker is not None:
            contained(self._tracker.runs.end_all)

    def expire(self, now: float) -> None:
        """End the runs without activity for ``IDLE`` seconds."""
        if self._tracker is not None:
            contained(self._tracker.runs.expire, now)

    def clear(self) -> None:
        """In a forked child: drop the open runs, which belong to the parent."""
        if self._tracker is not None:
            self._tracker.runs.clear()

    def load_adapter(self) -> None:
        """Load the adapter, without holding the lock: an import may wait for another thread's."""
        lazy = self._lazy
        if lazy is not None:
            self.adapter, self._lazy = lazy.load(), None

    def load(self, module: str) -> None:
        """The module is imported: load the adapter and patch the module."""
        self.load_adapter()
        with _LOCK:
            self.patch_module(module)

    def reload(self, module: str) -> None:
        """The module has been executed, for the first time or again: patch it."""
        with _LOCK:
            self._seen_modules.pop(module, None)
        self.load(module)

    def patch_module(self, module: str) -> None:
        """Apply all patches of an imported module, or none."""
        if self._lazy is not None:  # the adapter must not be loaded under the lock
            return
        if not self._patches_known:
            self._watch_imports()
        if self._failed or self._tracker is None or module not in self._modules():
            return
        if self._is_seen(module) or not self.is_supported():
            return
        self._seen_modules[module] = _weak_module(module)
        for index, patch in enumerate(self.adapter.patches):
            if patch.module == module and not self._failed:
                self._apply(index, patch, self._tracker)
        bridge = self.adapter.bridge
        if bridge is not None and bridge.module == module and not self._failed:
            self._subscribe(bridge, self._tracker)

    def _subscribe(self, bridge: Bridge, tracker: CallTracker) -> None:
        if self._detach is not None:  # from the module as it was before
            self._unsubscribe()
        try:
            self._detach = bridge.attach(sys.modules[bridge.module], tracker.runs)
        except Exception as error:  # noqa: BLE001 - a framework we do not know must still load
            self._skip(f"callbacks of {bridge.module} cannot be registered: {type(error).__name__}")

    def is_supported(self) -> bool:
        """Whether the library's installed version is supported; sets ``version`` and ``note``."""
        self.version = self.version or installed_version(self.adapter.distribution)
        if self.version is None:
            self.note = f"distribution {self.adapter.distribution} has no metadata"
            return False
        version, (oldest, untested) = release(self.version), bounds(self.adapter.versions)
        if version < release(oldest):
            self.note = f"version {self.version} is older than {oldest}"
            return False
        if untested and version >= release(untested):
            self.note = f"version {self.version} is newer than the tested versions"
        return True

    def _apply(self, index: int, patch: Patch, tracker: CallTracker) -> None:
        try:
            owner, name = owner_of(patch)
            before = self._applied.get(index)
            if before and before[0].keeps(owner):
                return
            # The wrappers of a module that was imported again are left as they are.
            applied: list[AppliedPatch] = []
            for each in replace(owner, name, patch, tracker):
                applied.append(each)
                self._applied[index] = applied
        except Exception as error:  # noqa: BLE001 - a client we do not know must still load
            if not patch.optional:
                self._skip(f"{patch.target} not found: {type(error).__name__}")

    def _skip(self, note: str) -> None:
        self.note, self._failed = note, True
        self.guard.enabled = False
        self._unsubscribe()
        self._undo()


_WAITING: dict[str, list[Installation]] = {}


def _on_import(module: str) -> None:
    """Called by the import hook; no exception may reach the host's import."""
    for installation in list(_WAITING.get(module, ())):
        try:
            installation.reload(module)
        except Exception as error:  # noqa: BLE001 - see _support.errors
            FAULTS.note(f"{installation.adapter.name}.import", error)


# One for the process; it stays on ``sys.meta_path``, since another thread may be using it.
HOOK = ImportHook(_on_import)


def _weak_module(module: str) -> Any:
    """Return a weak reference to the module that is imported by this name."""
    try:
        return weakref.ref(sys.modules[module])
    except TypeError:  # any object, which a program has put there
        return lambda: sys.modules.get(module)
