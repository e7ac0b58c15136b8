"""What users meet of our classes, in tracebacks, pickles and telemetry, has its public name."""

from __future__ import annotations

import inspect
import pickle
import typing
from typing import Any

import pytest

import genai_otel
from genai_otel import Budget, BudgetExceeded, Spending
from genai_otel.record import Refusal

CLASSES = {
    name: each for name in genai_otel.__all__ if inspect.isclass(each := getattr(genai_otel, name))
}
HINTED = {"ContentPolicy", "Sample", "Settings", "Spending", "Status", "Verdict"}
"""Their type hints are read where they are defined: a pydantic model may have such a field."""


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_has_its_public_name(name: str) -> None:
    cls = CLASSES[name]
    assert cls.__qualname__ == name
    if name in HINTED:
        assert typing.get_type_hints(cls)
    else:
        assert cls.__module__ == "genai_otel"
    assert pickle.loads(pickle.dumps(cls)) is cls


def _below(cls: type[Any]) -> set[type[Any]]:
    return {cls, *(each for sub in cls.__subclasses__() for each in _below(sub))}


def test_what_the_application_is_to_catch_is_public() -> None:
    raised = {each for each in _below(Refusal) if each.__module__.startswith("genai_otel")}
    assert raised - {Refusal} <= set(CLASSES.values())


def test_a_stop_comes_back_whole_from_a_worker_process() -> None:
    budget = Budget(limit=3, hard=True, on_breach=lambda _: None, name="ours")
    stop = BudgetExceeded(Spending(budget, "s-1", 2.5), 0.75)
    stop.add_note("asked for by the planner")
    back = pickle.loads(pickle.dumps(stop))
    assert type(back) is BudgetExceeded
    assert (str(back), back.estimate, back.spending.spent) == (str(stop), 0.75, 2.5)
    assert back.spending.budget.on_breach is None
    assert back.__notes__ == stop.__notes__
