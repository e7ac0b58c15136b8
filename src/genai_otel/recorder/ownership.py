"""Record one span with usage per model call, whichever layers observe the call.

The outermost layer that observes the call is its owner; a layer below adds its facts to the owner.
An owner claims one call: a second call inside the same owner is recorded separately.

A framework reports its model calls through callbacks, which cannot attach a context: it would stay
attached after the call. Such an operation becomes an *implicit parent* instead: it is the parent of
operations that start in the same context until it ends, and no context has to be detached.
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

# Kinds that generate a response to a prompt.
GENERATING = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.GENERATION})
_JOINING = GENERATING | {Kind.EMBEDDINGS, Kind.RERANK}
# Kinds with usage.
MODEL_KINDS = _JOINING


def same_call(owner: Operation, op: Operation) -> bool:
    """Return whether ``op``, started inside ``owner``, is the same call on a lower layer."""
    if owner.kind in GENERATING:
        return op.kind in GENERATING
    if owner.kind is not op.kind:
        return False
    return op.kind in _JOINING or (
        # A framework's search or tool call is run by a function that may be recorded too. Two by
        # the framework, or two by the application, are separate: one calls the other.
        owner.from_framework
        and not op.from_framework
        and (op.kind is Kind.RETRIEVAL or (op.kind is Kind.TOOL and _same_tool(owner, op)))
    )


def _same_tool(owner: Operation, op: Operation) -> bool:
    """Compare tools by name or description (the docstring): a tool may call other tools."""
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
    """Add facts of the lower layer that ``owner`` lacks; overwrite those of a framework."""
    if op.kind not in MODEL_KINDS and owner.params:  # each layer has some of the parameters
        op.params = {
            **owner.params,
            **{k: v for k, v in (op.params or {}).items() if v is not None},
        }
    if op.action is not None:  # the collection; a framework reports a class name instead
        owner.name = op.name
    owner.is_manual = owner.is_manual or op.is_manual  # some values are set by the application
    for fact in _FACTS:
        told = getattr(op, fact)
        if told is not None and (owner.from_framework or getattr(owner, fact) is None):
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


# Seconds within which further activity is not recorded.
_FRESH = 60.0


class ContextScope:
    """Attach a context to a synchronous section of code."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    @property
    def context(self) -> Context:
        """Return the context of operations that start inside."""
        return self._context

    def enter(self) -> None:
        """Attach the context: make its operation and its span the current ones."""
        self._token = attach(self._context)

    def enter_copied_context(self) -> None:
        """Attach within a context copied for the code inside; not to be detached."""
        attach(self._context)

    def leave(self) -> None:
        """Undo ``enter``."""
        if self._token is not None:
            detach(self._token)
            self._token = None


class Layer(ContextScope):
    """A started operation, which a lower layer may observe as well."""

    __slots__ = (
        "_due",
        "around",
        "base",
        "ended",
        "errors",
        "inside",
        "is_implicit_parent",
        "joined",
        "last_activity",
        "needs_content",
        "op",
        "parent",
        "totals",
        "tried",
        "wanted",
    )  # fmt: skip

    wanted: bool
    needs_content: bool

    def __init__(self, op: Operation, parent: Layer | None, context: Context) -> None:
        super().__init__(context)
        self.op, self.parent = op, parent
        # The totals of the operations inside, for kinds that have totals.
        self.totals: Any = None
        # The innermost totals around this operation.
        self.around: Any = None if parent is None else parent.totals or parent.around
        # The same call, observed by a lower layer.
        self.joined: Operation | None = None
        # A failed attempt, observed by a lower layer.
        self.tried: Operation | None = None
        self.ended = self.is_implicit_parent = self._due = self.errors = False
        self.base: Context | None = None
        # Session and user from scopes inside this operation; ``None`` if they differ.
        self.inside: dict[str, Any] | None = None
        self.last_activity = op.timing.started
        if parent is not None:
            parent.touch(self.last_activity)

    def touch(self, now: float) -> None:
        """Set the last activity here and in the operations around, at most once a minute."""
        layer: Layer | None = self
        while layer is not None and now - layer.last_activity >= _FRESH:
            layer.last_activity = now
            layer = layer.parent

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Add session and user of a scope inside this operation."""
        known = self.inside = self.inside or {}
        for name, value in facts.items():
            known[name] = value if known.get(name, value) == value else None

    def claims(self, op: Operation) -> bool:
        """Claim ``op`` and return True if it is the same call, observed by a lower layer."""
        if self.ended or self.joined is not None or not same_call(self.op, op):
            return False
        self.joined = op
        return True

    def enter_copied_context(self) -> None:
        """Attach within a context copied for the operation's body; not to be detached."""
        if not within(otel_context.get_current().get(OPERATION_KEY), self):
            attach(self._context)

    def set_implicit_parent(self) -> None:
        """Become the implicit parent of operations that start in the current context."""
        self.is_implicit_parent, self.base = True, otel_context.get_current()
        open_ones = (each for each in _IMPLICIT_PARENTS.get() if each.is_implicit_parent)
        _IMPLICIT_PARENTS.set((*open_ones, self))

    def covers(self, owner: Any) -> bool:
        """Return whether code with the current operation ``owner`` may be inside this one."""
        place = None if self.base is None else self.base.get(OPERATION_KEY)
        return place is None or within(owner, place)

    def clear_implicit_parent(self) -> None:
        """Stop being the implicit parent of operations that start in this context."""
        self.is_implicit_parent = False

    @abstractmethod  # without ABCMeta, which makes isinstance() slow
    def finish(self, error: BaseException | None = None) -> None:
        """End the operation."""

    def postponed(self, error: BaseException | None) -> bool:
        """Postpone the end while a stream below is open, and return whether it was postponed.

        If a stream is closed early, the framework reports its end before the client, which has the
        facts.
        """
        lower = self.joined
        if not self.op.from_framework or lower is None or lower.timing.ended is not None:
            return False
        if error is not None:
            fail(self.op, error, capture=self.errors)
        self.op.timing.ended = perf_counter()
        self.is_implicit_parent, self._due = False, True
        return True

    def resume(self) -> None:
        """Finish now if the end was postponed until the layer below ended."""
        if self._due:
            self._due = False
            self.finish()


_IMPLICIT_PARENTS: ContextVar[tuple[Layer, ...]] = ContextVar(
    "genai_otel-implicit-parents", default=()
)


def implicit_parents(owner: Any) -> Sequence[Layer]:
    """Return the implicit parents of this context that cover code in ``owner``."""
    found = _IMPLICIT_PARENTS.get()
    if not found:
        return found
    return [each for each in found if each.is_implicit_parent and each.covers(owner)]


def find_owner(op: Operation, owner: Any, implicit_parents: Sequence[Layer]) -> Layer | None:
    """Return the open operation that is the same call as ``op``, observed by a layer above.

    Only innermost implicit parents are considered, in the order in which they started.
    """
    if isinstance(owner, Layer) and owner.claims(op):
        return owner
    outer = [each.parent for each in implicit_parents]
    return next((each for each in implicit_parents if each not in outer and each.claims(op)), None)


def within(inner: Any, outer: Any) -> bool:
    """Return whether ``inner`` is ``outer`` or was started inside it, at any depth."""
    while isinstance(inner, Layer):
        if inner is outer:
            return True
        inner = inner.parent
    return False


NO_PARENT = "none"


def parent_of_ours(context: Context) -> str | None:
    """Return the span id of the enclosing operation if a span of another library is in between.

    ``NO_PARENT`` if there is no such operation in the same trace; ``None`` if no other span is in
    between, or if it is unknown, since the parent is in another process.
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
