"""Five hundred calls of all sorts: our numbers are the server's own, call by call and in all."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from genai_otel.testing import Capture
    from tests.provider import Provider

openai = pytest.importorskip("openai")

CALLS = 500
MODELS = (
    *("ok", "tools", "reasoning", "cached", "refusal", "choices", "length", "retry-429"),
    *("retry-500", "err400", "err401", "err429", "cut", "nousage", "azure", "usage-every-chunk"),
)
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def options(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    stream = chance.random() < 0.5
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": chance.choice(MODELS), "messages": MESSAGES, **asked}


def call(client: Any, number: int) -> None:
    try:
        reply = client.chat.completions.create(**options(number))
        if options(number).get("stream"):
            for _ in reply:
                pass
    except openai.APIError:
        pass


async def call_async(client: Any, number: int) -> None:
    try:
        reply = await client.chat.completions.create(**options(number))
        if options(number).get("stream"):
            async for _ in reply:
                pass
    except openai.APIError:
        pass


async def many(provider: Provider, numbers: range) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test") as client:
        for start in range(0, len(numbers), 20):
            batch = numbers[start : start + 20]
            await asyncio.gather(*(call_async(client, number) for number in batch))


def sent(spans: Any) -> Counter[tuple[Any, ...]]:
    """The counts of each span that has any."""
    names = ("gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    rows = [tuple(span.attributes.get(name) for name in names) for span in spans]
    return Counter(row for row in rows if row[1] is not None)


@pytest.mark.slow
def test_tokens_equal_the_servers_log(genai_otel_capture: Capture, provider: Provider) -> None:
    client = openai.OpenAI(base_url=provider.base_url, api_key="test")
    with client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: call(client, number), range(CALLS // 2)))
    asyncio.run(many(provider, range(CALLS // 2, CALLS)))

    told = Counter(
        (entry.model, entry.input_tokens, entry.output_tokens)
        for entry in provider.usage_log
        if entry.status == 200 and entry.completed and entry.model != "nousage"
    )
    spans = genai_otel_capture.spans
    assert len(spans) == CALLS
    assert sent(spans) == told

    points = genai_otel_capture.metrics()["gen_ai.client.token.usage"]
    measured: Counter[str] = Counter()
    for point in points:
        measured[point.attributes["gen_ai.token.type"]] += point.sum
    assert measured["input"] == sum(row[1] * count for row, count in told.items())
    assert measured["output"] == sum(row[2] * count for row, count in told.items())
