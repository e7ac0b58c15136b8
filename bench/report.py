"""The table and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .goals import FLOOR, MEASURES, NONE, OURS, Measure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .goals import Results

NOTHING = "-"


def render(results: Results) -> str:
    """The whole report, in Markdown that also reads well as it stands."""
    peers = list(results)
    rows = [_row(measure, results) for measure in MEASURES if _any(measure, results)]
    head = ["thousand instructions added a call", *peers]
    if OURS in results:
        head += ["goal", "ours is"]
    parts = [table([head, *rows]), _notes(results)]
    return "\n".join(part for part in parts if part)


def missed(results: Results) -> list[str]:
    """The goals that ours does not meet."""
    return [m.title.strip() for m in MEASURES if _verdict(m, results).startswith("MISSED")]


def _any(measure: Measure, results: Results) -> bool:
    return any(measure.read(results, peer) is not None for peer in results)


def _row(measure: Measure, results: Results) -> list[str]:
    cells = [measure.title, *(_cell(measure, results, peer) for peer in results)]
    if OURS not in results:
        return cells
    goal = _goal(measure, results)
    return [*cells, NOTHING if goal is None else f"{goal:,.0f}", _verdict(measure, results)]


def _cell(measure: Measure, results: Results, peer: str) -> str:
    value = measure.read(results, peer)
    if value is None:
        return NOTHING
    text = f"{value:,.{measure.digits}f}"
    return text + ("*" if _lacks_content(measure, results, peer) else "")


def _lacks_content(measure: Measure, results: Results, peer: str) -> bool:
    """A figure that is low because the question or the answer is not recorded."""
    if measure.workload is None or peer == NONE or results[peer].get("own format"):
        return False
    variant, work = measure.workload
    if variant not in {"content", "metrics"}:
        return False
    found: dict[str, Any] = results[peer][variant][work]
    return not (found["input"] and (found["output"] or work == "embeddings"))


def _goal(measure: Measure, results: Results) -> float | None:
    if measure.goal is None:
        return None
    floor = measure.read(results, FLOOR) if FLOOR in results else None
    return measure.goal.value(floor)


def _verdict(measure: Measure, results: Results) -> str:
    """Goal met or missed; then the peers that are better than ours, beyond the noise."""
    ours = measure.read(results, OURS) if OURS in results else None
    if ours is None:
        return NOTHING
    words, goal = [], _goal(measure, results)
    if goal is not None:
        words.append("met" if ours <= goal else "MISSED")
    others = {
        peer: value
        for peer in results
        if peer not in {OURS, NONE, FLOOR} and (value := measure.read(results, peer)) is not None
    }
    if others:
        words.append(_standing(ours, others, measure.noise))
    return ", ".join(words) or NOTHING


def _standing(ours: float, others: dict[str, float], noise: float) -> str:
    behind = [peer for peer, value in others.items() if ours > value + noise]
    even = [peer for peer, value in others.items() if abs(ours - value) <= noise]
    if behind:
        return f"behind {' '.join(behind)}"
    return f"even with {' '.join(even)}" if even else "ahead of all"


def _notes(results: Results) -> str:
    lines = ["", "*: the answer or the question is not recorded there."]
    for peer, found in results.items():
        versions = ", ".join(f"{k} {v}" for k, v in found.get("versions", {}).items())
        lines.append(f"{peer}: {versions}{'; own wire format' * bool(found.get('own format'))}")
    missing = missed(results)
    if missing:
        lines += ["", f"Goals missed: {'; '.join(missing)}."]
    return "\n".join(lines)


def table(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    rule = [f"{'-' * (width - 1)}{'-' if i == 0 else ':'}" for i, width in enumerate(widths)]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]])


def _line(cells: Iterable[str], widths: list[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return f"| {' | '.join(aligned)} |"
