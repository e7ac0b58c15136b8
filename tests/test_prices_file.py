"""Prices that a user gives: every kind of them, litellm's map, and what bad files are told."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genai_otel.pricing.book import Cost, PriceBook
from genai_otel.pricing.overrides_file import read_prices
from tests.test_prices import NOVEMBER, used

if TYPE_CHECKING:
    from genai_otel.record import Usage

TOKENS = used(input=1000, output=100)
AZURE = {"provider": "azure.ai.openai", "host": "acme.openai.azure.com"}
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3"
FILE = """
currency = "EUR"

[billers]
"gateway.example.com" = "openai"
"*.corp.example.com" = "anthropic"

[models."prod-chat"]
same_as = "gpt-4o-mini"

[models."discounted"]
same_as = "prod-chat"
factor = 0.8

[models."arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3"]
same_as = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"

[models."qwen*"]
free = true

[models."qwen-large"]
input = 1.0
output = 4.0
cache_read = 0.1
above = [{tokens = 1000, input = 2.0, output = 8.0}]

[models."painter"]
per_image = 0.04
currency = "USD"

[models."listener"]
per_second = 0.001
per_request = 0.5

[models."ranker"]
per_search_unit = 0.002

[models."speaker"]
per_character = 0.000015

[models."scanner"]
per_page = 0.001

[[models."changing"]]
input = 10
output = 0
until = 2026-06-01

[[models."changing"]]
input = 5
output = 0
from = 2026-06-01

[[models."placed"]]
input = 1
output = 1
region = "eu-*"
provider = "aws.bedrock"

[[models."placed"]]
input = 2
output = 2
provider = "aws.bedrock"

[[models."tiered"]]
input = 1
output = 1

[[models."tiered"]]
input = 0.5
output = 0.5
tier = "batch"
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    file = tmp_path_factory.mktemp("prices") / "prices.toml"
    file.write_text(FILE)
    made = PriceBook(str(file))
    made.load()
    return made


def ask(book: PriceBook, model: str, usage: Usage = TOKENS, **more: Any) -> Cost:
    known = {"provider": "openai", "at": NOVEMBER} | more
    return book.price(usage, model=model, **known)


# ------------------------------------------------------------------------------- what it says


def test_a_deployment_is_mapped(book: PriceBook) -> None:
    cost = ask(book, "prod-chat", **AZURE)
    assert (cost.status, cost.currency) == ("priced", "USD")
    assert cost.amount == pytest.approx((1000 * 0.15 + 100 * 0.6) / 1e6)
    by_request = ask(book, "gpt-4", request_model="prod-chat", **AZURE)
    assert by_request.amount == cost.amount


def test_maps_may_follow_each_other_with_a_factor(book: PriceBook) -> None:
    whole = ask(book, "prod-chat", **AZURE).amount
    assert whole is not None
    assert ask(book, "Discounted", **AZURE).amount == pytest.approx(whole * 0.8)


def test_a_discount_on_a_model_of_the_table() -> None:
    made = PriceBook({"models": {"gpt-4o": {"same_as": "gpt-4o", "factor": 0.5}}})
    made.load()
    assert ask(made, "gpt-4o").amount == pytest.approx(0.0035 / 2)


def test_a_discount_over_a_pattern() -> None:
    """A factor alone is on whatever is listed: the bundled table, or litellm's map."""
    discount = {"models": {"gpt-4o*": {"factor": 0.5}, "claude-x": {"factor": 0.5}}}
    book = PriceBook([discount, LITELLM])
    book.load()
    for model, tier, price in (("gpt-4o-mini", None, 0.15), ("gpt-4o-2024-08-06", None, 2.5)):
        usage = used(input=1_000_000, output=0)
        assert ask(book, model, usage, tier=tier).amount == pytest.approx(price / 2)
    theirs = ask(book, "claude-x", used(input=1_000_000, output=0), provider="anthropic")
    assert theirs.amount == pytest.approx(6 / 2)  # beyond 200,000
    assert ask(book, "gpt-4o-nonsense").status == "unknown_model"
    assert ask(book, "gpt-4o", tier="batch").amount == pytest.approx((1000 * 1.25 + 100 * 5) / 2e6)
    assert ask(book, "gpt-5").amount == pytest.approx((1000 * 1.25 + 100 * 10) / 1e6)


def test_an_application_inference_profile_is_mapped(book: PriceBook) -> None:
    cost = ask(book, PROFILE, provider="aws.bedrock")
    assert cost.amount == pytest.approx((1000 * 3.3 + 100 * 16.5) / 1e6)


def test_a_map_keeps_the_tier(book: PriceBook) -> None:
    cost = ask(book, "prod-chat", tier="priority")
    assert cost.amount == pytest.approx((1000 * 0.25 + 100 * 1.0) / 1e6)


def test_patterns_are_anchored_and_come_after_names(book: PriceBook) -> None:
    assert ask(book, "qwen2.5:7b", host="localhost") == Cost(
        "free", 0.0, "EUR", book.version, 0.0, 0.0
    )
    assert ask(book, "my-qwen2.5", host="localhost").status == "unknown_biller"
    large = ask(book, "qwen-large", used(input=1000, cache_read=500, output=10), host="localhost")
    assert (large.status, large.currency) == ("priced", "EUR")
    assert large.amount == pytest.approx((500 * 1 + 500 * 0.1 + 10 * 4) / 1e6)
    longer = ask(book, "qwen-large", used(input=1001, output=10))
    assert longer.amount == pytest.approx((1001 * 2 + 10 * 8) / 1e6)


def test_prices_by_image_second_request_and_search(book: PriceBook) -> None:
    nothing = used()
    assert ask(book, "painter", used(images=3)).amount == pytest.approx(0.12)
    assert ask(book, "painter", used(images=3)).currency == "USD"
    assert ask(book, "painter", TOKENS).status == "no_usage"
    assert ask(book, "listener", used(seconds=30.0)).amount == pytest.approx(0.53)
    assert ask(book, "speaker", used(characters=2000)).amount == pytest.approx(0.03)
    assert ask(book, "scanner", used(pages=7)).amount == pytest.approx(0.007)
    assert ask(book, "ranker", used(search_units=2)).amount == pytest.approx(0.004)
    assert ask(book, "ranker", nothing).status == "no_usage"


def test_prices_hold_from_and_until(book: PriceBook) -> None:
    def amount(at: datetime) -> float | None:
        return ask(book, "changing", used(input=1_000_000, output=0), at=at).amount

    assert amount(datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)) == pytest.approx(10)
    assert amount(datetime(2026, 6, 1, tzinfo=UTC)) == pytest.approx(5)


def test_a_map_follows_the_dates_of_both() -> None:
    dated = [{"input": 10, "output": 0, "until": "2026-06-01"},
             {"input": 5, "output": 0, "from": "2026-06-01"}]  # fmt: skip
    mine = {"same_as": "dated", "until": "2026-08-01", "factor": 2}
    made = PriceBook({"models": {"dated": dated, "mine": mine}}, bundled=False)

    def amount(month: int) -> float | None:
        at = datetime(2026, month, 15, tzinfo=UTC)
        return ask(made, "mine", used(input=1_000_000, output=0), at=at).amount

    assert [amount(5), amount(6), amount(8)] == [pytest.approx(20), pytest.approx(10), None]


def test_maps_of_several_files_end_even_in_a_circle() -> None:
    made = PriceBook([{"models": {"a": {"same_as": "b"}}}, {"models": {"b": {"same_as": "a"}}}])
    made.load()
    assert ask(made, "a").status == "unknown_model"


def test_a_map_may_name_another_providers_model() -> None:
    made = PriceBook({"models": {"x": {"same_as": "anthropic/claude-opus-4-5"},
                                 "y": {"same_as": "nobody/claude-opus-4-5"},
                                 "z": {"same_as": "gpt-4o"}}})  # fmt: skip
    made.load()
    assert ask(made, "x", host="localhost").amount == pytest.approx((5000 + 2500) / 1e6)
    assert ask(made, "y").amount is None
    assert ask(made, "z", host="localhost").amount == pytest.approx(0.0035)
    assert ask(made, "z", provider=None).status == "unknown_biller"


def test_prices_by_region_and_provider(book: PriceBook) -> None:
    def amount(**more: Any) -> float | None:
        return ask(book, "placed", used(input=1_000_000, output=0), **more).amount

    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    assert amount(provider="aws.bedrock", host=host) == pytest.approx(1)
    assert amount(provider="aws.bedrock", region="us-east-1") == pytest.approx(2)
    assert amount(provider="openai") is None


def test_a_price_without_a_tier_is_not_that_of_batches(book: PriceBook) -> None:
    assert ask(book, "tiered").amount == pytest.approx(1100 / 1e6)
    assert ask(book, "tiered", tier="default").amount == pytest.approx(1100 / 1e6)
    assert ask(book, "tiered", batch=True).amount == pytest.approx(550 / 1e6)
    assert ask(book, "tiered", tier="flex").amount is None


def test_a_gateway_is_somebodys(book: PriceBook) -> None:
    assert ask(book, "gpt-4o", host="gateway.example.com").amount == pytest.approx(0.0035)
    assert ask(book, "claude-opus-4-5", host="llm.corp.example.com").status == "priced"
    assert ask(book, "gpt-4o", host="other.example.com").status == "unknown_biller"


def test_without_the_bundled_table_only_overrides_count() -> None:
    book = PriceBook({"models": {"mine": {"input": 1, "output": 1}}}, bundled=False)
    assert book.ready
    assert ask(book, "mine").status == "priced"
    assert ask(book, "gpt-4o").status == "unknown_model"


def test_the_file_in_the_documentation_is_well_made(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "cost.md").read_text("utf-8")
    (tmp_path / "prices.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    book = PriceBook(tmp_path / "prices.toml")
    book.load()
    assert ask(book, "prod-chat", **AZURE).amount == pytest.approx(0.00021)
    assert ask(book, "gpt-5").amount == pytest.approx(0.85 * (1000 * 1.25 + 100 * 10) / 1e6)
    small = ask(book, "acme-small", at=datetime(2026, 7, 1, tzinfo=UTC))
    assert (small.amount, small.currency) == (pytest.approx(0.00014), "EUR")


# -------------------------------------------------------------------------------- functions


def test_a_function_may_answer_or_pass(book: PriceBook) -> None:
    seen = []

    def mine(provider: str | None, model: str | None, usage: Usage, at: datetime) -> float | None:
        seen.append((provider, model, usage.input, at))
        return 0.25 if model == "mine" else None

    made = PriceBook([mine, {"models": {"other": {"free": True}}}], bundled=False)
    assert ask(made, "mine") == Cost("priced", 0.25, version=made.version)
    assert seen == [("openai", "mine", 1000, NOVEMBER)]
    assert ask(made, "other").status == "free"
    assert ask(made, "third").status == "unknown_model"


@pytest.mark.parametrize("answer", [-1.0, math.nan, math.inf, "much", ZeroDivisionError()])
def test_a_function_that_fails_costs_nothing_but_the_cost(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def mine(*_: Any) -> float:
        if isinstance(answer, Exception):
            raise answer
        number: float = answer
        return number

    made = PriceBook(mine, bundled=False)
    for _ in range(3):
        assert ask(made, "x") == Cost("override_failed", version=made.version)
    assert caplog.text.count("custom price function failed") == 1


# ------------------------------------------------------------------------------------ version


def test_the_version_tells_what_was_given() -> None:
    one = {"models": {"m": {"input": 1, "output": 1, "from": date(2026, 1, 1)}}}
    other = {"models": {"m": {"input": 2, "output": 1}}}
    versions = [PriceBook(said, bundled=False).version for said in (one, dict(one), other, ())]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert versions[3] == "none"


# ------------------------------------------------------------------------------------ litellm

LITELLM: dict[str, Any] = {
    "sample_spec": {"litellm_provider": "one of ...", "input_cost_per_token": 0.0},
    "gpt-4o": {
        "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 5e-06,
        "input_cost_per_token_flex": 1e-06, "output_cost_per_token_flex": 2e-06,
        "search_context_cost_per_query": {"search_context_size_medium": 0.05},
    },
    "claude-x": {
        "litellm_provider": "anthropic", "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_read_input_token_cost": 3e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
    },
    "gemini/gemini-x": {
        "litellm_provider": "gemini", "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 4e-06,
        "input_cost_per_audio_token": 7e-06, "input_cost_per_token_above_128k_tokens": 2e-06,
    },
    "azure/gpt-4o-2024-11-20": {
        "litellm_provider": "azure", "input_cost_per_token": 2.75e-06,
        "output_cost_per_token": 1.1e-05,
    },
    "bedrock/eu-west-1/meta.x-v1:0": {
        "litellm_provider": "bedrock", "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
    },
    "rerank-x": {"litellm_provider": "cohere", "input_cost_per_token": 0.0,
                 "input_cost_per_query": 0.002},
    "paint-x": {"litellm_provider": "openai", "input_cost_per_token": 1e-06,
                "output_cost_per_token": 2e-06, "output_cost_per_image": 0.04},
    "speak-x": {"litellm_provider": "openai", "input_cost_per_character": 1.5e-05},
    "read-x": {"litellm_provider": "mistral", "ocr_cost_per_page": 0.001},
    "dall-x": {"litellm_provider": "openai", "input_cost_per_token": None,
               "output_cost_per_image": 0.04},
    "ollama/llama": {"litellm_provider": "ollama", "input_cost_per_token": 0.0,
                     "output_cost_per_token": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    file = tmp_path_factory.mktemp("prices") / "model_prices_and_context_window.json"
    file.write_text(json.dumps(LITELLM))
    return PriceBook(file, bundled=False)


LITELLM_COSTS: dict[str, tuple[str, str, dict[str, Any], Usage, str]] = {
    "cached": ("openai", "gpt-4o", {}, used(input=10, cache_read=4, output=5), "6*2.5+4*1.25+5*10"),
    "batch": ("openai", "gpt-4o", {"batch": True}, used(input=10, output=5), "10*1.25+5*5"),
    "flex": ("openai", "gpt-4o", {"tier": "flex"}, used(input=10, output=5), "10*1+5*2"),
    "web search": ("openai", "gpt-4o", {}, used(input=2, output=1, web_searches=2), "5+10+1e5"),
    "cache writes": (
        "anthropic", "claude-x", {},
        used(input=100, cache_read=10, cache_write=20, cache_write_1h=30, output=1),
        "40*3 + 10*0.3 + 20*3.75 + 30*6 + 15",
    ),
    "beyond 200k": ("anthropic", "claude-x", {}, used(input=200_001, output=1), "200001*6 + 22.5"),
    "reasoning, audio": (
        "gcp.gemini", "gemini-x", {}, used(input=9, audio_input=4, output=9, reasoning=5),
        "5*1 + 4*7 + 4*2 + 5*4",
    ),
    "beyond 128k": ("gcp.gemini", "gemini-x", {}, used(input=128_001, output=0), "128001*2"),
    "azure": (
        "azure.ai.openai", "gpt-4o-2024-11-20", {}, used(input=10, output=1), "10*2.75 + 11",
    ),
    "region": (
        "aws.bedrock", "meta.x-v1:0", {"region": "eu-west-1"}, used(input=1, output=1), "2",
    ),
    "rerank": ("cohere", "rerank-x", {}, used(search_units=3), "6000"),
    "image": ("openai", "dall-x", {}, used(images=2), "80_000"),
    "an image by its tokens, once": (
        "openai", "paint-x", {}, used(input=10, output=5, images=1), "10 + 5*2",
    ),
    "characters": ("openai", "speak-x", {}, used(characters=200), "3000"),
    "pages": ("mistral_ai", "read-x", {}, used(pages=3), "3000"),
}  # fmt: skip


@pytest.mark.parametrize("case", LITELLM_COSTS)
def test_litellms_map(litellm: PriceBook, case: str) -> None:
    provider, model, more, usage, worked = LITELLM_COSTS[case]
    cost = ask(litellm, model, usage, provider=provider, **more)
    assert cost.status == "priced"
    assert cost.amount == pytest.approx(eval(worked) / 1e6, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("gpt-4o", {"host": "localhost"}),
        ("gpt-4o", {"provider": "groq"}),
        ("gpt-4o", AZURE),
        ("gpt-4o", {"tier": "priority"}),
        ("gpt-4o-nonsense", {}),
        ("sample_spec", {}),
        ("meta.x-v1:0", {"provider": "aws.bedrock", "region": "us-east-1"}),
        ("ollama/llama", {"provider": "ollama"}),  # 0 there is no price
    ],
)
def test_litellms_map_is_read_strictly(
    litellm: PriceBook, model: str, more: dict[str, Any]
) -> None:
    assert ask(litellm, model, **more).amount is None


# ---------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models\n", "not valid TOML: .*line 1"),
        ("[modles]\n", "unknown key 'modles'; expected one of billers, currency, models"),
        ("models = 3\n", "models: must be a table, not 3"),
        ('currency = "euro"\n', "currency: must be three capital letters such as EUR"),
        ("[models]\nm = 3\n", 'models."m": must be a table, not 3'),
        ("[models.m]\ninptu = 3\n", "models.\"m\": unknown key 'inptu'; expected one of above, "),
        ("[models.m]\ninput = -1\n", 'm": input: must be a number that is not negative, not -1'),
        ("[models.m]\ninput = nan\n", "must be a number"),
        ("[models.m]\ninput = true\n", "must be a number"),
        ('[models.m]\ninput = "3"\n', "must be a number"),
        ("[models.m]\ninput = 0\noutput = 0\n", "all prices are 0; .* free = true"),
        ("[models.m]\nfree = false\n", "free must be true"),
        ("[models.m]\nregion = 'eu'\n", "write exactly one of prices, same_as, factor and free"),
        (
            "[models.m]\nfree = true\ninput = 3\n",
            "write exactly one of prices, same_as, factor and free",
        ),
        ("[models.m]\ninput = 3\nfactor = 2\n", "factor can be combined only with same_as"),
        ("[models.m]\nsame_as = 3\n", "same_as must be a string, not 3"),
        ("[models.m]\nsame_as = 'n'\n[models.n]\nsame_as = 'm'\n", "circular: m -> n -> m"),
        ("[models.m]\ninput = 1\nfrom = 'soon'\n", "from: 'soon' is not a date such as"),
        ("[models.m]\ninput = 1\nfrom = 7\n", "from: 7 is not a date such as"),
        ("[models.m]\ninput = 1\nfrom = 2026-02-01\nuntil = 2026-01-01\n", "before until"),
        ("[models.m]\ninput = 1\nabove = 3\n", "above must be a list of tables"),
        ("[models.m]\ninput = 1\nabove = [{input = 2}]\n", "tokens must be a whole number"),
        (
            "[models.m]\ninput = 1\nabove = [{tokens = 5, output = 2}]\n",
            "output has no price below",
        ),
        ("[[models.m]]\ninput = 1\n[[models.m]]\nx = 1\n", "\\(number 2\\): unknown key 'x'"),
        ('[billers]\n"h" = 3\n', 'billers."h" must be the name of a provider'),
    ],
)
def test_a_bad_file_is_told_where_and_what(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=told) as caught:
        PriceBook(file)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"models": {', "not valid JSON .*line 1"),
        ("[]", "must contain models"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
        ('{"gpt": {"litellm_provider": 3}}', "litellm_provider must be the name"),
        ('{"gpt": {"litellm_provider": "openai", "input_cost_per_token": "1"}}',
         '"gpt": input_cost_per_token must be a price per unit in USD, not \'1\''),
        ('{"gpt": {"litellm_provider": "openai", "input_cost_per_token": -1}}', "not -1"),
    ],
)  # fmt: skip
def test_a_bad_json_file_too(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=told):
        PriceBook(str(file))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    for name in ("none.toml", "latin.toml", ""):
        with pytest.raises(ValueError, match="cannot be read"):
            PriceBook(tmp_path / name)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["models", "billers", "currency", "input", "above", "tokens", "same_as",
                         "free", "from", "litellm_provider", "input_cost_per_token", "x"]),
        inner, max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(said=st.dictionaries(st.sampled_from(["models", "billers", "currency", "m"]), PLAIN))
def test_whatever_is_given_is_read_or_refused(said: dict[str, Any]) -> None:
    try:
        read_prices(said)
    except ValueError as error:
        told = str(error)
    else:
        told = "prices: good"
    assert told.startswith("prices: ")


@pytest.mark.parametrize(
    "said", [{3: 4}, {"models": {3: {"free": True}}}, {"models": {3: {}, "a": {}}}]
)
def test_names_are_text(said: Any) -> None:
    with pytest.raises(ValueError, match=r"keys must be strings|cannot be read"):
        PriceBook(said)
