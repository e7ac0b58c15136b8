"""One model call is one span with usage, whichever layers saw it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry.trace import StatusCode

from genai_otel import operation, step, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

# A name that was given stands, though the conventions would have the model there.
pytestmark = pytest.mark.unconventional("told by hand", "[name]", "[missing] gen_ai.provider.name")

ASK: list[Any] = [{"role": "user", "content": "Hello"}]
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str = "ok", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=ASK, **more)


def calls(capture: Capture) -> float:
    """How many calls the metrics have counted."""
    return sum(point.count for point in capture.metrics().get(DURATION, ()))


def tokens(capture: Capture) -> Counter[str]:
    counted: Counter[str] = Counter()
    for point in capture.metrics().get(TOKENS, ()):
        counted[point.attributes["gen_ai.token.type"]] += point.sum
    return counted


def test_the_outer_layer_owns_the_call(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("chat") as op:
        op.provider, op.params = "framework", {"temperature": 0.1}
        ask(client, temperature=0.9)
    span = genai_otel_capture.span("chat ok")
    told = span.attributes
    assert (told[INPUT], told[OUTPUT]) == (12, 8)
    assert told["gen_ai.provider.name"] == "framework", "what the owner knows wins"
    assert told["gen_ai.request.temperature"] == 0.1
    assert told["gen_ai.response.id"] == "chatcmpl-ok", "what only the client knows is added"
    assert told["server.address"] == "127.0.0.1"
    assert "Grüße" in told["gen_ai.output.messages"]
    assert calls(genai_otel_capture) == 1
    assert tokens(genai_otel_capture) == {"input": 12, "output": 8}


def test_a_streamed_call_is_joined(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("chat") as op:
        list(ask(client, stream=True, stream_options={"include_usage": True}))
        assert op.stream
    told = genai_otel_capture.span("chat ok").attributes
    assert told["gen_ai.request.stream"] is True
    assert told[OUTPUT] == 8
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert calls(genai_otel_capture) == 1


def test_a_second_call_is_its_own(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("chat", "twice"):
        ask(client)
        ask(client, "tools")
    spans = {span.name: span for span in genai_otel_capture.spans}
    assert sorted(spans) == ["chat tools", "chat twice"]
    assert spans["chat twice"].attributes[OUTPUT] == 8
    assert spans["chat tools"].attributes[OUTPUT] == 34
    assert spans["chat tools"].parent.span_id == spans["chat twice"].context.span_id
    assert tokens(genai_otel_capture) == {"input": 73, "output": 42}
    assert calls(genai_otel_capture) == 2


def test_a_failed_attempt_leaves_room(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("chat", "stubborn"):
        with pytest.raises(openai.BadRequestError):
            ask(client, "err400")
        ask(client)
    span = genai_otel_capture.span("chat stubborn")
    assert span.attributes[OUTPUT] == 8
    assert span.status.status_code is StatusCode.UNSET
    assert calls(genai_otel_capture) == 1


def test_a_failed_call_fails_its_owner(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    def fails() -> None:
        with operation("chat", "hopeless"):
            ask(client, "err400")

    with pytest.raises(openai.BadRequestError):
        fails()
    span = genai_otel_capture.span("chat hopeless")
    assert span.attributes["error.type"].endswith("BadRequestError")
    assert OUTPUT not in span.attributes
    assert calls(genai_otel_capture) == 1


def test_a_stream_that_outlives_its_owner(
    genai_otel_capture: Capture, client: openai.OpenAI
) -> None:
    with operation("chat", "impatient"):
        stream = ask(client, stream=True, stream_options={"include_usage": True})
        next(stream)
    list(stream)
    late, owner = sorted(genai_otel_capture.spans, key=lambda span: span.name, reverse=True)
    assert (owner.name, late.name) == ("chat impatient", "chat ok")
    assert OUTPUT not in owner.attributes
    assert late.attributes[OUTPUT] == 8
    assert late.parent.span_id == owner.context.span_id
    assert owner.start_time <= late.start_time < owner.end_time < late.end_time
    (message,) = json.loads(late.attributes["gen_ai.output.messages"])
    assert message["parts"][0]["content"].startswith("Grüße")
    assert tokens(genai_otel_capture) == {"input": 12, "output": 8}


def test_a_tool_inside_asks_for_itself(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    @tool
    def look() -> str:
        return ask(client, "tools").id  # type: ignore[no-any-return]

    with operation("chat", "agentic"):
        ask(client)
        look()
    parents = {span.context.span_id: span.name for span in genai_otel_capture.spans}
    facts = {
        span.name: (parents.get(span.parent.span_id) if span.parent else None, span.attributes)
        for span in genai_otel_capture.spans
    }
    assert facts["chat tools"][0] == "execute_tool look"
    assert facts["execute_tool look"][0] == "chat agentic"
    assert facts["chat agentic"][1][OUTPUT] == 8
    assert calls(genai_otel_capture) == 2


def test_a_step_between_ends_the_ownership(
    genai_otel_capture: Capture, client: openai.OpenAI
) -> None:
    with operation("chat", "outer"):
        step(ask)(client)
    names = sorted(span.name for span in genai_otel_capture.spans)
    assert names == ["chat ok", "chat outer", "task ask"]
    assert sum(OUTPUT in span.attributes for span in genai_otel_capture.spans) == 1


@pytest.mark.parametrize(
    ("kind", "joined"),
    [("chat", True), ("generation", True), ("embeddings", False), ("step", False)],
)
def test_only_the_same_sort_of_call_is_joined(
    genai_otel_capture: Capture, client: openai.OpenAI, kind: str, joined: bool
) -> None:
    with operation(kind, "owner"):
        ask(client)
    assert len(genai_otel_capture.spans) == (1 if joined else 2)


def test_embeddings_are_joined(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("embeddings"):
        client.embeddings.create(model="ok", input="one")
    told = genai_otel_capture.span("embeddings ok").attributes
    assert told["gen_ai.embeddings.dimension.count"] > 0
    assert INPUT in told


def test_raw_and_parsed_are_joined(genai_otel_capture: Capture, client: openai.OpenAI) -> None:
    with operation("chat", "raw"):
        client.chat.completions.with_raw_response.create(model="ok", messages=ASK).parse()
    with (
        operation("chat", "helper"),
        client.chat.completions.stream(model="ok", messages=ASK) as stream,
    ):
        stream.until_done()
    assert sorted(span.name for span in genai_otel_capture.spans) == ["chat helper", "chat raw"]


async def test_each_task_has_its_owner(genai_otel_capture: Capture, provider: Provider) -> None:
    client = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)

    async def turn(number: int) -> None:
        with operation("chat", f"turn {number}"):
            await client.chat.completions.create(model=f"ok-{number}", messages=ASK)

    await asyncio.gather(*map(turn, range(20)))
    await client.close()
    spans = genai_otel_capture.spans
    assert len(spans) == 20
    for span in spans:
        number = span.name.rpartition(" ")[2]
        assert span.attributes["gen_ai.request.model"] == f"ok-{number}"


async def test_one_owner_takes_one_of_many(genai_otel_capture: Capture, provider: Provider) -> None:
    """Calls at once inside one owner: one is the owner's, each other its own, none is lost."""
    client = openai.AsyncOpenAI(api_key="sk", base_url=provider.base_url)
    with operation("chat", "owner"):
        ask_one = client.chat.completions.create
        await asyncio.gather(*(ask_one(model="ok", messages=ASK) for _ in range(5)))
    await client.close()
    assert len(genai_otel_capture.spans) == 5
    assert tokens(genai_otel_capture) == {"input": 60, "output": 40}
    assert calls(genai_otel_capture) == 5
