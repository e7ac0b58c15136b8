"""Mistakes of an application's: warned of once, as its own, at its line, and never raised."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import uuid
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

import pytest

import genai_otel
from genai_otel import Verdict, agent, guardrail, operation, retriever, scope, step, tool, workflow
from genai_otel.api import decorators
from genai_otel.record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from genai_otel.testing import Capture


def _set(name: str, value: Any) -> None:
    with operation("step", "by hand") as op:
        setattr(op, name, value)


def _set_usage(name: str, value: Any = 3) -> None:
    with operation("step", "by hand") as op:
        setattr(op.usage, name, value)


def _cached(read: int, of: int) -> None:
    with operation("step", "by hand") as op:
        op.usage.cache_read, op.usage.input = read, of


def _scope(**given: Any) -> None:
    with scope(**given):
        pass


def _operation(kind: Any, name: Any = None) -> None:
    with operation(kind, name):
        pass


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "kind": (
        lambda: _operation("nokind"),
        "unknown kind 'nokind': expected one of chat, completion, ",
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
        "unknown field 'input_tokens' of an Operation's usage: .*expected one of input, cache_",
    ),
    "verdict": (lambda: _set("verdict", "deny"), "verdict is a str .*expected Verdict"),
    "usage": (lambda: _set("usage", {"input": 3}), "usage is a dict .*expected Usage"),
    "category": (
        lambda: _set("category", "mine"),
        "unknown category 'mine': expected one of app, ",
    ),
    "output type": (
        lambda: _set("output_type", "film"),
        "expected one of text, json, image, speech",
    ),
    "count of a type": (
        lambda: _set_usage("input", "12"),
        "usage.input is a str and not recorded: expected a whole number, 0 or more",
    ),
    "negative count": (lambda: _set_usage("input", -3), "usage.input is negative, an int, and not"),
    "truth as count": (lambda: _set_usage("input", True), "usage.input is a bool and not"),
    "part of a token": (lambda: _set_usage("output", 12.5), "usage.output is a float and not"),
    "charged": (lambda: _set_usage("charged", "1 $"), "usage.charged is a str .* a number, 0 or"),
    "part above its total": (
        lambda: _cached(500, of=100),
        "usage.cache_read is not recorded: it is part of usage.input, which is less",
    ),
    "cost": (lambda: _set("cost", 0.5), "cost is a float and not recorded: .* usage.charged"),
    "port": (lambda: _set("port", "x"), "port is a str and not recorded: expected a whole"),
    "truth": (lambda: _set("completed", "yes"), "completed is a str .*expected True or False"),
    "params": (lambda: _set("params", "hot"), "params is a str .*expected a mapping"),
    "reasons": (lambda: _set("finish_reasons", 3), "finish_reasons is an int .*a list of str"),
    "query": (lambda: _set("query", ["a", "b"]), "query is a list and recorded as text"),
    "model": (lambda: _set("model", 5), "model is an int and recorded as text: expected a"),
    "name": (lambda: _operation("step", 5), "name is an int and recorded as text"),
    "documents": (
        lambda: _set("documents", [{"id": "a"}, 5]),
        "documents contains an int, which is not recorded: expected a list of str, dicts, or pairs",
    ),
    "messages": (
        lambda: _set("output", ["a", None]),
        "output contains a NoneType, which is not recorded",
    ),
    "tools": (
        lambda: _set("tools", ["find"]),
        "tools contains a str, which is not recorded: .*of dicts",
    ),
    "metadata": (lambda: _scope(metadata=["a"]), "metadata is a list .*expected a mapping"),
    "experiment": (lambda: _scope(experiment="a"), "experiment is a str: expected a pair"),
    "threshold": (lambda: guardrail(threshold="0.5")(len), "expected a number"),  # type: ignore[call-overload]
    "phase": (
        lambda: guardrail(phase="during")(len),
        "unknown phase 'during': expected one of pre, post",
    ),
    "class": (lambda: tool(Capturing), "decorators accept functions only: a class is not recorded"),
    "guardrail": (
        lambda: guardrail(lambda _: "maybe")("x"),
        "returned a str, .*expected True",
    ),
    "guardrail's list": (
        lambda: guardrail(lambda _: [1])("x"),
        "returned a list, which is not a verdict",
    ),
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
    assert genai_otel.status().internal_errors == {}, "it is not an error of ours"
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
            op.usage.output, op.usage.charged, op.usage.seconds = 12, 0.5, 3
            op.usage.input, op.usage.cache_read = 5, 5
            op.finish_reasons, op.params, op.port = ("stop",), {"seed": 1}, 443
            op.query, op.response_id, op.tier = "q", uuid.UUID(int=1), None  # type: ignore[assignment]
            op.output, op.system, op.tools = ["a", {"content": "b"}], "be kind", [{"name": "f"}]
            op.documents = ["a", {"id": "b"}, ("c", 0.5)]
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
        with pytest.warns(UserWarning, match="expected Usage"):
            op.usage = 5  # type: ignore[assignment]
        op.usage.input = 1
    assert op.usage.input == 1


def test_a_reported_cost_and_scored_documents_are_recorded(genai_otel_capture: Capture) -> None:
    """What the warnings say is accepted."""
    with operation("chat") as op:
        op.provider, op.model, op.usage.charged = "my-own-server", "small-1", 0.5
        op.usage.input, op.usage.output = 3, 4
    with operation("retrieval", "archive") as op:
        op.query, op.documents = "q", [("first", 0.5), ({"id": "b"}, 1), {"id": "c"}]
    call, search = genai_otel_capture.spans
    assert call.attributes["gen_ai.usage.cost"] == 0.5
    assert json.loads(search.attributes["gen_ai.retrieval.documents"]) == [
        {"id": "0", "score": 0.5, "content": "first"}, {"id": "b", "score": 1.0}, {"id": "c"},
    ]  # fmt: skip


def test_messages_have_the_reason_they_ended_for(genai_otel_capture: Capture) -> None:
    with operation("chat") as op:
        op.provider, op.model = "my-own-server", "small-1"
        op.output = ["a", {"content": "b", "finish_reason": "tool_call"}]
        op.finish_reasons = ["stop", "length"]
    with operation("chat") as op:
        op.provider, op.model = "my-own-server", "small-1"
        op.output, op.finish_reasons = ["a", "b"], ["stop"]  # nobody knows of which
    told = [
        [
            message["finish_reason"]
            for message in json.loads(span.attributes["gen_ai.output.messages"])
        ]
        for span in genai_otel_capture.spans
    ]
    assert told == [["stop", "tool_call"], ["unknown", "unknown"]]


def test_type_checkers_know_every_kind() -> None:
    assert list(get_args(decorators._Word)) == list(Kind)


NO_FIT: dict[str, tuple[Callable[[], Any], str]] = {
    "too many": (lambda: tool("x", "y"), "positional argument"),  # type: ignore[call-overload]
    "unknown": (lambda: tool(nme="x"), "'nme'"),  # type: ignore[call-overload]
    "unknown of a scope": (lambda: scope(sesion_id="x"), "'sesion_id'"),  # type: ignore[call-arg]
    "no kind": (operation, "'kind'"),
    "flush": (
        lambda: genai_otel.flush("5"),  # type: ignore[arg-type]
        "^flush: timeout must be a number of seconds, not a str$",
    ),
    "shutdown": (
        lambda: genai_otel.shutdown(None),  # type: ignore[arg-type]
        "^shutdown: timeout must be a number of seconds, not a NoneType$",
    ),
}


@pytest.mark.parametrize("call", NO_FIT)
def test_a_call_that_does_not_fit_its_signature_is_a_type_error(call: str) -> None:
    act, words = NO_FIT[call]
    with pytest.raises(TypeError, match=words):
        act()


def test_any_number_is_a_time_limit(genai_otel_capture: Capture) -> None:
    for limit in (0, -1, 0.5, True, Decimal("0.5"), float("inf"), float("nan")):
        assert genai_otel.flush(limit) in (True, False)  # type: ignore[arg-type]
