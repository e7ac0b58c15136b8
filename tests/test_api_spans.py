"""Spans made with the OpenTelemetry API, where the program has no tracer provider, or not yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import Destination, Settings, operation, step
from genai_otel._support.notices import NOTICES
from tests import fresh
from tests.receiver import Receiver
from tests.stored import run_cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EARLY = trace.get_tracer("made.before.all")
ORIGINAL = vars(trace.ProxyTracer)["_tracer"]


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As if no provider had been set: the API allows that once in a process."""
    monkeypatch.chdir(tmp_path)
    genai_otel.shutdown()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", trace.Once())
    monkeypatch.setattr(EARLY, "_real_tracer", None)
    yield
    genai_otel.shutdown()
    assert vars(trace.ProxyTracer)["_tracer"] is ORIGINAL


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def recorded(exporter: InMemorySpanExporter) -> dict[str, Any]:
    assert genai_otel.flush()
    return {span.name: span for span in exporter.get_finished_spans()}


def host() -> tuple[TracerProvider, InMemorySpanExporter]:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


# ------------------------------------------------------------------------- without a provider


def test_one_request_is_one_trace(exporter: InMemorySpanExporter) -> None:
    """A web framework's span, the program's own in it, ours in that, and the program's again."""
    genai_otel.instrument(destinations=exporter)
    late = trace.get_tracer("a.library", "1.2", schema_url="https://x.example/1")
    with (
        late.start_as_current_span("GET /", kind=trace.SpanKind.SERVER) as request,
        EARLY.start_as_current_span("mine"),
        operation("workflow", "turn"),
        EARLY.start_as_current_span("within", attributes={"rows": 3}),
    ):
        assert request.is_recording()
        step(lambda: 1)()
        late.start_span("detached").end()
    spans = recorded(exporter)
    parents = {
        name: next((n for n, s in spans.items() if span.parent == s.context), None)
        for name, span in spans.items()
    }
    assert parents == {
        "GET /": None,
        "mine": "GET /",
        "invoke_workflow turn": "mine",
        "within": "invoke_workflow turn",
        "task <lambda>": "within",
        "detached": "within",
    }
    assert {span.context.trace_id for span in spans.values()} == {
        request.get_span_context().trace_id
    }
    scope = spans["GET /"].instrumentation_scope
    assert (scope.name, scope.version, scope.schema_url) == (
        "a.library",
        "1.2",
        "https://x.example/1",
    )
    assert spans["within"].attributes == {"rows": 3}
    assert spans["GET /"].resource.attributes == spans["task <lambda>"].resource.attributes


def test_nothing_is_taken_from_the_api(exporter: InMemorySpanExporter) -> None:
    """By these, libraries tell whether anybody traces, and whether they may set a provider."""
    before = trace.get_tracer_provider()
    genai_otel.instrument(destinations=exporter)
    EARLY.start_span("mine").end()
    assert trace.get_tracer_provider() is before
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert trace._TRACER_PROVIDER is None
    assert not trace._TRACER_PROVIDER_SET_ONCE._done


def test_exceptions_are_recorded_as_by_the_sdk(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    with pytest.raises(KeyError), EARLY.start_as_current_span("mine"):
        raise KeyError("x")
    span = recorded(exporter)["mine"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_the_local_store_has_the_whole_tree(tmp_path: Path) -> None:
    genai_otel.instrument()
    with EARLY.start_as_current_span("GET /"), operation("workflow", "turn"):
        EARLY.start_span("SELECT").end()
    genai_otel.shutdown()
    lines = run_cli("traces", "show", "last", cwd=tmp_path).stdout.splitlines()
    shown = [next((n for n in ("GET /", "turn", "SELECT") if n in line), "") for line in lines]
    assert [name for name in shown if name] == ["GET /", "turn", "SELECT"]


def test_secrets_in_them_are_masked(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    EARLY.start_span("mine", attributes={"note": "sk-proj-abcDEF1234567890abcdef"}).end()
    assert "[OPENAI_KEY]" in recorded(exporter)["mine"].to_json()


@pytest.mark.parametrize(("preset", "goes"), [("otlp", True), ("phoenix", False)])
def test_a_backend_for_model_calls_gets_ours_only(preset: str, goes: bool) -> None:
    with Receiver() as receiver:
        genai_otel.instrument(destinations=Destination(preset, endpoint=receiver.url))
        with EARLY.start_as_current_span("GET /"), operation("workflow", "turn"):
            pass
        assert genai_otel.flush()
        genai_otel.shutdown()
    assert ("GET /" in receiver.names) is goes
    (ours,) = [span for span in receiver.spans.values() if "turn" in span.name]
    assert bool(ours.parent_span_id) is goes, "there it is the root"


def test_a_filter_decides(exporter: InMemorySpanExporter) -> None:
    with Receiver() as receiver:
        to = Destination("otlp", endpoint=receiver.url, filter=lambda span: span.name == "wanted")
        genai_otel.instrument(destinations=to)
        for name in ("wanted", "other"):
            EARLY.start_span(name).end()
        step(lambda: 1)()
        assert genai_otel.flush()
        genai_otel.shutdown()
    assert receiver.names == ["task <lambda>", "wanted"]


@pytest.mark.parametrize("key", ["gen_ai.usage.input_tokens", "llm.token_count.prompt"])
def test_tokens_are_counted_once(exporter: InMemorySpanExporter, key: str) -> None:
    """A second instrumentation for model calls, or a client's own, would double them."""
    genai_otel.instrument(destinations=exporter)
    with EARLY.start_as_current_span("chat m", attributes={key: 7}):
        step(lambda: 1)()
    client = trace.get_tracer("com.anthropic.sdk.python").start_span("anthropic.messages.create")
    assert not client.is_recording()
    assert list(recorded(exporter)) == ["task <lambda>"]


def test_suppressed(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    with genai_otel.suppress(), EARLY.start_as_current_span("mine") as span:
        assert not span.is_recording()
    assert recorded(exporter) == {}


@pytest.mark.parametrize("how", ["setting", "variable"])
def test_switched_off(
    how: str, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    if how == "setting":
        given["settings"] = Settings(record_otel_spans=False)
    else:
        monkeypatch.setenv("GENAI_OTEL_RECORD_OTEL_SPANS", "off")
    genai_otel.instrument(destinations=exporter, **given)
    assert not EARLY.start_span("mine").is_recording()
    assert vars(trace.ProxyTracer)["_tracer"] is ORIGINAL


def test_taken_back_and_put_again(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    genai_otel.uninstrument("openai")
    assert EARLY.start_span("one").is_recording()
    genai_otel.uninstrument()
    assert vars(trace.ProxyTracer)["_tracer"] is ORIGINAL
    assert not EARLY.start_span("two").is_recording()
    genai_otel.instrument(destinations=exporter)
    EARLY.start_span("three").end()
    genai_otel.shutdown()
    assert not EARLY.start_span("four").is_recording()


def test_somebody_over_ours(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter)
    ours = vars(trace.ProxyTracer)["_tracer"]
    replaced: Any = trace.ProxyTracer
    replaced._tracer = property(ours.fget)
    assert EARLY.start_span("mine").is_recording()
    genai_otel.shutdown()
    assert not EARLY.start_span("mine").is_recording(), "ours is inert below it"
    replaced._tracer = ORIGINAL


def test_an_api_that_is_not_known(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace.ProxyTracer, "_tracer", None)
    genai_otel.instrument(destinations=exporter)
    step(lambda: 1)()
    assert list(recorded(exporter)) == ["task <lambda>"]
    assert "OpenTelemetry API is not supported" in genai_otel.status().notices[0]
    genai_otel.shutdown()
    monkeypatch.undo()


# -------------------------------------------------------------------------- a provider set later


def test_a_provider_set_later_has_them_from_then_on(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    genai_otel.instrument(destinations=exporter)
    between = trace.get_tracer("made.in.between")
    open_span = between.start_span("open")
    EARLY.start_span("before").end()
    provider, theirs = host()
    trace.set_tracer_provider(provider)
    assert trace.get_tracer_provider() is provider
    for tracer in (EARLY, between, trace.get_tracer("made.later")):
        tracer.start_span("after").end()
    open_span.end()
    with between.start_as_current_span("request"):
        step(lambda: 1)()
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    names = [span.name for span in theirs.get_finished_spans()]
    assert names == ["after", "after", "after", "task <lambda>", "request"]
    assert list(recorded(exporter)) == ["before", "open", "task <lambda>"]
    assert vars(trace.ProxyTracer)["_tracer"] is ORIGINAL


_WITHOUT_A_WARNING = """
import logging, sys, warnings
warnings.simplefilter("error")
logging.basicConfig(level="DEBUG", stream=sys.stderr)
if {ours}:
    import genai_otel
    genai_otel.instrument()
from opentelemetry import trace
tracer = trace.get_tracer("mine")
with tracer.start_as_current_span("one"):
    pass
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
with tracer.start_as_current_span("two"):
    pass
trace.set_tracer_provider(TracerProvider())
"""


def test_opentelemetry_warns_of_what_it_would_without_us(tmp_path: Path) -> None:
    told = []
    for ours in (False, True):
        done = fresh.script(_WITHOUT_A_WARNING.format(ours=ours), cwd=tmp_path)
        lines = done.stderr.splitlines()
        told.append(
            [line for line in lines if "opentelemetry" in line and "genai_otel" not in line]
        )
    assert told[0] == told[1]
    assert len(told[0]) == 1, "of the second provider"


# ------------------------------------------------------------------------------ what is ignored


def test_a_service_name_that_is_ignored_is_said() -> None:
    provider, _ = host()
    genai_otel.instrument(tracer_provider=provider, service_name="shop", environment="test")
    (name, environment, store) = genai_otel.status().notices
    assert "service_name='shop' is ignored" in name
    assert "service.name='unknown_service" in name
    assert "environment='test' is ignored" in environment
    assert "and not to the local store" in store


def test_a_service_name_that_is_the_same_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    provider, _ = host()
    genai_otel.instrument(tracer_provider=provider, service_name="shop", destinations="local")
    assert genai_otel.status().notices == ()


def test_it_is_said_when_a_provider_comes_later(exporter: InMemorySpanExporter) -> None:
    genai_otel.instrument(destinations=exporter, service_name="shop")
    assert NOTICES.texts == ()
    trace.set_tracer_provider(host()[0])
    step(lambda: 1)()
    (told,) = NOTICES.texts
    assert "service_name='shop' is ignored" in told
