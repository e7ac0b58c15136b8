"""The tier that served a call decides its price: read by each adapter, priced or unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel.adapters.clients import _anthropic_wire as anthropic
from genai_otel.adapters.clients import _converse_wire as converse
from genai_otel.adapters.clients import _openai_wire as openai
from genai_otel.adapters.clients import bedrock, google_genai, mistralai
from genai_otel.pricing.book import PriceBook
from genai_otel.record import Kind, Operation
from genai_otel.recorder.attributes import outcome
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Callable

NOVEMBER = 1_793_500_000
HEADERS = "x-amzn-bedrock-"


@pytest.fixture(scope="module")
def book() -> PriceBook:
    rows = [{"input": 4, "output": 4}, {"input": 1, "output": 1, "tier": "flex"}]
    book = PriceBook({"models": {"house": rows}})
    book.load()
    return book


def read(answer: Callable[[Any, Operation], None], reply: Any) -> Operation:
    op = Operation(Kind.CHAT)
    answer(reply, op)
    return op


def said(tier: str | None) -> dict[str, Any]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return {"model": "gpt-5", "choices": [], "usage": usage, "service_tier": tier}


def mistral(reply: dict[str, Any], op: Operation) -> None:
    """Which has the tier beside the counts, here as the only chunk of a stream."""
    usage = {**reply["usage"], "service_tier": reply["service_tier"]}
    chunks = mistralai._Events(op)
    chunks.add({"data": {"model": reply["model"], "choices": [], "usage": usage}})
    chunks.finish()


def google(reply: dict[str, Any], op: Operation) -> None:
    google_genai._read_metadata(reply, [], op)


def generated(**more: str) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, **more}}


def message(**more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100, **more}
    return {"model": "claude-opus-4-5", "usage": usage, "content": []}


def conversed(**more: Any) -> dict[str, Any]:
    return {"usage": {"inputTokens": 1000, "outputTokens": 100}, **more}


def tokens_in_headers(**more: str) -> dict[str, str]:
    told = {"input-token-count": "1000", "output-token-count": "100"}
    told |= {name.replace("_", "-"): value for name, value in more.items()}
    return {HEADERS + name: value for name, value in told.items()}


SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
ROWS: list[tuple[str, str, Operation, str | None, float | None]] = [
    ("openai", "gpt-5", read(openai.read_chat_response, said(None)), None, 0.00225),
    ("openai", "gpt-5", read(openai.read_chat_response, said("default")), "default", 0.00225),
    ("openai", "gpt-5", read(openai.read_chat_response, said("flex")), "flex", 0.001125),
    ("openai", "gpt-5", read(openai.read_chat_response, said("priority")), "priority", 0.0045),
    ("openai", "gpt-5", read(openai.read_chat_response, said("scale")), "scale", None),
    ("anthropic", "claude-opus-4-5",
     read(anthropic.read_response, message(service_tier="standard")), "standard", 0.0075),
    ("anthropic", "claude-opus-4-5", read(anthropic.read_response, message(service_tier="batch")),
     "batch", 0.00375),
    ("anthropic", "claude-opus-4-5",
     read(anthropic.read_response, message(service_tier="priority")), "priority", None),
    ("anthropic", "claude-opus-4-5",
     read(anthropic.read_response, message(service_tier="standard", speed="fast")), "fast", None),
    ("gcp.gemini", "gemini-2.5-pro", read(google, generated(serviceTier="STANDARD")), "STANDARD",
     0.00225),
    ("gcp.gemini", "gemini-2.5-pro", read(google, generated(serviceTier="FLEX")), "FLEX", None),
    ("gcp.vertex_ai", "gemini-2.5-pro", read(google, generated(trafficType="ON_DEMAND")),
     "ON_DEMAND", 0.00225),
    ("gcp.vertex_ai", "gemini-2.5-pro",
     read(google, generated(trafficType="PROVISIONED_THROUGHPUT")), "PROVISIONED_THROUGHPUT", None),
    ("mistral_ai", "mistral-large-2411", read(mistral, said("standard")), "standard", 0.0026),
    ("mistral_ai", "mistral-large-2411", read(mistral, said("priority")), "priority", None),
    ("aws.bedrock", SONNET, read(converse.read_response, conversed()), None, 0.0045),
    ("aws.bedrock", SONNET,
     read(converse.read_response, conversed(serviceTier={"type": "default"})), "default", 0.0045),
    ("aws.bedrock", SONNET, read(converse.read_response, conversed(serviceTier={"type": "flex"})),
     "flex", None),
    ("aws.bedrock", SONNET,
     read(converse.read_response, conversed(performanceConfig={"latency": "optimized"})),
     "optimized", None),
    ("aws.bedrock", SONNET,
     read(bedrock._headers, tokens_in_headers(service_tier="priority")), "priority", None),
    ("aws.bedrock", SONNET,
     read(bedrock._headers, tokens_in_headers(performanceconfig_latency="optimized")),
     "optimized", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "model", "op", "tier", "cost"),
    [pytest.param(*row, id=f"{row[0]}, {row[3]}") for row in ROWS],
)
def test_a_tier_is_read_and_priced(
    book: PriceBook, provider: str, model: str, op: Operation, tier: str | None, cost: float | None
) -> None:
    told = book.price(op.usage, provider=provider, model=model, at=NOVEMBER, tier=op.tier)

    assert op.tier == tier
    assert told.amount == pytest.approx(cost)
    assert told.status == ("unknown_price" if cost is None else "priced")


@pytest.mark.parametrize(
    ("tier", "cost"),
    [("ON_DEMAND", 0.0044), ("ON_DEMAND_FLEX", 0.0011), ("PROVISIONED_THROUGHPUT", None)],
)
def test_vertex_says_it_in_its_own_words(book: PriceBook, tier: str, cost: float | None) -> None:
    op = read(converse.read_response, conversed())
    told = book.price(op.usage, provider="gcp.vertex_ai", model="house", at=NOVEMBER, tier=tier)

    assert told.amount == pytest.approx(cost)


def test_the_tier_is_told_once() -> None:
    for op, name in (
        (read(openai.read_chat_response, said("flex")), "openai.response.service_tier"),
        (
            read(converse.read_response, conversed(serviceTier={"type": "flex"})),
            "genai_otel.response.tier",
        ),
    ):
        found: dict[str, Any] = {}
        outcome(op, found)
        assert [key for key, value in found.items() if value == "flex"] == [name]


def test_a_call_told_by_hand_has_one_too() -> None:
    capture = Capture()
    prices = {"models": {"house": [{"input": 4, "output": 4, "tier": "batch"}]}}
    genai_otel.instrument(destinations=capture.exporter, prices=prices)
    for tier in ("batch", None):
        with genai_otel.operation("chat") as op:
            op.provider, op.model, op.tier = "home", "house", tier
            op.usage.input, op.usage.output = 1000, 100
    costs = [span.attributes.get("gen_ai.usage.cost") for span in capture.spans]
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert costs == [pytest.approx(0.0044), None]
