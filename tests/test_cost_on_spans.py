"""Cost on the spans of real calls: once, additive, and absent where nobody knows it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

import genai_otel
from genai_otel._support.background import finish
from genai_otel.testing import Capture
from tests import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import Provider

openai = pytest.importorskip("openai")

SEMCONV = Path(__file__).resolve().parent.parent / "semconv"
PRICES = {"models": {"ok*": {"input": 1.0, "output": 2.0}, "e-*": {"input": 1.0, "output": 2.0}}}
OK_CALL = (12 * 1.0 + 8 * 2.0) / 1e6


@pytest.fixture
def capture() -> Iterator[Capture]:
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter,
        content="full",
        meter_provider=capture.meter_provider,
        prices=PRICES,
    )
    finish()  # loading the table, so that what it does not know is unknown from the first call on
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


@pytest.fixture
def client(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as client:
        yield client


def chat(client: Any, model: str = "ok", **more: Any) -> Any:
    messages = [{"role": "user", "content": "Hello"}]
    return client.chat.completions.create(model=model, messages=messages, **more)


def test_a_priced_call_tells_its_cost_and_by_which_prices(capture: Capture, client: Any) -> None:
    chat(client)
    told = capture.span().attributes

    assert told["gen_ai.usage.cost"] == pytest.approx(OK_CALL)
    assert "overrides" in told["genai_otel.prices.version"]
    assert "genai_otel.cost.status" not in told


def test_a_model_without_a_price_has_no_cost(capture: Capture, client: Any) -> None:
    chat(client, model="tools")
    told = capture.span().attributes

    assert "gen_ai.usage.cost" not in told
    assert told["genai_otel.cost.status"] in ("unknown_biller", "unknown_model", "not_ready")


def test_a_stream_without_counts_has_no_cost(capture: Capture, client: Any) -> None:
    for _ in chat(client, stream=True):
        pass
    told = capture.span().attributes

    assert "gen_ai.usage.cost" not in told
    assert told["genai_otel.cost.status"] == "no_usage"


def test_embeddings_are_input_only(capture: Capture, client: Any) -> None:
    client.embeddings.create(model="e", input="text")

    assert capture.span().attributes["gen_ai.usage.cost"] == pytest.approx(12e-6)


def test_a_workflow_tells_totals_under_names_of_their_own(capture: Capture, client: Any) -> None:
    @genai_otel.agent
    def helper() -> None:
        chat(client)

    @genai_otel.workflow
    def job() -> None:
        chat(client)
        helper()

    job()
    spans = {span.name: span.attributes for span in capture.spans}
    whole, part = spans["invoke_workflow job"], spans["invoke_agent helper"]

    assert whole["genai_otel.total.model_calls"] == 2
    assert whole["genai_otel.total.input_tokens"] == 24
    assert whole["genai_otel.total.output_tokens"] == 16
    assert whole["genai_otel.total.cost"] == pytest.approx(2 * OK_CALL)
    assert part["genai_otel.total.cost"] == pytest.approx(OK_CALL)
    assert not any(name.startswith("gen_ai.usage") for name in (*whole, *part))


KINDS = st.sampled_from(["workflow", "agent", "step", "tool", "chat", "embeddings", "rerank"])
COUNTS = st.none() | st.integers(0, 10_000)
TREES: Any = st.recursive(
    st.tuples(KINDS, COUNTS, COUNTS, st.just(())),
    lambda inner: st.tuples(KINDS, COUNTS, COUNTS, st.lists(inner, max_size=4)),
    max_leaves=12,
)


def grow(tree: Any) -> None:
    kind, sent, made, inside = tree
    with genai_otel.operation(kind, None if kind in CALLS else "it") as op:
        if kind in CALLS:
            op.provider, op.model, op.usage.input, op.usage.output = "house", "ok", sent, made
        for each in inside:
            grow(each)


CALLS = ("chat", "embeddings", "rerank")
SPENT = {
    "gen_ai.usage.input_tokens": "genai_otel.total.input_tokens",
    "gen_ai.usage.output_tokens": "genai_otel.total.output_tokens",
    "gen_ai.usage.cost": "genai_otel.total.cost",
}


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES)
def test_parents_tell_sums_and_never_repeat(capture: Capture, tree: Any) -> None:
    """Whatever is inside what: calls have their own numbers, all others the sum below them."""
    capture.clear()
    grow(tree)
    spans = {span.context.span_id: span for span in capture.spans}

    def below(span: Any, outer: Any) -> bool:
        while span is not None:
            span = spans.get(span.parent.span_id) if span.parent else None
            if span is outer:
                return True
        return False

    for outer in spans.values():
        is_call = outer.attributes["gen_ai.operation.name"] in CALLS
        inner = [span for span in spans.values() if below(span, outer)]
        for own, total in SPENT.items():
            assert own not in outer.attributes or is_call
            if outer.attributes["gen_ai.operation.name"] in ("invoke_workflow", "invoke_agent"):
                amount = sum(span.attributes.get(own, 0) for span in inner)
                assert outer.attributes.get(total, 0) == pytest.approx(amount)
            else:
                assert total not in outer.attributes


def inside(capture: Capture, *calls: Any) -> Any:
    """What a workflow tells of these calls."""
    with genai_otel.operation("workflow", "job"):
        for call in calls:
            with contextlib.suppress(openai.OpenAIError, GeneratorExit):
                call()
    told = capture.span("invoke_workflow job").attributes
    return {name: told[name] for name in told if name.startswith("genai_otel.total.")}


def left(client: Any) -> None:
    """A stream that is left after a chunk: nobody has told its usage."""
    stream = chat(client, stream=True)
    next(iter(stream))
    stream.close()


def timed_out() -> None:
    with genai_otel.operation("chat") as op:
        op.provider, op.model = "house", "ok"
        raise openai.APITimeoutError(request=None)


def test_what_nobody_counted_is_no_0_in_a_sum(capture: Capture, client: Any) -> None:
    told = inside(capture, lambda: left(client), lambda: chat(client, model="nousage"), timed_out)
    assert told == {
        "genai_otel.total.model_calls": 3,
        "genai_otel.total.uncounted_calls": 3,
        "genai_otel.total.unpriced_calls": 3,
    }


def test_a_part_of_a_sum_is_marked(capture: Capture, client: Any) -> None:
    told = inside(capture, lambda: chat(client), lambda: chat(client, model="nousage"))
    assert told == {
        "genai_otel.total.model_calls": 2,
        "genai_otel.total.input_tokens": 12,
        "genai_otel.total.output_tokens": 8,
        "genai_otel.total.cost": pytest.approx(OK_CALL),
        "genai_otel.total.uncounted_calls": 1,
        "genai_otel.total.unpriced_calls": 1,
    }


def test_a_refused_request_used_nothing(capture: Capture, client: Any) -> None:
    once = client.with_options(max_retries=0)
    told = inside(capture, lambda: chat(client), lambda: chat(once, model="err429"))
    assert told == {
        "genai_otel.total.model_calls": 2,
        "genai_otel.total.input_tokens": 12,
        "genai_otel.total.output_tokens": 8,
        "genai_otel.total.cost": pytest.approx(OK_CALL),
    }


def test_only_a_refused_request(capture: Capture, client: Any) -> None:
    once = client.with_options(max_retries=0)
    told = inside(capture, lambda: chat(once, model="err429"))
    assert told == {"genai_otel.total.model_calls": 1}


def test_what_has_no_tokens_lacks_none(capture: Capture, client: Any) -> None:
    told = inside(
        capture,
        lambda: client.embeddings.create(model="e", input="text"),
        lambda: client.images.generate(model="ok", prompt="a tower"),
    )
    assert "genai_otel.total.uncounted_calls" not in told
    assert told["genai_otel.total.input_tokens"] >= 12


def test_a_call_that_is_open_at_the_end_is_lacking(capture: Capture, client: Any) -> None:
    streams: list[Any] = []
    told = inside(
        capture, lambda: chat(client), lambda: streams.append(chat(client, stream=True))
    )  # fmt: skip
    assert told == {
        "genai_otel.total.model_calls": 2,
        "genai_otel.total.input_tokens": 12,
        "genai_otel.total.output_tokens": 8,
        "genai_otel.total.cost": pytest.approx(OK_CALL),
        "genai_otel.total.uncounted_calls": 1,
        "genai_otel.total.unpriced_calls": 1,
    }
    assert [*streams.pop()]
    assert len(capture.spans) == 3


def test_what_is_open_at_the_end_may_make_further_calls(capture: Capture, client: Any) -> None:
    """In each workflow and agent around it; who waits for it has its calls."""
    late = genai_otel.operation("step", "late")
    with genai_otel.operation("workflow", "whole"):
        with genai_otel.operation("workflow", "outer"), genai_otel.operation("agent", "inner"):
            chat(client)
            late.__enter__()
            with genai_otel.operation("workflow", "done"):
                pass
        late.__exit__(None, None, None)
    told = {span.name.split()[-1]: span.attributes for span in capture.spans}
    partial = {name for name, found in told.items() if found.get("genai_otel.total.partial")}
    assert partial == {"outer", "inner"}
    assert told["outer"]["genai_otel.total.input_tokens"] == 12


class _WithoutCalls(Sampler):
    def should_sample(self, context: Any, trace: int, name: str, *_: Any, **__: Any) -> Any:
        dropped = name.startswith("chat")
        return SamplingResult(Decision.DROP if dropped else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "without calls"


@pytest.mark.parametrize("metrics", [False, True])
def test_a_call_that_is_not_recorded_is_lacking(
    client: Any, monkeypatch: pytest.MonkeyPatch, *, metrics: bool
) -> None:
    """Where metrics are measured it is counted all the same, and in the sum."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=_WithoutCalls())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    meters = MeterProvider() if metrics else None
    genai_otel.instrument(tracer_provider=provider, meter_provider=meters, prices=PRICES)
    with genai_otel.operation("workflow", "job"):
        chat(client)
    genai_otel.shutdown()
    provider.shutdown()
    if meters is not None:
        meters.shutdown()
    (span,) = exporter.get_finished_spans()
    told = span.attributes or {}
    assert told.get("genai_otel.total.input_tokens") == (12 if metrics else None)
    assert told.get("genai_otel.total.partial") == (None if metrics else True)


FORKS = """
import os, sys
import genai_otel
from genai_otel.testing import Capture
capture = Capture()
genai_otel.instrument(destinations=capture.exporter)
def call(number=0):
    with genai_otel.operation("chat", f"s{number}") as op:
        op.provider, op.model, op.usage.input, op.usage.output = "house", "ok", 12, 8
    return number
def child(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
def pool():
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as workers:
        assert workers.map(call, range(4), 1) == [0, 1, 2, 3]
def inner():
    with genai_otel.operation("agent", "inner"):
        call()
HOW = {
    "a call": lambda: child(call),
    "a call in an agent's turn": lambda: child(inner),
    "a child's child": lambda: child(lambda: child(call)),
    "a pool": pool,
    "no call": lambda: child(lambda: None),
    "a search": lambda: child(genai_otel.retriever(lambda: [])),
    "another context": lambda: child(lambda: otel_context.attach(Context()) and call()),
}
from opentelemetry import context as otel_context
from opentelemetry.context import Context
with genai_otel.operation("workflow", "job"):
    with genai_otel.operation("agent", "first"):
        pass
    call()
    HOW[sys.argv[1]]()
    with genai_otel.operation("agent", "second"):
        pass
    call()
for name in ("invoke_workflow job", "invoke_agent first", "invoke_agent second"):
    told = capture.span(name).attributes
    print(told.get("genai_otel.total.input_tokens"), told.get("genai_otel.total.partial"))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    ("how", "partial"),
    [
        ("a call", True),
        ("a call in an agent's turn", True),
        ("a child's child", True),
        ("a pool", True),
        ("no call", None),
        ("a search", None),
        ("another context", None),
    ],
)
def test_calls_of_a_child_that_was_forked_inside_are_lacking(
    tmp_path: Path, how: str, *, partial: bool | None
) -> None:
    done = fresh.script(FORKS, how, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"24 {partial}", "None None", "None None"]


def test_a_sum_is_of_one_currency(client: Any) -> None:
    prices = {"ok": {"input": 1.0, "output": 2.0}, "cached": {"input": 1, "output": 1,
                                                            "currency": "EUR"}}  # fmt: skip
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices={"models": prices})
    with genai_otel.operation("workflow", "both"):
        chat(client)
        chat(client, model="cached")
    genai_otel.flush()
    costs = [span.attributes.get("genai_otel.cost.currency") for span in capture.spans]
    whole = capture.span("invoke_workflow both").attributes
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert costs == [None, "EUR", None]
    assert whole["genai_otel.total.cost"] == pytest.approx(OK_CALL)


def test_the_metric_equals_the_spans(capture: Capture, client: Any) -> None:
    for _ in range(3):
        chat(client)
    (point,) = capture.metrics()["genai_otel.cost"]

    spent = sum(span.attributes["gen_ai.usage.cost"] for span in capture.spans)
    assert point.value == pytest.approx(spent)


def test_what_has_no_price_is_counted_by_its_reason(capture: Capture, client: Any) -> None:
    for model in ("tools", "tools", "ok"):
        chat(client, model=model)
    (point,) = capture.metrics()["genai_otel.cost.missing"]

    assert point.value == 2
    assert point.attributes["gen_ai.request.model"] == "tools"
    assert point.attributes["genai_otel.cost.status"] == "unknown_biller"


def test_what_is_measured_has_no_dimensions_but_the_declared(
    tmp_path: Path, provider: Provider, client: Any
) -> None:
    """Of users, sessions and tags there is none, however many there are; prompts are bounded."""
    settings = genai_otel.Settings(store_directory=str(tmp_path))
    genai_otel.instrument(settings=settings, destinations="local", prices=PRICES)
    greet = genai_otel.prompt("greet", "Hello", version="1")
    for number, model in enumerate(("ok", "tools", "err429", "ok", "err401")):
        with genai_otel.scope(
            user_id=f"u{number}", session_id=f"s{number}", tags=[f"t{number}"], prompt=greet,
            experiment=("tone", "warm"),
        ), contextlib.suppress(openai.APIError):  # fmt: skip
            chat(client.with_options(max_retries=0), model=model)
    genai_otel.shutdown()
    files = [str(file) for file in tmp_path.glob("*.jsonl")]
    measured = "".join(Path(file).read_text() for file in files if "metrics" in file)
    command = [sys.executable, str(SEMCONV / "check.py"), *files]

    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""
    for name in (
        "genai_otel.cost",
        "genai_otel.cost.missing",
        "genai_otel.error.category",
        "greet",
    ):
        assert f'"{name}"' in measured
    assert not re.search(r'"[ust][0-4]"', measured)


def test_names_of_prompts_are_bounded(capture: Capture) -> None:
    for number in range(520):
        with genai_otel.scope(prompt=f"p{number}"), genai_otel.operation("chat") as op:
            op.provider, op.model = "house", "ok"
            op.usage.input, op.usage.output = 1, 1
    told = {
        point.attributes["gen_ai.prompt.name"] for point in capture.metrics()["genai_otel.cost"]
    }

    assert len(told) == 501
    assert "other" in told


NAMED = ("chat", "tool", "agent", "workflow", "retrieval", "guardrail", "store")


@pytest.mark.unconventional("names and actions of no system")
def test_names_of_all_else_are_bounded(capture: Capture) -> None:
    """A collection for each customer, a host for each session, errors that an endpoint makes up."""
    for number in range(520):
        for kind in NAMED:
            named = genai_otel.operation(kind, f"n{number}")
            with contextlib.suppress(LookupError), named as op:
                op.provider, op.host, op.action = f"p{number}", f"h{number}", f"a{number}"
                op.model = f"m{number}"
                if kind == "guardrail":
                    op.verdict = genai_otel.Verdict("deny")
                raise type(f"E{number}", (LookupError,), {})
    for name, points in capture.metrics().items():
        found = {(key, value) for point in points for key, value in point.attributes.items()}
        for key in {key for key, _ in found}:
            assert len([each for each, _ in found if each == key]) <= 501, (name, key)


def test_a_call_that_failed_costs_nothing_and_misses_nothing(capture: Capture, client: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        chat(client, model="err400")
    told = capture.span().attributes

    assert "gen_ai.usage.cost" not in told
    assert told["genai_otel.cost.status"] == "failed"
    assert not {"genai_otel.cost", "genai_otel.cost.missing"} & capture.metrics().keys()


def test_the_price_is_that_of_the_calls_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has become dearer since, long before the call ends."""
    rows = [
        {"input": 1.0, "output": 2.0, "until": "2026-01-01"},
        {"input": 9.0, "output": 9.0, "from": "2026-01-01"},
    ]
    eve = datetime(2025, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices={"models": {"ok": rows}})
    for clock in (lambda: int(eve * 1e9), time.time_ns):
        monkeypatch.setattr("genai_otel.recorder.recorder.time_ns", clock)
        with genai_otel.operation("chat") as op:
            op.provider, op.model = "house", "ok"
            op.usage.input, op.usage.output = 12, 8
    told = [span.attributes["gen_ai.usage.cost"] for span in capture.spans]
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert told == [pytest.approx(OK_CALL), pytest.approx(20 * 9 / 1e6)]


def test_media_that_are_billed_by_the_piece(client: Any) -> None:
    prices = {"ok": {"per_image": 0.04}, "echo": {"per_character": 0.001}}
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices={"models": prices})
    images = len(client.images.generate(model="ok", prompt="a tower", n=2).data)
    client.audio.speech.create(model="echo", input="Hello", voice="alloy")
    made = [span.attributes.get("gen_ai.usage.cost") for span in capture.spans]
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert made == [pytest.approx(images * 0.04), pytest.approx(0.005)]


def test_prices_can_be_switched_off(client: Any) -> None:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, prices="off")
    chat(client)
    told = capture.span().attributes
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    assert not any("cost" in name for name in told)


def test_bad_prices_are_refused_before_anything_is_recorded() -> None:
    with pytest.raises(ValueError, match="input"):
        genai_otel.instrument(prices={"models": {"m": {"input": "cheap"}}})
    assert not genai_otel.status().active


TOLD = {
    "openrouter": ("https://openrouter.ai/api/v1", {"cost": 0.95, "is_byok": False}, 0.95),
    "openrouter, own key": (
        "https://openrouter.ai/api/v1",
        {"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.9}},
        0.95,
    ),
    "openrouter, own key, of which nothing is told": (
        "https://openrouter.ai/api/v1",
        {"cost": 0.05, "is_byok": True},
        None,
    ),
    "perplexity": ("https://api.perplexity.ai", {"cost": {"total_cost": 0.006}}, 0.006),
    "xai": ("https://api.x.ai/v1", {"cost_in_usd_ticks": 37_756_000}, 0.0037756),
    "nonsense": ("https://openrouter.ai/api/v1", {"cost": -1}, None),
    "someone else, in whatever money": ("https://llm.example/v1", {"cost": 12}, None),
}


def answering(base_url: str, charged: dict[str, Any]) -> Any:
    """A client of that host, which is answered here."""
    http = import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    usage = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20, **charged}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "ok", "choices": [],
            "usage": usage}  # fmt: skip
    answers = http.MockTransport(lambda _: http.Response(200, json=body))
    return openai.OpenAI(api_key="k", base_url=base_url, http_client=http.Client(transport=answers))


@pytest.mark.parametrize("case", TOLD)
def test_what_the_provider_says_that_it_charged(case: str) -> None:
    base_url, charged, cost = TOLD[case]
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter)
    with answering(base_url, charged) as client:
        chat(client)
    told = capture.span().attributes
    genai_otel.shutdown()
    capture.meter_provider.shutdown()

    by_it = told.get("genai_otel.prices.version") == "provider"
    assert by_it == (cost is not None)
    assert not by_it or told["gen_ai.usage.cost"] == pytest.approx(cost)


def test_ones_own_prices_come_before_what_the_provider_says(capture: Capture) -> None:
    with answering("https://openrouter.ai/api/v1", {"cost": 9}) as client:
        chat(client)
    assert capture.span().attributes["gen_ai.usage.cost"] == pytest.approx(OK_CALL)
