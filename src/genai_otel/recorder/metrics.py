"""All metric instruments, recorded from Operations.

Metrics are not derived from spans, so sampling does not affect them. Dimensions are a fixed list,
never user, session or conversation.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from genai_otel import _semconv as names
from genai_otel.record import Kind

from .attributes import opening, utf8
from .context import ambient
from .ownership import MODEL_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter

    from genai_otel.budgets.budget import Spending
    from genai_otel.pricing.book import Cost
    from genai_otel.record import Operation

    Dimensions = dict[str, Any]

_NAMES_TOLD_APART = 500
_OTHER = "other"
_UNNAMED_ERROR = "_OTHER"


class Instruments:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        # Redacts a name that has not been redacted yet.
        self.word: Callable[[str], str] = utf8
        self._models: set[str] = set()
        self._prompts: set[str] = set()
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        self._known[names.GEN_AI_REQUEST_MODEL] = self._models
        self._duration = self._histogram(names.METRIC_GEN_AI_CLIENT_OPERATION_DURATION)
        self._tokens = self._histogram(names.METRIC_GEN_AI_CLIENT_TOKEN_USAGE)
        self._first_chunk = self._histogram(
            names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK
        )
        self._chunk = self._histogram(names.METRIC_GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK)
        self._first_token = self._histogram(names.METRIC_GENAI_OTEL_CLIENT_TIME_TO_FIRST_TOKEN)
        self._token = self._histogram(names.METRIC_GENAI_OTEL_CLIENT_TIME_PER_OUTPUT_TOKEN)
        self._durations = {
            Kind.TOOL: self._histogram(names.METRIC_GEN_AI_EXECUTE_TOOL_DURATION),
            Kind.AGENT: self._histogram(names.METRIC_GEN_AI_INVOKE_AGENT_DURATION),
            Kind.WORKFLOW: self._histogram(names.METRIC_GEN_AI_INVOKE_WORKFLOW_DURATION),
            Kind.GUARDRAIL: self._histogram(names.METRIC_GENAI_OTEL_GUARDRAIL_DURATION),
            Kind.RETRIEVAL: self._duration,
            Kind.STORE: self._histogram(names.METRIC_DB_CLIENT_OPERATION_DURATION),
        }
        self._invocations = self._counter(names.METRIC_GENAI_OTEL_GUARDRAIL_INVOCATIONS)
        self._denied = self._counter(names.METRIC_GENAI_OTEL_GUARDRAIL_DENIED)
        self._cost = self._counter(names.METRIC_GENAI_OTEL_COST)
        self._missing = self._counter(names.METRIC_GENAI_OTEL_COST_MISSING)
        used = names.METRICS[names.METRIC_GENAI_OTEL_BUDGET_USED_RATIO]
        self._budget = meter.create_gauge(used.name, used.unit, used.description)
        self._errors = self._counter(names.METRIC_GENAI_OTEL_GUARDRAIL_ERRORS)

    def _histogram(self, name: str) -> Histogram:
        row = names.METRICS[name]
        return self._meter.create_histogram(
            name, row.unit, row.description, explicit_bucket_boundaries_advisory=row.buckets
        )

    def _counter(self, name: str) -> Counter:
        row = names.METRICS[name]
        return self._meter.create_counter(name, row.unit, row.description)

    def record(self, op: Operation, context: Context) -> None:
        """Record the metrics of a finished operation; ``context`` links exemplars to its span."""
        if op.kind in MODEL_KINDS:
            self._model_call(op, context)
        elif op.kind in self._durations:
            self._own_step(op, context)

    def record_budgets(self, standing: Sequence[Spending]) -> None:
        """Record the used ratio of each budget after a call that is charged to it."""
        for spending in standing:
            budget = spending.budget
            dimensions = {
                names.GENAI_OTEL_BUDGET_NAME: budget.name,
                names.GENAI_OTEL_BUDGET_PER: budget.per,
                names.GENAI_OTEL_BUDGET_UNIT: budget.unit,
            }
            self._budget.set(spending.ratio, dimensions)

    def _model_call(self, op: Operation, context: Context) -> None:
        common = self._dimensions(op)
        self._time(self._duration, op.timing.duration, self._with_error(common, op), context)
        for kind, count in (("input", op.usage.input), ("output", op.usage.output)):
            if count is not None:
                dimensions = {**common, names.GEN_AI_TOKEN_TYPE: kind}
                self._tokens.record(count, dimensions, context)
        if op.cost is not None:
            self._money(op.cost, self._with_prompt(common, op, context), context)
        if op.stream:
            timing = op.timing
            self._time(self._first_chunk, timing.time_to_first_chunk, common, context)
            self._time(self._chunk, timing.time_per_output_chunk, common, context)
            self._time(self._first_token, timing.time_to_first_token, common, context)
            pace = timing.time_per_output_token(op.usage.output)
            self._time(self._token, pace, common, context)

    def _money(self, cost: Cost, dimensions: Dimensions, context: Context) -> None:
        """Record the cost in USD, or that it is missing and why; others are on the span only."""
        if cost.amount is None:
            if cost.status != "failed":
                missing = {**dimensions, names.GENAI_OTEL_COST_STATUS: cost.status}
                self._missing.add(1, missing, context)
        elif cost.currency == "USD":
            self._cost.add(cost.amount, dimensions, context)

    def _own_step(self, op: Operation, context: Context) -> None:
        if op.kind is Kind.GUARDRAIL:
            dimensions = self._guardrail(op, context)
        else:
            dimensions = self._told_apart(opening(op))
            if op.kind is not Kind.RETRIEVAL:
                dimensions.pop(names.GEN_AI_OPERATION_NAME, None)
        self._time(
            self._durations[op.kind], op.timing.duration, self._with_error(dimensions, op), context
        )

    def _guardrail(self, op: Operation, context: Context) -> Dimensions:
        """Count a guardrail call; a deny is not an error, and an error is not a deny."""
        named = {names.GEN_AI_GUARDRAIL_COMPONENT_NAME: utf8(op.name or "guardrail")}
        common = self._told_apart(named)
        action = op.verdict.action if op.verdict is not None else None
        judged = {**common, names.GEN_AI_GUARDRAIL_RESULT_TYPE: action} if action else common
        self._invocations.add(1, judged, context)
        if op.failure is not None or action == "error":
            failed = op.failure.type if op.failure is not None else _UNNAMED_ERROR
            self._errors.add(1, self._told_apart({**common, names.ERROR_TYPE: failed}), context)
        elif action == "deny":
            self._denied.add(1, judged, context)
        return judged

    def _dimensions(self, op: Operation) -> Dimensions:
        found = self._told_apart(opening(op))
        if op.response_model is not None:
            found[names.GEN_AI_RESPONSE_MODEL] = _bounded(op.response_model, self._models)
        return found

    def _told_apart(self, found: Dimensions) -> Dimensions:
        """Limit the number of distinct values of each dimension.

        An application may have a collection for each customer, or a host for each session.
        """
        for name, value in found.items():
            if type(value) is str:
                found[name] = _bounded(value, self._known[name])
        return found

    def _with_error(self, dimensions: Dimensions, op: Operation) -> Dimensions:
        """Add error category and type, if any; a cancelled operation has a category only."""
        if op.category is None:
            return dimensions
        found = {**dimensions, names.GENAI_OTEL_ERROR_CATEGORY: op.category}
        if op.failure is not None:
            found[names.ERROR_TYPE] = op.failure.type
        return self._told_apart(found)

    def _with_prompt(self, common: Dimensions, op: Operation, context: Context) -> Dimensions:
        """Add the prompt's name; its version is recorded on spans only."""
        if op.prompt is not None:
            name: str | None = op.prompt.name
        else:
            name = ambient(context).get(names.GEN_AI_PROMPT_NAME)
        if name is None:
            return common
        return {**common, names.GEN_AI_PROMPT_NAME: _bounded(self.word(name), self._prompts)}

    @staticmethod
    def _time(
        histogram: Histogram, seconds: float | None, dimensions: Dimensions, context: Context
    ) -> None:
        if seconds is not None:
            histogram.record(seconds, dimensions, context)


def _bounded(name: str, known: set[str]) -> str:
    """Return the name, or ``other`` beyond the first few hundred names."""
    if name in known:
        return name
    if len(known) >= _NAMES_TOLD_APART:
        return _OTHER
    known.add(name)
    return utf8(name)
