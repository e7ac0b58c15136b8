"""What calls cost: money worked out by hand, the library as a second opinion, and all unknowns."""

from __future__ import annotations

import sys
import threading
import time
import types
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genai_otel.pricing import bundled
from genai_otel.pricing.book import Cost, PriceBook
from genai_otel.pricing.rates import Rates, charge
from genai_otel.record import Usage
from tests.stored import run_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from genai_otel.pricing.price_list import PriceList

NOVEMBER = datetime(2026, 11, 1, 12, tzinfo=UTC)
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def used(**counts: Any) -> Usage:
    usage = Usage()
    vars(usage).update(counts)
    return usage


def _list(book: PriceBook) -> PriceList:
    assert book._list is not None
    return book._list


@pytest.fixture(scope="module")
def book() -> PriceBook:
    loaded = PriceBook()
    loaded.load()
    assert loaded.problem is None
    return loaded


# ------------------------------------------------------------------------------ worked by hand

# (provider, model, what else decides, usage, the sum in millionths of a dollar, written out)
GOLDEN: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str]] = {
    "openai, cached": (
        "openai", "gpt-4o-mini-2024-07-18", {"tier": "default", "host": "api.openai.com"},
        {"input": 2006, "cache_read": 1920, "output": 300, "reasoning": 0},
        "86*0.15 + 1920*0.075 + 300*0.6",
    ),
    "openai, reasoning is output": (
        "openai", "gpt-5", {}, {"input": 1000, "output": 4000, "reasoning": 3500},
        "1000*1.25 + 4000*10",
    ),
    "openai, flex": (
        "openai", "gpt-5", {"tier": "flex"}, {"input": 1000, "cache_read": 200, "output": 500},
        "800*0.625 + 200*0.0625 + 500*5",
    ),
    "openai, priority": (
        "openai", "gpt-5", {"tier": "priority"}, {"input": 10, "output": 5}, "10*2.5 + 5*20",
    ),
    "openai, batch": (
        "openai", "gpt-5", {"batch": True}, {"input": 10, "output": 5}, "10*0.625 + 5*5",
    ),
    "openai, web search": (
        "openai", "gpt-4.1", {}, {"input": 100, "output": 10, "web_searches": 3},
        "100*2 + 10*8 + 3*10_000",
    ),
    "openai, an image in": (
        "openai", "gpt-image-1", {}, {"input": 400, "image_input": 300, "output": 1000},
        "100*5 + 300*10 + 1000*40",
    ),
    "openai, embeddings": (
        "openai", "text-embedding-3-small", {}, {"input": 8}, "8*0.02",
    ),
    "anthropic, read and both writes": (
        "anthropic", "claude-opus-4-5-20251101", {"tier": "standard"},
        {"input": 9000, "cache_read": 5000, "cache_write": 2000, "cache_write_1h": 1000,
         "output": 700},
        "1000*5 + 5000*0.5 + 2000*6.25 + 1000*10 + 700*25",
    ),
    "anthropic, batch by its own word": (
        "anthropic", "claude-opus-4-5", {"tier": "batch"},
        {"input": 300, "cache_write_1h": 100, "output": 10},
        "200*2.5 + 100*5 + 10*12.5",
    ),
    "anthropic, a long context is dear as a whole": (
        "anthropic", "claude-sonnet-4-5", {},
        {"input": 200_001, "cache_read": 100_000, "output": 10},
        "100001*6 + 100000*0.6 + 10*22.5",
    ),
    "bedrock, a regional profile": (
        "aws.bedrock", f"us.{SONNET}", {"host": BEDROCK},
        {"input": 1000, "cache_read": 500, "output": 100}, "500*3.3 + 500*0.33 + 100*16.5",
    ),
    "bedrock, the global profile": (
        "aws.bedrock", f"global.{SONNET}", {"host": BEDROCK},
        {"input": 1000, "cache_read": 500, "output": 100}, "500*3 + 500*0.3 + 100*15",
    ),
    "bedrock, a profile's ARN": (
        "aws.bedrock", f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{SONNET}", {},
        {"input": 10, "output": 10}, "10*3.3 + 10*16.5",
    ),
    "bedrock, a foundation model's ARN": (
        "aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", {},
        {"input": 10, "cache_read": 4, "output": 10}, "6*0.8 + 4*0.2 + 10*3.2",
    ),
    "gemini, below the step": (
        "gcp.gemini", "gemini-2.5-pro", {}, {"input": 200_000, "output": 10, "reasoning": 4},
        "200000*1.25 + 10*10",
    ),
    "gemini, beyond the step": (
        "gcp.gemini", "models/gemini-2.5-pro", {},
        {"input": 200_001, "cache_read": 1, "output": 10}, "200000*2.5 + 0.25 + 10*15",
    ),
    "gemini, audio, some of it cached": (
        "gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", {},
        {"input": 1000, "audio_input": 300, "cache_read": 200, "cached_audio": 50, "output": 10},
        "550*0.3 + 250*1 + 150*0.03 + 50*0.1 + 10*2.5",
    ),
    "gemini, video in": (
        "gcp.gemini", "gemini-embedding-2", {}, {"input": 100, "video_input": 90},
        "10*0.2 + 90*12",
    ),
    "gemini, video out": (
        "gcp.gemini", "gemini-omni-flash-preview", {},
        {"input": 100, "output": 50, "video_output": 40}, "100*1.5 + 10*9 + 40*17.5",
    ),
    "gemini, video that costs what text does": (
        "gcp.gemini", "gemini-2.5-pro", {}, {"input": 100, "video_input": 90, "output": 1},
        "100*1.25 + 10",
    ),
    "gemini, audio that costs what text does": (
        "gcp.gemini", "gemini-2.5-pro", {}, {"input": 100, "audio_input": 90, "output": 1},
        "100*1.25 + 10",
    ),
    "deepseek, hit and miss, by day": (
        "deepseek", "deepseek-chat", {}, {"input": 1000, "cache_read": 600, "output": 50},
        "400*0.27 + 600*0.07 + 50*1.1",
    ),
    "azure, the dated name that it answers with": (
        "azure.ai.openai", "gpt-4o-mini-2024-07-18", {"host": "acme.openai.azure.com"},
        {"input": 10, "output": 1}, "10*0.15 + 0.6",
    ),
    "an openai client at another provider": (
        "openai", "llama-3.3-70b-versatile", {"host": "api.groq.com"},
        {"input": 10, "output": 1}, "10*0.59 + 0.79",
    ),
    "cohere": ("cohere", "command-r-08-2024", {}, {"input": 9, "output": 9}, "9*0.15 + 9*0.6"),
    "mistral": ("mistral_ai", "mistral-large-2411", {}, {"input": 9, "output": 9}, "9*2 + 9*6"),
    "xai": ("x_ai", "grok-4", {}, {"input": 9, "cache_read": 2, "output": 9}, "7*3+2*0.75+9*15"),
    "groq, by the second, ten at least": (
        "groq", "whisper-large-v3", {}, {"seconds": 3.2}, "10 * 0.111 / 3600 * 1_000_000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_money_to_the_last_digit(book: PriceBook, case: str) -> None:
    provider, model, more, counts, worked = GOLDEN[case]
    cost = book.price(used(**counts), provider=provider, model=model, at=NOVEMBER, **more)
    assert cost.status == "priced"
    assert cost.amount == pytest.approx(eval(worked) / 1_000_000, rel=1e-12, abs=1e-9)
    assert cost.version == book.version


def test_the_price_is_that_of_the_request(book: PriceBook) -> None:
    """o3 became cheaper on 2025-06-10; DeepSeek was cheaper between 16:30 and 00:30 UTC."""

    def amount(model: str, provider: str, at: datetime | float) -> float | None:
        usage = used(input=1_000_000, output=0)
        return book.price(usage, provider=provider, model=model, at=at).amount

    before, after = datetime(2025, 6, 9, 23, 59, tzinfo=UTC), datetime(2025, 6, 10, tzinfo=UTC)
    assert amount("o3", "openai", before) == pytest.approx(10.0)
    assert amount("o3", "openai", after) == pytest.approx(2.0)
    assert amount("o3", "openai", after.timestamp()) == pytest.approx(2.0)
    assert amount("deepseek-chat", "deepseek", NOVEMBER) == pytest.approx(0.27)
    assert amount("deepseek-chat", "deepseek", NOVEMBER.replace(hour=20)) == pytest.approx(0.135)


def test_the_table_knows_further_hosts(book: PriceBook) -> None:
    host = "api.fireworks.ai"
    by_host = book.price(
        used(input=9, output=9), provider="openai", model="deepseek-v3", at=NOVEMBER, host=host
    )
    assert by_host.status != "unknown_biller"


# -------------------------------------------------------------------- the library, asked as well


def test_the_library_agrees_on_every_model(book: PriceBook) -> None:
    """Every id that a rule names in full, at some length; where we say a price, it is its price."""
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    compared = 0
    for biller, model in book.ids():
        for counts in ({"input": 1000, "output": 77}, {"input": 300_000, "output": 1234}):
            cost = book.price(used(**counts), provider=biller, model=model, at=NOVEMBER)
            if cost.amount is None:
                continue
            theirs = calc_price(
                Theirs(input_tokens=counts["input"], output_tokens=counts["output"]),
                model,
                provider_id=biller,
                genai_request_timestamp=NOVEMBER,
            )
            assert cost.amount == pytest.approx(float(theirs.total_price), rel=1e-9), model
            compared += 1
    assert compared > 3000


COUNTS = st.integers(0, 400_000)


@settings(deadline=None)
@given(
    model=st.sampled_from(["claude-sonnet-4-5", "claude-opus-4-5"]),
    parts=st.fixed_dictionaries(
        dict.fromkeys(("fresh", "cache_read", "cache_write", "cache_write_1h", "output"), COUNTS)
    ),
)
def test_the_library_agrees_on_every_cache(
    book: PriceBook, model: str, parts: dict[str, int]
) -> None:
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    fresh, output, *cached = parts.pop("fresh"), parts.pop("output"), *parts.values()
    usage = used(input=fresh + sum(cached), output=output, **parts)
    theirs = calc_price(
        Theirs(
            input_tokens=usage.input,
            cache_read_tokens=parts["cache_read"],
            cache_write_tokens=parts["cache_write"] + parts["cache_write_1h"],
            cache_write_1h_tokens=parts["cache_write_1h"],
            output_tokens=output,
        ),
        model,
        provider_id="anthropic",
        genai_request_timestamp=NOVEMBER,
    )
    ours = book.price(usage, provider="anthropic", model=model, at=NOVEMBER)
    assert ours.amount == pytest.approx(float(theirs.total_price), rel=1e-9)


# ------------------------------------------------------------------------------ what is unknown

TOKENS = used(input=1000, output=100)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-nonsense"),
        ("openai", "gpt-4o-2031-01-01"),
        ("openai", "my-gpt-4o"),
        ("openai", None),
        ("openai", ""),
        ("anthropic", "claude-sonnet-4-5-turbo"),
        ("anthropic", "claude-haiku-4-56"),
        ("gcp.gemini", "gemini-1.5-flash-8b"),  # which the library sells as gemini-1.5-flash
        ("gcp.gemini", "gemini-2.5-pro-nonsense"),
        ("gcp.vertex_ai", "projects/p/locations/l/endpoints/123"),
        ("deepseek", "deepseek-chat-nonsense"),
        ("azure.ai.openai", "gpt-4o"),  # a deployment may be called so and be another model
        ("azure.ai.openai", "prod-chat"),
        ("aws.bedrock", "anthropic.claude-nonsense"),
        ("aws.bedrock", "us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"),
        ("aws.bedrock", "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.nova-pro"),
    ],
)  # fmt: skip
def test_a_near_miss_is_unknown(book: PriceBook, provider: str, model: str | None) -> None:
    cost = book.price(TOKENS, provider=provider, model=model, at=NOVEMBER)
    assert cost == Cost("unknown_model", version=book.version)


@pytest.mark.parametrize(
    ("provider", "host"),
    [
        ("openai", "localhost"),
        ("openai", "gateway.example.com"),
        ("openai", "api.openai.com.example.com"),
        ("openai", "eu.api.openai.com"),
        ("openai", "api.fireworks.ai.example.com"),
        ("ollama", None),
        ("ibm.watsonx.ai", None),
        (None, None),
    ],
)
def test_who_bills_is_not_guessed(book: PriceBook, provider: str | None, host: str | None) -> None:
    cost = book.price(TOKENS, provider=provider, model="gpt-4o", at=NOVEMBER, host=host)
    assert (cost.status, cost.amount) == ("unknown_biller", None)


@pytest.mark.parametrize(
    ("provider", "model", "more"),
    [
        ("openai", "gpt-4o", {"tier": "flex"}),
        ("openai", "gpt-5", {"tier": "scale"}),
        ("azure.ai.openai", "gpt-4o-2024-08-06", {"batch": True}),
        ("aws.bedrock", SONNET, {"batch": True}),
        ("groq", "llama-3.3-70b-versatile", {"tier": "flex"}),
        ("github-copilot", "gpt-4.1", {}),  # no price in the table, for which the library says 0
        ("openrouter", "google/gemma-3-27b-it:free", {}),
    ],
)
def test_what_has_no_price_is_not_sold_at_the_usual_one(
    book: PriceBook, provider: str, model: str, more: dict[str, Any]
) -> None:
    cost = book.price(TOKENS, provider=provider, model=model, at=NOVEMBER, **more)
    assert (cost.status, cost.amount) == ("unknown_price", None)


def test_batch_prices_are_unknown_before_the_table_has_them(book: PriceBook) -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    cost = book.price(TOKENS, provider="openai", model="gpt-4o", at=early, batch=True)
    assert (cost.status, cost.amount) == ("unknown_price", None)


@pytest.mark.parametrize(
    ("provider", "model", "counts", "missing"),
    [
        ("openai", "gpt-4o-audio-preview", {"audio_input": 50}, "audio_input"),
        ("openai", "gpt-4o-audio-preview", {"audio_output": 50}, "audio_output"),
        ("groq", "llama-3.3-70b-versatile", {"web_searches": 1}, "web_searches"),
        ("openai", "gpt-4o", {"seconds": 3.5}, "seconds"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", {"cache_write_1h": 9},
         "cache_write_1h"),
    ],
)  # fmt: skip
def test_no_part_of_a_call_is_free_for_want_of_a_price(
    book: PriceBook, provider: str, model: str, counts: dict[str, int], missing: str
) -> None:
    usage = used(input=100, output=100, **counts)
    cost = book.price(usage, provider=provider, model=model, at=NOVEMBER)
    assert (cost.status, cost.amount, cost.missing) == ("unknown_price", None, (missing,))


@pytest.mark.parametrize(
    "counts", [{}, {"input": 5}, {"output": 5}, {"input": "5", "output": 5}, {"input": -1}]
)
def test_what_nobody_counted_has_no_cost(book: PriceBook, counts: dict[str, Any]) -> None:
    cost = book.price(used(**counts), provider="openai", model="gpt-4o", at=NOVEMBER)
    assert (cost.status, cost.amount) == ("no_usage", None)


@pytest.mark.parametrize(
    "bad", [{"cache_read": 101}, {"cache_read": -3}, {"cache_read": "7"}, {"reasoning": 11}]
)
def test_a_contradiction_loses_only_the_bad_part(book: PriceBook, bad: dict[str, Any]) -> None:
    usage = used(input=100, output=10, **bad)
    cost = book.price(usage, provider="openai", model="gpt-4o", at=NOVEMBER)
    assert cost.amount == pytest.approx((100 * 2.5 + 10 * 10) / 1e6)


def test_an_estimate_is_marked(book: PriceBook) -> None:
    usage = used(input=100, output=10, estimated="script-aware")
    cost = book.price(usage, provider="openai", model="gpt-4o", at=NOVEMBER)
    assert cost.status == "estimated_usage"
    assert cost.amount is not None


# -------------------------------------------------------------------------------- properties

PRICES = {
    "input": 3.0, "cache_read": 0.3, "cache_write": 3.75, "audio_input": 10.0, "output": 15.0
}  # fmt: skip
LEDGERS = st.builds(
    lambda fresh, output, parts: used(input=fresh + sum(parts.values()), output=output, **parts),
    COUNTS,
    COUNTS,
    st.dictionaries(st.sampled_from(["cache_read", "cache_write", "audio_input"]), COUNTS),
)


def _sum(one: Usage, other: Usage) -> Usage:
    names = vars(one).keys() | vars(other).keys()
    return used(**{n: (getattr(one, n) or 0) + (getattr(other, n) or 0) for n in names})


@given(one=LEDGERS, other=LEDGERS)
def test_costs_add_up(one: Usage, other: Usage) -> None:
    rates = Rates(tokens=PRICES)
    apart = charge(rates, one).total + charge(rates, other).total
    assert charge(rates, _sum(one, other)).total == pytest.approx(apart, rel=1e-9, abs=1e-12)


ANYTHING = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.booleans())


@settings(deadline=None)
@given(
    counts=st.dictionaries(
        st.sampled_from(
            ["input", "output", "cache_read", "cache_write", "cache_write_1h", "audio_input",
             "cached_audio", "image_input", "reasoning", "audio_output", "web_searches"]
        ),
        ANYTHING,
    ),
    model=st.one_of(st.sampled_from(["gpt-4o", "claude-opus-4-5", "o3"]), st.text(max_size=40)),
    provider=st.sampled_from(["openai", "anthropic", "aws.bedrock", "gcp.gemini", "nobody"]),
    tier=st.sampled_from([None, "default", "flex", "nonsense"]),
)  # fmt: skip
def test_a_cost_is_a_price_or_absent(
    book: PriceBook, counts: dict[str, Any], model: str, provider: str, tier: str | None
) -> None:
    cost = book.price(used(**counts), provider=provider, model=model, at=NOVEMBER, tier=tier)
    if cost.status == "priced":
        assert cost.amount is not None
        assert cost.amount >= 0
        assert cost.input is not None
        assert cost.output is not None
    else:
        assert cost.amount is None


def test_the_parts_are_the_whole(book: PriceBook) -> None:
    usage = used(input=100, cache_read=50, output=10, web_searches=2)
    cost = book.price(usage, provider="openai", model="gpt-4.1", at=NOVEMBER)
    assert cost.input == pytest.approx((50 * 2 + 50 * 0.5) / 1e6)
    assert cost.output == pytest.approx(10 * 8 / 1e6)
    assert cost.amount == pytest.approx(cost.input + cost.output + 0.02)  # type: ignore[operator]


# ---------------------------------------------------------------------------------- loading


def test_before_it_is_loaded_nothing_is_unknown_yet() -> None:
    book = PriceBook({"models": {"mine": {"free": True}}})
    assert not book.ready
    ask: Callable[[str], Cost] = lambda model: book.price(  # noqa: E731 - short
        TOKENS, provider="openai", model=model, at=NOVEMBER
    )
    assert ask("gpt-4o").status == "not_ready"
    assert ask("mine").status == "free"
    before = book.version
    book.load()
    book.load()
    assert book.ready
    assert ask("gpt-4o").status == "priced"
    assert book.version.endswith(before)
    assert book.version.startswith("genai-prices/")


def test_a_table_that_cannot_be_read_leaves_the_users_prices(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    bundled._table.cache_clear()
    book = PriceBook({"models": {"mine": {"input": 1, "output": 1}}})
    book.load()
    assert book.ready
    assert "genai-prices" in (book.problem or "")
    assert "cannot be used" in caplog.text
    assert book.price(TOKENS, provider="openai", model="mine", at=0.0).status == "priced"
    unknown = book.price(TOKENS, provider="openai", model="gpt-4o", at=0.0)
    assert unknown.status == "unknown_model"


def test_a_module_that_cannot_be_loaded_prices_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that has no file descriptor left loads none; nobody is there to catch an error."""
    monkeypatch.setitem(sys.modules, "genai_otel.pricing.price_list", None)
    book = PriceBook()
    book.load()
    assert caplog.text.count("cannot be used") == 1
    assert "price_list" in (book.problem or "")
    assert book.price(TOKENS, provider="openai", model="gpt-4o", at=0.0).status == "not_ready"


def test_nothing_is_fetched_and_nothing_imported_early(tmp_path: Path) -> None:
    code = """
import sys
def forbid(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        print("network:", event, arguments); sys.stdout.flush(); import os; os._exit(3)
sys.addaudithook(forbid)
from genai_otel.pricing.book import PriceBook
from genai_otel.record import Usage
assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
book = PriceBook()
usage = Usage(); usage.input = usage.output = 1
assert book.price(usage, provider="openai", model="gpt-4o", at=0.0).status == "not_ready"
assert "genai_prices" not in sys.modules
book.load()
assert book.price(usage, provider="openai", model="gpt-4o", at=0.0).status == "priced"
import threading; print(threading.active_count())
"""
    assert run_python("-c", code, cwd=tmp_path).stdout == "1\n"


def test_many_threads_ask_one_book() -> None:
    book, wrong = PriceBook(), []

    def ask(number: int) -> None:
        for turn in range(400):
            name = "gpt-4o" if turn % 2 else f"nonsense-{number}-{turn}"
            cost = book.price(TOKENS, provider="openai", model=name, at=NOVEMBER)
            good = cost.amount == pytest.approx(0.0035) if turn % 2 else cost.amount is None
            if not good and cost.status != "not_ready":
                wrong.append(cost)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    threads.append(threading.Thread(target=book.load))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(_list(book)._known) <= 1000
    assert book.price(TOKENS, provider="openai", model="gpt-4o", at=time.time()).status == "priced"


def test_prices_are_looked_up_once_for_each_model_and_biller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = PriceBook()
    book.load()
    asked: list[Any] = []
    resolver = _list(book)._resolver
    resolve = resolver.resolve
    monkeypatch.setattr(resolver, "resolve", lambda call: (asked.append(call), resolve(call))[1])
    for host in ("api.openai.com", "acme.openai.azure.com", "api.openai.com"):
        for model in ("gpt-4o", "gpt-4o-nonsense", "gpt-4o"):
            book.price(TOKENS, provider="openai", model=model, at=NOVEMBER, host=host)

    assert len(asked) == len(set(asked)) == 4


def test_what_is_remembered_is_bounded(book: PriceBook) -> None:
    for number in range(1500):
        book.price(TOKENS, provider="openai", model=f"stranger-{number}", at=NOVEMBER)
    assert len(_list(book)._known) <= 1000


def test_the_library_still_has_the_traps_that_we_go_around() -> None:
    """When one of these fails, the library has mended it and docs/cost.md can say less."""
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    def price(model: str, provider: str, **more: Any) -> Decimal:
        return calc_price(
            Theirs(input_tokens=9, output_tokens=9), model, provider_id=provider, **more
        ).total_price

    assert price("gemini-1.5-flash-8b", "google") == price("gemini-1.5-flash", "google")
    assert price("claude-sonnet-4-5-nonsense", "anthropic") > 0
    context = {"processing": "nonsense"}
    assert price("gpt-4o", "openai", price_context=context) == price("gpt-4o", "openai")
    assert price("gpt-4.1", "github-copilot") == 0


def test_a_table_whose_module_is_being_imported_is_not_read_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As another thread does, in the middle of whose import ``instrument()`` may be called."""
    monkeypatch.setitem(sys.modules, "genai_otel.pricing.bundled", types.ModuleType("bundled"))
    book = PriceBook()
    book.load_if_read()
    assert not book.ready
