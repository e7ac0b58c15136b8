"""Execute ``genai_prices.data``, the price table, without imports: see ``executed``.

That Python module is one expression of calls such as ``ModelInfo(id=..., prices=...)``. Importing
it would import the library with its HTTP client, and keep 7 MB of objects with every description
and comment. The application's own genai_prices is neither loaded nor modified.
"""

from __future__ import annotations

import builtins
import datetime as dt
import os
import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, find_spec, module_from_spec
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_PACKAGE, _DATA = "genai_prices", "genai_prices.data"


def executed(names: Mapping[str, Any], other: Any) -> dict[str, Any]:
    """Execute the module with ``names``, and ``other`` for all other names; return its globals.

    It is never added to ``sys.modules``, but its compiled form is used and stored as by an import.
    Raises ``ImportError`` if the package is not installed, and any error that the module raises.
    """
    spec, loader = _found()
    module = module_from_spec(spec)
    vars(module)["__builtins__"] = _Words(_Library(names, other))
    loader.exec_module(module)
    return vars(module)


def _found() -> tuple[ModuleSpec, Loader]:
    """Find the module in the package's location, without importing the package."""
    package = find_spec(_PACKAGE)
    places = None if package is None else package.submodule_search_locations
    for finder in sys.meta_path if places else ():
        find = getattr(finder, "find_spec", None)  # missing in old finders
        spec = None if find is None else find(_DATA, places)
        if spec is not None and spec.loader is not None:
            usual = type(spec.loader) is SourceFileLoader
            return spec, _Loader(_DATA, str(spec.origin)) if usual else spec.loader
    raise ModuleNotFoundError(f"No module named {_DATA!r}", name=_DATA)


class _Library:
    """In place of each module that the table imports."""

    def __init__(self, names: Mapping[str, Any], other: Any) -> None:
        self._names, self._other, self.__all__ = names, other, tuple(names)

    def __getattr__(self, name: str) -> Any:
        return self._names.get(name, self._other)


class _Words(dict[str, Any]):
    """The module's builtins: no import has an effect, and an unknown class is ``other``."""

    def __init__(self, library: _Library) -> None:
        super().__init__(vars(builtins))
        self["__import__"] = lambda name, *_, **__: dt if name == "datetime" else library
        self._library = library

    def __missing__(self, name: str) -> Any:
        return getattr(self._library, name)


class _UncompiledError(Exception):
    """There is no compiled form, and none can be stored."""


class _Loader(SourceFileLoader):
    """A source loader that needs less memory and does not block other threads."""

    def get_data(self, path: str) -> bytes:
        """Read into a separate mapping: 1 MB of compiled form would fragment the heap."""
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            apart = mmap(-1, max(size, 1))  # not mapped from the file, which may be truncated
            file.readinto(apart)
        return apart  # type: ignore[return-value]

    def source_to_code(self, data: Any, path: Any, **more: Any) -> Any:  # type: ignore[override]
        if not _may_be_kept(cache_from_source(path)):
            raise _UncompiledError
        return super().source_to_code(data, path, **more)

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except _UncompiledError:
            text = Path(self.path).read_text("utf-8")
            try:
                self._execute(_pieces(text), module)
            except SyntaxError:  # an unknown layout
                self._execute([text], module)

    def _execute(self, texts: Iterable[str], module: ModuleType) -> None:
        for each in texts:
            exec(compile(each, self.path, "exec"), vars(module))  # noqa: S102 - as an import does


def _may_be_kept(cached: str) -> bool:
    folder = next(each for each in Path(cached).parents if each.exists())
    return not sys.dont_write_bytecode and os.access(folder, os.W_OK)


def _pieces(text: str) -> Iterator[str]:
    """Yield the module in pieces: compiling it whole takes 70 MB and blocks threads for 0.2 s.

    Ten models at a time become a named list, which is referenced in the rest; so do their
    providers. Text of another layout is not moved.
    """
    yield text.partition("\nproviders")[0]
    for call, indent, most in (("ModelInfo", 12, 10), ("Provider", 4, 4)):
        rest, end = [], 0
        for number, found in enumerate(_several(call, " " * indent, most).finditer(text)):
            name = f"_{call}_{number}"
            yield f"{name} = [\n{found[0]}]\n"
            rest += [text[end : found.start()], f"*{name},\n"]
            end = found.end()
        text = "".join([*rest, text[end:]])
    yield text


def _several(call: str, indent: str, most: int) -> re.Pattern[str]:
    """Match consecutive calls that begin and end at the beginning of a line."""
    end = rf"{indent}\),?\n"
    return re.compile(rf"(?:^{indent}{call}\(\n(?:(?!{end}).*\n)*{end}){{1,{most}}}", re.MULTILINE)
