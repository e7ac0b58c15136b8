"""``genai-otel traces``: the local store's traces as a list, or one of them as a tree."""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import Refusal
from .layout import Column, Row, columns, draw, terminal_has_color, terminal_width
from .stores import add_store_options, open_store, positive, tell, tell_notes
from .styled import Text
from .text import duration, local_time, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genai_otel.store.reading import StoreReader
    from genai_otel.store.traces import TraceSummary

_LIMIT = 20
_SHORTEST_ID = 8
_HEADS = (
    Column("started"),
    Column("trace"),
    Column("name", least=16),
    Column("service", least=8),
    Column("spans", right=True),
    Column("models", least=12),
    Column("tokens", right=True),
    Column("duration", right=True),
    Column("status"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """``traces`` alone lists; options may stand before or after ``list`` and ``show``."""
    parser.set_defaults(run=show_list, dir=None, limit=_LIMIT, json=False)
    _add_list_options(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="newest first (the default)")
    _add_list_options(listing)
    listing.set_defaults(run=show_list)
    showing = actions.add_parser("show", help="one trace as a tree")
    add_store_options(showing)
    showing.add_argument(
        "id", nargs="?", default="last", metavar="ID", help='beginning of a trace id, or "last"'
    )
    showing.add_argument("--content", action="store_true", help="with messages, shortened")
    showing.set_defaults(run=show_one)


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    add_store_options(parser)
    parser.add_argument(
        "--limit", type=positive, default=argparse.SUPPRESS, help=f"how many at most ({_LIMIT})"
    )


def show_list(options: argparse.Namespace) -> int:
    reader = open_store(options.dir)
    known = reader.summaries()
    shown = known[: options.limit]
    if options.json:
        print(json.dumps([_summary_json(summary) for summary in shown], indent=1))  # noqa: T201
    elif shown:
        sys.stdout.write(_listing(shown, _id_length([summary.trace_id for summary in known])))
    else:
        tell("no traces yet")
    if len(shown) < len(known):
        tell(f"{len(known) - len(shown):,} older traces not shown; see --limit")
    tell_notes(reader)
    return 0


def show_one(options: argparse.Namespace) -> int:
    reader = open_store(options.dir)
    trace = reader.trace(_find(reader, options.id))
    if options.json:
        text = json.dumps(_plain(asdict(trace)), indent=1, allow_nan=False)
        print(text)  # noqa: T201
    else:
        from .tree import render_tree

        sys.stdout.write(render_tree(trace, content=options.content))
    tell_notes(reader)
    return 0


def _find(reader: StoreReader, wanted: str) -> str:
    """The whole id for a beginning of one, or for "last"."""
    ids = [summary.trace_id for summary in reader.summaries()]
    if not ids:
        raise Refusal("the store has no traces yet")
    if wanted == "last":
        return ids[0]
    prefix = wanted.lower()
    matching = [trace_id for trace_id in ids if trace_id.startswith(prefix)]
    if not prefix or len(matching) > 1:
        length = _id_length(ids)
        some = ", ".join(trace_id[:length] for trace_id in (matching or ids)[:5])
        raise Refusal(f"{len(matching)} traces begin with {wanted!r}: {some} ...")
    if not matching:
        raise Refusal(f"no trace begins with {wanted!r}; `genai-otel traces` lists them")
    return matching[0]


def _id_length(ids: Sequence[str]) -> int:
    """How much of each id tells it from all others."""
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
    from .tree import tokens_text

    return (
        Text(local_time(summary.start_ns)),
        Text(summary.trace_id[:id_length], "yellow"),
        Text(one_line(summary.name)[:100], "bold"),
        Text(one_line(summary.service)[:60]),
        Text(f"{summary.spans:,}"),
        Text(", ".join(one_line(model)[:60] for model in summary.models), "cyan"),
        Text(tokens_text(summary.input_tokens, summary.output_tokens)),
        Text(duration(summary.duration_ns)),
        _status(summary),
    )


def _status(summary: TraceSummary) -> Text:
    if summary.root_failed:
        return Text("error", "red")
    return Text(f"{summary.errors:,} failed", "yellow") if summary.errors else Text("ok", "green")


def _summary_json(summary: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": summary.trace_id,
        "name": summary.name,
        "service": summary.service,
        "start_ns": summary.start_ns,
        "duration_ns": summary.duration_ns,
        "spans": summary.spans,
        "errors": summary.errors,
        "models": summary.models,
        "input_tokens": summary.input_tokens,
        "output_tokens": summary.output_tokens,
        "status": "error" if summary.root_failed else "ok",
    }


def _plain(value: Any) -> Any:
    """What JSON cannot hold as the strings that OTLP-JSON has for it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
