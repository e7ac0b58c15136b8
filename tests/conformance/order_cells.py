"""Which libraries are called in which order: what `test_orders.py` is parametrised over.

`report.py` writes its columns from the same list.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from genai_otel.adapters.catalogue import CATALOGUE, NAMES
from scripts.environment import PROFILES

ORDERS = ("before", "after", "run", "opentelemetry-instrument")
"""Imported before ``instrument()``, after it, and after it was called from outside."""
_NOWHERE = "not installed in any test environment"
UNTRIED = {
    "transformers": f"{_NOWHERE}: it needs PyTorch, which has several gigabytes",
    "llama_cpp": f"{_NOWHERE}: installing it compiles it, which takes half an hour",
    "vllm": f"{_NOWHERE}: it needs a GPU",
}
"""Libraries of the catalogue that are called in no order, each with the reason."""


class OrderCell(NamedTuple):
    order: str
    name: str


CELLS = tuple(OrderCell(order, name) for order in ORDERS for name in NAMES if name not in UNTRIED)
"""All of them; where a library is not installed, its cells are another environment's."""


def share(here: list[str], *, whole: bool) -> list[OrderCell]:
    """Of the libraries that are `here` each in both orders, and under one of those from outside."""
    outside = ORDERS[2:]
    under = {name: outside[number % len(outside)] for number, name in enumerate(here)}
    return [
        cell
        for cell in CELLS
        if cell.name in under
        and (whole or cell.order not in outside or cell.order == under[cell.name])
    ]


# -------------------------------------------------------------------------------- environments

_ROOT = Path(__file__).resolve().parents[2]
_HERE = ("tests/conformance", "tests/conformance/test_orders.py")


def environments(name: str) -> list[str]:
    """Those in which the suite installs a library, and runs its cells."""
    return [
        environment
        for environment, requirements in _installed().items()
        if _distribution(name) in map(_normal, requirements) and _runs(environment, name)
    ]


def _distribution(name: str) -> str:
    return next(_normal(entry.distribution) for entry in CATALOGUE if entry.name == name)


def _normal(requirement: str) -> str:
    """A requirement's distribution, as package indexes compare its name."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def _installed() -> dict[str, list[str]]:
    """What each environment is asked for by name: that of `make suite`, and those of clients."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    local = [each for wanted in PROFILES["model"].optional for each in wanted]
    suite = [*extras["test"], *extras["test-frameworks"], *local, "botocore"]  # which boto3 brings
    return {"suite": suite, **project["tool"]["genai-otel"]["clients"]}


def _runs(environment: str, name: str) -> bool:
    """Whether the command of an environment, in the Makefile, comes to a library's cells."""
    if environment == "suite":
        return True
    makefile = (_ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    told = re.search(rf"^TESTS_{environment} := (.*)$", makefile, re.MULTILINE)
    if told is None:
        return False
    words = told[1].split()
    wanted = re.search(r'-k (?:"([^"]*)"|(\S+))', told[1])
    chosen = (wanted[1] or wanted[2]).split(" or ") if wanted else [""]
    return any(each in words for each in _HERE) and any(word in name for word in chosen)
