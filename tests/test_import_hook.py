"""However a library is imported, it is patched; and where it cannot be, `status()` says so."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import sys
import threading
import zipfile
from importlib.machinery import PathFinder
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import wrapt

from genai_otel.instrumentation.import_hook import ImportHook
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider import Provider

# ------------------------------------------------------------------- a real client, by many ways

PROGRAM = """
import importlib, importlib.util, sys, threading
import genai_otel
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
def instrument():
    genai_otel.instrument(destinations=exporter)
def told():
    (found,) = [each for each in genai_otel.status().libraries if each.name == "ollama"]
    return found
def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "ollama"]:
        del sys.modules[name]
def lazily(name):
    spec = importlib.util.find_spec(name)
    spec.loader = loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
def check():
    client = ollama.Client(host=sys.argv[1])
    client.chat(model="ok", messages=[{"role": "user", "content": "Hi"}])
    genai_otel.flush()
    (span,) = exporter.get_finished_spans()
    assert span.attributes["gen_ai.usage.input_tokens"] > 0
    exporter.clear()
    assert (told().state, told().note) == ("active", "")
CODE
check()
"""
WAYS = {
    "a submodule alone": "instrument()\nimport ollama._client",
    "from a submodule": "instrument()\nfrom ollama._client import Client\nimport ollama",
    "import_module": "instrument()\nollama = importlib.import_module('ollama')",
    "reloaded": """
        instrument()
        import ollama
        importlib.reload(sys.modules['ollama._client'])  # ollama._client is a client
        importlib.reload(ollama)""",
    "reloaded, patched before": """
        import ollama
        instrument()
        importlib.reload(sys.modules['ollama._client'])  # ollama._client is a client
        importlib.reload(ollama)""",
    "imported anew": """
        instrument()
        for _ in range(3):
            import ollama
            check()
            forget()
        import ollama""",
    "imported anew, the first kept": """
        instrument()
        import ollama
        first = ollama
        forget()
        import ollama
        check()
        ollama = first""",
    "lazily, before": """
        ollama = lazily("ollama")
        instrument()
        assert told().state == "waiting" and "ollama._client" not in sys.modules""",
    "lazily, after": """
        instrument()
        ollama = lazily("ollama")
        assert told().state == "waiting" and "ollama._client" not in sys.modules""",
    "the patched module lazily, before": """
        import ollama
        forget()
        lazily("ollama._client")
        instrument()
        assert told().state == "waiting"
        import ollama
        ollama.Client = sys.modules["ollama._client"].Client""",
    "while another thread imports it": """
        import types
        inside, go_on = threading.Event(), threading.Event()
        class Slow(types.ModuleType):
            def __getattr__(self, name):
                inside.set()
                go_on.wait()
                raise AttributeError(name)
        import httpx
        sys.modules["httpx"] = slow = Slow("httpx")
        vars(slow).update({k: v for k, v in vars(httpx).items() if k != "Client"})
        def work():
            try:
                import ollama
            except (ImportError, AttributeError):
                pass
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        instrument()
        vars(slow)["Client"] = httpx.Client
        go_on.set()
        thread.join()
        sys.modules["httpx"] = httpx
        import ollama""",
    "after a probe": "instrument()\nimportlib.util.find_spec('ollama')\nimport ollama",
    "instrumented twice": "instrument()\nimport ollama\ninstrument()",
    "put back and again": """
        instrument()
        import ollama
        genai_otel.uninstrument()
        forget()
        import ollama
        instrument()""",
    "on another path of finders, told and mended": """
        finders = list(sys.meta_path)
        instrument()
        sys.meta_path[:] = finders
        import ollama
        assert told().state == "unpatched"
        assert "sys.meta_path was replaced: call instrument()" in told().note
        instrument()""",
    "past all hooks, told and mended": """
        from importlib.machinery import PathFinder
        class Ahead:
            find_spec = staticmethod(PathFinder.find_spec)
        instrument()
        sys.meta_path.insert(0, Ahead())
        import ollama
        assert told().state == "unpatched"
        assert told().note.startswith("ollama is imported but not patched, the import hook was")
        instrument()""",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_recorded_however_the_client_is_imported(
    provider: Provider, tmp_path: Path, way: str
) -> None:
    pytest.importorskip("ollama")
    lines = WAYS[way].splitlines()
    code = "\n".join(line.removeprefix("        ") for line in lines)
    fresh.script(PROGRAM.replace("CODE", code), provider.root, cwd=tmp_path)


# --------------------------------------------------------------------------------- the hook alone


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def hook(seen: list[str], monkeypatch: pytest.MonkeyPatch) -> ImportHook:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    hook = ImportHook(seen.append)
    hook.watch("lamp_to_import")
    return hook


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that is imported from, and what came from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("lamp_to_import"):
            del sys.modules[name]


def lamp(path: Path, text: str = "here = __spec__.loader, __loader__\n") -> None:
    (path / "lamp_to_import.py").write_text(text)


def load() -> Any:
    return importlib.import_module("lamp_to_import")


def test_the_module_sees_its_own_loader(hook: ImportHook, path: Path, seen: list[str]) -> None:
    lamp(path)
    module = load()
    assert seen == ["lamp_to_import"]
    loaders = {*module.here, module.__spec__.loader, module.__loader__}
    assert [type(loader).__name__ for loader in loaders] == ["SourceFileLoader"]


def test_a_spec_can_be_copied_and_pickled(hook: ImportHook, path: Path) -> None:
    lamp(path)
    found, bare = importlib.util.find_spec("lamp_to_import"), PathFinder.find_spec("lamp_to_import")
    for made in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert made == bare
        assert type(made.loader) is type(bare.loader)


def test_a_failing_import_fails_as_it_would(hook: ImportHook, path: Path, seen: list[str]) -> None:
    lamp(path, "raise OSError('mine')")
    with pytest.raises(OSError, match="mine"):
        load()
    assert seen == []
    lamp(path, "value = 1")
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    assert load().value == 1
    assert seen == ["lamp_to_import"]


def test_what_is_not_there_is_not_found(hook: ImportHook) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'lamp_to_import'"):
        load()


def test_a_namespace_package_is_told_when_it_is_found(
    hook: ImportHook, path: Path, seen: list[str]
) -> None:
    (path / "lamp_to_import").mkdir()
    spec = importlib.util.find_spec("lamp_to_import")
    assert spec is not None
    assert spec.loader is None
    assert load().__spec__.submodule_search_locations
    assert set(seen) == {"lamp_to_import"}


def test_archives(hook: ImportHook, path: Path, monkeypatch: Any, seen: list[str]) -> None:
    with zipfile.ZipFile(path / "lamps.zip", "w") as archive:
        archive.writestr("lamp_to_import.py", "value = 2")
    monkeypatch.syspath_prepend(path / "lamps.zip")
    assert load().value == 2
    assert type(load().__loader__).__name__ == "zipimporter"
    assert seen == ["lamp_to_import"]


def test_frozen_modules(hook: ImportHook, monkeypatch: Any, seen: list[str]) -> None:
    hook.watch("__hello__")
    monkeypatch.delitem(sys.modules, "__hello__", raising=False)
    module = importlib.import_module("__hello__")
    assert seen == ["__hello__"]
    assert module.__spec__.origin == "frozen"


class Asking:
    """A finder as other tools have it: it asks all the others, and changes what they find."""

    def __init__(self) -> None:
        self.asking = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if self.asking or name != "lamp_to_import":
            return None
        self.asking = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.asking = False


@pytest.mark.parametrize("place", [0, 1])
def test_another_tool_that_asks_all_finders(
    hook: ImportHook, path: Path, seen: list[str], place: int
) -> None:
    lamp(path)
    sys.meta_path.insert(place, Asking())  # type: ignore[arg-type]
    assert [type(each).__name__ for each in load().here] == ["SourceFileLoader"] * 2
    assert set(seen) == {"lamp_to_import"}


@pytest.mark.parametrize("ours_first", [True, False])
def test_wrapts_own_hooks_fire_too(
    hook: ImportHook, path: Path, seen: list[str], ours_first: bool
) -> None:
    lamp(path)
    theirs: list[str] = []
    wrapt.register_post_import_hook(lambda module: theirs.append(module.__name__), "lamp_to_import")
    if not any(isinstance(finder, wrapt.importer.ImportHookFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, wrapt.importer.ImportHookFinder())
    sys.meta_path.remove(hook)  # type: ignore[arg-type]
    place = 0 if ours_first else sys.meta_path.index(PathFinder)  # type: ignore[arg-type]
    sys.meta_path.insert(place, hook)  # type: ignore[arg-type]
    load()
    assert (seen, theirs) == (["lamp_to_import"], ["lamp_to_import"])


def test_a_tool_that_rewrites_what_is_imported(
    hook: ImportHook, path: Path, seen: list[str]
) -> None:
    """As pytest and others do: the tool is finder and loader in one, for all its modules."""
    lamp(path)

    class Rewriting:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            spec = PathFinder.find_spec(name, path, target)
            if name == "lamp_to_import" and spec is not None:
                spec.loader = self  # type: ignore[assignment]
                return spec
            return None

        def create_module(self, spec: Any) -> None:
            return None

        def exec_module(self, module: Any) -> None:
            module.rewritten = self

    tool = Rewriting()
    sys.meta_path.insert(1, tool)  # type: ignore[arg-type]
    assert load().rewritten is tool
    assert load().__spec__.loader is tool
    assert seen == ["lamp_to_import"]


@pytest.mark.filterwarnings("ignore::ImportWarning", "ignore::DeprecationWarning")
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="importlib knows load_module no more")
def test_a_loader_from_before_pep_451(hook: ImportHook, seen: list[str]) -> None:
    class Old:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            return importlib.util.spec_from_loader(name, self) if "lamp" in name else None  # type: ignore[arg-type]

        def load_module(self, name: str) -> ModuleType:
            module = sys.modules[name] = ModuleType(name)
            return module

    old = Old()
    sys.meta_path.append(old)  # type: ignore[arg-type]
    load()
    assert seen == ["lamp_to_import"]


def test_looking_executes_nothing(hook: ImportHook, path: Path, seen: list[str]) -> None:
    lamp(path, "import sys; sys.modules['lamp_to_import'].executed = True")
    spec = PathFinder.find_spec("lamp_to_import")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules["lamp_to_import"] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    assert not hook.loaded("lamp_to_import")
    assert seen == []
    assert module.executed
    assert seen == ["lamp_to_import"]
    assert hook.loaded("lamp_to_import")


def test_a_module_in_the_middle_of_its_import(
    hook: ImportHook, path: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import has begun before it was watched, in this thread or another one."""
    hook._watched.clear()
    inside, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "from_a_test", (inside, go_on), raising=False)
    lamp(path, "import sys; inside, go_on = sys.from_a_test; inside.set(); go_on.wait()")
    thread = threading.Thread(target=load)
    thread.start()
    inside.wait()
    assert not hook.loaded("lamp_to_import")
    assert not hook.loaded("lamp_to_import")
    assert seen == []
    go_on.set()
    thread.join()
    assert seen == ["lamp_to_import"]
    assert hook.loaded("lamp_to_import")
    spec = sys.modules["lamp_to_import"].__spec__
    assert type(spec) is importlib.machinery.ModuleSpec
    assert "callback" not in vars(spec)


def test_what_a_program_has_put_in_a_modules_place(
    hook: ImportHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thing, loaded in ((SimpleNamespace(), True), (None, False), (object(), True)):
        monkeypatch.setitem(sys.modules, "lamp_to_import", thing)  # type: ignore[arg-type]
        assert hook.loaded("lamp_to_import") is loaded
