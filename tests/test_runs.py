"""Frameworks that report by callbacks: runs by their ids, whoever reports them, however badly."""

from __future__ import annotations

import contextvars
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import operation, step
from genai_otel._support.errors import FAULTS
from genai_otel.instrumentation import runs as runs_module
from genai_otel.instrumentation.adapter import Adapter, Bridge, Extractor
from genai_otel.instrumentation.installer import Installation
from genai_otel.instrumentation.tracker import CallTracker
from genai_otel.record import Kind, Operation
from genai_otel.recorder import ACTIVE
from tests.trees import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genai_otel.instrumentation.runs import Runs
    from genai_otel.testing import Capture


def _nothing(_given: Any, _op: Operation) -> None: ...


def _made(outputs: Any, op: Operation) -> None:
    op.result = outputs


STEP = Extractor(Kind.STEP, _nothing, _made)
CHAT = Extractor(Kind.CHAT, _nothing, _made)


def started(runs: Runs, key: Any, parent: Any, name: str) -> None:
    if name == "broken":
        raise LookupError("ours")
    runs.start(key, parent, STEP, Operation(Kind.STEP, name))


def ended(runs: Runs, key: Any, outputs: Any = None, error: BaseException | None = None) -> None:
    runs.end(key, outputs, error)


class Weft(ModuleType):
    """A framework, which calls its handlers and cares for nothing."""

    def __init__(self) -> None:
        super().__init__("weft")
        self.handlers: list[Any] = []

    def start(self, *given: Any) -> None:
        for handler in self.handlers:
            handler.started(*given)

    def end(self, *given: Any) -> None:
        for handler in self.handlers:
            handler.ended(*given)


def attach(weft: Any, runs: Runs) -> Callable[[], None]:
    handler = type("Handler", (), runs.methods({"started": started, "ended": ended}))()
    weft.handlers.append(handler)
    weft.runs = runs
    return lambda: weft.handlers.remove(handler)


ADAPTER = Adapter("weft", "pytest", ">=1,<1000", bridge=Bridge("weft", attach))


@pytest.fixture
def weft(genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = Weft()
    monkeypatch.setitem(sys.modules, "weft", module)
    installation = Installation(ADAPTER)
    assert ACTIVE.recorder is not None
    installation.install(ACTIVE.recorder)
    assert installation.state == "active"
    yield module
    installation.remove()
    assert (installation.state, module.handlers) == ("skipped", [])


def test_parents_are_known_by_their_ids(weft: Any, genai_otel_capture: Capture) -> None:
    """From a thread without any context, out of order, with something else current."""
    weft.start("a", None, "outer")
    with operation("step", "elsewhere"):
        thread = threading.Thread(target=weft.start, args=("b", "a", "inner"))
        thread.start()
        thread.join()
        weft.start("c", "b", "innermost")
    weft.end("a", {"x": 1})
    weft.end("c")
    weft.end("b")
    assert tree(genai_otel_capture.spans) == [
        "task elsewhere",
        ("task outer", [("task inner", ["task innermost"])]),
    ]


def test_what_is_current_inside_the_parent_is_nearer(
    weft: Any, genai_otel_capture: Capture
) -> None:
    weft.start("a", None, "outer")
    call = weft.runs._open["a"].call
    call.enter()
    with operation("step", "between"):
        weft.start("b", "a", "inner")
        weft.end("b")
    call.leave()
    weft.end("a")
    assert tree(genai_otel_capture.spans) == [("task outer", [("task between", ["task inner"])])]


def test_a_run_ends_once(weft: Any, genai_otel_capture: Capture) -> None:
    weft.start("a", None, "outer")
    weft.end("a", {"x": 1})
    weft.end("a", None, ValueError("too late"))
    weft.end("unknown")
    span = genai_otel_capture.span("task outer")
    assert span.status.is_ok
    assert (span.attributes or {})["genai_otel.output"] == '{"x":1}'


def test_an_id_that_is_used_again(weft: Any, genai_otel_capture: Capture) -> None:
    weft.start("a", None, "first")
    weft.start("a", "a", "second")
    weft.end("a", None, KeyboardInterrupt())
    assert tree(genai_otel_capture.spans) == ["task first", "task second"]
    assert len(weft.runs) == 0


def test_contexts_that_a_framework_copies(weft: Any, genai_otel_capture: Capture) -> None:
    """What is set in the copy goes with it; a failure of ours is not the framework's."""
    guard, recorder = weft.runs._tracker.guard, ACTIVE.recorder
    assert recorder is not None
    tracker = CallTracker(recorder, guard)
    tracker.runs = weft.runs

    def prepare(key: Any) -> str:
        return f"prepared {key}"

    entered = runs_module.wrap_context_entry(lambda key: key, prepare, tracker)
    weft.start("a", None, "outer")
    copied = contextvars.copy_context()
    assert copied.run(entered, "a") == "prepared a"
    copied.run(step(lambda: None))
    step(lambda: None)()
    weft.end("a")
    assert copied.run(entered, "unknown") == "prepared unknown"
    name = "task <lambda>"
    assert tree(genai_otel_capture.spans) == [name, ("task outer", [name])]
    with pytest.raises(TypeError):
        entered()


def test_what_is_cancelled_ends_what_is_open_inside(weft: Any, genai_otel_capture: Capture) -> None:
    weft.start("a", None, "outer")
    weft.start("b", "a", "inner")
    weft.start("c", "b", "innermost")
    weft.end("a", None, KeyboardInterrupt())
    assert tree(genai_otel_capture.spans) == [("task outer", [("task inner", ["task innermost"])])]
    assert len(weft.runs) == 0


def test_runs_that_never_end(
    weft: Any, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "MAX_OPEN", 2)
    for number in range(100):
        weft.start(number, number - 1, f"run {number}")
    assert len(weft.runs) <= 2
    ended_early = genai_otel_capture.spans
    assert len(ended_early) >= 98
    assert all((s.attributes or {})["genai_otel.response.completed"] is False for s in ended_early)
    for number in range(100):
        weft.end(number)
    assert len(genai_otel_capture.spans) == 100, "each ended once"


def test_runs_that_are_not_recorded(weft: Any, genai_otel_capture: Capture) -> None:
    weft.start("a", None, "outer")
    weft.runs.pass_through("b", "a")
    weft.start("c", "b", "inner")
    weft.end("b", None, ValueError())
    weft.end("c")
    weft.runs.pass_through("d", "unknown")
    weft.start("e", "d", "alone")
    weft.end("e")
    weft.end("a")
    assert tree(genai_otel_capture.spans) == ["task alone", ("task outer", ["task inner"])]


def test_faults_are_ours(
    weft: Any, genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FAULTS, "strict", False)
    weft.start("a", None, "broken")
    weft.end("a")
    weft.start("b", None, "outer")
    weft.end("b")
    assert tree(genai_otel_capture.spans) == ["task outer"]
    assert FAULTS.counts.pop("weft.started: LookupError") == 1


def test_a_framework_that_cannot_be_listened_to(
    genai_otel_capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weft", ModuleType("weft"))  # without handlers
    installation = Installation(ADAPTER)
    assert ACTIVE.recorder is not None
    installation.install(ACTIVE.recorder)
    assert installation.state == "skipped"
    assert installation.note == "callbacks of weft cannot be registered: AttributeError"
    installation.remove()


def test_open_runs_end_with_the_instrumentation(weft: Any, genai_otel_capture: Capture) -> None:
    weft.start("a", None, "outer")
    weft.runs.end_all()
    span = genai_otel_capture.span("task outer")
    assert (span.attributes or {})["genai_otel.response.completed"] is False


def test_a_child_process_ends_nothing_of_its_parents(
    weft: Any, genai_otel_capture: Capture
) -> None:
    weft.start("a", None, "outer")
    weft.runs.clear()
    weft.end("a")
    assert genai_otel_capture.spans == ()


# --------------------------------------------------------------------- calls seen by several layers


@pytest.mark.unconventional("nobody says whose model it is", "[missing] gen_ai.provider.name")
def test_a_call_that_stands_is_joined_by_what_begins_there(
    weft: Any, genai_otel_capture: Capture
) -> None:
    weft.runs.start("a", None, CHAT, Operation(Kind.CHAT), implicit_parent=True)
    with operation("step", "inside"), operation("chat") as op:
        op.model = "m"
    weft.runs.end("a")
    with operation("chat"):
        pass
    assert tree(genai_otel_capture.spans) == ["chat", ("chat m", ["task inside"])]


def test_three_layers_are_one_call(genai_otel_capture: Capture) -> None:
    with operation("chat") as outer, operation("chat") as router, operation("chat") as client:
        client.usage.input, client.response_id = 3, "r-1"
        router.provider = "router"
        outer.usage.output = 4
    (span,) = genai_otel_capture.spans
    found = dict(span.attributes or {})
    assert found["gen_ai.provider.name"] == "router"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (3, 4)
    assert found["gen_ai.response.id"] == "r-1"
    assert genai_otel.current() is None
