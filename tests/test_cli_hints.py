"""What is printed of calls without a price: pasted into a file, it prices them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from genai_otel.cli.hints import hints
from genai_otel.pricing.book import PriceBook
from genai_otel.record import Usage
from genai_otel.store.read.decoder import StoredSpan
from tests.stored import chat

AT = 1_796_000_000.0
GATEWAY = "gw.example.com"
Asked = tuple[str | None, str, str]
"""Host, provider, model."""


def span(asked: Asked, status: str) -> StoredSpan:
    host, provider, model = asked
    facts = chat(model, gen_ai__provider__name=provider, genai_otel__cost__status=status)
    facts |= {} if host is None else {"server.address": host}
    return StoredSpan("1", "2", attributes=facts)


def loaded(overrides: Any = ()) -> PriceBook:
    book = PriceBook(overrides)
    book.load()
    return book


def priced(book: PriceBook, asked: Asked) -> str:
    host, provider, model = asked
    usage = Usage()
    usage.input, usage.output = 1000, 10
    return book.price(usage, provider=provider, model=model, host=host, at=AT).status


CASES: dict[str, list[Asked]] = {
    "a gateway to one": [(GATEWAY, "openai", "gpt-4o"), (GATEWAY, "openai", "gpt-5")],
    "a gateway to two": [
        (GATEWAY, "openai", "gpt-4o"), (GATEWAY, "anthropic", "claude-sonnet-4-5"),
    ],
    "a model by another name": [("api.openai.com", "openai", "anthropic/claude-sonnet-4-5")],
    "a deployment": [("me.openai.azure.com", "azure.ai.openai", "gpt-4o")],
    "no host": [(None, "together_ai", "someone/gpt-4o")],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_pasted_prices_the_calls(case: str) -> None:
    book, calls = loaded(), CASES[case]
    said = hints([span(asked, priced(book, asked)) for asked in calls])
    assert len(said) == 1
    lines = said[0].split("\nor, if")[0].splitlines()
    pasted = tomllib.loads("\n".join(line for line in lines if line.startswith("  ")))
    mended = loaded(pasted)
    assert [priced(mended, asked) for asked in calls] == ["priced"] * len(calls)


def test_a_model_that_is_still_unknown_after_its_host_is() -> None:
    asked = (GATEWAY, "openai", "mistral-medium-2508")
    book = loaded({"billers": {GATEWAY: "openai"}})
    assert priced(book, asked) == "unknown_model"
    (said,) = hints([span(asked, "unknown_model")])
    pasted = tomllib.loads(re.sub("(?m)^[^ ].*", "", said))
    assert priced(loaded({"billers": {GATEWAY: "openai"}, **pasted}), asked) == "priced"


def test_a_model_that_nobody_knows_has_lines_to_fill_in() -> None:
    (said,) = hints([span(("api.openai.com", "openai", "gpt-99"), "unknown_model")])
    assert '[models."gpt-99"]\n  input = ' in said
    with pytest.raises(tomllib.TOMLDecodeError):  # not a price before somebody has said it
        tomllib.loads("\n".join(line for line in said.splitlines() if line.startswith("  ")))


def test_a_name_may_have_any_letters() -> None:
    name = "größe-\N{GRINNING FACE}"
    (said,) = hints([span((GATEWAY, "openai", name), "unknown_biller")])
    pasted = tomllib.loads(re.sub("(?m)^[^ ].*", "", said))
    assert pasted["models"] == {name: {"free": True}}


def test_there_are_few() -> None:
    many = [span((f"h{i}.example", "openai", f"m{i}"), "unknown_biller") for i in range(9)]
    more = [span(("api.openai.com", "openai", f"m{i}"), "unknown_model") for i in range(9)]
    assert len(hints([*many, *more])) == 6
