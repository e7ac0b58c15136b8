"""One trace as a tree: who called whom, for how long, with how many tokens, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genai_otel import _names as names
from genai_otel.destinations.traces import number, total

from .content import passages
from .layout import Below, Column, Row, columns, draw, terminal_has_color, terminal_width
from .text import clean, duration, local_time, money, one_line, shortened

if TYPE_CHECKING:
    from rich.text import Text

    from genai_otel.destinations.decoding import StoredSpan
    from genai_otel.destinations.traces import Branch, Trace

_HEADS = (
    Column("", least=20),
    Column("duration", right=True),
    Column("model", least=14),
    Column("tokens [cached]", right=True),
    Column("first token", right=True),
    Column("per token", right=True),
    Column("cost", right=True),
    Column("status", least=8),
)
_NAME_LENGTH = 100
_PASSAGE_LENGTH = 600
_VERDICT_STYLES = {"allow": "green", "deny": "red", "error": "red"}


def render_tree(
    trace: Trace, *, color: bool | None = None, content: bool = False, width: int | None = None
) -> str:
    """The tree as text, each line ended; colour and width are the terminal's unless given."""
    width = width or terminal_width()
    color = terminal_has_color() if color is None else color
    drawn: list[Any] = [_headline(trace)]
    branches = list(trace.walk())
    if content:
        for branch in branches:
            drawn += columns(_HEADS, [_row(branch)], 1)
            drawn += _passages(branch)
    else:
        drawn += columns(_HEADS, [_row(branch) for branch in branches], width)
    return draw(drawn, width=width, color=color)


def _headline(trace: Trace) -> Text:
    from rich.text import Text

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
        parts.append(f"{tokens} tokens")
    return Text("  ".join(part for part in parts if part), style="bold")


def _row(branch: Branch) -> Row:
    from rich.text import Text

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
        Text(_seconds(facts.get(names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN))),
        Text(_seconds(facts.get(names.GENAI_OTEL_RESPONSE_TIME_PER_OUTPUT_TOKEN))),
        Text(_cost(facts)),
        _status(span),
    )
    return Row(cells, margin=_margin(branch.lasts))


def _guides(lasts: tuple[bool, ...]) -> str:
    """What stands before a span's name."""
    if not lasts:
        return ""
    return _verticals(lasts[:-1]) + ("└── " if lasts[-1] else "├── ")


def _margin(lasts: tuple[bool, ...]) -> str:
    """What stands before the lines below a span's name."""
    return f"{_verticals(lasts)}  "


def _verticals(lasts: tuple[bool, ...]) -> str:
    return "".join("    " if last else "│   " for last in lasts)


def _models(facts: dict[str, Any]) -> str:
    asked, answered = (
        _short(facts.get(name))
        for name in (names.GEN_AI_REQUEST_MODEL, names.GEN_AI_RESPONSE_MODEL)
    )
    if asked and answered and asked != answered:
        return f"{asked} → {answered}"
    return asked or answered


def _tokens(facts: dict[str, Any]) -> str:
    text = tokens_text(
        number(facts.get(names.GEN_AI_USAGE_INPUT_TOKENS)),
        number(facts.get(names.GEN_AI_USAGE_OUTPUT_TOKENS)),
    )
    cached = number(facts.get(names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS))
    return f"{text} [{cached:,.0f}]" if cached else text


def tokens_text(given: float | None, made: float | None) -> str:
    """In → out; what is not known is left out, for it is not 0."""
    if made is None:
        return "" if given is None else f"{given:,.0f}"
    return f"→ {made:,.0f}" if given is None else f"{given:,.0f} → {made:,.0f}"


def _seconds(value: Any) -> str:
    seconds = number(value)
    return "" if seconds is None else duration(seconds * 1_000_000_000)


def _cost(facts: dict[str, Any]) -> str:
    cost = number(facts.get(names.GEN_AI_USAGE_COST))
    currency = facts.get(names.GENAI_OTEL_COST_CURRENCY)
    return "" if cost is None else money(cost, currency if type(currency) is str else "USD")


def _status(span: StoredSpan) -> Text:
    from rich.text import Text

    facts = span.attributes
    if span.failed:
        why = _short(facts.get(names.ERROR_TYPE)) or _short(span.status_message)
        return Text(f"error: {why}" if why else "error", "red")
    verdict = _short(facts.get(names.GEN_AI_GUARDRAIL_RESULT_TYPE))
    if verdict:
        reason = _short(facts.get(names.GEN_AI_GUARDRAIL_RESULT_REASON))
        text = f"{verdict}: {reason}" if reason else verdict
        return Text(text, _VERDICT_STYLES.get(verdict, "yellow"))
    if facts.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is False:
        return Text("left early", "yellow")
    return Text("ok", "green")


def _short(value: Any) -> str:
    """One line of bounded length, whatever a file had there."""
    text = one_line(value) if isinstance(value, str) else ""
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…"


def _passages(branch: Branch) -> list[Any]:
    from rich.text import Text

    margin = f"{_margin(branch.lasts)}  "
    return [
        Below(
            margin, [Text.assemble((f"{label}: ", "dim"), shortened(clean(text), _PASSAGE_LENGTH))]
        )
        for label, text in passages(branch.span)
    ]
