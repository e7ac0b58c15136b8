"""Evaluates arguments and settings before set-up; raises ``ValueError`` on bad values."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from genai_otel._settings import naming_the_variable
from genai_otel._support.errors import contained
from genai_otel._support.notices import NOTICES
from genai_otel.privacy import as_policy, loosest, preset
from genai_otel.privacy.policy import address_of
from genai_otel.recorder import Costs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel._settings import Settings
    from genai_otel.export.factory import ExportPipeline
    from genai_otel.privacy import ContentPolicy

logger = logging.getLogger("genai_otel")


def make_pipelines(settings: Settings, given: Any, *, joined: bool) -> list[ExportPipeline]:
    """Return the export pipelines; ``joined``: the host's own provider creates the spans."""
    from genai_otel.export.factory import make_pipeline
    from genai_otel.export.otel_environment import split_by_transport

    content, directory = own_policy(settings), settings.store_directory
    chosen = _destinations(settings, given, joined=joined)
    with naming_the_variable("destinations", settings.destinations if given is None else None):
        return [
            make_pipeline(part, content=content, directory=directory)
            for each in chosen
            for part in split_by_transport(each)
        ]


def _destinations(settings: Settings, given: Any, *, joined: bool) -> Sequence[Any]:
    if given is None:
        given = settings.destinations or None
    if given is not None:  # an empty list says nowhere
        return list(given) if isinstance(given, list | tuple) else [given]
    if joined:  # only what was asked for is added to somebody else's provider
        return []
    from genai_otel.export.otel_environment import defaults

    return defaults(otlp=settings.otlp_in_environment)


_OF_A_RESOURCE = {"service_name": "service.name", "environment": "deployment.environment.name"}


def say_what_is_ignored(settings: Settings, provider: Any, *, nowhere: bool) -> None:
    """Report settings that have no effect because the program's own provider creates the spans.

    ``nowhere``: no destination was given, so there is none.
    """
    found = getattr(getattr(provider, "resource", None), "attributes", {})
    for name, attribute in _OF_A_RESOURCE.items():
        given = getattr(settings, name)
        if given is not None and found.get(attribute) != given:
            NOTICES.add(
                f"{name}={given!r} is ignored: the program's own tracer provider creates the spans,"
                f" and its resource has {attribute}={found.get(attribute)!r}"
            )
    if nowhere:
        NOTICES.add(
            "spans are exported by the program's own tracer provider, and not to the local store:"
            ' set destinations="local" to export them there too',
            logging.INFO,
        )


def own_policy(settings: Settings) -> ContentPolicy:
    """Return the content policy that was set for the process."""
    given, base = settings.content, settings.upload_to
    policy = preset("redacted") if given is None else as_policy(given)
    if base is None or not policy.content or given is policy:
        return policy
    texts = "both" if settings.completion_hook == "upload" else "span"
    return replace(policy, media="upload", message_storage=texts, upload_to=address_of(base))


def recorded(
    settings: Settings, pipelines: Sequence[ExportPipeline], *, joined: bool
) -> ContentPolicy:
    """Return the policy to record by: as loose as that of the loosest destination.

    A provider of the host's may have other span processors, so there it is the process's policy.
    """
    own = own_policy(settings)
    if not pipelines:
        return own
    wanted = loosest([each.content for each in pipelines])
    if not joined:
        return wanted
    if loosest([own, wanted]) != own:
        logger.warning(
            "genai_otel: a destination allows more content than is recorded on the program's tracer"
            " provider; set instrument(content=...) if its other span processors may receive it"
        )
    return own


def costs(settings: Settings, prices: Any, budgets: Sequence[Any]) -> Costs:
    """Return prices and budgets. A price table given by the caller is loaded now, else later."""
    of_settings = settings.prices if prices is None else None
    prices = settings.prices if prices is None else prices
    book = ledger = tokenizers = None
    if prices != "off":
        from genai_otel.pricing.book import PriceBook

        with naming_the_variable("prices", of_settings):
            book = prices if isinstance(prices, PriceBook) else PriceBook(prices or ())
        book.load_if_read()
    if budgets:
        from genai_otel.budgets.budget import Budgets

        ledger = Budgets(tuple(budgets))
    if settings.estimate_usage:
        from genai_otel.tokens.tokenizers import Tokenizers

        tokenizers = Tokenizers(settings.tiktoken_cache_dir)
    made = Costs(book, ledger, tokenizers, contained)
    if prices or settings.serverless or any(budget.unit == "usd" for budget in budgets):
        made.prepare()  # loaded in time: a frozen process loads nothing
    return made
