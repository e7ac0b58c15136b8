"""Starts and finishes Operations: the only handle on tracer and meter."""

from __future__ import annotations

from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from genai_otel import _names as names
from genai_otel.record import Kind, Refusal

from .accounts import AGENT_KEY, ROLLED_UP, Accounts, Totals, roll_up
from .categories import APP, CANCELLED, PROVIDER, category_of, category_of_word
from .context import (
    OPERATION_KEY,
    ambient,
    attach,
    detach,
    prompt_facts,
    suppressed,
    take_prompt,
)
from .failures import failure, is_cancellation
from .ownership import GENERATING, MODEL_KINDS, absorb, same_call
from .semconv import budget_facts, opening, outcome, request, span_kind, span_name, utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from genai_otel.enrich.budget import Spending
    from genai_otel.record import Operation

    from .metrics import Instruments


class Source(NamedTuple):
    """Where spans come from: a tracer's ``start_span``, or what stands for it.

    ``early``: somebody may look at attributes as spans start, a sampler or a processor of the
    host's. Where nobody does, all of them are written at once, at the end.
    """

    start: Callable[..., Span]
    early: bool


class Ledgers(NamedTuple):
    """What a finished operation is entered in, besides its span."""

    instruments: Instruments | None = None
    accounts: Accounts = Accounts()


class Recorder:
    """What becomes of Operations in this process.

    ``source`` is asked at each start, so that a provider which the host sets later is adopted.
    """

    __slots__ = ("_content", "_ledgers", "_source")

    def __init__(self, source: Callable[[], Source], ledgers: Ledgers, *, content: bool) -> None:
        self._source, self._ledgers, self._content = source, ledgers, content

    def measure_with(self, instruments: Instruments | None) -> None:
        """From now on other instruments measure."""
        self._ledgers = self._ledgers._replace(instruments=instruments)

    def leave_content_out(self) -> None:
        """From now on nothing that was said is recorded."""
        self._content = False

    def start(self, op: Operation) -> Recording | Joined | None:
        """Begins to record ``op``; ``None`` where recording is suppressed.

        Sets ``op.capture``; the operation's start is ``op.timing.started`` if that is set.
        """
        context = otel_context.get_current()
        if suppressed(context):
            return None
        if not op.timing.started:
            op.timing.started = perf_counter()
        owner: Any = context.get(OPERATION_KEY)
        if isinstance(owner, Recording) and owner.takes(op):
            if owner.op.prompt is None and op.kind in GENERATING:
                owner.op.prompt = take_prompt()
            return Joined(owner, op, self)
        return self.open(op, context)

    @staticmethod
    def current() -> Operation | None:
        """The operation in whose frame this code runs."""
        return current()

    def open(self, op: Operation, context: Context, *, late: bool = False) -> Recording:
        """A span of its own for ``op``, under whatever is current in ``context``.

        ``late``: the operation began a while ago, at ``op.timing.started``.
        """
        if op.kind in GENERATING and op.prompt is None:
            op.prompt = take_prompt()
        started = time_ns() - int((perf_counter() - op.timing.started) * 1e9) if late else time_ns()
        start, early = self._source()
        seen = _opening(op, context) if early else None
        span = start(span_name(op), context, span_kind(op), seen, start_time=started)
        recording = Recording(op, span, context, started, self._ledgers)
        if recording.recorded:
            op.capture = self._content
            recording.found = _opening(op, context) if seen is None else {}
        return recording


class _Active:
    """The recorder that operations made by hand go to; ``None`` when nothing is set up.

    Kept here, so that nothing has to be imported to look, which fails when Python is ending.
    """

    recorder: Recorder | None = None


ACTIVE = _Active()


class Recording:
    """A started operation with a span of its own."""

    __slots__ = (
        "_context",
        "_encoded",
        "_ledgers",
        "_span",
        "_started",
        "_token",
        "ended",
        "found",
        "joined",
        "op",
        "parent",
        "recorded",
        "totals",
        "wanted",
        "weighs",
    )

    def __init__(
        self,
        op: Operation,
        span: Span,
        context: Context,
        started: int,
        ledgers: Ledgers,
    ) -> None:
        self.op = op
        self.ended = False
        self.joined: Operation | None = None
        self.recorded = span.is_recording()
        instruments, accounts = ledgers
        self.wanted = self.recorded or instruments is not None or accounts.counts
        self.weighs = accounts.hard
        self.totals: Totals | None = None
        self._span, self._started, self._ledgers = span, started, ledgers
        self.parent: Any = context.get(OPERATION_KEY)
        self._context = set_span_in_context(span, context)
        if self.wanted:
            accounts.prepare()
            self._context = otel_context.set_value(OPERATION_KEY, self, self._context)
        if op.kind in ROLLED_UP:
            self.totals = Totals()
            if op.kind is Kind.AGENT:
                self._context = otel_context.set_value(AGENT_KEY, op.name, self._context)
        self._token: Token[Context] | None = None
        self.found: dict[str, Any] = {}
        self._encoded = False

    @property
    def context(self) -> Context:
        """Where children of this operation begin."""
        return self._context

    def takes(self, op: Operation) -> bool:
        """Whether ``op`` is this very call, seen by a lower layer; if so it is taken up."""
        if self.ended or self.joined is not None or not same_call(self.op, op):
            return False
        self.joined = op
        return True

    def opened(self) -> None:
        """Encodes the request as it was sent, unless it is made by hand and may yet change.

        Raises a ``Refusal`` of a hard budget.
        """
        if self.recorded and not self.op.by_hand:
            self._encoded = True
            request(self.op, self.found)
        if self.weighs:
            self._admit()

    def _admit(self) -> None:
        try:
            self._ledgers.accounts.admit(self.op, self._context)
        except Refusal as refusal:
            self.finish(refusal)
            raise

    def enter(self) -> None:
        """Makes this the current operation, and its span the current span."""
        self._token = attach(self._context)

    def leave(self) -> None:
        """Undoes ``enter``."""
        if self._token is not None:
            detach(self._token)
            self._token = None

    def finish(self, error: BaseException | None = None) -> None:
        """Ends the span and measures the operation."""
        op = self.op
        self.ended = True
        op.settle()
        if op.timing.ended is None:
            op.timing.ended = perf_counter()
        if error is not None:
            _fail(op, error)
        elif op.failure is not None and op.category is None:  # told within an answer
            told = category_of_word(op.failure.type)
            op.category = told or (PROVIDER if op.kind in MODEL_KINDS else APP)
        instruments, accounts = self._ledgers
        standing: Sequence[Spending] = ()
        try:
            standing = accounts.settle(op, self._context, self._started / 1e9)
            roll_up(self.parent, op)
        finally:
            if self.recorded:
                self._write(op, standing)
        if instruments is not None:
            instruments.record(op, self._context)
            instruments.record_budgets(standing)
        for spending in standing:
            if spending.breached and spending.budget.on_breach is not None:
                spending.budget.on_breach(spending)

    def _write(self, op: Operation, standing: Sequence[Spending]) -> None:
        """The span ends whatever an odd value does to its attributes."""
        try:
            if self.joined is not None or not self._encoded:  # facts were added on the way
                self.found.update(_opening(op, self._context))
                request(op, self.found)
                self._span.update_name(span_name(op))
            outcome(op, self.found)
            if self.totals is not None:
                self.totals.tell(self.found)
        finally:
            try:
                self._span.set_attributes(self.found)
                for spending in standing:
                    if spending.breached:
                        self._span.add_event(
                            names.EVENT_GENAI_OTEL_BUDGET_BREACHED, budget_facts(spending)
                        )
                if op.failure is not None:
                    _tell_failure(self._span, op)
            finally:
                ended = op.timing.ended or op.timing.started
                self._span.end(self._started + int((ended - op.timing.started) * 1e9))


class Joined:
    """The same call seen by a lower layer: adds its facts to the owner's."""

    __slots__ = ("_owner", "_recorder", "op", "wanted", "weighs")

    def __init__(self, owner: Recording, op: Operation, recorder: Recorder) -> None:
        op.capture = owner.op.capture
        self.op, self._owner, self._recorder = op, owner, recorder
        self.wanted, self.weighs = owner.wanted, False

    def opened(self) -> None:
        """The owner has encoded its own request."""

    def enter(self) -> None:
        """The owner is current already."""

    def leave(self) -> None:
        """Nothing to undo."""

    def finish(self, error: BaseException | None = None) -> None:
        """Gives the facts to the owner; a failed attempt leaves it free for the next one."""
        if self._owner.ended:
            if self._owner.op.stream:  # left early, it has told of the same stream itself
                return
            # It could not wait for this stream: better a span of its own.
            late = self._recorder.open(self.op, self._owner.context, late=True)
            late.opened()
            late.finish(error)
        elif error is not None:
            self._owner.joined = None
        else:
            absorb(self._owner.op, self.op)


def _opening(op: Operation, context: Context) -> dict[str, Any]:
    facts = {**ambient(context), **opening(op)}
    return facts if op.prompt is None else {**facts, **prompt_facts(op.prompt)}


def _fail(op: Operation, error: BaseException) -> None:
    if is_cancellation(error):
        op.completed = False
        op.category = None if isinstance(error, GeneratorExit) else CANCELLED
    else:
        op.failure, op.category = failure(error, capture=op.capture), category_of(error)


def _tell_failure(span: Span, op: Operation) -> None:
    """Status and event; text only if content is captured."""
    told = op.failure
    if told is None:
        return
    attributes = {names.EXCEPTION_TYPE: told.type}
    description = None
    if told.message is not None:
        description = attributes[names.EXCEPTION_MESSAGE] = utf8(told.message)
    if told.stacktrace is not None:
        attributes[names.EXCEPTION_STACKTRACE] = utf8(told.stacktrace)
    span.add_event("exception", attributes)
    span.set_status(Status(StatusCode.ERROR, description))


def current() -> Operation | None:
    """The operation that this code runs in, to be filled with what only the application knows."""
    owner: Any = otel_context.get_current().get(OPERATION_KEY)
    return owner.op if isinstance(owner, Recording) else None
