"""``genai-otel traces``: list the traces of the local store, or show one as a tree."""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from dataclasses import asdict
from fnmatch import fnmatchcase as fnmatch
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import CommandError
from .content import passages
from .hints import hints
from .layout import Column, Row, columns, draw, terminal_has_color, terminal_width
from .probe import SERVICE as PROBE
from .stores import add_store_options, moment, open_store, positive, print_note, print_read_notes
from .styled import Text
from .text import duration, local_time, one_line, sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from genai_otel.store.read.reader import StoreReader
    from genai_otel.store.read.traces import TraceSummary

_LIMIT = 20
_SHORTEST_ID = 8
_SECOND = 1_000_000_000
# Text filters of the list.
_TEXTS: dict[str, Callable[[TraceSummary], Iterable[str]]] = {
    "name": lambda summary: [summary.name, summary.own_name],
    "service": lambda summary: [summary.service],
    "model": lambda summary: summary.models,
    "session": lambda summary: summary.sessions,
    "user": lambda summary: summary.users,
    "tag": lambda summary: summary.tags,
}
_HELP = {"name": "root span with this name, with or without its operation name"}
_HEADS = (
    Column("started"),
    Column("trace"),
    Column("name", least=16),
    Column("service", least=8),
    Column("spans", right=True),
    Column("models", least=12),
    Column("tokens", right=True),
    Column("cost", right=True),
    Column("duration", right=True),
    Column("status"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """``list`` is the default action; options may precede or follow the action."""
    parser.set_defaults(run=show_list, dir=None, limit=_LIMIT, json=False)
    _add_list_options(parser)
    parser.usage = "%(prog)s [options] [ACTION ...]"  # argparse shows the action as required
    actions = parser.add_subparsers(title="actions", metavar="ACTION", prog=parser.prog)
    listing = actions.add_parser("list", help="list traces, newest first (default)")
    _add_list_options(listing)
    listing.set_defaults(run=show_list)
    showing = actions.add_parser("show", help="show one trace as a tree")
    add_store_options(showing)
    showing.add_argument(
        "id",
        nargs="?",
        default="last",
        metavar="ID",
        help='trace id, or its beginning (default: "last", the newest)',
    )
    showing.add_argument("--content", action="store_true", help="show messages too, shortened")
    showing.set_defaults(run=show_one)


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    add_store_options(parser)
    quiet: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--limit", type=positive, metavar="N", help=f"number of traces (default: {_LIMIT})", **quiet
    )
    only = parser.add_argument_group("filters (TEXT may contain * and ?)")
    only.add_argument(
        "--since", type=moment, metavar="TIME", help="started since: 24h, 7d or 2026-01-31", **quiet
    )
    for name in _TEXTS:
        only.add_argument(
            f"--{name}", metavar="TEXT", help=_HELP.get(name, f"with this {name}"), **quiet
        )
    only.add_argument("--status", choices=("ok", "error"), help="with or without an error", **quiet)
    only.add_argument(
        "--min-duration", type=float, metavar="SECONDS", help="at least this long", **quiet
    )
    only.add_argument(
        "--min-cost", type=float, metavar="USD", help="at least this expensive", **quiet
    )


def show_list(options: argparse.Namespace) -> int:
    reader = open_store(options.dir)
    stored = reader.summaries()
    found = [summary for summary in stored if _matches(summary, vars(options))]
    shown = found[: options.limit]
    if options.json:
        print(json.dumps([_summary_json(summary) for summary in shown], indent=1))  # noqa: T201
    elif shown:
        sys.stdout.write(_listing(shown, _id_length([summary.trace_id for summary in found])))
    else:
        print_note(
            f"none of {len(stored):,} traces matches the filters" if stored else "no traces yet"
        )
    if len(shown) < len(found):
        print_note(f"{len(found) - len(shown):,} older traces are not shown; see --limit")
    print_read_notes(reader)
    return 0


def _matches(summary: TraceSummary, wanted: dict[str, Any]) -> bool:
    if "status" in wanted and (wanted["status"] == "error") != bool(summary.errors):
        return False
    least = {
        "since": summary.start_ns / _SECOND,
        "min_duration": summary.duration_ns / _SECOND,
        "min_cost": summary.cost.get("USD", 0.0),
    }
    return all(value >= wanted[name] for name, value in least.items() if name in wanted) and all(
        any(fnmatch(value.lower(), wanted[name].lower()) for value in values(summary))
        for name, values in _TEXTS.items()
        if name in wanted
    )


def show_one(options: argparse.Namespace) -> int:
    reader = open_store(options.dir)
    trace = reader.trace(_find(reader, options.id))
    if options.json:
        text = json.dumps(_plain(asdict(trace)), indent=1, allow_nan=False)
        print(text)  # noqa: T201
    else:
        from .tree import render_tree

        sys.stdout.write(render_tree(trace, content=options.content))
        if options.content and not any(True for span in trace.spans for _ in passages(span)):
            print_note("no content was recorded in this trace: see docs/privacy.md")
        for hint in hints(trace.spans):
            print_note(hint)
    print_read_notes(reader)
    return 0


def _find(reader: StoreReader, wanted: str) -> str:
    """The id that begins with ``wanted``, or the newest for "last"."""
    summaries = reader.summaries()
    ids = [summary.trace_id for summary in summaries]
    if not ids:
        raise CommandError("the store has no traces yet")
    if wanted == "last":
        programs = (each for each in summaries if each.service != PROBE)
        return next(programs, summaries[0]).trace_id
    prefix = wanted.lower()
    matching = [trace_id for trace_id in ids if trace_id.startswith(prefix)]
    if not prefix or len(matching) > 1:
        length = _id_length(ids)
        some = ", ".join(trace_id[:length] for trace_id in (matching or ids)[:5])
        raise CommandError(f"{len(matching)} traces begin with {wanted!r}: {some} ...")
    if not matching:
        raise CommandError(f"no trace begins with {wanted!r}; `genai-otel traces` lists them")
    return matching[0]


def _id_length(ids: Sequence[str]) -> int:
    """The length at which the beginnings of all ids differ."""
    ordered = sorted(set(ids))
    common = (_common(a, b) + 1 for a, b in pairwise(ordered))
    return max([_SHORTEST_ID, *common])


def _common(a: str, b: str) -> int:
    return next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), len(a))


def _listing(shown: Sequence[TraceSummary], id_length: int) -> str:
    width = terminal_width()
    rows = [Row(_cells(summary, id_length)) for summary in shown]
    return draw(columns(_HEADS, rows, width), width=width, color=terminal_has_color())


def _cells(summary: TraceSummary, id_length: int) -> tuple[Text, ...]:
    from .tree import PARTIAL, tokens_text

    partial = PARTIAL if summary.cost and summary.unpriced else ""
    return (
        Text(local_time(summary.start_ns)),
        Text(summary.trace_id[:id_length], "yellow"),
        Text(one_line(summary.name)[:100], "bold"),
        Text(one_line(summary.service)[:60]),
        Text(f"{summary.spans:,}"),
        Text(", ".join(one_line(model)[:60] for model in summary.models), "cyan"),
        Text(tokens_text(summary.input_tokens, summary.output_tokens, summary.uncounted)),
        Text(sums(summary.cost) + partial),
        Text(duration(summary.duration_ns)),
        _status(summary),
    )


def _status(summary: TraceSummary) -> Text:
    if summary.root_failed:
        return Text("error", "red")
    if summary.errors:
        return Text(f"{summary.errors:,} failed", "yellow")
    if summary.cancelled:
        return Text("cancelled", "yellow")
    return Text("incomplete", "yellow") if summary.incomplete else Text("ok", "green")


def _summary_json(summary: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": summary.trace_id,
        "name": summary.name,
        "service": summary.service,
        "start_ns": summary.start_ns,
        "duration_ns": summary.duration_ns,
        "spans": summary.spans,
        "errors": summary.errors,
        "incomplete": summary.incomplete,
        "models": summary.models,
        "input_tokens": summary.input_tokens,
        "output_tokens": summary.output_tokens,
        "uncounted_calls": summary.uncounted,
        "cost": summary.cost,
        "unpriced_calls": summary.unpriced,
        "sessions": sorted(summary.sessions),
        "users": sorted(summary.users),
        "tags": sorted(summary.tags),
        "status": "error" if summary.root_failed else "ok",
    }


def _plain(value: Any) -> Any:
    """Values without a JSON form, as the strings that OTLP-JSON defines."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
