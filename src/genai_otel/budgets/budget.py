"""Budgets: spending limits that warn and, if configured, reject calls.

A soft limit records an event, counts and calls back. A hard limit raises ``BudgetExceeded`` before
the call is sent, based on an estimate; after the call the actual amount is charged. Spending is
kept per process, or in a store that several processes share.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from genai_otel._support.errors import CallRefused
from genai_otel._support.locks import reentrant
from genai_otel.pricing.amounts import in_unit, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNITS = ("usd", "tokens")
WHO = ("process", "session", "user", "agent")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_KEYS_KEPT = 10_000


class BudgetStore(Protocol):
    """Sums up spending. Both methods are called on the caller's thread."""

    def add(self, key: str, window: int, amount: float) -> float:
        """Add ``amount`` to the spending of ``key`` in that window; return the sum."""

    def spent(self, key: str, window: int) -> float:
        """Return the spending of ``key`` in that window."""


class Spending(NamedTuple):
    """The state of one budget for one key; the argument of callbacks.

    ``key`` is the session, user ... that the spending belongs to, empty for the process. Amounts
    are in the budget's unit. ``breached``: this call was the first beyond the soft limit, or beyond
    the limit, in this window; always true for a rejected call.
    """

    budget: Budget
    key: str
    spent: float
    breached: bool = False

    @property
    def ratio(self) -> float:
        """The spent share of the limit; 1.0 is all of it."""
        return self.spent / self.budget.limit


class BudgetExceeded(CallRefused):
    """A hard budget is exceeded; the call was not sent.

    ``spending`` is the state of the budget, ``estimate`` the expected amount of this call.
    """

    def __init__(self, spending: Spending, estimate: float) -> None:
        budget = spending.budget
        whose = f" of {budget.per} {spending.key!r}" if spending.key else ""
        amounts = (spending.spent, budget.limit, estimate)
        spent, limit, more = (in_unit(amount, budget.unit) for amount in amounts)
        spent = spent.removesuffix(f" {budget.unit}")
        super().__init__(
            f"budget {budget.name!r}{whose} is exceeded: {spent} of {limit} spent, this call would"
            f" add about {more}"
        )
        self.spending, self.estimate = spending, estimate

    def __reduce__(self) -> Any:
        """Make the exception picklable; ``on_breach`` and ``store`` of the budget are left out."""
        spending = self.spending
        budget = replace(spending.budget, on_breach=None, store=None)
        sent = (spending._replace(budget=budget), self.estimate)
        more = {k: v for k, v in vars(self).items() if k not in {"spending", "estimate"}}
        return type(self), sent, more  # such as notes, as for any exception


# The name in ``error.type``, tracebacks and pickles; ``inspect.getsource`` does not find it.
BudgetExceeded.__module__ = "genai_otel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A spending limit.

    ``limit`` in ``unit`` (``usd`` or ``tokens``) applies to each ``per``: ``process``, ``session``,
    ``user``, ``agent`` or ``tag:NAME`` (calls with that tag); in each ``window``, such as ``30m``,
    ``1d`` or ``1w``, aligned to the clock (UTC), or, if it is ``None``, for the life of the
    process. The call that goes beyond ``soft`` (a share of the limit) gets an event on its span,
    and ``on_breach`` is called with the ``Spending``, on the caller's thread; once per window, and
    once more at the limit. ``hard`` rejects calls that would exceed the limit. Calls of unknown
    cost add nothing to a ``usd`` budget.

    Raises ``ValueError`` on invalid arguments.
    """

    limit: float
    unit: str = "usd"
    per: str = "process"
    window: str | None = None
    soft: float = 0.8
    hard: bool = False
    on_breach: Callable[[Spending], object] | None = None
    name: str = ""
    store: BudgetStore | None = None

    def __post_init__(self) -> None:
        if type(self.limit) not in (int, float) or not 0 < self.limit < math.inf:
            raise ValueError(f"a budget's limit must be a positive number, not {self.limit!r}")
        if self.unit not in UNITS:
            raise ValueError(f"unknown budget unit {self.unit!r}: expected one of usd, tokens")
        if self.per not in WHO and not self._tag:
            raise ValueError(
                f"unknown budget per={self.per!r}: expected one of process, session, user, agent,"
                " tag:NAME"
            )
        if not 0 < self.soft <= 1:
            raise ValueError(
                f"soft must be a share of the limit, above 0 and at most 1, not {self.soft!r}"
            )
        object.__setattr__(self, "name", self.name or f"{plain(self.limit)} {self.unit} {self.per}")
        self.seconds  # noqa: B018 - raises on an invalid window

    @property
    def _tag(self) -> str:
        return self.per[4:] if self.per.startswith("tag:") else ""

    @property
    def seconds(self) -> float | None:
        """Length of the window in seconds; ``None`` without a window."""
        if self.window is None:
            return None
        amount, unit = self.window[:-1], self.window[-1:]
        if not amount.isdigit() or int(amount) == 0 or unit not in _SECONDS:
            raise ValueError(
                f"a budget's window must be like 30m, 12h, 1d or 1w, not {self.window!r}"
            )
        return int(amount) * _SECONDS[unit]

    def key(self, who: Mapping[str, Any]) -> str | None:
        """Return the key of a call's spending; ``None`` if this budget does not count the call."""
        if self.per == "process":
            return ""
        if self._tag:
            return self._tag if self._tag in who.get("tags", ()) else None
        found = who.get(self.per)
        return None if found is None else str(found)


class MemoryStore:
    """Spending of this process; beyond ten thousand keys the least recently used are evicted."""

    def __init__(self) -> None:
        self._lock = reentrant()
        self._spent: OrderedDict[tuple[str, int], float] = OrderedDict()

    def add(self, key: str, window: int, amount: float) -> float:
        with self._lock:
            total = self._spent[key, window] = self._spent.get((key, window), 0.0) + amount
            self._spent.move_to_end((key, window))
            if len(self._spent) > _KEYS_KEPT:
                self._spent.popitem(last=False)
            return total

    def spent(self, key: str, window: int) -> float:
        return self._spent.get((key, window), 0.0)


class Budgets:
    """The budgets of this process, checked before each model call and charged after it."""

    def __init__(
        self, budgets: tuple[Budget, ...], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._budgets = budgets
        self._clock = clock
        self._memory = MemoryStore()
        self._reported: OrderedDict[tuple[str, str, int, bool], None] = OrderedDict()
        self.hard = any(budget.hard for budget in budgets)

    def admit(self, who: Mapping[str, Any], *, tokens: int | None, usd: float | None) -> None:
        """Raise ``BudgetExceeded`` if the estimated call would exceed a hard budget."""
        for budget in self._budgets:
            key = budget.key(who) if budget.hard else None
            if key is None:
                continue
            estimate = (usd if budget.unit == "usd" else tokens) or 0
            spent = self._store(budget).spent(self._name(budget, key), self._window(budget))
            if spent >= budget.limit or spent + estimate > budget.limit:
                raise BudgetExceeded(Spending(budget, key, spent, breached=True), estimate)

    def charge(
        self, who: Mapping[str, Any], *, tokens: int | None, usd: float | None
    ) -> list[Spending]:
        """Add the cost of a call; return the state of the budgets that count it."""
        standing = []
        for budget in self._budgets:
            key, amount = budget.key(who), usd if budget.unit == "usd" else tokens
            if key is None or not amount:
                continue
            window = self._window(budget)
            spent = self._store(budget).add(self._name(budget, key), window, amount)
            spending = Spending(budget, key, spent)
            breached = spending.ratio >= budget.soft and self._first(spending, window)
            standing.append(spending._replace(breached=breached))
        return standing

    def _first(self, spending: Spending, window: int) -> bool:
        """Return whether this breach was not reported yet in this window."""
        mark = (spending.budget.name, spending.key, window, spending.ratio >= 1)
        if mark in self._reported:
            return False
        self._reported[mark] = None
        if len(self._reported) > _KEYS_KEPT:
            self._reported.popitem(last=False)
        return True

    def _store(self, budget: Budget) -> BudgetStore:
        return budget.store or self._memory

    @staticmethod
    def _name(budget: Budget, key: str) -> str:
        return f"{budget.name}\x1f{key}"

    def _window(self, budget: Budget) -> int:
        seconds = budget.seconds
        return 0 if seconds is None else int(self._clock() // seconds)
