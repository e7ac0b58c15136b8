"""``genai-otel report cost``: the cost of stored model calls, and the calls without a price."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from genai_otel.store.read.cost_report import GROUPS, Report, Sum

from .hints import Hints
from .layout import Column, Row, columns, draw, terminal_has_color, terminal_width
from .stores import add_store_options, moment, open_store, positive, print_note, print_read_notes
from .styled import Text
from .text import one_line, sums

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MAX_STATUS_ROWS = 20
_REASONS = {
    "estimated_usage": "cost of estimated usage, included in the total",
    "failed": "the call failed and reported no usage",
    "free": "declared free in the prices",
    "no_usage": "the provider reported no usage",
    "not_recorded": "recorded without prices",
    "not_ready": "the price table was not loaded yet",
    "override_failed": "the custom price function failed",
    "unknown_biller": "no biller is known for the host or provider",
    "unknown_model": "no price for this model name",
    "unknown_price": "no price for this tier, date, token type or charge",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_print_help(parser))
    actions = parser.add_subparsers(title="reports", metavar="REPORT")
    cost = actions.add_parser(
        "cost", help="the cost of model calls by group, and the calls without a price"
    )
    cost.add_argument(
        "--by", choices=tuple(GROUPS), default="model", help="group by (default: model)"
    )
    cost.add_argument("--top", type=positive, metavar="N", help="only the N most expensive groups")
    cost.add_argument(
        "--since",
        type=moment,
        metavar="TIME",
        help="only calls since: 24h, 7d, or a date such as 2026-01-31",
    )
    add_store_options(cost)
    cost.set_defaults(run=show_cost, dir=None, json=False)


def _print_help(parser: argparse.ArgumentParser) -> Any:
    def run(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return run


def show_cost(options: argparse.Namespace) -> int:
    reader = open_store(options.dir)
    report, gaps = Report(options.by, since=options.since), Hints()
    for span in reader.spans(containing="gen_ai.operation.name"):
        report.add(span)
        gaps.add(span)
    if options.json:
        print(json.dumps(_as_json(report, options.top), indent=1))  # noqa: T201
    elif report.total.calls:
        _draw(report, options.top)
        for hint in gaps:
            print_note(hint)
    else:
        print_note("no model calls" + (" since then" if options.since else " yet"))
    if report.repeats and not options.json:
        print_note("a call with several tags is counted for each of them, and once in the total")
    print_read_notes(reader)
    return 0


def _draw(report: Report, top: int | None) -> None:
    heads = (
        Column(report.by, least=16),
        *(Column(title, right=True) for title in ("calls", "input", "cached", "output")),
        Column("cost", right=True),
        Column("share", right=True),
        Column("unpriced", right=True),
        Column("uncounted", right=True),
    )
    rows = [Row(_cells(name, each, report.total)) for name, each in report.ranked(top)]
    rows.append(Row(_cells("total", report.total, report.total, style="bold")))
    width, color = terminal_width(), terminal_has_color()
    sys.stdout.write(draw(columns(heads, rows, width), width=width, color=color))
    if report.reasons:
        sys.stdout.write("\n")
        sys.stdout.write(draw(_reasons(report, width), width=width, color=color))


def _reasons(report: Report, width: int | None) -> list[Any]:
    heads = (
        Column("cost status", least=16),
        Column("model", least=12),
        *(Column(title, right=True) for title in ("calls", "input", "output")),
        Column("reason", least=16),
    )
    known = sorted(report.reasons.items(), key=lambda item: -item[1].calls)
    rows = [
        Row(
            [
                Text(one_line(status)[:60], "yellow"),
                Text(one_line(model)[:100], "cyan"),
                *map(_count, (each.calls, each.input_tokens, each.output_tokens)),
                Text(_REASONS.get(status, "")),
            ]
        )
        for (status, model), each in known[:_MAX_STATUS_ROWS]
    ]
    if len(known) > _MAX_STATUS_ROWS:
        print_note(f"{len(known) - _MAX_STATUS_ROWS:,} more rows are not shown; --json prints all")
    return columns(heads, rows, width)


def _cells(name: str, row: Sum, total: Sum, style: str = "") -> Sequence[Text]:
    share = row.share(total)
    return (
        Text(one_line(name)[:100], style or "cyan"),
        Text(f"{row.calls:,}"),
        _count(row.input_tokens),
        Text(f"{row.cached_tokens:,}" if row.cached_tokens else ""),
        _count(row.output_tokens),
        Text(sums(row.cost) or "-", "bold"),
        Text("" if share is None else f"{share:.1%}"),
        Text(f"{row.unpriced:,}" if row.unpriced else "", "yellow"),
        Text(f"{row.uncounted:,}" if row.uncounted else "", "yellow"),
    )


def _count(tokens: int | None) -> Text:
    """Empty if unknown, which is not 0."""
    return Text("" if tokens is None else f"{tokens:,}")


def _as_json(report: Report, top: int | None) -> dict[str, Any]:
    return {
        "by": report.by,
        "since": report.since,
        "groups": [
            {"name": name, **each.plain(), "share": each.share(report.total)}
            for name, each in report.ranked(top)
        ],
        "total": report.total.plain(),
        "reasons": [
            {"status": status, "model": model, **each.plain()}
            for (status, model), each in report.reasons.items()
        ],
    }
