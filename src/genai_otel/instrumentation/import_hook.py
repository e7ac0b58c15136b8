"""An import hook that calls back each time a watched module has been executed.

The first import, a reload and an import after ``del sys.modules[...]`` all count: each creates new
classes and functions. wrapt's hook fires only once per name, and never for a namespace package.
"""

from __future__ import annotations

import sys
import threading
from copy import deepcopy
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, SupportsIndex

import wrapt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType


class ImportHook:
    """A finder on ``sys.meta_path`` that wraps the loaders which the other finders return.

    ``callback`` is given the module's name, in the thread that imports it, and must not raise.
    """

    def __init__(self, callback: Callable[[str], None]) -> None:
        self._callback = callback
        self._watched: set[str] = set()
        self._asking = threading.local()

    def watch(self, name: str) -> None:
        """Call back for future imports of the module; not for one that is imported already."""
        self._watched.add(name)
        self.place()

    def place(self) -> None:
        """Insert the hook first on ``sys.meta_path``, unless it is there."""
        if not self.placed():
            sys.meta_path.insert(0, self)

    def placed(self) -> bool:
        """Whether the hook is on ``sys.meta_path``."""
        return any(finder is self for finder in sys.meta_path)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the finders behind this one find, with a loader that calls back."""
        if name not in self._watched:
            return None
        asking: set[str] = self._asking.__dict__.setdefault("names", set())
        if name in asking:  # one of them asks all finders in its turn
            return None
        asking.add(name)
        try:
            spec = self._find_behind(name, path, target)
        finally:
            asking.discard(name)
        if spec is not None:
            self._attach_loader(spec)
        return spec

    def _find_behind(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        finders = iter(list(sys.meta_path))
        for finder in finders:
            if finder is self:
                break
        for finder in finders:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find_spec is None else find_spec(name, path, target)
            if spec is not None:
                return spec
        return None

    def _attach_loader(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None:  # a namespace package, of which nothing is executed
            self._callback(spec.name)
        elif not isinstance(loader, _CallbackLoader):
            loader_class: Any = _Loader if hasattr(loader, "exec_module") else _OldLoader
            spec.loader = loader_class(loader, spec.name, self._callback)

    def loaded(self, name: str) -> bool:
        """Whether the module can be patched now; one that is being imported calls back later.

        Never executes the module, not even a lazily imported one.
        """
        module = sys.modules.get(name)
        if module is None:
            return False
        try:
            spec = object.__getattribute__(module, "__dict__").get("__spec__")
        except AttributeError:  # an object that a program has put there
            return True
        if _is_lazy(module):
            self._attach_loader(spec)
            return False
        return not _will_call_back(spec, self._callback)


_Proxy: Any = wrapt.ObjectProxy


class _CallbackLoader(_Proxy):  # type: ignore[misc]  # which is whatever it stands for
    """The loader of a watched module; the module itself sees the real one."""

    def __init__(self, loader: Any, name: str, callback: Callable[[str], None]) -> None:
        super().__init__(loader)
        self._self_name, self._self_callback = name, callback

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """A copy, as of a spec that a program has looked up, is one of the real loader."""
        return self.__wrapped__.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> Any:
        return deepcopy(self.__wrapped__, memo)

    def _put_back(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self.__wrapped__
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self.__wrapped__


class _Loader(_CallbackLoader):
    def exec_module(self, module: ModuleType) -> None:
        self._put_back(module)
        self.__wrapped__.exec_module(module)
        self._self_callback(self._self_name)


class _OldLoader(_CallbackLoader):
    """One from before PEP 451, which importlib accepts still."""

    def load_module(self, name: str) -> ModuleType:
        module: ModuleType = self.__wrapped__.load_module(name)
        self._put_back(module)
        self._self_callback(self._self_name)
        return module


def _is_lazy(module: Any) -> bool:
    """Whether ``importlib.util.LazyLoader`` has not executed it yet."""
    kind = type(module)
    return kind.__name__ == "_LazyModule" and kind.__module__ == "importlib.util"


class _Initializing(ModuleSpec):
    """The spec of a module that is being imported, here or in another thread.

    importlib sets ``_initializing`` to false when the import has ended.
    """

    callback: Callable[[str], None]

    @property
    def _initializing(self) -> bool:
        return True

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        callback = self.callback
        _become(self, ModuleSpec)
        del self.callback
        self._initializing = value
        if not value:
            callback(self.name)


def _will_call_back(spec: Any, callback: Callable[[str], None]) -> bool:
    if type(spec) is _Initializing:
        return True
    if type(spec) is not ModuleSpec or not getattr(spec, "_initializing", False):
        return False
    spec.__dict__["callback"] = callback
    _become(spec, _Initializing)
    if spec.__dict__["_initializing"]:
        return True
    _become(spec, ModuleSpec)  # it has ended meanwhile
    del spec.__dict__["callback"]
    return False


def _become(spec: Any, kind: type[ModuleSpec]) -> None:
    spec.__class__ = kind
