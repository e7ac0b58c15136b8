"""A process that has providers, contexts and samplers of its own: we join, and replace nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import openai
import pytest
from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import genai_otel
from genai_otel import Destination, operation, step
from genai_otel._support.weakmap import IdentityWeakMap
from genai_otel.testing import Capture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider import Provider

SECRET = "sk-proj-abcDEF1234567890abcdef"
ASK: list[Any] = [{"role": "user", "content": f"canary {SECRET}"}]


class Host:
    """A host's own telemetry."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def names(self) -> list[str]:
        return [span.name for span in self.spans]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host = Host()
    yield host
    host.provider.shutdown()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As if no provider had been set: the API allows that once in a process."""
    monkeypatch.chdir(tmp_path)
    genai_otel.shutdown()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", trace.Once())
    yield
    genai_otel.shutdown()


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="sk", base_url=provider.base_url, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str = "ok", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=ASK, **more)


# ------------------------------------------------------------------------------------- providers


def test_the_hosts_provider_is_joined(host: Host, client: openai.OpenAI, tmp_path: Path) -> None:
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument()
    with trace.get_tracer("host").start_as_current_span("request") as request:
        ask(client)
    assert trace.get_tracer_provider() is host.provider
    assert host.names() == ["chat ok", "request"]
    chat = host.spans[0]
    assert chat.parent == request.get_span_context()
    assert chat.instrumentation_scope is not None
    assert chat.instrumentation_scope.name == "genai_otel"
    assert "canary" in chat.to_json(), "what was said is recorded, without secrets"
    status = genai_otel.status()
    assert (status.provider, status.destinations) == ("the host's", ())
    assert status.content == "redacted"
    assert not list(tmp_path.iterdir()), "nothing that was not asked for"


@pytest.mark.parametrize("before", [True, False])
def test_providers_that_cannot_be_hashed(
    host: Host, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Logfire's are dataclasses that compare, and so have no hash."""
    monkeypatch.setattr(TracerProvider, "__hash__", None)
    monkeypatch.setattr(MeterProvider, "__hash__", None)
    mine, meters = InMemorySpanExporter(), MeterProvider(shutdown_on_exit=False)
    if before:
        trace.set_tracer_provider(host.provider)
    genai_otel.instrument(destinations=mine, meter_provider=meters)
    if not before:
        trace.set_tracer_provider(host.provider)
    ask(client)
    assert genai_otel.flush()
    assert [span.name for span in mine.get_finished_spans()] == ["chat ok"]
    assert host.names() == ["chat ok"]
    meters.shutdown()


def test_what_is_kept_for_an_object_goes_with_it() -> None:
    kept: IdentityWeakMap[str] = IdentityWeakMap()
    owner, other = Capture.__new__(Capture), Capture.__new__(Capture)
    assert kept.put(owner, "its") == kept.get(owner) == "its"
    assert kept.get(other) is None
    del owner
    assert not kept._kept


def test_destinations_that_were_asked_for_get_our_spans_only(
    host: Host, client: openai.OpenAI
) -> None:
    trace.set_tracer_provider(host.provider)
    mine = InMemorySpanExporter()
    genai_otel.instrument(destinations=mine, content="full")
    with trace.get_tracer("host").start_as_current_span("request"):
        ask(client)
    assert genai_otel.flush()
    assert [span.name for span in mine.get_finished_spans()] == ["chat ok"]
    assert host.names() == ["chat ok", "request"]


def test_cycles_leave_nothing_on_the_hosts_provider(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    trace.set_tracer_provider(host.provider)
    caplog.set_level("DEBUG", "opentelemetry")
    for _ in range(20):
        genai_otel.instrument(destinations=InMemorySpanExporter())
        genai_otel.shutdown()
    processors = host.provider._active_span_processor._span_processors
    assert len(processors) == 3, "its own, our first and our last, however often we come"
    with trace.get_tracer("host").start_as_current_span("request"):
        pass
    assert not caplog.records, "processors that were shut down complain of every span"


class _Odd(SpanProcessor):
    """Has attributes by the SDK's names for something else."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class _Lazy(SpanProcessor):
    def __getattr__(self, name: str) -> Any:
        raise (AttributeError if name.startswith("__") else RuntimeError)(name)


@pytest.mark.parametrize(
    "odd", [_Odd(_span_processors=None), _Odd(_span_processors=1, processor=2), _Lazy()]
)
def test_processors_of_any_kind_are_left_alone(odd: SpanProcessor) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(odd)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    genai_otel.instrument(tracer_provider=provider)
    with operation("step", "s"):
        pass
    assert [span.name for span in kept.get_finished_spans()] == ["task s"]
    provider.shutdown()


def test_shutting_down_is_not_the_hosts(host: Host) -> None:
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument()
    genai_otel.shutdown()
    with trace.get_tracer("host").start_as_current_span("request"):
        pass
    assert host.names() == ["request"]


def test_a_provider_set_later_is_adopted(
    host: Host, client: openai.OpenAI, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genai_otel.instrument(destinations=Destination("local", content="full"))
    assert genai_otel.status().content == "full"
    ask(client, "ok-1")
    stream = ask(client, "ok-2", stream=True)
    trace.set_tracer_provider(host.provider)
    ask(client, "ok-3")
    with trace.get_tracer("host").start_as_current_span("request") as request:
        ask(client, "ok-4")
    list(stream)
    assert genai_otel.flush()
    assert host.names() == ["chat ok-3", "chat ok-4", "request"]
    assert host.spans[1].parent == request.get_span_context()
    (file,) = tmp_path.glob(".genai_otel/traces-*.jsonl")
    written = file.read_text(encoding="utf-8")
    assert [f'"chat ok-{n}"' in written for n in (1, 2, 3, 4)] == [True] * 4, "none is lost"
    status = genai_otel.status()
    assert (status.provider, status.content) == ("the host's", "redacted")
    assert not [span for span in host.spans if SECRET in span.to_json()]
    assert "[OPENAI_KEY]" in host.spans[0].to_json()
    assert (
        len([r for r in caplog.records if "allows more content than is recorded" in r.getMessage()])
        == 1
    )


def test_a_provider_set_later_gets_content_that_was_asked_for(
    host: Host, client: openai.OpenAI
) -> None:
    genai_otel.instrument(content="full")
    trace.set_tracer_provider(host.provider)
    ask(client)
    assert "canary" in host.spans[0].to_json()


def test_a_provider_that_goes_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    assert step(lambda: 1)() == 1
    assert host.names() == ["task <lambda>"]


def test_a_provider_given_in_code_wins(host: Host, client: openai.OpenAI) -> None:
    given = Host()
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument(tracer_provider=given.provider)
    ask(client)
    assert (given.names(), host.names()) == (["chat ok"], [])


def test_a_provider_of_another_kind(
    client: openai.OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """No SDK behind it: spans go where it sends them, calls go on."""
    genai_otel.instrument(
        tracer_provider=trace.NoOpTracerProvider(), destinations=InMemorySpanExporter()
    )
    assert ask(client).choices
    assert "destinations are ignored: the tracer provider has no" in caplog.text


def test_meters_are_joined(host: Host, client: openai.OpenAI) -> None:
    reader = InMemoryMetricReader()
    mine = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    with mock.patch.object(metrics._internal, "_METER_PROVIDER", mine):
        genai_otel.instrument(destinations=InMemorySpanExporter())
        ask(client)
        assert metrics.get_meter_provider() is mine
    data = reader.get_metrics_data()
    assert data is not None
    assert "gen_ai.client.operation.duration" in data.to_json()
    mine.shutdown()


def test_nothing_global_is_set(client: openai.OpenAI) -> None:
    propagator, meters = propagate.get_global_textmap(), metrics.get_meter_provider()
    genai_otel.instrument(destinations=InMemorySpanExporter())
    ask(client)
    assert trace._TRACER_PROVIDER is None
    assert propagate.get_global_textmap() is propagator
    assert metrics.get_meter_provider() is meters


# --------------------------------------------------------------------------------------- parents


def test_a_parent_from_elsewhere(client: openai.OpenAI) -> None:
    capture = _captured()
    carrier = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    context = TraceContextTextMapPropagator().extract(carrier)
    token = trace.context_api.attach(context)
    ask(client)
    with operation("workflow", "turn"):
        pass
    trace.context_api.detach(token)
    for span in capture.spans:
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", span.parent.is_remote) == ("a" * 32, True)
        assert f"{span.parent.span_id:016x}" == "b" * 16


def test_no_header_is_added(client: openai.OpenAI, provider: Provider) -> None:
    _captured()
    with trace.get_tracer("host").start_as_current_span("request"), operation("workflow", "turn"):
        ask(client)
    sent = {name.lower() for name in provider.requests[-1].headers}
    assert not sent & {"traceparent", "tracestate", "baggage", "b3"}


def _captured() -> Capture:
    capture = Capture()
    genai_otel.instrument(destinations=capture.exporter, content="full")
    return capture


# -------------------------------------------------------------------------------------- sampling


class Seen(Sampler):
    """Decides by the model, and remembers what it was shown."""

    def __init__(self) -> None:
        self.attributes: list[dict[str, Any]] = []

    def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
        shown = dict(named.get("attributes") or (given[4] if len(given) > 4 else None) or {})
        self.attributes.append(shown)
        dropped = shown.get("gen_ai.request.model") == "ok-dropped"
        return SamplingResult(Decision.DROP if dropped else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "by model"


def test_samplers_see_what_they_decide_on(client: openai.OpenAI) -> None:
    sampler = Seen()
    host = Host(sampler=sampler)
    genai_otel.instrument(tracer_provider=host.provider, content="full")
    ask(client, "ok-dropped")
    ask(client, "ok-kept")
    list(ask(client, "ok-dropped", stream=True))
    assert host.names() == ["chat ok-kept"]
    for shown in sampler.attributes:
        assert shown["gen_ai.operation.name"] == "chat"
        assert shown["gen_ai.provider.name"] == "openai"
        assert shown["server.address"] == "127.0.0.1"
        assert "canary" not in str(shown), "content is not shown to samplers"


def test_processors_see_attributes_at_the_start(client: openai.OpenAI) -> None:
    shown: list[dict[str, Any]] = []

    class Looks(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            shown.append(dict(span.attributes))

    host = Host()
    host.provider.add_span_processor(Looks())
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument()
    with genai_otel.scope(user_id="u1"):
        ask(client)
    assert shown[0]["gen_ai.request.model"] == "ok"
    assert shown[0]["user.id"] == "u1"


@pytest.mark.parametrize("stream", [False, True])
def test_what_nobody_records_is_not_even_read(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Sampled out, and no metrics: no content is read, nothing is encoded."""

    def forbidden(*given: Any) -> Any:
        raise AssertionError("read for nobody")

    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    genai_otel.instrument(tracer_provider=provider, content="full")
    for name in ("request", "outcome", "to_json"):
        monkeypatch.setattr(f"genai_otel.recorder.attributes.{name}", forbidden)
    monkeypatch.setattr("genai_otel.recorder.recorder.request", forbidden)
    monkeypatch.setattr("genai_otel.recorder.recorder.outcome", forbidden)
    monkeypatch.setattr("genai_otel.record.snapshot", forbidden)
    monkeypatch.setattr("genai_otel.api.decorators.take", forbidden)
    reply = ask(client, stream=stream)
    assert list(reply)
    assert step(lambda text: text)("text") == "text"
    assert genai_otel.status().internal_errors == {}


def test_calls_that_nobody_records_fail_as_they_would(client: openai.OpenAI) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    genai_otel.instrument(tracer_provider=provider)
    with pytest.raises(openai.BadRequestError):
        ask(client, "err400")
    with pytest.raises(Exception, match=r"[Cc]onnection"):  # of httpx's, in older clients
        list(ask(client, "cut", stream=True))
    with pytest.raises(ZeroDivisionError):
        step(lambda: 1 / 0)()
    with client.chat.completions.with_streaming_response.create(model="ok", messages=ASK) as body:
        assert list(body.iter_lines())
    with client.chat.completions.stream(model="ok", messages=ASK) as helper:
        assert helper.get_final_completion().choices


def test_metrics_do_not_depend_on_sampling(client: openai.OpenAI) -> None:
    capture = Capture()
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    genai_otel.instrument(tracer_provider=provider, meter_provider=capture.meter_provider)
    ask(client)
    list(ask(client, stream=True))
    (point,) = capture.metrics()["gen_ai.client.operation.duration"]
    assert point.count == 2
    capture.meter_provider.shutdown()


def test_an_unsampled_parent_is_respected(host: Host, client: openai.OpenAI) -> None:
    trace.set_tracer_provider(host.provider)
    genai_otel.instrument(content="full")
    unsampled = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))
    with trace.use_span(trace.NonRecordingSpan(unsampled)):
        ask(client)
    assert not host.spans
