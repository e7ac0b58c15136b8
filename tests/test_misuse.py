"""Mistakes of an application's: warned of once, as its own, at its line, and never raised."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import Verdict, agent, guardrail, operation, retriever, scope, step, tool, workflow
from genai_otel.record import misuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from genai_otel.testing import Capture


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misuse, "_REPORTED", set())


def _set(name: str, value: Any) -> None:
    with operation("step", "by hand") as op:
        setattr(op, name, value)


def _set_usage(name: str) -> None:
    with operation("step", "by hand") as op:
        setattr(op.usage, name, 3)


def _scope(**given: Any) -> None:
    with scope(**given):
        pass


def _operation(kind: Any) -> None:
    with operation(kind):
        pass


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "kind": (
        lambda: _operation("nokind"),
        "unknown kind 'nokind': accepted are chat, completion, ",
    ),
    "kind, nearly": (lambda: _operation("chatt"), "unknown kind 'chatt': did you mean 'chat'?"),
    "kind of a type": (lambda: _operation(5), "unknown kind an int"),
    "kind set": (lambda: _set("kind", "nokind"), "unknown kind 'nokind'"),
    "field": (
        lambda: _set("modle", "x"),
        "unknown field 'modle' of an Operation: did you mean 'model'?",
    ),
    "usage's field": (
        lambda: _set_usage("input_tokens"),
        "unknown field 'input_tokens' of an Operation's usage: .*accepted are input, cache_read, ",
    ),
    "verdict": (lambda: _set("verdict", "deny"), "verdict is a str .*accepted is Verdict"),
    "usage": (lambda: _set("usage", {"input": 3}), "usage is a dict .*accepted is Usage"),
    "category": (lambda: _set("category", "mine"), "unknown category 'mine': accepted are app, "),
    "output type": (lambda: _set("output_type", "film"), "accepted are text, json, image, speech"),
    "metadata": (lambda: _scope(metadata=["a"]), "metadata is a list .*accepted is a mapping"),
    "experiment": (lambda: _scope(experiment="a"), "experiment is a str: accepted is a pair"),
    "threshold": (lambda: guardrail(threshold="0.5")(len), "accepted is a number"),  # type: ignore[call-overload]
    "phase": (
        lambda: guardrail(phase="during")(len),
        "unknown phase 'during': accepted are pre, post",
    ),
    "class": (lambda: tool(Capturing), "decorators are for functions; a class stays as it is"),
    "guardrail": (lambda: guardrail(lambda _: "maybe")("x"), "returned a str, .*accepted are True"),
    "guardrail's list": (lambda: guardrail(lambda _: [1])("x"), "returned a list, which is no dec"),
}


class Capturing: ...


def _thrice(act: Callable[[], Any]) -> None:
    for _ in range(3):
        act()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_told_once_at_the_line(genai_otel_capture: Capture, mistake: str) -> None:
    act, words = MISTAKES[mistake]
    with pytest.warns(UserWarning, match=words) as told:
        _thrice(act)
    assert len(told) == 1
    assert str(told[0].message).startswith("genai_otel: ")
    assert told[0].filename == __file__
    assert genai_otel.status().faults == {}, "it is not an error of ours"
    genai_otel_capture.clear()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_where_warnings_are_errors_it_is_logged(
    genai_otel_capture: Capture, caplog: pytest.LogCaptureFixture, mistake: str
) -> None:
    """The program goes on, whatever its filters say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MISTAKES[mistake][0]()
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"({__file__}:" in record.getMessage()
    genai_otel_capture.clear()


def test_at_the_very_line(tmp_path: Path) -> None:
    """As Python shows it: file and line of the program, wherever in ours it was noticed."""
    program = tmp_path / "program.py"
    program.write_text(
        """import genai_otel
genai_otel.instrument(destinations="console", content="none")
with genai_otel.operation("nokind") as op:
    op.modle = "x"
@genai_otel.guardrail(name="check")
def check(text):
    return "maybe"
check("secret words")
with genai_otel.scope(metadata=3):
    pass
async def main():
    with genai_otel.operation("step") as op:
        op.verdict = "deny"
import asyncio
asyncio.run(main())
genai_otel.current()
"""
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    told = [line for line in done.stderr.splitlines() if "UserWarning" in line]
    assert [line.partition("program.py:")[2].partition(":")[0] for line in told] == [
        "3", "4", "5", "9", "13",
    ]  # fmt: skip
    assert "secret" not in done.stderr


def test_what_is_right_is_not_told(genai_otel_capture: Capture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for result in (True, False, 0.5, 1, None, Verdict("flag"), float("nan")):
            guardrail(lambda given: given)(result)
        with operation("chat") as op:
            op.provider, op.model, op.verdict, op.category = "openai", "m", Verdict("deny"), "quota"
            op.output_type, op.failure, op.usage.input, op.kind = "json", None, 3, "chat"  # type: ignore[assignment]
            op.verdict = None
        _scope(metadata={"a": 1}, experiment=("a", "b"), tags="one")
        _scope(metadata=None, experiment=None)
    genai_otel_capture.clear()


def test_a_guardrails_numpy_truth(genai_otel_capture: Capture) -> None:
    numpy = pytest.importorskip("numpy")
    guardrail(lambda _: numpy.bool_(False))("x")
    told = dict(genai_otel_capture.span().attributes or {})
    assert told["gen_ai.guardrail.result.type"] == "deny"


# --------------------------------------------------------------------------------- the name first

DECORATORS = {
    "invoke_workflow": workflow, "invoke_agent": agent, "task": step, "execute_tool": tool,
    "retrieval": retriever, "apply_guardrail": guardrail,
}  # fmt: skip


@pytest.mark.parametrize("kind", DECORATORS)
def test_the_name_may_come_first(genai_otel_capture: Capture, kind: str) -> None:
    decorate: Any = DECORATORS[kind]

    @decorate("named")
    def plain() -> bool:
        return True

    @decorate("generating")
    def generator() -> Iterator[bool]:
        yield True

    assert plain() is True
    assert list(generator()) == [True]
    assert decorate("first", name="by keyword")(lambda: True)() is True
    names = [span.name for span in genai_otel_capture.spans]
    assert names == [f"{kind} named", f"{kind} generating", f"{kind} by keyword"]
    genai_otel_capture.clear()


def test_an_operation_still_decorates(genai_otel_capture: Capture) -> None:
    """It is a manager of contextlib's, which may be used so."""

    @operation("step", "decorated")
    def function() -> int:
        return 1

    assert [function(), function()] == [1, 1]
    assert [span.name for span in genai_otel_capture.spans] == ["task decorated"] * 2


def test_what_cannot_be_recorded_replaces_nothing() -> None:
    with operation("chat", "by hand") as op:
        with pytest.warns(UserWarning, match="accepted is Usage"):
            op.usage = 5  # type: ignore[assignment]
        op.usage.input = 1
    assert op.usage.input == 1
