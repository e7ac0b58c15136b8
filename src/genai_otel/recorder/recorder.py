"""Start and finish Operations: the only module that uses tracer and meter."""

from __future__ import annotations

from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

from genai_otel import _semconv as names
from genai_otel._support.errors import CallRefused
from genai_otel.record import Kind

from .attributes import (
    budget_facts,
    cost_facts,
    opening,
    outcome,
    request,
    span_kind,
    span_name,
    turn_facts,
    utf8,
)
from .context import (
    OPERATION_KEY,
    SPAN_KEY,
    UNRECORDED_KEY,
    ambient,
    prompt_facts,
    scoped,
    suppressed,
    take_prompt,
)
from .costs import AGENT_KEY, Costs
from .error_categories import APP, PROVIDER, category_of_word
from .errors import fail
from .ownership import (
    GENERATING,
    MODEL_KINDS,
    ContextScope,
    Layer,
    absorb,
    find_owner,
    implicit_parents,
    parent_of_ours,
    within,
)
from .totals import ROLLED_UP, Totals, outwards

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.trace import Span

    from genai_otel.budgets.budget import Spending
    from genai_otel.privacy import AttributeFilter
    from genai_otel.record import Failure, Operation

    from .metrics import Instruments


class Source(NamedTuple):
    """The source of spans: a tracer's ``start_span``, or a replacement.

    ``early``: a sampler or a span processor of the application may read attributes at span start;
    otherwise all attributes are set once, at the end. ``dropped`` returns the non-recording span if
    the sampler drops every span in a context, else ``None``.
    """

    start: Callable[..., Span]
    early: bool
    dropped: Callable[[Context], Span | None]


class Sinks(NamedTuple):
    """The consumers of a finished operation, besides its span."""

    instruments: Instruments | None = None
    costs: Costs = Costs()


def current() -> Operation | None:
    """Return the current operation, so that the application can add its own values."""
    return _current_in(otel_context.get_current())


def _current_in(context: Context) -> Operation | None:
    owner: Any = context.get(OPERATION_KEY)
    return owner.op if isinstance(owner, Layer) else None


class Recorder:
    """Record the Operations of this process.

    ``source`` is called at each start, so that a tracer provider that the application sets later is
    used. Everything passed to OpenTelemetry, for any signal, has passed ``attribute_filter``.
    """

    __slots__ = ("_all_matter", "_attribute_filter", "_keeps_roots", "_sinks", "_source")

    def __init__(
        self, source: Callable[[], Source], sinks: Sinks, attribute_filter: AttributeFilter
    ) -> None:
        self._source, self._sinks, self._attribute_filter = source, sinks, attribute_filter
        # For the current provider; a provider of the application never drops spans unconditionally.
        self._keeps_roots = source().dropped(Context()) is None
        self.measure_with(sinks.instruments)

    @staticmethod
    def current() -> Operation | None:
        """Return the operation of the current call, or ``None`` if that call is not recorded.

        Its values must not be set on the operation around it.
        """
        context = otel_context.get_current()
        if UNRECORDED_KEY in context or suppressed(context):
            return None
        return _current_in(context)

    @staticmethod
    def in_unrecorded() -> bool:
        """Return whether the current operation is not recorded."""
        return UNRECORDED_KEY in otel_context.get_current()

    def measure_with(self, instruments: Instruments | None) -> None:
        """Replace the metric instruments."""
        self._sinks = self._sinks._replace(instruments=instruments)
        # Calls that are not sampled still count for metrics and budgets.
        self._all_matter = instruments is not None or self._sinks.costs.counts
        self.set_attribute_filter(self._attribute_filter)

    def set_attribute_filter(self, attribute_filter: AttributeFilter) -> None:
        """Replace the attribute filter, also that of the instruments."""
        self._attribute_filter = attribute_filter
        if self._sinks.instruments is not None:
            self._sinks.instruments.word = attribute_filter.redact_name

    def start(
        self, op: Operation, parent: Any = None, *, standalone: bool = False
    ) -> Recording | Unrecorded | Joined | None:
        """Start to record ``op``; return ``None`` if recording is suppressed.

        The parent is the current operation or, if that is outside of ``parent``, ``parent``.
        ``standalone``: ``op`` is not a layer of another open call. Set ``op.capture``; if
        ``op.timing.started`` is set, it is the start.
        """
        context = otel_context.get_current()
        if suppressed(context):
            return None
        if not op.timing.started:
            op.timing.started = perf_counter()
        owner: Any = context.get(OPERATION_KEY)
        if parent is not None and not within(owner, parent):
            owner, context = parent, parent.context
        implicit = () if standalone else implicit_parents(owner)
        unowned = standalone or (owner is None and not implicit)
        layer_above = None if unowned else find_owner(op, owner, implicit)
        nearest = layer_above or (implicit[-1] if implicit else None)
        if nearest is not None and nearest.base is context:
            context = nearest.context
        if layer_above is None:
            return self.open(op, context)
        if layer_above.op.prompt is None and op.kind in GENERATING:
            layer_above.op.prompt = take_prompt()
        return Joined(layer_above, op, self, context)

    def pass_through(self, kind: Kind) -> ContextScope | None:
        """Return the scope of a call that is certainly not recorded, else ``None``.

        Called before the request is read.
        """
        context = otel_context.get_current()
        if self._all_matter or (self._keeps_roots and not context):
            return None
        span = self._source().dropped(context)
        if span is None or suppressed(context):
            return None
        if kind in GENERATING:
            take_prompt()  # rendered for this call, not for the next one
        return ContextScope(Context({**context, SPAN_KEY: span, UNRECORDED_KEY: True}))

    def open(
        self, op: Operation, context: Context, *, late: bool = False
    ) -> Recording | Unrecorded:
        """Start a separate span for ``op``, as a child of the current span in ``context``.

        ``late``: the operation started earlier, at ``op.timing.started``.
        """
        if op.kind in GENERATING and op.prompt is None:
            op.prompt = take_prompt()
        started = time_ns() - int((perf_counter() - op.timing.started) * 1e9) if late else time_ns()
        if op.scope is not None:
            context = scoped(context, op.scope)
        start, early, _ = self._source()
        attribute_filter = self._attribute_filter
        op.model = attribute_filter.redact_name(op.model)
        if op.name is not None:
            op.name = attribute_filter.redact_name(op.name)
        seen = attribute_filter.filter(_opening(op, context)) if early else None
        span = start(span_name(op), context, span_kind(op), seen, start_time=started)
        recorded, sinks = span.is_recording(), self._sinks
        if not recorded and not self._all_matter:
            inside = Context({**context, SPAN_KEY: span, UNRECORDED_KEY: True})
            unrecorded = Unrecorded(op, context.get(OPERATION_KEY), inside)  # type: ignore[arg-type]
            if op.kind in MODEL_KINDS:
                for totals in outwards(unrecorded.around):
                    totals.miss()
            return unrecorded
        recording = Recording(op, span, context, started, sinks, attribute_filter=attribute_filter)
        if recorded:
            op.capture = attribute_filter.records_content
            # The application's sampler determines the initial attributes of a span: often none.
            kept = seen is not None and getattr(span, "attributes", True)
            recording.found = {} if kept else _opening(op, context)
        return recording


class _Active:
    """The recorder for manual instrumentation; ``None`` if not instrumented.

    Stored here, so that no import is needed to read it, which fails at interpreter shutdown.
    """

    recorder: Recorder | None = None


ACTIVE = _Active()


class Unrecorded(Layer):
    """A started operation that is not recorded; operations inside are not recorded either."""

    __slots__ = ()

    wanted = needs_content = False

    def opened(self) -> None:
        """Do nothing: no request is encoded."""

    def finish(self, error: BaseException | None = None) -> None:
        """End the operation without a span or metrics."""
        if not self.postponed(error):
            self.ended, self.is_implicit_parent = True, False


class Recording(Layer):
    """A started operation with its own span, or one that only metrics or budgets count."""

    __slots__ = (
        *("_encoded", "_attribute_filter", "_is_call", "_sinks", "_span", "_standing", "_started"),
        *("found", "recorded"),
    )

    def __init__(
        self,
        op: Operation,
        span: Span,
        context: Context,
        started: int,
        sinks: Sinks,
        *,
        attribute_filter: AttributeFilter,
    ) -> None:
        self.recorded = span.is_recording()
        costs = sinks.costs
        costs.prepare()
        self.wanted, self.needs_content = True, costs.hard
        self._span, self._started, self._sinks = span, started, sinks
        inside = {**context, SPAN_KEY: span, OPERATION_KEY: self}
        if op.kind is Kind.AGENT:
            inside[AGENT_KEY] = op.name or (op.details or {}).get("agent_id")
        super().__init__(op, context.get(OPERATION_KEY), Context(inside))  # type: ignore[arg-type]
        self._attribute_filter, self.errors = attribute_filter, attribute_filter.records_errors
        self._is_call = op.kind in MODEL_KINDS
        if self.around is not None:
            for totals in outwards(self.around):
                totals.begin(call=self._is_call)
        if op.kind in ROLLED_UP:
            self.totals = Totals(self.around, priced=costs.has_prices)
        self.found: dict[str, Any] = {}
        self._encoded = False
        self._standing: Sequence[Spending] = ()

    def opened(self) -> None:
        """Encode the request, unless more of its fields may be set later.

        Raise ``CallRefused`` if a hard budget rejects the call.
        """
        op = self.op
        if self.recorded and not (op.is_manual or op.from_framework or op.turns is not None):
            self._encoded = True
            request(self.op, self.found)
        if self.needs_content:
            self._admit()

    def _admit(self) -> None:
        try:
            self._sinks.costs.admit(self.op, self._context)
        except CallRefused as refusal:
            self.op.sent = False
            self.finish(refusal)
            raise

    def finish(self, error: BaseException | None = None) -> None:
        """End the span and record the metrics, now or when prices are loaded."""
        if self.postponed(error):
            return
        op = self.op
        self.ended, self.is_implicit_parent = True, False
        if error is not None and self.tried is not None:
            absorb(op, self.tried)
        op.normalize()
        if op.timing.ended is None:
            op.timing.ended = perf_counter()
        if error is not None:
            fail(op, error, capture=self.errors)
        elif op.failure is not None and op.category is None:  # an error inside a response
            told = category_of_word(op.failure.type)
            op.category = told or (PROVIDER if op.kind in MODEL_KINDS else APP)
        self._judge_words()
        costs = self._sinks.costs
        try:
            if costs.needs_tokens:
                self._standing = costs.count(op, self._context)
            if self.recorded:
                self._encode(op)
        finally:
            held = costs.waiting.open and costs.holds(op, self._started / 1e9, self._conclude)
            if not held:
                self._conclude()

    def _conclude(self) -> None:
        """Price the operation, end its span and record metrics; deferred while prices load."""
        op, (instruments, costs) = self.op, self._sinks
        standing = self._standing
        try:
            standing = (*standing, *costs.charge(op, self._context, self._started / 1e9))
            if self.around is not None:
                self._roll_up()
        finally:
            if self.recorded:
                self._write(op, standing)
        if instruments is not None:
            instruments.record(op, self._context)
            instruments.record_budgets(standing)
        for spending in standing:
            if spending.breached and spending.budget.on_breach is not None:
                spending.budget.on_breach(spending)

    def _roll_up(self) -> None:
        for totals in outwards(self.around):
            if self._is_call:
                totals.add(self.op)
            else:
                totals.end()

    def _judge_words(self) -> None:
        """Redact names, which are also used in the span's name and in metrics."""
        op, word = self.op, self._attribute_filter.redact_name
        op.model, op.response_model = (
            word(op.model),
            self._attribute_filter.redact_provider_value(op.response_model),
        )
        if op.name is not None:
            op.name = word(op.name)
        if op.is_manual:
            op.provider, op.host, op.action = word(op.provider), word(op.host), word(op.action)
        if op.failure is not None:
            op.failure.type = word(op.failure.type)

    def _encode(self, op: Operation) -> None:
        """Encode everything but the cost, before the application can change the values."""
        more = self.joined is not None or self.tried is not None
        if more or not self._encoded:  # request fields were added after the start
            self.found.update(_opening(op, self._context))
            request(op, self.found)
            self._span.update_name(span_name(op))
        if self.inside is not None:
            own = ambient(self._context)
            inner = self.inside.items()
            self.found.update((n, v) for n, v in inner if v is not None and n not in own)
        outcome(op, self.found)

    def _write(self, op: Operation, standing: Sequence[Spending]) -> None:
        """Write attributes and events and end the span, even if encoding a value raises."""
        try:
            if op.cost is not None:
                cost_facts(op.cost, self.found)
            if self.totals is not None:
                self.totals.tell(self.found)
        finally:
            try:
                span = self._span
                put = getattr(span, "put", span.set_attributes)
                put(self._told())
                for spending in standing:
                    if spending.breached:
                        facts = self._attribute_filter.filter(budget_facts(spending))
                        self._span.add_event(names.EVENT_GENAI_OTEL_BUDGET_BREACHED, facts)
                for turn in op.turns or ():
                    facts = self._attribute_filter.filter(turn_facts(turn))
                    self._span.add_event(
                        names.EVENT_GENAI_OTEL_SESSION_TURN, facts, self._time(turn.at)
                    )
                if op.failure is not None:
                    _tell_failure(self._span, op.failure, self._attribute_filter)
            finally:
                ended = op.timing.ended or op.timing.started
                self._span.end(self._time(ended))

    def _time(self, reading: float) -> int:
        """Convert a ``perf_counter`` reading to nanoseconds since 1970."""
        return self._started + int((reading - self.op.timing.started) * 1e9)

    def _told(self) -> Mapping[str, Any]:
        """Return the filtered attributes; upload message texts if configured."""
        attribute_filter = self._attribute_filter
        judged = attribute_filter.filter(self.found)
        if attribute_filter.message_uploads is None:
            return judged
        ids = self._span.get_span_context()
        return attribute_filter.message_uploads.upload(
            judged, f"{ids.trace_id:032x}_{ids.span_id:016x}"
        )


class Joined(Layer):
    """The same call, observed by a lower layer: adds its facts to the owner."""

    __slots__ = ("_owner", "_recorder")

    def __init__(self, owner: Layer, op: Operation, recorder: Recorder, context: Context) -> None:
        op.capture = owner.op.capture
        super().__init__(op, owner, otel_context.set_value(OPERATION_KEY, self, context))
        self._owner, self._recorder = owner, recorder
        self.wanted, self.needs_content = owner.wanted, False

    def opened(self) -> None:
        """Do nothing: the owner encodes the request."""

    def finish(self, error: BaseException | None = None) -> None:
        """Add the facts to the owner; after a failed attempt the owner may claim the next one."""
        if self.postponed(error):
            return
        self.ended, self.is_implicit_parent = True, False
        owner = self._owner
        self.op.normalize()
        if error is not None and self.tried is not None:
            absorb(self.op, self.tried)
        if owner.ended:
            if owner.op.stream:  # closed early: the owner has recorded the same stream
                return
            # The owner has ended before this stream: record a separate span.
            late = self._recorder.open(self.op, owner.context, late=True)
            late.opened()
            late.finish(error)
        elif error is not None:
            owner.joined, owner.tried = None, self.op
        else:
            absorb(owner.op, self.op)
        owner.resume()


def _opening(op: Operation, context: Context) -> dict[str, Any]:
    facts = {**ambient(context), **opening(op)}
    parent = parent_of_ours(context)
    if parent is not None:
        facts[names.GENAI_OTEL_PARENT_ID] = parent
    return facts if op.prompt is None else {**facts, **prompt_facts(op.prompt)}


def _tell_failure(span: Span, told: Failure, attribute_filter: AttributeFilter) -> None:
    """Set the error status and add the exception event; texts only if they were captured."""
    attributes = {names.EXCEPTION_TYPE: told.type}
    if told.message is not None:
        attributes[names.EXCEPTION_MESSAGE] = utf8(told.message)
    if told.stacktrace is not None:
        attributes[names.EXCEPTION_STACKTRACE] = utf8(told.stacktrace)
    judged = attribute_filter.filter(attributes)
    span.add_event("exception", judged)
    span.set_status(Status(StatusCode.ERROR, judged.get(names.EXCEPTION_MESSAGE)))
