"""Where list prices do not hold: no cost instead of one that is too small, unless the user says."""

from __future__ import annotations

from typing import Any

import pytest

from genai_otel.pricing.book import PriceBook
from genai_otel.record import Usage

AT = 1_796_000_000.0
VERTEX, LONDON = "aiplatform.googleapis.com", "europe-west2-aiplatform.googleapis.com"
US, TOKYO = (f"bedrock-runtime.{r}.amazonaws.com" for r in ("us-east-1", "ap-northeast-1"))
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"

ARN = "arn:aws:bedrock:{}::foundation-model/amazon.nova-pro-v1:0"
# provider, host, region that the reply names, model -> dollars for a million tokens, if known
CASES: dict[str, tuple[str, str | None, str | None, str, float | None]] = {
    "Anthropic, anywhere": ("anthropic", "api.anthropic.com", None, "claude-opus-4-6", 5.0),
    "Anthropic, in the US": ("anthropic", "api.anthropic.com", "us", "claude-opus-4-6", None),
    "Anthropic, somewhere new": ("anthropic", "api.anthropic.com", "eu", "claude-opus-4-6", None),
    "Vertex, global": ("gcp.vertex_ai", VERTEX, None, "claude-opus-4-6", 5.0),
    "Vertex, a region": ("gcp.vertex_ai", LONDON, None, "claude-opus-4-6", None),
    "Vertex, several regions": (
        "gcp.vertex_ai", "aiplatform.eu.rep.googleapis.com", None, "claude-opus-4-6", None
    ),
    "Vertex, who knows where": ("gcp.vertex_ai", None, None, "claude-opus-4-6", None),
    "Vertex, global, as it was set up": ("gcp.vertex_ai", None, "global", "claude-opus-4-6", 5.0),
    "Vertex, a region, as it was set up": (
        "gcp.vertex_ai", None, "us-central1", "gemini-3.5-flash", None
    ),
    "an older Claude": ("gcp.vertex_ai", LONDON, None, "claude-sonnet-4@20250514", 3.0),
    "an older Gemini": ("gcp.vertex_ai", LONDON, None, "gemini-2.5-flash", 0.3),
    "a newer Gemini": ("gcp.vertex_ai", LONDON, None, "gemini-3.5-flash", None),
    "Gemini of the developers' API": (
        "gcp.gemini", "generativelanguage.googleapis.com", None, "gemini-3.5-flash", 1.5
    ),
    "Bedrock, global": ("aws.bedrock", TOKYO, None, f"global.{CLAUDE}", 3.0),
    "Bedrock, a geography": ("aws.bedrock", US, None, f"us.{CLAUDE}", 3.3),
    "Bedrock, a region": ("aws.bedrock", TOKYO, None, CLAUDE, 3.3),
    "Bedrock, by region, the listed one": ("aws.bedrock", US, None, "amazon.nova-pro-v1:0", 0.8),
    "Bedrock, by region, another": ("aws.bedrock", TOKYO, None, "amazon.nova-pro-v1:0", None),
    "Bedrock, another, by its profile": (
        "aws.bedrock", None, None, "eu.amazon.nova-pro-v1:0", None
    ),
    "Bedrock, the listed one, by its ARN": (
        "aws.bedrock", None, None, ARN.format("us-west-2"), 0.8
    ),
    "Bedrock, another, by its ARN": ("aws.bedrock", None, None, ARN.format("eu-west-1"), None),
    "OpenAI's hosts for regions": ("openai", "eu.api.openai.com", None, "gpt-5.4", None),
}  # fmt: skip


def loaded(overrides: Any = ()) -> PriceBook:
    book = PriceBook(overrides)
    book.load()
    return book


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return loaded()


def used() -> Usage:
    usage = Usage()
    usage.input, usage.output = 100_000, 0  # below every step
    return usage


@pytest.mark.parametrize("case", CASES)
def test_where_list_prices_hold(book: PriceBook, case: str) -> None:
    provider, host, region, model, dollars = CASES[case]
    cost = book.price(used(), provider=provider, model=model, at=AT, host=host, region=region)
    if dollars is None:
        assert cost.amount is None
        assert (cost.status, cost.missing) in (
            ("unknown_price", ("region",)), ("unknown_biller", ())
        )  # fmt: skip
    else:
        assert (cost.status, cost.amount) == ("priced", pytest.approx(dollars / 10))


def test_what_the_user_says_of_a_region_holds() -> None:
    book = loaded({"models": {
        "claude-*": {"factor": 1.1, "region": "us"},
        "gemini-3.5-flash": {"input": 1.65, "output": 9.9, "region": "europe-*"},
    }})  # fmt: skip
    ask: Any = {"provider": "anthropic", "model": "claude-opus-4-6", "at": AT}
    assert book.price(used(), **ask, region="us").amount == pytest.approx(0.55)
    assert book.price(used(), **ask).amount == pytest.approx(0.5)
    ask = {"provider": "gcp.vertex_ai", "model": "gemini-3.5-flash", "at": AT, "host": LONDON}
    assert book.price(used(), **ask).amount == pytest.approx(0.165)


def test_a_discount_for_everywhere_says_nothing_of_a_region() -> None:
    book = loaded({"models": {"claude-*": {"factor": 0.9}}})
    ask: Any = {"provider": "anthropic", "model": "claude-opus-4-6", "at": AT}
    assert book.price(used(), **ask, region="us").status == "unknown_price"
    assert book.price(used(), **ask).amount == pytest.approx(0.45)
