"""Setting up, taking down, and everything in between, in any order and as often as one likes."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
import wrapt
from openai import _base_client
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import step
from genai_otel._support import background
from genai_otel.adapters.catalogue import load
from genai_otel.instrumentation.patching import owner_of
from genai_otel.instrumentation.versions import installed_version
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.instrumentation.adapter import Patch
    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


def _place(patch: Patch) -> tuple[Any, str]:
    import_module(patch.module)
    return owner_of(patch)


TARGETS = [*map(_place, load("openai").patches), (threading.Thread, "start")]


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    """Every test ends with the very objects that it began with."""
    genai_otel.shutdown()
    before = [vars(owner).get(name) for owner, name in TARGETS]  # or inherited
    yield
    genai_otel.shutdown()
    for (owner, name), original in zip(TARGETS, before, strict=True):
        assert vars(owner).get(name) is original
    assert not [hook for hook in gc.callbacks if "genai_otel" in repr(hook)]


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str = "ok", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=ASK, **more)


def names(exporter: InMemorySpanExporter) -> list[str]:
    genai_otel.flush()
    return [span.name for span in exporter.get_finished_spans()]


# ------------------------------------------------------------------------------------ setting up


def test_twice_is_once(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    for _ in range(3):
        genai_otel.instrument(destinations=exporter)
    stand_in = vars(_base_client.SyncAPIClient)["request"]
    genai_otel.instrument(destinations=exporter)
    assert vars(_base_client.SyncAPIClient)["request"] is stand_in
    ask(client)
    assert names(exporter) == ["chat ok"]


def test_other_arguments_set_up_anew_by_force(client: openai.OpenAI) -> None:
    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    genai_otel.instrument(destinations=first)
    ask(client, "ok-1")
    genai_otel.instrument(destinations=second, force=True)
    ask(client, "ok-2")
    assert names(first) == ["chat ok-1"], "what was queued has been delivered"
    assert names(second) == ["chat ok-2"]


def test_several_threads_at_once(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    together = threading.Barrier(8)

    def instrument() -> None:
        together.wait()
        genai_otel.instrument(destinations=exporter)

    threads = [threading.Thread(target=instrument) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask(client)
    assert names(exporter) == ["chat ok"]


IMPORT_ORDERS = {
    "client first": "import openai; import genai_otel; genai_otel.instrument(); client = make()",
    "client later": "import genai_otel; genai_otel.instrument(); import openai; client = make()",
    "made before": "import openai; client = make(); import genai_otel; genai_otel.instrument()",
    "aliased before": """
import openai
client = make()
create = client.chat.completions.create
import genai_otel
genai_otel.instrument()
""",
    "uninstrumented before it came": """
import genai_otel
genai_otel.instrument(); genai_otel.uninstrument(); genai_otel.instrument()
import openai
client = make()
""",
}
_PROGRAM = """
import sys
def make():
    return openai.OpenAI(api_key="sk", base_url=sys.argv[1])
{code}
create = globals().get("create", client.chat.completions.create)
create(model="ok", messages=[])
assert genai_otel.flush()
(library,) = [each for each in genai_otel.status().libraries if each.name == "openai"]
print(library.state, genai_otel.status().destinations[0].exported)
"""


@pytest.mark.parametrize("order", IMPORT_ORDERS)
def test_any_order_of_imports(provider: Provider, tmp_path: Path, order: str) -> None:
    code = _PROGRAM.format(code=IMPORT_ORDERS[order])
    out = fresh.script(code, provider.base_url, cwd=tmp_path)
    assert (out.stdout, out.stderr) == ("active 1\n", "")
    assert list(tmp_path.glob(".genai_otel/traces-*.jsonl"))


# ----------------------------------------------------------------------------------- taking down


def test_uninstrument_restores_the_very_objects() -> None:
    before = [vars(owner).get(name) for owner, name in TARGETS]  # or inherited
    genai_otel.instrument(destinations=InMemorySpanExporter())
    assert not [1 for (o, n), b in zip(TARGETS, before, strict=True) if vars(o)[n] is b]
    genai_otel.uninstrument()
    assert [vars(owner).get(name) for owner, name in TARGETS] == before


def test_uninstrument_and_again(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    for number in range(3):
        ask(client, f"ok-{number}")
        genai_otel.uninstrument()
        ask(client, "unseen")
        genai_otel.uninstrument()
        genai_otel.instrument(destinations=exporter)
    assert names(exporter) == ["chat ok-0", "chat ok-1", "chat ok-2"]


def test_one_library_only(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    genai_otel.uninstrument("openai")
    ask(client)
    step(lambda: 1)()
    assert names(exporter) == ["task <lambda>"]
    state = genai_otel.status().libraries[0]
    assert (state.state, state.note) == ("skipped", "uninstrumented")
    genai_otel.uninstrument()
    absent = [
        each
        for each in genai_otel.status().libraries
        if installed_version(each.distribution) is None
    ]
    assert {(each.state, each.note) for each in absent} == {("not installed", "")}


def test_a_stream_opened_before_is_told_to_its_end(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter, content="full")
    stream = ask(client, stream=True)
    next(stream)
    genai_otel.uninstrument()
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert names(exporter) == ["chat ok"]
    (span,) = exporter.get_finished_spans()
    assert text in span.attributes["gen_ai.output.messages"]  # type: ignore[index, operator]


def test_a_stream_open_at_shutdown_goes_on(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    stream = ask(client, stream=True)
    first = next(stream)
    assert genai_otel.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.attributes["genai_otel.response.completed"] is False  # type: ignore[index]
    chunks = [first, *stream]
    assert chunks == list(ask(client, stream=True))


def somebody_else(owner: Any, name: str) -> tuple[Any, list[str]]:
    """Another tool that wraps the same attribute, and what it saw."""
    original, seen = vars(owner)[name], list[str]()

    @wraps(original)
    def theirs(*args: Any, **kwargs: Any) -> Any:
        seen.append(name)
        return original(*args, **kwargs)

    setattr(owner, name, theirs)
    return theirs, seen


def test_somebody_wrapped_over_us(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name = TARGETS[0]
    monkeypatch.setattr(owner, name, vars(owner)[name])
    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    genai_otel.instrument(destinations=first)
    theirs, seen = somebody_else(owner, name)
    ask(client, "ok-1")
    genai_otel.uninstrument()
    assert vars(owner)[name] is theirs, "theirs is not ours to remove"
    ask(client, "unseen")
    assert seen == ["request", "request"]
    assert names(first) == ["chat ok-1"], "ours, inside theirs, is inert"
    genai_otel.instrument(destinations=second)
    ask(client, "ok-2")
    assert names(second) == ["chat ok-2"], "and stays inert when another is put over it"
    genai_otel.shutdown()
    assert vars(owner)[name] is theirs


def test_somebody_wrapped_thread_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    exporter = InMemorySpanExporter()
    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    genai_otel.instrument(destinations=exporter)
    theirs, seen = somebody_else(threading.Thread, "start")
    genai_otel.uninstrument()
    genai_otel.instrument(destinations=exporter)
    with genai_otel.operation("workflow", "all"):
        thread = threading.Thread(target=step(lambda: 1))
        thread.start()
        thread.join()
    assert names(exporter) == ["task <lambda>", "invoke_workflow all"]
    child, parent = exporter.get_finished_spans()
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id
    genai_otel.uninstrument()
    assert threading.Thread.start is theirs
    assert "start" in seen
    assert not failed


def test_we_wrapped_over_somebody(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name = TARGETS[0]
    monkeypatch.setattr(owner, name, vars(owner)[name])
    theirs, seen = somebody_else(owner, name)
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    ask(client)
    assert (seen, names(exporter)) == (["request"], ["chat ok"])
    genai_otel.shutdown()
    assert vars(owner)[name] is theirs


def test_somebody_has_wrapped_what_a_subclass_inherits(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenInference and logfire do; what they wrapped is the original, and not ours."""
    monkeypatch.setattr(openai.OpenAI, "request", openai.OpenAI.request, raising=True)
    theirs, seen = somebody_else(openai.OpenAI, "request")
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    ask(client)
    assert (seen, names(exporter)) == (["request"], ["chat ok"])
    genai_otel.shutdown()
    assert vars(openai.OpenAI)["request"] is theirs
    ask(client)
    assert (seen, names(exporter)) == (["request"] * 2, ["chat ok"])


def test_somebody_hands_out_proxies(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in them is observed in place, and they stay what they are."""
    original, exporter = openai.OpenAI.request, InMemorySpanExporter()
    monkeypatch.setattr(
        openai.OpenAI, "request", wraps(original)(lambda *a, **k: Proxy(original(*a, **k)))
    )
    genai_otel.instrument(destinations=exporter)
    stream = ask(client, stream=True, stream_options={"include_usage": True})
    assert type(stream) is Proxy
    assert len(list(stream)) > 3
    assert type(ask(client)) is Proxy
    assert genai_otel.flush()
    assert names(exporter) == ["chat ok"] * 2
    for span in exporter.get_finished_spans():
        assert (span.attributes or {})["gen_ai.usage.input_tokens"]
        assert (span.attributes or {})["gen_ai.output.messages"]


class Proxy(wrapt.ObjectProxy):
    pass


# ------------------------------------------------------------------------------------ many cycles


def _held() -> set[Any]:
    """Threads, open files and the collector's hooks: each as itself, not as one of so many.

    Without what the provider's server has, which may at any time take another connection for the
    one that it kept: nothing of ours is a socket here.
    """
    threads = (thread for thread in threading.enumerate() if "process_request" not in thread.name)
    held: set[Any] = {*threads, *map(id, gc.callbacks)}
    place = Path("/proc/self/fd")
    for file in place.iterdir() if place.is_dir() else ():
        with suppress(OSError):  # what lists them has closed its own
            held.add((file.name, str(file.readlink())))
    return {each for each in held if not (type(each) is tuple and each[1].startswith("socket:"))}


def test_fifty_cycles_leave_nothing(client: openai.OpenAI, tmp_path: Path) -> None:
    settings = genai_otel.Settings(store_directory=str(tmp_path / "store"))
    ask(client)
    written = 0
    for cycle in range(51):
        genai_otel.instrument(settings=settings)
        list(ask(client, f"ok-{cycle}", stream=True))
        assert genai_otel.flush()
        written += genai_otel.status().destinations[0].exported or 0
        assert genai_otel.shutdown()
        if cycle == 0:
            background.finish()  # the price table, once in a process
            before = _held()
    assert written == 51
    assert not _held() - before


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_work_in_the_background_is_waited_for_until_its_thread_has_gone() -> None:
    """And not only until its last line: a fork would count the thread, and warn of it."""

    class Lingers:
        def __del__(self) -> None:
            time.sleep(0.2)

    def work() -> None:
        kept.until_the_end = Lingers()
        tasks.append(Path(f"/proc/self/task/{threading.get_native_id()}"))
        done.set()

    kept, done, tasks = threading.local(), threading.Event(), list[Path]()
    assert background.begin("work", work)
    assert done.wait(30)
    time.sleep(0.05)  # it is beyond its last line, or soon will be
    background.finish()
    assert not tasks[0].exists()


def test_after_shutdown_everything_is_quiet(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    assert genai_otel.shutdown()
    assert genai_otel.shutdown()
    assert genai_otel.flush()
    assert ask(client).choices
    assert step(lambda: 1)() == 1
    with genai_otel.operation("chat") as op, genai_otel.scope(user_id="u"):
        op.model = "m"
    genai_otel.uninstrument()
    status = genai_otel.status()
    assert (status.active, status.provider, status.open_streams) == (False, "none", 0)
    assert not exporter.get_finished_spans()


def test_flush_is_idempotent(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter)
    ask(client)
    assert [genai_otel.flush(), genai_otel.flush(0.1)] == [True, True]
    assert names(exporter) == ["chat ok"]


# ----------------------------------------------------------------------------------------- status


def test_status_tells_everything(client: openai.OpenAI, tmp_path: Path) -> None:
    settings = genai_otel.Settings(store_directory=str(tmp_path / "store"))
    genai_otel.instrument(settings=settings)
    stream = ask(client, stream=True)
    next(stream)
    ask(client)
    genai_otel.flush()
    status = genai_otel.status()
    assert (status.active, status.provider, status.content) == (True, "our own", "redacted")
    assert status.open_streams == 1
    assert status.internal_errors == {}
    (library,) = [each for each in status.libraries if each.name == "openai"]
    assert (library.state, library.version, library.note) == ("active", openai.__version__, "")
    assert library.calls == 2
    assert {each.calls for each in status.libraries if each.name != "openai"} == {0}
    (destination,) = status.destinations
    assert (destination.name, destination.endpoint) == ("local", str(tmp_path / "store"))
    assert (destination.content, destination.exported, destination.dropped) == ("redacted", 1, {})
    assert destination.last_error is None
    stream.close()
    assert genai_otel.status().open_streams == 0


def test_excluded_libraries(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    genai_otel.instrument(destinations=exporter, exclude="openai")
    ask(client)
    assert not names(exporter)
    assert genai_otel.status().libraries[0].state == "excluded"
    genai_otel.instrument(destinations=exporter, libraries=["openai"], force=True)
    assert genai_otel.status().libraries[0].state == "active"
