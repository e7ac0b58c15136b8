"""One trace as a tree of spans, with duration, model, usage, cost and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.store.read.traces import number, total

from .content import passages
from .layout import Below, Column, Row, columns, draw, terminal_has_color, terminal_width
from .styled import Text
from .text import clean, duration, local_time, money, one_line, shortened

if TYPE_CHECKING:
    from genai_otel.store.read.decoder import StoredSpan
    from genai_otel.store.read.traces import Branch, Trace

_HEADS = (
    Column("", least=20),
    Column("duration", right=True),
    Column("model", least=14),
    Column("tokens [cached]", right=True),
    Column("details", least=12),
    Column("TTFT", right=True),
    Column("TPOT", right=True),
    Column("cost", right=True),
    Column("finish", least=6),
    Column("status", least=8),
)
_SCOPE = {"session": names.SESSION_ID, "user": names.USER_ID, "tags": names.GENAI_OTEL_TAGS}
_SUM = "\u03a3"
PARTIAL = " (partial)"
_OUTPUT, _TOTAL_OUTPUT = names.GEN_AI_USAGE_OUTPUT_TOKENS, names.GENAI_OTEL_TOTAL_OUTPUT_TOKENS
_PARTS = {
    names.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: "cache write",
    names.GENAI_OTEL_USAGE_AUDIO_INPUT_TOKENS: "audio in",
    names.GENAI_OTEL_USAGE_IMAGE_INPUT_TOKENS: "image in",
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "reasoning",
    names.GENAI_OTEL_USAGE_AUDIO_OUTPUT_TOKENS: "audio out",
    names.GENAI_OTEL_USAGE_IMAGE_OUTPUT_TOKENS: "image out",
    names.GENAI_OTEL_USAGE_WEB_SEARCHES: "searches",
    names.GENAI_OTEL_USAGE_FILE_SEARCHES: "file searches",
    names.GENAI_OTEL_USAGE_MAP_SEARCHES: "map searches",
    names.GENAI_OTEL_USAGE_CONTAINERS: "containers",
    names.GENAI_OTEL_USAGE_TOOL_IMAGES: "images generated",
    names.GENAI_OTEL_USAGE_OTHER_CHARGES: "other charges",
}
_MAX_NAME_LENGTH = 100
_MAX_SHOWN = 3
_MAX_PASSAGE_LENGTH = 600
_VERDICT_STYLES = {"allow": "green", "deny": "red", "error": "red"}


def render_tree(
    trace: Trace, *, color: bool | None = None, content: bool = False, width: int | None = None
) -> str:
    """The tree as lines of text; color and width default to those of the terminal."""
    width = width or terminal_width()
    color = terminal_has_color() if color is None else color
    drawn: list[Any] = [_headline(trace), *_scope(trace)]
    branches = list(trace.walk())
    if content:
        for branch in branches:
            drawn += columns(_HEADS, [_row(branch)], 1)
            drawn += _passages(branch)
    else:
        drawn += columns(_HEADS, [_row(branch) for branch in branches], width)
    drawn += _price_tables(trace)
    return draw(drawn, width=width, color=color)


def _headline(trace: Trace) -> Text:
    figures = total(trace.spans)
    parts = [
        f"trace {trace.trace_id}",
        local_time(trace.start_ns),
        one_line(figures.service),
        f"{figures.spans:,} span{'' if figures.spans == 1 else 's'}",
        duration(trace.duration_ns),
    ]
    tokens = tokens_text(figures.input_tokens, figures.output_tokens)
    if tokens:
        parts.append(f"{tokens} tokens{PARTIAL if figures.uncounted else ''}")
    return Text("  ".join(part for part in parts if part), style="bold")


def _scope(trace: Trace) -> list[Text]:
    """Session, user and tags, those of the root span first."""
    spans = [span for span in (trace.root, *trace.spans) if span is not None]
    parts = []
    for title, name in _SCOPE.items():
        found = dict.fromkeys(text for span in spans for text in _texts(span.attributes.get(name)))
        shown = ", ".join([*found][:_MAX_SHOWN])
        if shown:
            more = len(found) - _MAX_SHOWN
            parts.append(f"{title} {shown}{f' and {more} more' if more > 0 else ''}")
    return [Text("  ".join(parts), "dim")] if parts else []


def _texts(value: Any) -> list[str]:
    """The texts of an attribute that is a text or a list of texts."""
    found = value if isinstance(value, list) else [value]
    return [short for each in found if (short := _short(each))]


def _price_tables(trace: Trace) -> list[Text]:
    """The versions of the prices that were used."""
    versions = (span.attributes.get(names.GENAI_OTEL_PRICES_VERSION) for span in trace.spans)
    tables = dict.fromkeys(_short(version) for version in versions if version)
    return [Text(f"prices: {', '.join(tables)}", "dim")] if tables else []


def _row(branch: Branch) -> Row:
    span, facts = branch.span, branch.span.attributes
    guides = _guides(branch.lasts)
    name = Text.assemble((guides, "dim"), (_short(span.name) or "(no name)", "bold"))
    if branch.orphan:
        name.append(" (parent not stored)", "dim")
    cells = (
        name,
        Text(duration(span.duration_ns)),
        Text(_models(facts), "cyan"),
        Text(_tokens(facts)),
        Text(_details(facts), "dim"),
        Text(_seconds(facts.get(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN))),
        Text(_seconds(facts.get(names.GENAI_OTEL_RESPONSE_TIME_PER_OUTPUT_TOKEN))),
        _cost_or_status(facts),
        Text(
            ", ".join(dict.fromkeys(_texts(facts.get(names.GEN_AI_RESPONSE_FINISH_REASONS)))), "dim"
        ),
        _with_attempts(_status(span), facts),
    )
    return Row(cells, margin=_margin(branch.lasts))


def _guides(lasts: tuple[bool, ...]) -> str:
    """The lines left of a span's name."""
    if not lasts:
        return ""
    return _verticals(lasts[:-1]) + ("└── " if lasts[-1] else "├── ")


def _margin(lasts: tuple[bool, ...]) -> str:
    """The lines left of the text below a span's name."""
    return f"{_verticals(lasts)}  "


def _verticals(lasts: tuple[bool, ...]) -> str:
    return "".join("    " if last else "│   " for last in lasts)


def _models(facts: dict[str, Any]) -> str:
    requested, used = (
        _short(facts.get(name))
        for name in (names.GEN_AI_REQUEST_MODEL, names.GEN_AI_RESPONSE_MODEL)
    )
    if requested and used and requested != used:
        return f"{requested} → {used}"
    return requested or used


def _tokens(facts: dict[str, Any]) -> str:
    """The tokens of a call, or the sum of the calls inside it, which is marked."""
    cached = number(facts.get(names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS))
    text = tokens_text(*_numbers(facts, names.GEN_AI_USAGE_INPUT_TOKENS, _OUTPUT), cached=cached)
    below = tokens_text(
        *_numbers(facts, names.GENAI_OTEL_TOTAL_INPUT_TOKENS, _TOTAL_OUTPUT),
        _is_partial(facts, names.GENAI_OTEL_TOTAL_UNCOUNTED_CALLS),
    )
    return f"{_SUM} {below}" if below and not text else text


def _is_partial(facts: dict[str, Any], calls: str) -> bool:
    """Whether a sum lacks calls, or may lack some."""
    return bool(facts.get(calls) or facts.get(names.GENAI_OTEL_TOTAL_PARTIAL))


def _numbers(facts: dict[str, Any], one: str, two: str) -> tuple[float | None, float | None]:
    return number(facts.get(one)), number(facts.get(two))


def _details(facts: dict[str, Any]) -> str:
    """Parts of the totals with their own prices, charges, and whether usage is estimated."""
    counts = ((number(facts.get(name)), word) for name, word in _PARTS.items())
    found = [f"{count:,.0f} {word}" for count, word in counts if count]
    if facts.get(names.GENAI_OTEL_USAGE_ESTIMATED):
        found.append("estimated")
    return ", ".join(found)


def tokens_text(
    input_tokens: float | None,
    output_tokens: float | None,
    partial: Any = None,
    cached: float | None = None,
) -> str:
    """``input [cached] → output`` without unknown counts; ``partial``: the sum lacks calls."""
    parts = [
        "" if input_tokens is None else f"{input_tokens:,.0f}",
        f"[{cached:,.0f}]" if cached else "",
        "" if output_tokens is None else f"→ {output_tokens:,.0f}",
    ]
    text = " ".join(filter(None, parts))
    return f"{text}{PARTIAL if partial else ''}" if text else ""


def _seconds(value: Any) -> str:
    seconds = number(value)
    return "" if seconds is None else duration(seconds * 1_000_000_000)


def _cost(facts: dict[str, Any]) -> str:
    cost, below = _numbers(facts, names.GEN_AI_USAGE_COST, names.GENAI_OTEL_TOTAL_COST)
    if cost is None and below is not None:
        partial = PARTIAL if _is_partial(facts, names.GENAI_OTEL_TOTAL_UNPRICED_CALLS) else ""
        return f"{_SUM} {money(below, 'USD')}{partial}"
    currency = facts.get(names.GENAI_OTEL_COST_CURRENCY)
    return "" if cost is None else money(cost, currency if type(currency) is str else "USD")


def _cost_or_status(facts: dict[str, Any]) -> Text:
    """The cost, or the cost status that says why there is none."""
    cost = _cost(facts)
    if cost:
        return Text(cost)
    status, unpriced = _short(facts.get(names.GENAI_OTEL_COST_STATUS)), _unpriced(facts)
    return Text(f"{status}: {unpriced}" if unpriced else status, "yellow")


def _unpriced(facts: dict[str, Any]) -> str:
    """The used quantities that have no price."""
    found = facts.get(names.GENAI_OTEL_COST_UNPRICED)
    return _short(", ".join(map(str, found))) if isinstance(found, list) else ""


def _with_attempts(status: Text, facts: dict[str, Any]) -> Text:
    attempts = number(facts.get(names.GENAI_OTEL_RESPONSE_ATTEMPTS)) or 1
    return Text.assemble(status, f", {attempts:.0f} attempts") if attempts > 1 else status


def _status(span: StoredSpan) -> Text:
    facts = span.attributes
    if span.failed:
        cause = _short(facts.get(names.ERROR_TYPE)) or _short(span.status_message)
        return Text(f"error: {cause}" if cause else "error", "red")
    verdict = _short(facts.get(names.GEN_AI_GUARDRAIL_RESULT_TYPE))
    if verdict:
        reason = _short(facts.get(names.GEN_AI_GUARDRAIL_RESULT_REASON))
        text = f"{verdict}: {reason}" if reason else verdict
        return Text(text, _VERDICT_STYLES.get(verdict, "yellow"))
    if facts.get(names.GENAI_OTEL_ERROR_CATEGORY) == "cancelled":
        return Text("cancelled", "yellow")
    if facts.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is False:
        return Text("incomplete", "yellow")
    return Text("ok", "green")


def _short(value: Any) -> str:
    """One line of bounded length, whatever the file contains."""
    text = one_line(value) if isinstance(value, str) else ""
    return text if len(text) <= _MAX_NAME_LENGTH else f"{text[: _MAX_NAME_LENGTH - 1]}…"


def _passages(branch: Branch) -> list[Any]:
    margin = f"{_margin(branch.lasts)}  "
    return [
        Below(
            margin,
            [Text.assemble((f"{label}: ", "dim"), shortened(clean(text), _MAX_PASSAGE_LENGTH))],
        )
        for label, text in passages(branch.span)
    ]
