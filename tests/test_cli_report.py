"""``genai-otel report cost`` and ``genai-otel prices``, as processes over written files."""

from __future__ import annotations

import json
import math
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel.pricing.book import PriceBook
from genai_otel.store.read.cost_report import Report
from genai_otel.store.read.decoder import StoredSpan
from tests.stored import CLIENT, chat, run_cli, tracing

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400 * 1_000_000_000
COSTS = (0.0123, 0.5, 0.1, 0.2, 0.3)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path


def call(cost: float | None, model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    facts = chat(model, **more) | {"gen_ai.response.model": model}
    if cost is not None:
        facts |= {"gen_ai.usage.cost": cost, "genai_otel.prices.version": "test"}
    return facts


def write(directory: Path) -> None:
    """Five priced calls under parents that repeat their figures, and four that have no price."""
    two = {"genai_otel__tags": ["beta", "shop"]}
    calls: list[dict[str, Any]] = [
        call(0.0123, user__id="ada", session__id="s1", gen_ai__prompt__name="greet"),
        call(0.5, "claude", user__id="bob", gen_ai__provider__name="anthropic", **two),
        call(0.1, user__id="ada", genai_otel__tags=["shop"]),
        call(0.2, gen_ai__operation__name="embeddings"),
        call(0.3, genai_otel__cost__status="estimated_usage"),
        call(None, "local", genai_otel__cost__status="unknown_biller"),
        call(None, "local", genai_otel__cost__status="unknown_biller"),
        call(None, "gpt-9", genai_otel__cost__status="unknown_model", user__id="ada"),
        call(None, "old"),
    ]
    parent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.cost": 99.0,
              "gen_ai.usage.input_tokens": 10**9}  # fmt: skip
    with tracing(directory) as tracer, tracer.start_as_current_span("agent", attributes=parent):
        for facts in calls:
            tracer.start_span("chat", kind=CLIENT, attributes=facts).end()


def table(text: str) -> dict[str, list[str]]:
    """The rows of the first table by their first cell."""
    lines = text.split("\n\n", maxsplit=1)[0].splitlines()[1:]
    cells = [re.split(r"\s{2,}", line) for line in lines]
    return {first: rest for first, *rest in cells}


# ------------------------------------------------------------------------------------ report


@pytest.mark.parametrize("by", ["model", "provider", "user", "session", "prompt", "day"])
def test_the_rows_add_up_to_the_spans(work: Path, by: str) -> None:
    write(work / "store")
    done = run_cli("report", "cost", "--by", by, "--dir", "store", "--json", cwd=work)
    report = json.loads(done.stdout)
    total = report["total"]
    assert total["cost"]["USD"] == pytest.approx(math.fsum(COSTS), abs=1e-9)
    assert (total["calls"], total["unpriced"]) == (9, 4)
    assert (total["input_tokens"], total["output_tokens"]) == (9 * 1200, 9 * 95)
    for figure in ("calls", "unpriced", "input_tokens", "cached_tokens", "output_tokens"):
        assert sum(group[figure] for group in report["groups"]) == total[figure]
    costs = [group["cost"].get("USD", 0.0) for group in report["groups"]]
    assert sum(costs) == pytest.approx(total["cost"]["USD"], abs=1e-9)
    assert sum(group["share"] for group in report["groups"]) == pytest.approx(1.0)


def test_the_dearest_come_first_and_the_rest_is_one_row(work: Path) -> None:
    write(work / ".genai_otel")
    shown = table(run_cli("report", "cost", cwd=work).stdout)
    assert list(shown) == ["gpt-5", "claude", "local", "gpt-9", "old", "total"]
    assert shown["gpt-5"] == ["4", "4,800", "512", "380", "$0.6123", "55.0%"]
    assert shown["total"] == ["9", "10,800", "1,152", "855", "$1.1123", "100.0%", "4"]
    short = table(run_cli("report", "cost", "--top", "1", cwd=work).stdout)
    assert list(short) == ["gpt-5", "4 others", "total"]
    assert short["4 others"][4:] == ["$0.5000", "45.0%", "4"]


def test_what_was_not_priced_is_told_and_why(work: Path) -> None:
    write(work / "store")
    text = run_cli("report", "cost", "--dir", "store", cwd=work).stdout
    reasons = text.split("\n\n")[1]
    assert re.search(r"unknown_biller +local +2 +2,400 +190 +no biller is known", reasons)
    assert re.search(r"unknown_model +gpt-9 +1 ", reasons)
    assert re.search(r"not_recorded +old +1 ", reasons)
    assert re.search(r"estimated_usage +gpt-5 +1 +1,200 +95 +cost of estimated usage", reasons)


def test_a_call_with_two_tags_is_in_both_rows_and_once_in_the_total(work: Path) -> None:
    write(work / "store")
    done = run_cli("report", "cost", "--by", "tag", "--dir", "store", cwd=work)
    shown = table(done.stdout)
    assert shown["shop"][4] == "$0.6000"
    assert shown["beta"][4] == "$0.5000"
    assert shown["total"][4] == "$1.1123"
    assert "several tags" in done.stderr


def test_other_currencies_are_not_added_to_dollars(work: Path) -> None:
    with tracing(work / "store") as tracer:
        for cost, currency in ((1.0, "USD"), (2.0, "EUR")):
            facts = call(cost, genai_otel__cost__currency=currency)
            tracer.start_span("chat", attributes=facts).end()
    shown = table(run_cli("report", "cost", "--dir", "store", cwd=work).stdout)
    assert shown["total"] == ["2", "2,400", "256", "190", "2.0000 EUR + $1.0000"]


def test_since(work: Path) -> None:
    now = time.time_ns()
    with tracing(work / "store") as tracer:
        for age in (0, 2, 9):
            tracer.start_span("chat", attributes=call(1.0), start_time=now - age * DAY).end()

    def calls(*arguments: str) -> int:
        done = run_cli("report", "cost", "--dir", "store", "--json", *arguments, cwd=work)
        found: int = json.loads(done.stdout)["total"]["calls"]
        return found

    assert [calls(), calls("--since", "24h"), calls("--since", "7d")] == [3, 1, 2]
    assert calls("--since", time.strftime("%Y-%m-%d", time.localtime(now / 1e9 - 5 * 86_400))) == 2
    days = run_cli("report", "cost", "--by", "day", "--dir", "store", cwd=work).stdout
    assert len(table(days)) == 4
    wrong = run_cli("report", "cost", "--since", "soon", cwd=work, code=2)
    assert "'soon' is neither an age" in wrong.stderr


def test_no_calls_and_no_store(work: Path) -> None:
    assert "no store found" in run_cli("report", "cost", cwd=work, code=2).stderr
    (work / ".genai_otel").mkdir()
    done = run_cli("report", "cost", cwd=work)
    assert (done.stdout, done.stderr) == ("", "note: no model calls yet\n")
    assert "cost" in run_cli("report", cwd=work).stdout


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, "7", True, None])
def test_no_number_from_a_file_spoils_the_total(cost: Any) -> None:
    report = Report("model")
    facts = {"gen_ai.operation.name": "chat", "gen_ai.usage.cost": cost,
             "gen_ai.usage.input_tokens": "many", "genai_otel.tags": 7}  # fmt: skip
    report.add(StoredSpan("1", "1", attributes=facts))
    report.add(StoredSpan("1", "2", attributes=facts | {"gen_ai.usage.cost": 2.0}))
    assert (report.total.cost, report.total.unpriced, report.total.calls) == ({"USD": 2.0}, 1, 2)


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genai_otel.store.read.cost_report._MOST_GROUPS", 10)
    report = Report("user")
    for number in range(100):
        facts = {"gen_ai.operation.name": "chat", "user.id": f"u{number}", "gen_ai.usage.cost": 1.0}
        report.add(StoredSpan("1", f"{number}", attributes=facts))
    rows = dict(report.ranked(None))
    assert len(rows) == 11
    assert rows["(beyond the first groups)"].calls == 90
    assert report.total.cost == {"USD": 100.0}


# ------------------------------------------------------------------------------------ prices


def test_a_models_prices(work: Path) -> None:
    done = run_cli("prices", "show", "claude-sonnet-4-5", "--provider", "anthropic", cwd=work)
    assert "prices per million tokens, and per unit\n" in done.stdout
    assert "anthropic/claude-sonnet-4-5" in done.stdout
    assert "above 200,000 input tokens" in done.stdout
    assert "prices: genai-prices/" in done.stderr


def test_prices_at_a_date_and_by_tier(work: Path) -> None:
    def price(*arguments: str) -> float:
        done = run_cli("prices", "show", *arguments, "--provider", "openai", "--json", cwd=work)
        (found,) = json.loads(done.stdout)["prices"]
        number: float = found["prices"]["input"]
        return number

    assert price("o3", "--at", "2025-01-01") == 10.0
    assert price("o3", "--at", "2026-11-01") == 2.0
    assert price("gpt-5", "--tier", "batch", "--at", "2026-11-01") == 0.625


def test_an_unknown_model_is_a_finding_with_its_neighbours(work: Path) -> None:
    done = run_cli("prices", "show", "gpt-4o-nonsense", cwd=work, code=1)
    assert done.stdout == ""
    assert "no price is known for 'gpt-4o-nonsense'" in done.stderr
    assert "openai/gpt-4o" in done.stderr


def test_prices_of_ones_own_go_first(work: Path) -> None:
    (work / "mine.toml").write_text('[models]\n"prod" = {same_as = "gpt-4o-mini", factor = 0.5}\n')
    arguments = ("prices", "show", "prod", "--provider", "azure.ai.openai", "--json")
    for more, env in ((("--prices", "mine.toml"), {}), ((), {"GENAI_OTEL_PRICES": "mine.toml"})):
        done = run_cli(*arguments, *more, cwd=work, env=env)
        (found,) = json.loads(done.stdout)["prices"]
        assert found["prices"]["input"] == pytest.approx(0.075)


def test_a_file_is_checked(work: Path) -> None:
    (work / "good.toml").write_text(
        '[models]\n"llama-*" = {free = true}\n"big" = {input = 1, output = 2, from = 2026-01-01}\n'
        '[billers]\n"*.example.com" = "openai"\n"far.example" = "opneai"\n'
    )
    checked = run_cli("prices", "check", "good.toml", cwd=work)
    shown = checked.stdout
    assert "\n*.example.com: billed by openai\n" in shown
    assert "unknown provider 'opneai'" in checked.stderr
    assert "'openai'" not in checked.stderr
    assert "llama-*: free" in shown
    assert "big: input 1, output 2 USD, from 2026-01-01 00:00Z" in shown
    assert f"2 prices: {PriceBook(str(work / 'good.toml')).version}\n" in shown  # as spans have it
    (work / "bad.toml").write_text('[models]\n"big" = {inptu = 1}\n')
    bad = run_cli("prices", "check", "bad.toml", cwd=work, code=2).stderr
    assert "bad.toml: models.\"big\": unknown key 'inptu'; expected one of above, " in bad
    assert "cannot be read" in run_cli("prices", "check", "none.toml", cwd=work, code=2).stderr
    assert "cannot be read" in run_cli(
        "prices", "show", "x", "--prices", "none.toml", cwd=work, code=2
    ).stderr  # fmt: skip


def test_what_nobody_counted_is_not_0(tmp_path: Path) -> None:
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    refused = {**call, "http.response.status_code": 429, "error.type": "RateLimitError"}
    unsent = {**call, "error.type": "genai_otel.BudgetExceeded"}
    with tracing(tmp_path / ".genai_otel") as tracer:
        for facts in (call, refused, unsent):
            tracer.start_span("chat m", attributes=facts).end()
    shown = run_cli("report", "cost", cwd=tmp_path).stdout
    total = next(line for line in shown.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "3", "-", "3", "1"]
    told = json.loads(run_cli("report", "cost", "--json", cwd=tmp_path).stdout)["total"]
    assert told["input_tokens"] is told["output_tokens"] is told["cached_tokens"] is None
    assert (told["calls"], told["uncounted"]) == (3, 1)

    with tracing(tmp_path / ".genai_otel") as tracer:
        tracer.start_span("chat m", attributes=chat()).end()
    told = json.loads(run_cli("report", "cost", "--json", cwd=tmp_path).stdout)["total"]
    assert (told["input_tokens"], told["output_tokens"], told["uncounted"]) == (1200, 95, 1)
