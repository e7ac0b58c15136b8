"""The API as type checkers see it: checked by mypy and pyright, never run.

Each ``type: ignore`` is a mistake that has to be found; one that is not needed is an error, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import Budget, Destination, PriceBook, Spending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime


def price(provider: str | None, model: str | None, usage: Any, at: datetime) -> float | None: ...


def warn(spending: Spending) -> None:
    assert_type(spending.ratio, float)


genai_otel.instrument(destinations="local")
genai_otel.instrument(destinations=["local", Destination("otlp"), InMemorySpanExporter()])
genai_otel.instrument(destinations=InMemorySpanExporter(), force=True)
genai_otel.instrument(destinations=5)  # type: ignore[arg-type]
genai_otel.instrument(destinations=["local", 5])  # type: ignore[list-item]
genai_otel.instrument(destination="local")  # type: ignore[call-arg]
genai_otel.instrument(prices="prices.toml")
genai_otel.instrument(prices=Path("prices.toml"))
genai_otel.instrument(prices={"models": {"qwen*": {"free": True}}})
genai_otel.instrument(prices=[price, Path("prices.toml"), {"models": {}}])
genai_otel.instrument(prices=PriceBook())
genai_otel.instrument(prices=5)  # type: ignore[arg-type]
genai_otel.instrument(content="none", budgets=[Budget(limit=1, on_breach=warn)])
genai_otel.instrument(content=5)  # type: ignore[arg-type]


@genai_otel.workflow
def plain(given: int) -> str:
    return str(given)


@genai_otel.tool(name="named")
async def coroutine(given: int) -> str:
    return str(given)


@genai_otel.step
def generator() -> Iterator[int]:
    yield 1


@genai_otel.agent
async def asynchronous() -> AsyncIterator[int]:
    yield 1


assert_type(plain(1), str)
plain("1")  # type: ignore[arg-type]


async def awaits() -> None:
    assert_type(await coroutine(1), str)
    async for each in asynchronous():
        assert_type(each, int)


for item in generator():
    assert_type(item, int)

with genai_otel.operation("chat") as op, genai_otel.scope(user_id="u", tags=["t"]):
    op.input = [{"role": "user", "content": "as it comes"}]
    op.output = "a text"
    op.usage.input = 1
    op.model = "m"
    op.model = 5  # type: ignore[assignment]

status = genai_otel.status()
assert_type(status.destinations[0].endpoint, str)
assert_type(genai_otel.flush(), bool)


with genai_otel.operation("chatt"):  # type: ignore[arg-type]
    pass
with genai_otel.operation("chat", "named") as filled:
    filled.modell = "small-1"  # type: ignore[attr-defined]
    filled.usage.input_tokens = 3  # type: ignore[attr-defined]
    filled.usage.input, filled.output, filled.documents = 3, "text", [("text", 0.5)]
