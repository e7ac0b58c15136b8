"""A call that is over before the price table is there is priced all the same, and never lost."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel._support import background
from genai_otel.budgets.budget import Budget
from genai_otel.pricing.book import PriceBook
from genai_otel.recorder.waiting import _MOST, _ROUNDS, Waiting
from genai_otel.store.read.reader import StoreReader
from genai_otel.testing import Capture
from tests.stored import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

openai = pytest.importorskip("openai")

GPT_5 = (1000 * 1.25 + 100 * 10) / 1e6
BODY = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5", "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100,
                  "total_tokens": 1100}}  # fmt: skip


def client() -> Any:
    """Of OpenAI's own host, which is answered here and at once."""
    http = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    answers = http.MockTransport(lambda _: http.Response(200, json=BODY))
    return openai.OpenAI(api_key="k", http_client=http.Client(transport=answers),
                         base_url="https://api.openai.com/v1")  # fmt: skip


def ask(asked: Any) -> None:
    asked.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hi"}])


# ------------------------------------------------------------------------------- whole processes

BEGIN = """
import os, signal, sys, threading
import genai_otel
from tests.test_late_prices import ask, client
asked = client()
genai_otel.instrument()
"""
EXIT = {
    "at its last line": "ask(asked)",
    "by sys.exit": "ask(asked); sys.exit(3)",
    "by an error": "ask(asked); raise RuntimeError",
    "in a workflow": "with genai_otel.operation('workflow', 'job'): ask(asked)",
    "by a signal": "ask(asked); os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "after a flush, at once": "ask(asked); genai_otel.flush(30); os._exit(0)",
    "after a shutdown": "ask(asked); genai_otel.shutdown(30); os._exit(0)",
    "in a thread": "one = threading.Thread(target=ask, args=(asked,)); one.start(); one.join()",
    "in a child by fork": "ask(asked); genai_otel.flush(30)\nos.fork() and os.wait() or ask(asked)",
}


def spans(work: Path) -> list[Any]:
    return list(StoreReader(work / ".genai_otel").spans())


@pytest.mark.parametrize("end", EXIT)
def test_a_script_with_one_call(tmp_path: Path, end: str) -> None:
    if not hasattr(os, "fork") and ("fork" in end or "signal" in end):
        pytest.skip("not on this system")
    run_python("-c", BEGIN + EXIT[end], cwd=tmp_path, code=None)
    found = spans(tmp_path)
    calls = [span for span in found if span.name == "chat gpt-5"]
    assert len(calls) == (2 if "fork" in end else 1)
    for call in calls:
        assert call.attributes["gen_ai.usage.cost"] == pytest.approx(GPT_5)
        assert "genai_otel.cost.status" not in call.attributes
    around = [span for span in found if span.name == "invoke_workflow job"]
    assert [span.attributes["genai_otel.total.cost"] for span in around] == [
        pytest.approx(GPT_5) for _ in around
    ]
    assert len(around) == ("workflow" in end)


NEVER_LOADED = """
from genai_otel.pricing.book import PriceBook
PriceBook.load = lambda self: threading.Event().wait()
genai_otel.instrument(service_name="again")
"""
NEVER = f"""{NEVER_LOADED}
with genai_otel.operation("workflow", "job"):
    ask(asked)
"""


def test_a_table_that_never_comes_loses_nothing(tmp_path: Path) -> None:
    run_python("-c", BEGIN + NEVER, cwd=tmp_path)
    call, job = spans(tmp_path)
    assert call.attributes["genai_otel.cost.status"] == "not_ready"
    assert call.attributes["gen_ai.usage.input_tokens"] == 1000
    assert job.attributes["genai_otel.total.unpriced_calls"] == 1
    assert "genai_otel.total.cost" not in job.attributes


HOST = """
from opentelemetry import trace
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

class Printed(SpanExporter):
    def export(self, spans):
        for span in spans:
            cost = span.attributes.get("gen_ai.usage.cost")
            status = span.attributes.get("genai_otel.cost.status")
            os.write(1, f"{span.name}, {cost and round(cost, 5)}, {status}\\n".encode())
        return SpanExportResult.SUCCESS

import genai_otel
from tests.test_late_prices import ask, client
asked = client()
"""
SET = """
host = sdk.TracerProvider(active_span_processor=sdk.PROCESSOR())
host.add_span_processor(BatchSpanProcessor(Printed()))
trace.set_tracer_provider(host)
"""
HOSTS_END = {
    "a flush": "host.force_flush(); os._exit(0)",
    "a shutdown": "host.shutdown(); os._exit(0)",
    "its last line": "",
}


@pytest.mark.parametrize("end", HOSTS_END)
@pytest.mark.parametrize("first", ["host", "ours"])
def test_a_hosts_provider_is_not_ended_before_what_waits(
    tmp_path: Path, end: str, first: str
) -> None:
    both = [SET.replace("PROCESSOR", "SynchronousMultiSpanProcessor"), "genai_otel.instrument()\n"]
    setup = "".join(both if first == "host" else both[::-1])
    code = "import os\n" + HOST + setup + "ask(asked)\n" + HOSTS_END[end]
    told = run_python("-c", code, cwd=tmp_path).stdout
    assert told.splitlines() == [f"chat gpt-5, {round(GPT_5, 5)}, None"]


METERS = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader

def said(metrics_data):
    found = [m for r in metrics_data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return "".join(sorted(m.name + chr(10) for m in found))

printed = ConsoleMetricExporter(open(1, "w", closefd=False), said)
meters = MeterProvider([PeriodicExportingMetricReader(printed)])
metrics.set_meter_provider(meters)
genai_otel.instrument()
ask(asked)
meters.shutdown()
os._exit(0)
"""


def test_a_hosts_meters_are_not_ended_before_what_waits(tmp_path: Path) -> None:
    told = run_python("-c", "import os\n" + HOST + METERS, cwd=tmp_path).stdout
    assert {"gen_ai.client.operation.duration", "genai_otel.cost"} <= {*told.splitlines()}


def test_a_span_is_not_held_back_from_a_provider_that_ends_when_it_likes(tmp_path: Path) -> None:
    setup = SET.replace("PROCESSOR", "ConcurrentMultiSpanProcessor") + NEVER_LOADED
    code = "import os, threading\n" + HOST + setup + "ask(asked)\n" + HOSTS_END["a flush"]
    told = run_python("-c", code, cwd=tmp_path).stdout
    assert told.splitlines() == ["chat gpt-5, None, not_ready"]


SIMPLE = SET.replace("PROCESSOR", "SynchronousMultiSpanProcessor").replace(
    "BatchSpanProcessor", "SimpleSpanProcessor"
)


@pytest.mark.parametrize(
    ("setup", "cost"),
    [
        (f"{SIMPLE}genai_otel.instrument()\n", f"{round(GPT_5, 5)}, None"),
        (f"genai_otel.instrument()\n{NEVER_LOADED}{SIMPLE}", "None, not_ready"),
    ],
    ids=["the host's is there before", "it is set later, while prices are loaded"],
)
def test_a_span_that_is_exported_as_it_ends_is_there_when_the_call_returns(
    tmp_path: Path, setup: str, cost: str
) -> None:
    """As tests have it, that read an ``InMemorySpanExporter`` in the next line."""
    code = f"import os, threading\n{HOST}from opentelemetry.sdk.trace.export import *\n{setup}"
    told = run_python("-c", f"{code}ask(asked); os._exit(0)", cwd=tmp_path).stdout
    assert told.splitlines() == [f"chat gpt-5, {cost}"]


# ----------------------------------------------------------------------------------- in a process


class Late(PriceBook):
    """Whose table comes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.come = threading.Event()

    def load_if_read(self) -> None: ...

    def load(self) -> None:
        self.come.wait(60)
        super().load()


@pytest.fixture
def late() -> Iterator[Late]:
    book = Late()
    yield book
    book.come.set()
    genai_otel.shutdown()


def test_spans_metrics_and_budgets_come_with_the_prices(late: Late) -> None:
    capture, told = Capture(), []
    budgets = [
        Budget(limit=GPT_5, name="money", on_breach=told.append),
        Budget(limit=1_000, unit="tokens", name="tokens", on_breach=told.append),
    ]
    genai_otel.instrument(
        destinations=capture.exporter,
        meter_provider=capture.meter_provider,
        prices=late,
        budgets=budgets,
    )
    with genai_otel.operation("workflow", "job"), genai_otel.operation("step", "first"):
        ask(client())
    with genai_otel.operation("step", "later"):
        pass
    assert not capture.exporter.get_finished_spans()
    assert not told
    late.come.set()
    names = [span.name for span in capture.spans]
    assert names == ["chat gpt-5", "task first", "invoke_workflow job", "task later"]
    call, _, job, _ = capture.spans
    assert call.attributes is not None
    assert job.attributes is not None
    assert call.attributes["gen_ai.usage.cost"] == pytest.approx(GPT_5)
    assert job.attributes["genai_otel.total.cost"] == pytest.approx(GPT_5)
    (spent,) = capture.metrics()["genai_otel.cost"]
    assert spent.value == pytest.approx(GPT_5)
    assert "genai_otel.cost.missing" not in capture.metrics()
    assert {each.budget.name: each.spent for each in told} == {
        "tokens": 1100,
        "money": pytest.approx(GPT_5),
    }
    assert [event.name for event in call.events] == ["genai_otel.budget.breached"] * 2
    assert job.end_time is not None
    assert call.end_time is not None
    assert call.start_time < call.end_time < job.end_time  # type: ignore[operator]
    capture.meter_provider.shutdown()


def test_tokens_stop_the_next_call_before_there_are_prices(late: Late) -> None:
    capture = Capture()
    budgets = [Budget(limit=1_000, unit="tokens", hard=True)]
    genai_otel.instrument(destinations=capture.exporter, prices=late, budgets=budgets)
    ask(client())
    with pytest.raises(genai_otel.BudgetExceeded):
        ask(client())
    late.come.set()
    first, second = capture.spans
    assert (first.attributes or {})["gen_ai.usage.cost"] == pytest.approx(GPT_5)
    assert (second.attributes or {})["genai_otel.cost.status"] == "failed"
    capture.meter_provider.shutdown()


def test_what_needs_no_table_does_not_wait(late: Late) -> None:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices=late)
    with genai_otel.operation("workflow", "job"):
        pass
    assert capture.span("invoke_workflow job")
    capture.meter_provider.shutdown()


def test_what_the_host_changes_meanwhile_is_not_told(late: Late) -> None:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices=late, content="full")
    message = {"role": "user", "content": "before"}
    client().chat.completions.create(model="gpt-5", messages=[message])
    message["content"] = "after"
    late.come.set()
    (call,) = capture.spans
    assert "before" in str((call.attributes or {})["gen_ai.input.messages"])
    capture.meter_provider.shutdown()


# --------------------------------------------------------------------------------- what is waited


def _opened() -> tuple[Waiting, list[Any]]:
    errors: list[Any] = []

    def run(conclude: Any) -> None:
        try:
            conclude()
        except ValueError as error:
            errors.append(error)

    waiting = Waiting(run)
    waiting.open = True
    return waiting, errors


def test_the_order_is_that_of_the_ends() -> None:
    waiting, _ = _opened()
    done: list[int] = []
    assert not waiting.hold(lambda: done.append(0), needs=False), "nothing is before it"
    for number in (1, 2, 3):
        assert waiting.hold(lambda n=number: done.append(n), needs=number == 1)  # type: ignore[misc]
    assert done == []
    waiting.release()
    assert done == [1, 2, 3]
    assert not waiting.hold(lambda: done.append(4), needs=True)


def test_it_closes_though_others_never_stop_ending() -> None:
    waiting, _ = _opened()
    done = [0]

    def conclude() -> None:
        done[0] += 1
        if not waiting.hold(conclude, needs=False):
            return

    waiting.hold(conclude, needs=True)
    waiting.hold(conclude, needs=True)
    waiting.release()
    assert not waiting.open
    assert done[0] > 2


def test_an_error_costs_only_its_own() -> None:
    waiting, errors = _opened()
    done: list[int] = []
    waiting.hold(lambda: int("x"), needs=True)  # type: ignore[arg-type, return-value]
    waiting.hold(lambda: done.append(1), needs=True)
    waiting.release()
    assert done == [1]
    assert len(errors) == 1


def test_where_many_wait_the_oldest_is_concluded() -> None:
    """In its order still: a parent comes after its children."""
    waiting, _ = _opened()
    done: list[int] = []
    for number in range(_MOST + 5):
        assert waiting.hold(lambda n=number: done.append(n), needs=True)  # type: ignore[misc]
    assert done == [0, 1, 2, 3, 4]
    waiting.drain(0.0)
    assert done == [*range(_MOST + 5)]


def test_what_ends_in_the_middle_of_a_conclusion_comes_after_it() -> None:
    """The parent of a call that another thread is just concluding: it must have its sums."""
    waiting, _ = _opened()
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def conclude() -> None:
        begun.set()
        go_on.wait(60)
        done.append("call")

    waiting.hold(conclude, needs=True)
    loader = threading.Thread(target=waiting.release)
    loader.start()
    begun.wait(60)
    assert waiting.hold(lambda: done.append("workflow"), needs=False)
    flush = threading.Thread(target=waiting.drain, args=(60,))
    flush.start()
    go_on.set()
    flush.join()
    assert done == ["call", "workflow"], "and a flush waits for both"
    loader.join()
    assert not waiting.open


def test_what_waits_is_bounded_though_a_conclusion_hangs() -> None:
    waiting, _ = _opened()
    held: list[bool] = []

    def conclude() -> None:
        held.extend(waiting.hold(lambda: None, needs=True) for _ in range(_ROUNDS * _MOST + 5))

    waiting.hold(conclude, needs=True)
    waiting.drain(0.0)
    assert held == [True] * _ROUNDS * _MOST + [False] * 5


def test_a_table_that_breaks_the_loading_keeps_nothing_waiting(
    late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = Capture()
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(PriceBook, "load", lambda _: int("x"))
    genai_otel.instrument(destinations=capture.exporter, prices=late)
    ask(client())
    late.come.set()
    background.finish(60)
    monkeypatch.setattr(Waiting, "drain", lambda _, __: None)
    (call,) = capture.spans
    assert (call.attributes or {})["genai_otel.cost.status"] == "not_ready"
    capture.meter_provider.shutdown()


def test_a_conclusion_may_flush() -> None:
    """A callback of the host's, on the thread that concludes."""
    waiting, _ = _opened()
    done: list[str] = []
    waiting.hold(lambda: (waiting.drain(30), done.append("first"))[1], needs=True)
    waiting.hold(lambda: done.append("second"), needs=False)
    waiting.release()
    assert done == ["first", "second"]


def test_many_threads_end_while_it_is_loaded() -> None:
    waiting, _ = _opened()
    counted, lock = [0], threading.Lock()

    def conclude() -> None:
        with lock:
            counted[0] += 1

    def end() -> None:
        for _ in range(200):
            if not waiting.hold(conclude, needs=True):
                conclude()

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    waiting.drain(0.0)
    waiting.release()
    for thread in threads:
        thread.join()
    waiting.drain(0.0)
    assert counted == [1600]
