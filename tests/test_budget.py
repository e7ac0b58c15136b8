"""Budgets: what counts, when they warn, when they stop, and who shares them."""

from __future__ import annotations

import multiprocessing
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import Budget, BudgetExceeded
from genai_otel._support.errors import FAULTS
from genai_otel.budgets.budget import Budgets, Spending
from genai_otel.budgets.sqlite_store import SqliteBudgetStore
from genai_otel.testing import Capture
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

openai = pytest.importorskip("openai")

NOBODY: dict[str, Any] = {"session": None, "user": None, "agent": None, "tags": ()}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"limit": 0}, "positive number"),
        ({"limit": float("nan")}, "positive number"),
        ({"limit": True}, "positive number"),
        ({"limit": 1, "unit": "eur"}, "usd, tokens"),
        ({"limit": 1, "per": "planet"}, "process, session, user, agent, tag:NAME"),
        ({"limit": 1, "per": "tag:"}, "tag:NAME"),
        ({"limit": 1, "window": "soon"}, "like 30m"),
        ({"limit": 1, "window": "0d"}, "like 30m"),
        ({"limit": 1, "soft": 0}, "share of the limit"),
    ],
)
def test_what_is_not_accepted_is_told_at_once(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Budget(**wrong)


def test_it_warns_once_at_the_soft_limit_and_once_at_the_limit() -> None:
    budgets = Budgets((Budget(limit=10, unit="tokens"),))
    breached = [budgets.charge(NOBODY, tokens=3, usd=None)[0].breached for _ in range(6)]

    assert breached == [False, False, True, True, False, False]


def test_a_new_window_begins_at_nothing() -> None:
    now = [0.0]
    budgets = Budgets((Budget(limit=10, unit="tokens", window="1h"),), clock=lambda: now[0])
    budgets.charge(NOBODY, tokens=9, usd=None)
    now[0] = 3_600.0

    assert budgets.charge(NOBODY, tokens=1, usd=None)[0].spent == 1


@pytest.mark.parametrize(
    ("per", "who", "counts"),
    [
        ("process", NOBODY, True),
        ("user", NOBODY, False),
        ("user", {**NOBODY, "user": "u1"}, True),
        ("session", {**NOBODY, "session": "s1"}, True),
        ("agent", {**NOBODY, "agent": "planner"}, True),
        ("tag:beta", {**NOBODY, "tags": ("alpha", "beta")}, True),
        ("tag:beta", {**NOBODY, "tags": ("alpha",)}, False),
    ],
)
def test_it_counts_by(per: str, who: dict[str, Any], counts: bool) -> None:
    standing = Budgets((Budget(limit=10, per=per),)).charge(who, tokens=5, usd=1.0)

    assert bool(standing) is counts


def test_users_are_counted_apart() -> None:
    budgets = Budgets((Budget(limit=10, unit="tokens", per="user", hard=True),))
    budgets.charge({**NOBODY, "user": "spender"}, tokens=10, usd=None)

    budgets.admit({**NOBODY, "user": "other"}, tokens=1, usd=None)
    with pytest.raises(BudgetExceeded) as refused:
        budgets.admit({**NOBODY, "user": "spender"}, tokens=1, usd=None)
    assert refused.value.spending.spent == 10
    assert "spender" in str(refused.value)


def test_a_call_of_unknown_cost_adds_nothing() -> None:
    assert Budgets((Budget(limit=1),)).charge(NOBODY, tokens=5, usd=None) == []


def test_the_estimate_refuses_what_would_go_beyond() -> None:
    budgets = Budgets((Budget(limit=10, unit="tokens", hard=True),))
    budgets.admit(NOBODY, tokens=10, usd=None)
    with pytest.raises(BudgetExceeded):
        budgets.admit(NOBODY, tokens=11, usd=None)


@pytest.mark.parametrize(
    ("budget", "spent", "more", "told"),
    [
        (
            Budget(limit=0.0003, hard=True),
            0.00039,
            9e-07,
            "$0.000390 of $0.000300 spent, this call would add about $0.00000090",
        ),
        (
            Budget(limit=4_000_000, unit="tokens", hard=True),
            4_400_000,
            12,
            "4,400,000 of 4,000,000 tokens spent, this call would add about 12 tokens",
        ),
    ],
)
def test_a_refusal_has_its_figures_as_people_read_them(
    budget: Budget, spent: float, more: float, told: str
) -> None:
    budgets = Budgets((budget,))
    usd = budget.unit == "usd"
    budgets.charge(NOBODY, tokens=int(spent), usd=spent if usd else None)
    with pytest.raises(BudgetExceeded) as refused:
        budgets.admit(NOBODY, tokens=int(more), usd=more)
    assert str(refused.value) == f"budget {budget.name!r} is exceeded: {told}"
    assert refused.value.spending.breached


@pytest.mark.parametrize("limit", [20, 20.0, 0.1, 1e-05, 1e6, 123_456_789, 1e18])
def test_a_budgets_own_name_has_no_exponent(limit: float) -> None:
    name = Budget(limit=limit).name.partition(" ")[0]
    assert "e" not in name
    assert float(name) == limit


def test_many_threads_lose_nothing() -> None:
    budgets = Budgets((Budget(limit=1e9, unit="tokens"),))

    def spend() -> None:
        for _ in range(500):
            budgets.charge(NOBODY, tokens=1, usd=None)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert budgets.charge(NOBODY, tokens=1, usd=None)[0].spent == 4_001


# --------------------------------------------------------------------------- several processes


def spend_there(path: str, times: int) -> None:
    store = SqliteBudgetStore(path, timeout=10)
    for _ in range(times):
        store.add("shared", 0, 0.5)


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "budget.db"
    store = SqliteBudgetStore(path)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=spend_there, args=(str(path), 50)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert store.spent("shared", 0) == 75.0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_windows_that_are_over_are_removed(tmp_path: Path) -> None:
    store = SqliteBudgetStore(tmp_path / "budget.db")
    store.add("key", 1, 2.0)
    store.add("key", 2, 3.0)

    assert (store.spent("key", 1), store.spent("key", 2)) == (0.0, 3.0)


FILE = """
import gc, os, sys, threading, warnings
warnings.simplefilter("error")
unraised = []
sys.unraisablehook = unraised.append
def opened():
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return [link for link in links if "budget.db" in os.path.realpath(link)]
inherited = []
os.register_at_fork(before=lambda: inherited.extend(opened()))  # asked last: it is first here
from genai_otel.budgets.sqlite_store import SqliteBudgetStore
store = SqliteBudgetStore("budget.db", timeout=10)
threads = [threading.Thread(target=store.add, args=("key", 0, 1.0)) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert opened()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        store.add("key", 0, 1.0)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    store.add("key", 0, 1.0)
assert store.spent("key", 0) == 10.0
assert inherited == [], "a child must neither use nor close what its parent has opened"
other = SqliteBudgetStore("budget.db")
other.add("key", 0, 1.0)
before = len(opened())
del other
gc.collect()
assert len(opened()) < before
assert not unraised, unraised
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_the_file_is_closed_before_a_fork_and_at_the_end(tmp_path: Path) -> None:
    """Not left to the collector of garbage, of which Python 3.13 warns."""
    done = fresh.script(FILE, cwd=tmp_path, env={"PYTHONDEVMODE": "1"})
    assert (done.stdout, done.stderr) == ("", "")


def test_a_file_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        SqliteBudgetStore(tmp_path / "nowhere" / "budget.db")


# --------------------------------------------------------------------------------- real calls


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def with_budget(capture: Capture, budget: Budget, content: str = "full") -> None:
    genai_otel.instrument(
        destinations=capture.exporter,
        content=content,
        meter_provider=capture.meter_provider,
        budgets=[budget],
    )


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        yield client


def chat(client: Any, **more: Any) -> Any:
    messages = [{"role": "user", "content": "Hello there, how are you?"}]
    return client.chat.completions.create(model="ok", messages=messages, **more)


@pytest.mark.parametrize("content", ["full", "none"])
def test_a_hard_budget_stops_the_call_before_it_is_sent(
    capture: Capture, client: Any, provider: Provider, content: str
) -> None:
    with_budget(capture, Budget(limit=30, unit="tokens", hard=True), content)
    chat(client)
    with pytest.raises(BudgetExceeded) as refused:
        chat(client, max_tokens=100)

    assert len(provider.requests) == 1
    assert refused.value.estimate > 100
    assert refused.value.__context__ is None
    sent, refused_span = capture.spans
    assert sent.attributes["gen_ai.usage.output_tokens"] == 8
    assert refused_span.attributes["error.type"] == "genai_otel.BudgetExceeded"


def test_streams_settle_at_their_end(capture: Capture, client: Any) -> None:
    seen: list[Spending] = []
    with_budget(capture, Budget(limit=20, unit="tokens", on_breach=seen.append))
    stream = chat(client, stream=True, stream_options={"include_usage": True})
    next(stream)
    assert seen == []
    for _ in stream:
        pass

    assert [spending.spent for spending in seen] == [20]


def test_a_breach_is_an_event_a_metric_and_a_call_back(capture: Capture, client: Any) -> None:
    seen: list[Spending] = []
    with_budget(capture, Budget(limit=20, unit="tokens", name="small", on_breach=seen.append))
    chat(client)

    (event,) = capture.span().events
    assert event.name == "genai_otel.budget.breached"
    assert event.attributes["genai_otel.budget.spent"] == 20
    (point,) = capture.metrics()["genai_otel.budget.used_ratio"]
    assert point.value == 1.0
    assert seen[0].ratio == 1.0


def test_a_call_back_that_fails_is_ours_to_bear(
    capture: Capture, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_spending: Spending) -> None:
        raise RuntimeError("mine")

    monkeypatch.delenv("GENAI_OTEL_STRICT", raising=False)
    with_budget(capture, Budget(limit=20, unit="tokens", on_breach=broken))

    assert chat(client).choices
    assert len(capture.spans) == 1
    assert FAULTS.counts.popitem() == ("Recording.finish: RuntimeError", 1)


def test_users_of_a_scope(capture: Capture, client: Any) -> None:
    with_budget(capture, Budget(limit=25, unit="tokens", per="user", hard=True))
    with genai_otel.scope(user_id="one"):
        chat(client)
        with pytest.raises(BudgetExceeded):
            chat(client)
    with genai_otel.scope(user_id="two"):
        chat(client)


def test_an_agent_pays_for_what_happens_inside(capture: Capture, client: Any) -> None:
    with_budget(capture, Budget(limit=25, unit="tokens", per="agent", hard=True))

    @genai_otel.agent(name="planner")
    def plan() -> None:
        genai_otel.step(chat)(client)

    plan()
    with pytest.raises(BudgetExceeded):
        plan()
    chat(client)
