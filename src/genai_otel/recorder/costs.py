"""Costs of model calls, and the budgets that they are charged to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from genai_otel import _semconv as names
from genai_otel._support.background import begin
from genai_otel.record import Kind, Usage

from .attributes import cost_facts
from .context import ambient
from .ownership import MODEL_KINDS
from .waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context

    from genai_otel.budgets.budget import Budgets, Spending
    from genai_otel.pricing.book import Cost, PriceBook
    from genai_otel.record import Operation
    from genai_otel.tokens.tokenizers import Tokenizers

AGENT_KEY = otel_context.create_key("genai_otel-agent")
_NOT_READY = "not_ready"
# Seconds that an export waits for the price table, once; loading takes a third of that.
_FOR_THE_TABLE = 1.0
WITHOUT_OUTPUT = (Kind.EMBEDDINGS, Kind.RERANK)


class Costs:
    """Price each model call once, and charge it to the budgets once.

    With ``tokenizers``, usage that the provider does not report is estimated and marked so.
    """

    __slots__ = (
        *("_budgets", "_estimates", "_loading", "_prices", "_run", "_tokenizers", "_waited"),
        *("counts", "hard", "may_end_at_once", "may_wait", "priced_as_sent", "read_at_once"),
        *("needs_tokens", "waiting"),
    )

    def __init__(
        self,
        prices: PriceBook | None = None,
        budgets: Budgets | None = None,
        tokenizers: Tokenizers | None = None,
        run: Callable[[Callable[[], None]], object] = lambda conclude: conclude(),
    ) -> None:
        self._prices, self._budgets, self._tokenizers = prices, budgets, tokenizers
        self._run = run
        # Whether calls that are not recorded count, for budgets.
        self.counts = budgets is not None
        # Whether ``count`` has work to do.
        self.needs_tokens = self.counts or tokenizers is not None
        self.hard = budgets is not None and budgets.hard
        # Whether calls wait while prices load: not if nothing would end them later.
        self.may_wait = True
        # Whether the process may end at once, losing waiting calls; called while prices load.
        self.may_end_at_once: Callable[[], bool] = _never
        # Whether the export prices such a call: not if others also read its span.
        self.priced_as_sent = False
        # Whether a span is read as soon as the call has returned; called while prices load.
        self.read_at_once: Callable[[], bool] = _never
        self._estimates: Any = None
        if self.hard or tokenizers is not None:
            from . import estimates  # its patterns take milliseconds to compile

            self._estimates = estimates
        self.after_fork()

    def after_fork(self) -> None:
        """Reset in a child process: its parent's loading and waiting calls do not continue here."""
        self._loading = self._prices is None or self._prices.ready
        self._waited = False
        self.waiting = Waiting(self._run)

    @property
    def has_prices(self) -> bool:
        """Return whether calls are priced."""
        return self._prices is not None

    @property
    def prices(self) -> str:
        """Return the text of ``Status.prices``: version, problem, ``not loaded`` or ``off``."""
        book = self._prices
        if book is None:
            return "off"
        if not book.ready:
            return "not loaded" if book.problem is None else f"not loaded; {book.problem}"
        return book.version if book.problem is None else f"{book.version}; {book.problem}"

    def prepare(self) -> None:
        """Start loading the price table, once, on a separate thread, since it reads from disk."""
        if not self._loading and self._prices is not None:
            waiting = self.waiting
            self._loading, waiting.open = True, self.may_wait
            if not begin("prices", self._load, waiting):
                self._loading = False
                waiting.release()

    def load(self) -> None:
        """Load the price table now, on this thread; not to be used during a call."""
        if not self._loading and self._prices is not None:
            self._loading = True
            self._prices.load()

    def _load(self, waiting: Waiting) -> None:
        assert self._prices is not None  # noqa: S101 - checked in prepare
        try:
            self._prices.load()
        finally:
            waiting.release()

    def admit(self, op: Operation, context: Context) -> None:
        """Raise ``BudgetExceeded`` if the call, by estimate, exceeds a hard budget."""
        if self._budgets is None or not self.hard or op.kind not in MODEL_KINDS:
            return
        usage = Usage()
        usage.input, usage.estimated = self._estimates.sent(op), "before the call"
        asked = (op.params or {}).get("max_tokens")
        usage.output = asked if type(asked) is int else 0
        cost = self._cost(op, usage, time.time())
        tokens = usage.input + usage.output
        self._budgets.admit(_who(context), tokens=tokens, usd=dollars(cost))

    def count(self, op: Operation, context: Context) -> Sequence[Spending]:
        """Charge the tokens of a finished call; return the spending of the token budgets."""
        if op.kind not in MODEL_KINDS:
            return ()
        usage = op.usage
        if self._tokenizers is not None and op.capture and op.failure is None and is_unknown(usage):
            self._estimates.fill(usage, op, self._tokenizers)
        if self._budgets is None:
            return ()
        tokens = (usage.input or 0) + (usage.output or 0)
        return self._budgets.charge(_who(context), tokens=tokens, usd=None)

    def holds(self, op: Operation, started: float, conclude: Callable[[], None]) -> bool:
        """Return whether ``conclude`` is called later, since prices are not loaded yet."""
        if self.may_end_at_once() or self.read_at_once():
            return False
        needs = op.kind in MODEL_KINDS and self._priced(op, started) == _NOT_READY
        return self.waiting.hold(conclude, needs=needs)

    def _priced(self, op: Operation, started: float) -> str | None:
        cost = self._cost(op, _billed(op), started)
        return None if cost is None else cost.status

    def charge(self, op: Operation, context: Context, started: float) -> Sequence[Spending]:
        """Price a finished call; return the spending of the USD budgets.

        ``started`` is the time of the request in seconds since 1970; the price at that time
        applies.
        """
        if op.kind not in MODEL_KINDS:
            return ()
        op.cost = self._cost(op, _billed(op), started)
        if op.cost is not None and op.cost.status == _NOT_READY and self._is_priced_late():
            op.cost = op.cost._replace(pending=_pending(op, started))
        if self._budgets is None:
            return ()
        amount = dollars(op.cost)
        if amount is None:
            return ()
        return self._budgets.charge(_who(context), tokens=None, usd=amount)

    def _is_priced_late(self) -> bool:
        return self.priced_as_sent and self.may_end_at_once()

    def late(self, pending: Sequence[str]) -> dict[str, Any]:
        """Return the cost attributes of a call from its ``Cost.pending``, during export.

        Runs on a thread that may wait for the price table: an export worker's or that of a flush.
        """
        try:
            asked = {name: value for each in pending for name, value in json.loads(each).items()}
        except ValueError:  # truncated by the application's attribute length limit
            return {names.GENAI_OTEL_COST_STATUS: _NOT_READY}
        usage = Usage()
        counts = {name for name in asked if name.startswith(_COUNT)}
        vars(usage).update((name[len(_COUNT) :], asked.pop(name)) for name in counts)
        book = self._prices
        facts: dict[str, Any] = {}
        if book is not None and not (book.ready or self._waited):
            self.prepare()
            self._waited = True
            self.waiting.loaded(_FOR_THE_TABLE)
        if book is not None:
            cost_facts(book.price(usage, **asked), facts)
        return facts

    def _cost(self, op: Operation, usage: Usage, at: float) -> Cost | None:
        book = self._prices
        if book is None:
            return None
        if op.failure is not None and not _is_counted(op.usage):
            return book.nothing("failed")
        return book.price(usage, at=at, **_asked(op))


def _never() -> bool:
    return False


def dollars(cost: Cost | None) -> float | None:
    """Return the cost in USD, the currency of totals and budgets; ``None`` if unknown."""
    return cost.amount if cost is not None and cost.currency == "USD" else None


def is_unknown(usage: Usage) -> bool:
    """Return whether neither input nor output tokens are known."""
    return usage.input is None and usage.output is None


_OF_THE_REQUEST = frozenset(("characters", "unclear", "containers"))


def _is_counted(usage: Usage) -> bool:
    """Return whether the provider reported usage, besides counts derived from the request."""
    return any(
        count is not None for name, count in vars(usage).items() if name not in _OF_THE_REQUEST
    )


def _billed(op: Operation) -> Usage:
    """Return the usage to price; embeddings and rerankings have 0 output tokens, not unknown."""
    if op.kind not in WITHOUT_OUTPUT or op.usage.input is None or op.usage.output is not None:
        return op.usage
    usage = Usage()
    vars(usage).update(vars(op.usage), output=0)
    return usage


_COUNT = "usage."


def _pending(op: Operation, started: float) -> tuple[str, ...]:
    """Return each fact as separate JSON, rarely truncated by an attribute length limit."""
    counts = {f"{_COUNT}{name}": count for name, count in vars(_billed(op)).items()}
    facts = {**_asked(op), "at": started, **{k: v for k, v in counts.items() if v is not None}}
    return tuple(json.dumps({name: value}) for name, value in facts.items())


def _asked(op: Operation) -> dict[str, Any]:
    """Return the facts that select a price, except the time."""
    return {
        "provider": op.provider,
        "model": op.response_model,
        "request_model": op.model,
        "host": op.host,
        "tier": op.tier,
        "region": op.region,
    }


def _who(context: Context) -> dict[str, Any]:
    """Return the dimensions of budgets: session, user, tags and agent."""
    facts = ambient(context)
    return {
        "session": facts.get(names.SESSION_ID),
        "user": facts.get(names.USER_ID),
        "tags": facts.get(names.GENAI_OTEL_TAGS, ()),
        "agent": context.get(AGENT_KEY),
    }
