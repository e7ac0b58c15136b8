"""What would complete the figures of stored calls: the very lines to write or set."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.pricing.billers import biller_of_provider
from genai_otel.pricing.book import PriceBook
from genai_otel.pricing.resolver import Call

from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from genai_otel.store.read.decoder import StoredSpan

_KEPT = 3
"""Hosts, and models, that are told of in each kind of hint."""
_MODELS_KEPT = 6
_STREAMED = frozenset({"chat", "text_completion"})
# Those whose models others serve, too: what they ask for them themselves is a list price.
_MAKERS = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "cohere", "x-ai", "moonshotai"),
    *("perplexity", "zai"),
)


def hints(spans: Iterable[StoredSpan]) -> list[str]:
    """One for each gap and host or model, of which there are at most three for each gap."""
    collected = Hints()
    for span in spans:
        collected.add(span)
    return list(collected)


class Hints:
    """Gathers what is missing, a span at a time."""

    def __init__(self) -> None:
        self._unbilled: dict[str, dict[str, str]] = {}
        """By host: its models, and the biller whose client has asked for each."""
        self._unknown: dict[str, str] = {}
        """Models that a known biller has no price for, and that biller."""
        self._uncounted: set[str] = set()

    def add(self, span: StoredSpan) -> None:
        facts = span.attributes
        host, status = _text(facts, names.SERVER_ADDRESS), facts.get(names.GENAI_OTEL_COST_STATUS)
        model = _text(facts, names.GEN_AI_REQUEST_MODEL) or "MODEL"
        biller = biller_of_provider(_text(facts, names.GEN_AI_PROVIDER_NAME)) or "openai"
        if status == "unknown_model" and len(self._unknown) < _KEPT:
            self._unknown.setdefault(model, biller)
        if host is None:
            return
        if status == "unknown_biller" and (host in self._unbilled or len(self._unbilled) < _KEPT):
            models = self._unbilled.setdefault(host, {})
            if len(models) < _MODELS_KEPT:
                models.setdefault(model, biller)
        if _is_uncounted_stream(span) and len(self._uncounted) < _KEPT:
            self._uncounted.add(host)

    def __iter__(self) -> Iterator[str]:
        for host, models in self._unbilled.items():
            one = len({*models.values()}) == 1
            yield _one_biller(host, models) if one else _several(host, models)
        for model, biller in self._unknown.items():
            yield _without_price(model, biller)
        for host in sorted(self._uncounted):
            yield (
                f"streams from {host} came without token counts; most servers send them on"
                ' request: pass stream_options={"include_usage": True} (stream_usage=True to'
                " LangChain's ChatOpenAI), or set"
                f" GENAI_OTEL_REQUEST_STREAM_USAGE={host} to have it asked for"
            )


def _one_biller(host: str, models: Mapping[str, str]) -> str:
    model, biller = next(iter(models.items()))
    return (
        f"calls to {host} have no price, as nobody is known to bill them; say who does in"
        " a file that GENAI_OTEL_PRICES names:\n"
        f'  [billers]\n  {_quoted(host)} = "{biller}"\n'
        "or, if the model is your own, that it costs nothing:\n"
        f"  [models.{_quoted(model)}]\n  free = true"
    )


def _several(host: str, models: Mapping[str, str]) -> str:
    """A host has one biller: where it passes calls on to several, the models say whose they are."""
    lines = "\n".join(
        f"  [models.{_quoted(model)}]\n"
        f"  same_as = {_quoted(_listed(model, biller) or f'{biller}/{model}')}"
        for model, biller in models.items()
    )
    return (
        f"calls to {host} have no price, as nobody is known to bill them, and models of several"
        " providers are called there; say in a file that GENAI_OTEL_PRICES names what each costs"
        f" (or `free = true`):\n{lines}"
    )


def _without_price(model: str, biller: str) -> str:
    """What a price list may call it otherwise, or else what there is to fill in."""
    listed = _listed(model, biller)
    if listed is None:
        lines = "  input =   # dollars for a million tokens\n  output ="
        other = (
            "; a newer release of genai-prices may know it, `genai-otel prices show` tells what"
            ' this one knows, and `same_as = "PROVIDER/MODEL"` names one of those'
        )
    else:
        lines, other = f"  same_as = {_quoted(listed)}", ""
    return (
        f"no price is known for {model}; say in a file that GENAI_OTEL_PRICES names what it"
        f" costs{other}:\n  [models.{_quoted(model)}]\n{lines}"
    )


def _quoted(name: str) -> str:
    """As TOML has it, which unlike JSON takes no halves of a character."""
    return json.dumps(name, ensure_ascii=False)


def _listed(model: str, biller: str) -> str | None:
    """The model in the price table, by its name alone, whoever makes it."""
    book, name = _book(), model.rpartition("/")[2]
    for maker in dict.fromkeys((biller, *_MAKERS)):
        call = Call(provider=maker, model=name)
        if book.quotes(call)[0]:
            return f"{maker}/{name}"
    return None


@cache
def _book() -> PriceBook:
    book = PriceBook()
    book.load()
    return book


def _is_uncounted_stream(span: StoredSpan) -> bool:
    """Whether a stream that was read to its end had no token counts."""
    facts = span.attributes
    return (
        facts.get(names.GEN_AI_REQUEST_STREAM) is True
        and facts.get(names.GEN_AI_OPERATION_NAME) in _STREAMED
        and facts.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is not False
        and not span.failed
        and (
            names.GEN_AI_USAGE_OUTPUT_TOKENS not in facts
            or names.GENAI_OTEL_USAGE_ESTIMATED in facts
        )
    )


def _text(facts: dict[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return one_line(value) if isinstance(value, str) and value else None
