"""One model call is one usage-bearing span, whichever layers saw it.

The outermost layer that opened the call owns it; a layer below that sees the same call adds what it
knows. A call that an owner has taken up is taken: a second one inside the same owner is a call of
its own.

A framework tells of its model calls by callbacks, which cannot make the operation current: what is
set there would stay set after the call. Such an operation *stands* instead. What begins in the same
context belongs to it while it is open, and afterwards nothing has to be undone.
"""

from __future__ import annotations

from abc import abstractmethod
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from genai_otel.record import Kind

from .context import OPERATION_KEY, SPAN_KEY, attach, detach
from .errors import fail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextvars import Token

    from opentelemetry.context import Context

    from genai_otel.record import Operation

GENERATING = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.GENERATION})
"""The kinds that answer a prompt."""
_JOINING = GENERATING | {Kind.EMBEDDINGS, Kind.RERANK}
MODEL_KINDS = _JOINING
"""The kinds that carry usage."""


def same_call(owner: Operation, op: Operation) -> bool:
    """Whether ``op``, begun inside ``owner``, is the same call seen by a lower layer."""
    if owner.kind in GENERATING:
        return op.kind in GENERATING
    if owner.kind is not op.kind:
        return False
    return op.kind in _JOINING or (
        # A framework's search or tool is carried out by something that is recorded itself. Two of
        # one framework, or two of the application, are two: it composes them of each other.
        owner.secondhand
        and not op.secondhand
        and (op.kind is Kind.RETRIEVAL or (op.kind is Kind.TOOL and _same_tool(owner, op)))
    )


def _same_tool(owner: Operation, op: Operation) -> bool:
    """By name, or by the docstring that both describe it with: a tool's body may use others."""
    if owner.name == op.name:
        return True
    described = _description(owner)
    return described is not None and described == _description(op)


def _description(op: Operation) -> str | None:
    told = None if op.params is None else op.params.get("description")
    return (told.partition("\n")[0].strip() or None) if type(told) is str else None


_FACTS = (
    "provider",
    "model",
    "host",
    "port",
    "params",
    "system",
    "input",
    "tools",
    "response_id",
    "response_model",
    "finish_reasons",
    "output",
    "output_type",
    "tier",
    "region",
    "dimensions",
    "details",
    "completed",
    "action",
    "query",
    "records",
    "rows",
    "documents",
    "arguments",
    "result",
)


def absorb(owner: Operation, op: Operation) -> None:
    """Adds to ``owner`` what only the lower layer knew; of hearsay, what it knows better."""
    if op.kind not in MODEL_KINDS and owner.params:  # each knows some of them
        op.params = {
            **owner.params,
            **{k: v for k, v in (op.params or {}).items() if v is not None},
        }
    if op.action is not None:  # the collection: a framework has told the name of a class
        owner.name = op.name
    owner.is_manual = owner.is_manual or op.is_manual  # some of its values are the application's
    for fact in _FACTS:
        told = getattr(op, fact)
        if told is not None and (owner.secondhand or getattr(owner, fact) is None):
            setattr(owner, fact, told)
    owner.expired = owner.expired or op.expired
    owner.usage.absorb(op.usage)
    timing = owner.timing
    if op.stream and timing.first_chunk is None:
        owner.stream, owner.timing = True, op.timing
        op.timing.waited += op.timing.started - timing.started
        op.timing.started, op.timing.ended = timing.started, timing.ended
    else:
        timing.attempts, timing.backoff = op.timing.attempts, op.timing.backoff
        timing.server = op.timing.server


_FRESH = 60.0
"""Seconds within which a sign of life is not told again."""


class Frame:
    """Makes a context the current one, for a synchronous stretch of code."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    @property
    def context(self) -> Context:
        """Where what is inside begins."""
        return self._context

    def enter(self) -> None:
        """Makes the operation in it the current one, and its span the current span."""
        self._token = attach(self._context)

    def stay(self) -> None:
        """Makes it current in a context that was copied for what is inside, and goes with it."""
        attach(self._context)

    def leave(self) -> None:
        """Undoes ``enter``."""
        if self._token is not None:
            detach(self._token)
            self._token = None


class Layer(Frame):
    """A started operation, which a lower layer may turn out to see as well."""

    __slots__ = (
        "_due", "around", "base", "ended", "errors", "inside", "joined", "op", "parent", "stands",
        "stirred", "totals", "tried", "wanted", "weighs",
    )  # fmt: skip

    wanted: bool
    weighs: bool

    def __init__(self, op: Operation, parent: Layer | None, context: Context) -> None:
        super().__init__(context)
        self.op, self.parent = op, parent
        self.totals: Any = None
        """The sums of what is inside, where it has any."""
        self.around: Any = None if parent is None else parent.totals or parent.around
        """The innermost sums that it is itself in."""
        self.joined: Operation | None = None
        """The same call, as the lower layer sees it."""
        self.tried: Operation | None = None
        """What it saw of an attempt that failed."""
        self.ended = self.stands = self._due = self.errors = False
        self.base: Context | None = None
        self.inside: dict[str, Any] | None = None
        """Whose it is, as scopes inside of it say; `None` for a fact on which they disagree."""
        self.stirred = op.timing.started
        if parent is not None:
            parent.stir(self.stirred)

    def stir(self, now: float) -> None:
        """Something happens in here, and so around it; what is told up to a minute ago will do."""
        layer: Layer | None = self
        while layer is not None and now - layer.stirred >= _FRESH:
            layer.stirred = now
            layer = layer.parent

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Takes facts of a scope inside of it."""
        known = self.inside = self.inside or {}
        for name, value in facts.items():
            known[name] = value if known.get(name, value) == value else None

    def takes(self, op: Operation) -> bool:
        """Whether ``op`` is this very call, seen by a lower layer; if so it is taken up."""
        if self.ended or self.joined is not None or not same_call(self.op, op):
            return False
        self.joined = op
        return True

    def stay(self) -> None:
        """Makes this current in a context that was copied for its body, and goes with it."""
        if not within(otel_context.get_current().get(OPERATION_KEY), self):
            attach(self._context)

    def stand(self) -> None:
        """What begins in this context belongs to this operation, until it stands no more."""
        self.stands, self.base = True, otel_context.get_current()
        _STANDING.set((*(each for each in _STANDING.get() if each.stands), self))

    def covers(self, owner: Any) -> bool:
        """Whether code in which ``owner`` is current may be the body of this, which stands."""
        place = None if self.base is None else self.base.get(OPERATION_KEY)
        return place is None or within(owner, place)

    def step_aside(self) -> None:
        """Stands no more: what begins from now on in this context is somebody else's."""
        self.stands = False

    @abstractmethod  # without its metaclass, which would make each isinstance() dear
    def finish(self, error: BaseException | None = None) -> None:
        """Ends the operation."""

    def postponed(self, error: BaseException | None) -> bool:
        """Whether a stream is still open below, which knows what there is to tell.

        A framework tells that a stream was left before the client is told so.
        """
        lower = self.joined
        if not self.op.secondhand or lower is None or lower.timing.ended is not None:
            return False
        if error is not None:
            fail(self.op, error, capture=self.errors)
        self.op.timing.ended = perf_counter()
        self.stands, self._due = False, True
        return True

    def resume(self) -> None:
        """The layer below has ended: an end that waited for it comes now."""
        if self._due:
            self._due = False
            self.finish()


_STANDING: ContextVar[tuple[Layer, ...]] = ContextVar("genai_otel-standing", default=())


def standing(owner: Any) -> Sequence[Layer]:
    """The operations that stand in this context, begun where ``owner`` was current or around it."""
    found = _STANDING.get()
    return [each for each in found if each.stands and each.covers(owner)] if found else found


def taker(op: Operation, owner: Any, standing: Sequence[Layer]) -> Layer | None:
    """Which of the open operations takes ``op`` up, if any.

    Of those that stand the innermost come first, and in the order in which they began.
    """
    if isinstance(owner, Layer) and owner.takes(op):
        return owner
    outer = [each.parent for each in standing]
    return next((each for each in standing if each not in outer and each.takes(op)), None)


def within(inner: Any, outer: Any) -> bool:
    """Whether ``inner`` is ``outer``, or was begun somewhere inside it."""
    while isinstance(inner, Layer):
        if inner is outer:
            return True
        inner = inner.parent
    return False


NO_PARENT = "none"


def parent_of_ours(context: Context) -> str | None:
    """The id of the operation around what begins here, where a span of another library is between.

    ``NO_PARENT`` where there is none in the same trace; ``None`` where nothing is between, or
    nobody knows, as the parent is in another process.
    """
    parent: Any = context.get(SPAN_KEY)
    owner: Any = context.get(OPERATION_KEY)
    around: Any = owner.context.get(SPAN_KEY) if isinstance(owner, Layer) else None
    if parent is None or parent is around:
        return None
    told = parent.get_span_context()
    if not told.is_valid or told.is_remote:
        return None
    if around is None:
        return NO_PARENT
    ours = around.get_span_context()
    return f"{ours.span_id:016x}" if ours.trace_id == told.trace_id else NO_PARENT
