"""Traces of stored spans: the tree of one trace, and summaries for lists."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from genai_otel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .decoder import StoredSpan

# Some frameworks repeat the tokens of their model calls on the layer above them.
_STRUCTURE = frozenset(("invoke_agent", "invoke_workflow", "create_agent", "task"))
MODEL_CALLS = frozenset(("chat", "text_completion", "generate_content", "embeddings", "rerank"))
_REFUSALS = range(400, 500)
_TIMED_OUT = 408
_NOT_SENT = "genai_otel.BudgetExceeded"
_MAX_MODELS = 8
_MAX_VALUES = 32
_MAX_DEPTH = 32


class Branch(NamedTuple):
    """A span in the tree; ``lasts`` tells for each level whether it is the last there.

    Beyond 32 levels all spans are shown on the last level.
    """

    span: StoredSpan
    lasts: tuple[bool, ...]
    orphan: bool  # its parent is not stored


@dataclass
class Trace:
    trace_id: str
    spans: list[StoredSpan]

    def __post_init__(self) -> None:
        self.spans.sort(key=lambda span: (span.start_ns, span.end_ns))

    @property
    def root(self) -> StoredSpan | None:
        """The span without a parent; if that is stored elsewhere, the first span."""
        return next((s for s in self.spans if s.is_root), next(iter(self.spans), None))

    @property
    def start_ns(self) -> int:
        return min((span.start_ns for span in self.spans), default=0)

    @property
    def duration_ns(self) -> int:
        return max((span.end_ns for span in self.spans), default=0) - self.start_ns

    def walk(self) -> Iterator[Branch]:
        """Yield each span exactly once, parents before children, whatever the parent ids are."""
        by_id = {span.span_id: span for span in self.spans}
        children: dict[str, list[StoredSpan]] = {}
        tops: list[StoredSpan] = []
        for span in self.spans:
            known = (each for each in span.parents if each in by_id and each != span.span_id)
            parent = next(known, None)
            (tops if parent is None else children.setdefault(parent, [])).append(span)
        seen: set[str] = set()
        yield from _descend(tops, children, seen)
        for span in self.spans:  # only spans in a cycle of parents are left
            if span.span_id not in seen:
                yield from _descend([span], children, seen)


def _descend(
    tops: list[StoredSpan], children: dict[str, list[StoredSpan]], seen: set[str]
) -> Iterator[Branch]:
    stack = [Branch(top, (), not top.is_root) for top in reversed(tops)]
    while stack:
        branch = stack.pop()
        span, lasts, _ = branch
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        yield branch
        below = children.get(span.span_id, [])
        stack.extend(
            Branch(child, (*lasts[: _MAX_DEPTH - 1], child is below[-1]), orphan=False)
            for child in reversed(below)
        )


@dataclass
class TraceSummary:
    trace_id: str
    spans: int = 0
    errors: int = 0
    incomplete: int = 0
    start_ns: int = 0
    end_ns: int = 0
    name: str = ""
    service: str = ""
    root_failed: bool = False
    models: list[str] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    # by currency; unpriced calls are not included
    cost: dict[str, float] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    uncounted: int = 0  # model calls without token counts: the sums lack them
    unpriced: int = 0  # model calls of unknown cost: the sum of the costs lacks them
    # the root's name without its operation: ``answer`` of ``invoke_workflow answer``
    own_name: str = ""
    cancelled: bool = False  # whether the root's caller cancelled it
    _has_root: bool = field(default=False, repr=False)

    @property
    def duration_ns(self) -> int:
        return max(0, self.end_ns - self.start_ns)

    def add(self, span: StoredSpan) -> None:
        earliest = not self.spans or span.start_ns < self.start_ns
        self.spans += 1
        self.errors += span.failed
        self.incomplete += span.attributes.get(names.GENAI_OTEL_RESPONSE_COMPLETED) is False
        self.start_ns = span.start_ns if earliest else self.start_ns
        self.end_ns = max(self.end_ns, span.end_ns)
        self._name(span, earliest=earliest)
        for known, name in (
            (self.sessions, names.SESSION_ID),
            (self.users, names.USER_ID),
            (self.tags, names.GENAI_OTEL_TAGS),
        ):
            _collect(known, span.attributes.get(name))
        self._count(span)

    def _name(self, span: StoredSpan, *, earliest: bool) -> None:
        """Name a trace after its root; until that has ended, after its first span."""
        root = span.is_root
        if root or (earliest and not self._has_root):
            service = span.resource.get("service.name")
            self.name, self.root_failed = span.name, span.failed
            operation = span.attributes.get(names.GEN_AI_OPERATION_NAME)
            self.own_name = span.name.removeprefix(f"{operation} ")
            category = span.attributes.get(names.GENAI_OTEL_ERROR_CATEGORY)
            self.cancelled = category == "cancelled"
            self.service = service if isinstance(service, str) else ""
            self._has_root = self._has_root or root

    def _count(self, span: StoredSpan) -> None:
        facts = span.attributes
        if facts.get(names.GEN_AI_OPERATION_NAME) in _STRUCTURE:
            return
        model = facts.get(names.GEN_AI_RESPONSE_MODEL) or facts.get(names.GEN_AI_REQUEST_MODEL)
        if isinstance(model, str) and model not in self.models and len(self.models) < _MAX_MODELS:
            self.models.append(model)
        self.input_tokens = _sum(self.input_tokens, facts.get(names.GEN_AI_USAGE_INPUT_TOKENS))
        self.output_tokens = _sum(self.output_tokens, facts.get(names.GEN_AI_USAGE_OUTPUT_TOKENS))
        self.uncounted += is_uncounted(facts)
        cost = number(facts.get(names.GEN_AI_USAGE_COST))
        if cost is not None:
            currency = str(facts.get(names.GENAI_OTEL_COST_CURRENCY) or "USD")
            self.cost[currency] = self.cost.get(currency, 0.0) + cost
        else:
            self.unpriced += _is_unpriced(facts)


def _is_unpriced(facts: Mapping[str, Any]) -> bool:
    """Return whether a call used anything without a price; a call that was rejected did not."""
    status = facts.get(names.GENAI_OTEL_COST_STATUS)
    return status is not None and (status != "failed" or is_uncounted(facts))


def _collect(known: set[str], value: Any) -> None:
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str) and len(known) < _MAX_VALUES:
            known.add(each)


def is_uncounted(facts: Mapping[str, Any]) -> bool:
    """Return whether a model call used an unknown number of tokens.

    A request rejected by the provider or a budget has used none, and media may be billed by other
    units.
    """
    operation = facts.get(names.GEN_AI_OPERATION_NAME)
    if operation not in MODEL_CALLS or operation == "generate_content":
        return False
    if facts.get(names.ERROR_TYPE) == _NOT_SENT:
        return False
    status = number(facts.get(names.HTTP_RESPONSE_STATUS_CODE)) or 0
    if status in _REFUSALS and status != _TIMED_OUT:
        return False
    given = number(facts.get(names.GEN_AI_USAGE_INPUT_TOKENS))
    made = number(facts.get(names.GEN_AI_USAGE_OUTPUT_TOKENS))
    if operation == "rerank":
        return False  # billed by searches
    return given is None or (made is None and operation != "embeddings")


def total(spans: Iterable[StoredSpan]) -> TraceSummary:
    """Return the summary of a loaded trace."""
    summary = TraceSummary("")
    for span in spans:
        summary.add(span)
    return summary


def number(value: Any) -> float | None:
    """Return ``value`` if it is a finite number: a file may contain anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _sum(known: int | None, more: Any) -> int | None:
    """Add two counts; ``None`` is unknown, not 0."""
    count = number(more)
    return known if count is None else (known or 0) + int(count)
