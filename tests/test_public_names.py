"""What users meet of our names in tracebacks, pickles and telemetry, and when they look at them."""

from __future__ import annotations

import inspect
import pickle
import typing
from typing import Any

import pytest

import genai_otel
from genai_otel import Budget, BudgetExceeded, Spending
from genai_otel._support.errors import CallRefused

CLASSES = {
    name: each for name in genai_otel.__all__ if inspect.isclass(each := getattr(genai_otel, name))
}
RAISED = {"BudgetExceeded"}
"""What applications are to catch is called in tracebacks and as ``error.type`` as it is imported.

All others say where they are defined, for that is where ``inspect`` looks.
"""
HINTED = {"ContentPolicy", "TailSampling", "Settings", "Spending", "Status", "Verdict"}
"""Their type hints are read where they are defined: a pydantic model may have such a field."""


@pytest.mark.parametrize("name", genai_otel.__all__)
def test_what_is_public_can_be_looked_at(name: str) -> None:
    public = getattr(genai_otel, name)
    assert public.__qualname__ == name
    assert pickle.loads(pickle.dumps(public)) is public
    if name in RAISED:
        assert public.__module__ == "genai_otel"
        return
    source = inspect.getsource(public)
    assert f"class {name}" in source or f"def {name}(" in source
    if name in HINTED:
        assert typing.get_type_hints(public)


def _below(cls: type[Any]) -> set[type[Any]]:
    return {cls, *(each for sub in cls.__subclasses__() for each in _below(sub))}


def test_what_the_application_is_to_catch_is_public() -> None:
    raised = {each for each in _below(CallRefused) if each.__module__.startswith("genai_otel")}
    assert raised - {CallRefused} <= set(CLASSES.values())


def test_a_stop_comes_back_whole_from_a_worker_process() -> None:
    budget = Budget(limit=3, hard=True, on_breach=lambda _: None, name="ours")
    stop = BudgetExceeded(Spending(budget, "s-1", 2.5), 0.75)
    stop.add_note("asked for by the planner")
    back = pickle.loads(pickle.dumps(stop))
    assert type(back) is BudgetExceeded
    assert (str(back), back.estimate, back.spending.spent) == (str(stop), 0.75, 2.5)
    assert back.spending.budget.on_breach is None
    assert back.__notes__ == stop.__notes__
