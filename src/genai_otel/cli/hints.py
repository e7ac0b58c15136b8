"""Hints about missing prices and usage of stored calls, with the configuration to add."""

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

# The maximum number of hosts or models for each kind of hint.
_MAX_HINTS = 3
_MAX_MODELS = 6
_STREAMED = frozenset({"chat", "text_completion"})
# Providers whose models other providers serve too; their own prices are list prices.
_MAKERS = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "cohere", "x-ai", "moonshotai"),
    *("perplexity", "zai"),
)


def hints(spans: Iterable[StoredSpan]) -> list[str]:
    """One hint for each kind of gap and host or model, at most three of each kind."""
    collected = Hints()
    for span in spans:
        collected.add(span)
    return list(collected)


class Hints:
    """Collects missing prices and usage, span by span."""

    def __init__(self) -> None:
        # By host: its models, and the provider of the client that called each.
        self._unbilled: dict[str, dict[str, str]] = {}
        # Models without a price, and their biller.
        self._unknown: dict[str, str] = {}
        self._uncounted: set[str] = set()

    def add(self, span: StoredSpan) -> None:
        facts = span.attributes
        host, status = _text(facts, names.SERVER_ADDRESS), facts.get(names.GENAI_OTEL_COST_STATUS)
        model = _text(facts, names.GEN_AI_REQUEST_MODEL) or "MODEL"
        biller = biller_of_provider(_text(facts, names.GEN_AI_PROVIDER_NAME)) or "openai"
        if status == "unknown_model" and len(self._unknown) < _MAX_HINTS:
            self._unknown.setdefault(model, biller)
        if host is None:
            return
        if status == "unknown_biller" and (
            host in self._unbilled or len(self._unbilled) < _MAX_HINTS
        ):
            models = self._unbilled.setdefault(host, {})
            if len(models) < _MAX_MODELS:
                models.setdefault(model, biller)
        if _is_uncounted_stream(span) and len(self._uncounted) < _MAX_HINTS:
            self._uncounted.add(host)

    def __iter__(self) -> Iterator[str]:
        for host, models in self._unbilled.items():
            one = len({*models.values()}) == 1
            yield _one_biller(host, models) if one else _several(host, models)
        for model, biller in self._unknown.items():
            yield _without_price(model, biller)
        for host in sorted(self._uncounted):
            yield (
                f"streams from {host} reported no token usage; most servers report it on request:"
                ' pass stream_options={"include_usage": True} (stream_usage=True for LangChain\'s'
                f" ChatOpenAI), or set GENAI_OTEL_REQUEST_STREAM_USAGE={host} to request it"
                " automatically"
            )


def _one_biller(host: str, models: Mapping[str, str]) -> str:
    model, biller = next(iter(models.items()))
    return (
        f"calls to {host} have no price, because their biller is unknown; set it in the file that"
        " GENAI_OTEL_PRICES names:\n"
        f'  [billers]\n  {_quoted(host)} = "{biller}"\n'
        "or, if you host the model yourself, declare it free:\n"
        f"  [models.{_quoted(model)}]\n  free = true"
    )


def _several(host: str, models: Mapping[str, str]) -> str:
    """A host has one biller; for a gateway to several providers, set the price of each model."""
    lines = "\n".join(
        f"  [models.{_quoted(model)}]\n"
        f"  same_as = {_quoted(_listed(model, biller) or f'{biller}/{model}')}"
        for model, biller in models.items()
    )
    return (
        f"calls to {host} have no price, because their biller is unknown, and the host serves"
        " models of several providers; set the price of each model in the file that"
        f" GENAI_OTEL_PRICES names (or `free = true`):\n{lines}"
    )


def _without_price(model: str, biller: str) -> str:
    """Suggest a similar name of the price table, or a template to fill in."""
    listed = _listed(model, biller)
    if listed is None:
        lines = "  input =   # USD per million tokens\n  output ="
        other = (
            "; a newer release of genai-prices may have it, `genai-otel prices show` shows what the"
            ' installed release has, and `same_as = "PROVIDER/MODEL"` refers to one of its models'
        )
    else:
        lines, other = f"  same_as = {_quoted(listed)}", ""
    return (
        f"no price is known for {model}; set it in the file that GENAI_OTEL_PRICES names{other}:\n"
        f"  [models.{_quoted(model)}]\n{lines}"
    )


def _quoted(name: str) -> str:
    """As a TOML string, in which, unlike in JSON, surrogate escapes are invalid."""
    return json.dumps(name, ensure_ascii=False)


def _listed(model: str, biller: str) -> str | None:
    """The model in the price table, by its name without the provider."""
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
    """Whether a complete stream reported no token usage."""
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
