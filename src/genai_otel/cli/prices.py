"""``genai-otel prices``: show the prices of a model, or validate a file of prices."""

from __future__ import annotations

import json
import sys
import time
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel._settings import Settings
from genai_otel.pricing.book import PriceBook
from genai_otel.pricing.overrides import ITSELF
from genai_otel.pricing.overrides_file import read_prices
from genai_otel.pricing.price_list import version_of
from genai_otel.pricing.rates import TOKENS, UNITS, Rates
from genai_otel.pricing.resolver import Call, Quote

from . import CommandError
from .layout import Column, Row, columns, draw, terminal_has_color, terminal_width
from .stores import moment, print_note
from .styled import Text
from .text import counted, one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from genai_otel.pricing.overrides import Entry

_MAX_SIMILAR = 5
_MAX_ENTRIES = 50


class Found(NamedTuple):
    """Prices that apply; ``rates`` is ``None`` if the model is free."""

    quote: Quote
    rates: Rates | None


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="show the prices of a model")
    show.add_argument("model", metavar="MODEL")
    show.add_argument(
        "--provider", metavar="NAME", help="only this provider, such as openai or aws.bedrock"
    )
    show.add_argument(
        "--at", type=moment, metavar="DATE", help="prices at this date (default: now)"
    )
    show.add_argument("--tier", help="prices of this service tier, such as batch or flex")
    show.add_argument(
        "--prices", metavar="FILE", help="file of custom prices, which take precedence"
    )
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=show_prices)
    check = actions.add_parser("check", help="validate a file of prices, and list its contents")
    check.add_argument("file", metavar="FILE")
    check.set_defaults(run=check_file)


def show_prices(options: argparse.Namespace) -> int:
    book = _book(options.prices)
    at = time.time() if options.at is None else options.at
    found = list(_found(book, options, at))
    if options.json:
        answer = {"version": book.version, "prices": [_as_json(each) for each in found]}
        print(json.dumps(answer, indent=1))  # noqa: T201 - the output of a command
    elif found:
        _draw_prices(found)
        print_note(f"prices: {book.version}")
    if found:
        return 0
    tier = f" in tier {one_line(options.tier)!r}" if options.tier else ""
    similar = _similar(book, options.model)
    print_note(f"no price is known for {one_line(options.model)!r}{tier}")
    print_note(f"similar names: {', '.join(similar)}" if similar else "no similar name is known")
    return 1


def _book(file: str | None) -> PriceBook:
    """The price book with this file, or else with the file of the settings."""
    try:
        file = file or Settings.from_environment().prices
        book = PriceBook(() if file in {None, "off"} else file)
    except ValueError as error:
        raise CommandError(one_line(str(error))) from None
    book.load()
    if book.problem:
        print_note(book.problem)
    return book


def _found(book: PriceBook, options: argparse.Namespace, at: float) -> Iterator[Found]:
    """The prices that apply at ``at``, of the given provider or of each."""
    billers = dict.fromkeys(biller for biller, _ in book.ids())
    seen = set()
    for provider in [options.provider] if options.provider else [None, *billers]:
        call = Call(provider, options.model, tier=options.tier)
        for quote in book.quotes(call)[0]:
            since, until = quote.window
            rates = quote.at(at)
            priced = quote.prices is None or rates is not None
            if since <= at < until and priced:
                if quote.matched not in seen:
                    seen.add(quote.matched)
                    yield Found(quote, rates)
                break


def _similar(book: PriceBook, model: str) -> list[str]:
    known = {name.lower(): f"{biller}/{name}" for biller, name in book.ids()}
    wanted = model.strip().lower()
    begins = max((name for name in known if wanted.startswith(name)), key=len, default=None)
    near = get_close_matches(wanted, known, n=_MAX_SIMILAR, cutoff=0.5)
    names = dict.fromkeys(([] if begins is None else [begins]) + near)
    return [known[name] for name in names]


def _draw_prices(found: Sequence[Found]) -> None:
    kinds = (*TOKENS, *UNITS)
    heads = (
        Column("model", least=16),
        Column("currency"),
        *(Column(kind.replace("_", " "), right=True) for kind in kinds),
    )
    rows = []
    for each in found:
        for name, prices in _lines(each):
            cells = [Text(one_line(name)[:100], "cyan"), Text(each.quote.currency)]
            cells += [Text(_price_text(prices.get(kind))) for kind in kinds]
            rows.append(Row(cells))
    width = terminal_width()
    print("prices per million tokens, and per unit\n")  # noqa: T201 - the output of a command
    sys.stdout.write(draw(columns(heads, rows, width), width=width, color=terminal_has_color()))


def _lines(found: Found) -> Iterator[tuple[str, dict[str, float]]]:
    """The prices, and one line for each input length above which others apply."""
    if found.rates is None:
        yield f"{found.quote.matched} (free)", {}
        return
    rates, factor = found.rates, found.quote.factor
    units = {unit: getattr(rates, unit) for unit in UNITS}
    yield (
        found.quote.matched,
        {
            kind: price * factor
            for kind, price in (*rates.tokens.items(), *units.items())
            if price is not None
        },
    )
    for limit in sorted({limit for steps in rates.steps.values() for limit, _ in steps}):
        prices = {
            kind: price * factor
            for kind, steps in rates.steps.items()
            for above, price in steps
            if above == limit
        }
        yield f"  above {limit:,} input tokens", prices


def _price_text(price: float | None) -> str:
    return "" if price is None else f"{price:.6g}"


def _as_json(found: Found) -> dict[str, Any]:
    (_, prices), *above = _lines(found)
    return {
        "matched": found.quote.matched,
        "currency": found.quote.currency,
        "free": found.rates is None,
        "prices": prices,
        "long_context": {name.strip(): each for name, each in above},
    }


def check_file(options: argparse.Namespace) -> int:
    try:
        book = read_prices(options.file)
    except ValueError as error:
        raise CommandError(one_line(str(error))) from None
    entries = list(book.all())
    lines = [f"{entry.model}: {_entry_text(entry)}" for entry in entries[:_MAX_ENTRIES]]
    billers = [biller for _, biller in book.billers]
    lines += [
        f"{host}: billed by {biller}" for host, biller in zip(book.hosts, billers, strict=True)
    ]
    if len(entries) > _MAX_ENTRIES:
        lines.append(f"... and {len(entries) - _MAX_ENTRIES:,} more")
    lines.append(f"{counted(len(entries), 'price')}: {version_of([book])}")
    print("\n".join(one_line(line) for line in lines))  # noqa: T201 - the output of a command
    for name in _unknown(billers):
        print_note(f"unknown provider {one_line(name)!r}: only prices of this file apply to it")
    return 0


def _unknown(billers: Sequence[str]) -> list[str]:
    """The billers that the bundled price table does not have; they may be misspelled."""
    listed = PriceBook()
    listed.load()
    known = {biller for biller, _ in listed.ids()}
    return [name for name in dict.fromkeys(billers) if known and name not in known]


def _entry_text(entry: Entry) -> str:
    """An entry in one line."""
    if entry.same_as == ITSELF:
        text = f"its listed price times {entry.factor:g}"
    elif entry.same_as is not None:
        text = f"same as {entry.same_as}" + (f" times {entry.factor:g}" * (entry.factor != 1))
    elif entry.rates is None:
        text = "free"
    else:
        units = {unit: getattr(entry.rates, unit) for unit in UNITS}
        known = {**entry.rates.tokens, **units}
        text = ", ".join(f"{k} {v:g}" for k, v in known.items() if v is not None)
        text += f" {entry.currency}"
    for name in ("provider", "region", "tier"):
        value = getattr(entry, name)
        text += f", {name} {value}" if value else ""
    return text + _window_text(entry)


def _window_text(entry: Entry) -> str:
    from datetime import UTC, datetime
    from math import isfinite

    return "".join(
        f", {label} {datetime.fromtimestamp(edge, tz=UTC):%Y-%m-%d %H:%M}Z"
        for label, edge in zip(("from", "until"), entry.window, strict=True)
        if isfinite(edge)
    )
