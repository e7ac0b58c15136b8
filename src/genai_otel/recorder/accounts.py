"""What model calls cost, and the budgets that they are held against."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from genai_otel import _names as names
from genai_otel._locks import reentrant
from genai_otel.enrich.background import begin
from genai_otel.record import Kind, Usage

from .context import ambient
from .ownership import MODEL_KINDS

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from genai_otel.enrich.budget import Budgets, Spending
    from genai_otel.enrich.pricing import Cost, PriceBook
    from genai_otel.enrich.tokenizers import Tokenizers
    from genai_otel.record import Operation

AGENT_KEY = otel_context.create_key("genai_otel-agent")
_WITHOUT_OUTPUT = (Kind.EMBEDDINGS, Kind.RERANK)


class Accounts:
    """Prices each model call once, and adds it to the budgets once.

    With ``tokenizers``, tokens that nobody counted are estimated, and marked so.
    """

    __slots__ = ("_budgets", "_estimates", "_loading", "_prices", "_tokenizers", "counts", "hard")

    def __init__(
        self,
        prices: PriceBook | None = None,
        budgets: Budgets | None = None,
        tokenizers: Tokenizers | None = None,
    ) -> None:
        self._prices, self._budgets, self._tokenizers = prices, budgets, tokenizers
        self._loading = prices is None or prices.ready
        self.counts = budgets is not None
        """Whether calls matter that are not recorded."""
        self.hard = budgets is not None and budgets.hard
        self._estimates: Any = None
        if self.hard or tokenizers is not None:
            from . import estimates  # whose patterns take milliseconds to compile

            self._estimates = estimates

    @property
    def prices(self) -> str:
        """As ``Status.prices``."""
        book = self._prices
        if book is None:
            return "off"
        if not book.ready:
            return "not loaded"
        return book.version if book.problem is None else f"{book.version}; {book.problem}"

    def prepare(self) -> None:
        """Has the price table loaded, once, on a thread of its own: it is read from disk."""
        if not self._loading and self._prices is not None:
            self._loading = True
            begin("prices", self._prices.load)

    def admit(self, op: Operation, context: Context) -> None:
        """Raises ``BudgetExceeded`` if a hard budget does not bear the call, by an estimate."""
        if self._budgets is None or not self.hard or op.kind not in MODEL_KINDS:
            return
        usage = Usage()
        usage.input, usage.estimated = self._estimates.sent(op), "before the call"
        asked = (op.params or {}).get("max_tokens")
        usage.output = asked if type(asked) is int else 0
        cost = self._cost(op, usage, time.time())
        tokens = usage.input + usage.output
        self._budgets.admit(_who(context), tokens=tokens, usd=_dollars(cost))

    def settle(self, op: Operation, context: Context, started: float) -> list[Spending]:
        """Prices the finished call; returns how the budgets that count it stand now.

        ``started``, in seconds since 1970: prices change, and that of the request's time holds.
        """
        if op.kind not in MODEL_KINDS:
            return []
        usage, failed = op.usage, op.failure is not None
        if self._tokenizers is not None and op.capture and not failed and _unknown(usage):
            self._estimates.fill(usage, op, self._tokenizers)
        if failed and not _is_counted(usage):
            op.cost = None if self._prices is None else self._prices.nothing("failed")
        else:
            op.cost = self._cost(op, _billed(op), started)
        if self._budgets is None:
            return []
        tokens = (usage.input or 0) + (usage.output or 0)
        return self._budgets.settle(_who(context), tokens=tokens, usd=_dollars(op.cost))

    def _cost(self, op: Operation, usage: Usage, at: float) -> Cost | None:
        if self._prices is None:
            return None
        return self._prices.price(
            usage,
            provider=op.provider,
            model=op.response_model,
            request_model=op.model,
            at=at,
            host=op.host,
            tier=op.tier,
        )


def _dollars(cost: Cost | None) -> float | None:
    return cost.amount if cost is not None and cost.currency == "USD" else None


def _unknown(usage: Usage) -> bool:
    return usage.input is None and usage.output is None


_OF_THE_REQUEST = frozenset(("characters", "unclear", "containers"))


def _is_counted(usage: Usage) -> bool:
    """Whether the provider said anything of what was used, beside what it was asked for."""
    return any(
        count is not None for name, count in vars(usage).items() if name not in _OF_THE_REQUEST
    )


class Totals:
    """What the model calls inside a workflow or an agent's turn came to.

    Told under names of its own: the same numbers under the additive names would count twice.
    """

    def __init__(self) -> None:
        self._lock = reentrant()
        self._calls = self._input = self._output = 0
        self._cost: float | None = None

    def add(self, op: Operation) -> None:
        with self._lock:
            self._calls += 1
            self._input += op.usage.input or 0
            self._output += op.usage.output or 0
            amount = _dollars(op.cost)
            if amount is not None:
                self._cost = (self._cost or 0.0) + amount

    def tell(self, found: dict[str, Any]) -> None:
        if self._calls:
            found[names.GENAI_OTEL_TOTAL_MODEL_CALLS] = self._calls
            found[names.GENAI_OTEL_TOTAL_INPUT_TOKENS] = self._input
            found[names.GENAI_OTEL_TOTAL_OUTPUT_TOKENS] = self._output
        if self._cost is not None:
            found[names.GENAI_OTEL_TOTAL_COST] = self._cost


ROLLED_UP = frozenset({Kind.WORKFLOW, Kind.AGENT})


def roll_up(parent: Any, op: Operation) -> None:
    """Adds a model call to each workflow and agent that it happened in."""
    if op.kind in MODEL_KINDS:
        while parent is not None:
            if parent.totals is not None:
                parent.totals.add(op)
            parent = parent.parent


def _billed(op: Operation) -> Usage:
    """Vectors and rankings are no output tokens: none were counted because there are none."""
    if op.kind not in _WITHOUT_OUTPUT or op.usage.input is None or op.usage.output is not None:
        return op.usage
    usage = Usage()
    vars(usage).update(vars(op.usage), output=0)
    return usage


def _who(context: Context) -> dict[str, Any]:
    """Whose call it is, in the words of budgets."""
    facts = ambient(context)
    return {
        "session": facts.get(names.SESSION_ID),
        "user": facts.get(names.USER_ID),
        "tags": facts.get(names.GENAI_OTEL_TAGS, ()),
        "agent": context.get(AGENT_KEY),
    }
