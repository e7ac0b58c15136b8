"""Ways in which something could leave past the policy: what others write on spans, resources,
words in the place of ids, a stricter destination's metrics, a store that is sent again.

What leaves is read as bytes, at a receiver of OTLP.
"""

from __future__ import annotations

import itertools
from contextlib import suppress as ignoring
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.sdk.resources import Resource, get_aggregated_resources
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import genai_otel
from genai_otel import (
    ContentPolicy,
    Destination,
    Settings,
    Verdict,
    operation,
    prompt,
    scope,
    step,
    tool,
)
from genai_otel import _semconv as names
from genai_otel.cli import main
from genai_otel.privacy import AttributeFilter, exportable, preset
from genai_otel.record import cut
from tests.receiver import Receiver, attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WORD, SECRET = "canary", "PlantedSecret"
CARD = 4111111111111111
_numbers = itertools.count()


def secret(where: str = "") -> str:
    return f"sk-proj-{SECRET}{where}{next(_numbers):012}"


def canary(where: str = "") -> str:
    return f"{WORD}-{where} {secret()}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    genai_otel.shutdown()
    with Receiver() as receiver:
        yield receiver
        genai_otel.shutdown()


def record(receiver: Receiver, content: Any, **more: Any) -> None:
    to = Destination("otlp", endpoint=receiver.url)
    genai_otel.instrument(destinations=to, content=content, **more)


def leaked(receiver: Receiver, content: str = "") -> list[bytes]:
    """What arrived that must not have."""
    assert genai_otel.flush()
    assert receiver.spans
    looked_for = (SECRET.encode(), WORD.encode()) if content == "none" else (SECRET.encode(),)
    return [got.body for got in receiver.received if any(word in got.body for word in looked_for)]


def attributes_of(receiver: Receiver) -> dict[str, Any]:
    assert genai_otel.flush()
    (span,) = receiver.spans.values()
    return attributes(span)


def resource_of(receiver: Receiver) -> dict[str, Any]:
    assert genai_otel.flush()
    sent = [got.message for got in receiver.received if got.signal == "traces"]
    found = [attributes(group.resource) for each in sent for group in each.resource_spans]
    assert found == found[:1] * len(found) != []
    return found[0]


# ----------------------------------------------------------------- what others write on our spans


def _an_event() -> None:
    trace.get_current_span().add_event(secret("event"), {"key": secret()})


def _attributes() -> None:
    trace.get_current_span().set_attribute("theirs", secret())
    trace.get_current_span().set_attributes({secret("name"): 1, "card": CARD})


def _a_name() -> None:
    trace.get_current_span().update_name(secret("name"))


def _a_link() -> None:
    span = trace.get_current_span()
    span.add_link(span.get_span_context(), {"why": secret()})


def _an_error() -> None:
    trace.get_current_span().record_exception(ValueError(canary("error")))


def _a_status() -> None:
    trace.get_current_span().set_status(trace.StatusCode.ERROR, canary("status"))


def _known_content() -> None:
    span = trace.get_current_span()
    span.set_attribute(names.GEN_AI_INPUT_MESSAGES, f'[{{"role":"user","parts":["{canary()}"]}}]')
    span.add_event("gen_ai.content", {names.GENAI_OTEL_OUTPUT: canary()})


_TEXTS = (_an_error, _a_status, _known_content)


@pytest.mark.parametrize("content", ["none", "redacted"])
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("writes", [_an_event, _attributes, _a_name, _a_link, *_TEXTS])
def test_others_write_on_our_span(
    receiver: Receiver,
    writes: Callable[[], None],
    content: str,
    joined: bool,
) -> None:
    """It is masked on its way to destinations of ours; texts of errors are withheld with none."""
    record(receiver, content, tracer_provider=TracerProvider() if joined else None)
    with operation("chat", "talk"):
        writes()
    assert not leaked(receiver, content)


@pytest.mark.parametrize("key", ["ours", None])
def test_a_hashed_user_is_the_same_everywhere(receiver: Receiver, key: str | None) -> None:
    """Whether a span passes one gate or two, and whoever listens."""
    host, seen = TracerProvider(), InMemorySpanExporter()
    host.add_span_processor(SimpleSpanProcessor(seen))
    hashing = ContentPolicy(hash_users=True, hash_key=key)
    record(receiver, hashing, tracer_provider=host)
    with scope(user_id="ada@example.com"), operation("workflow", "outer"):
        pass
    (span,) = seen.get_finished_spans()
    told = (span.attributes or {})["user.id"]
    assert attributes_of(receiver)["user.id"] == told
    assert "ada" not in str(told)


def test_a_number_may_be_a_card(receiver: Receiver) -> None:
    record(receiver, "redacted")
    with operation("chat", "talk"):
        trace.get_current_span().set_attributes({"card": CARD, "id": 1714521600123})
    found = attributes_of(receiver)
    assert (found["card"], found["id"]) == ("[CARD]", 1714521600123)


def test_what_others_write_is_not_lost(receiver: Receiver) -> None:
    record(receiver, "redacted")
    with operation("chat", "talk"):
        trace.get_current_span().set_attribute("shop.basket", "42 apples")
        trace.get_current_span().add_event("paid", {"how": f"by {secret()}"})
    assert attributes_of(receiver)["shop.basket"] == "42 apples"
    (span,) = receiver.spans.values()
    assert [(e.name, attributes(e)) for e in span.events] == [("paid", {"how": "by [OPENAI_KEY]"})]


CONTENT_OF_OTHERS = (
    "input.value", "llm.input_messages.0.message.content", "gen_ai.prompt.0.content",
    "gen_ai.completion", "traceloop.entity.input", "http.request.header.authorization", "url.query",
    "http.target", "db.query.text", "retrieval.documents.0.document.content", "tool.parameters",
)  # fmt: skip


def test_spans_of_others_that_a_filter_lets_through(receiver: Receiver) -> None:
    provider = TracerProvider()
    to = Destination("otlp", endpoint=receiver.url, filter=lambda _: True)
    genai_otel.instrument(destinations=to, content="none", tracer_provider=provider)
    tracer = provider.get_tracer("theirs", attributes={"key": secret()})
    with tracer.start_as_current_span(f"GET {secret()}") as span:
        span.set_attribute("url.full", f"https://ann:pw@x.example/?key={secret()}")
        span.set_attribute(names.EXCEPTION_MESSAGE, canary())
        for name in CONTENT_OF_OTHERS:
            span.set_attribute(name, canary(name))
        span.add_event("gen_ai.user.message", {"content": canary("event")})
        span.record_exception(ValueError(canary()))
    assert not leaked(receiver, "none")


class Watcher(SpanProcessor):
    """A processor of the host's, which looks at spans as they start, too."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.seen.append(f"{span.name} {dict(span.attributes)}")

    def on_end(self, span: Any) -> None:
        self.seen.append(span.to_json())


@pytest.mark.parametrize("content", ["none", "redacted"])
def test_what_listeners_of_the_host_see(content: str) -> None:
    """No more than the policy lets through, at the start and at the end; whoever they are."""
    genai_otel.shutdown()
    provider, watcher = TracerProvider(), Watcher()
    provider.add_span_processor(watcher)
    genai_otel.instrument(content=content, tracer_provider=provider)
    with (
        scope(session_id=secret(), tags=[secret()]),
        ignoring(ValueError),
        operation("agent", f"agent {secret()}") as outer,
        operation("chat", f"talk {secret()}") as inner,
    ):
        outer.input = canary("input")  # type: ignore[assignment]
        inner.model, inner.provider, inner.host = secret(), secret(), secret()
        inner.output = canary("output")  # type: ignore[assignment]
        raise ValueError(canary("error"))
    genai_otel.shutdown()
    assert len(watcher.seen) == 4
    looked_for = (SECRET, WORD) if content == "none" else (SECRET,)
    assert not [each for each in watcher.seen if any(word in each for word in looked_for)]


# ----------------------------------------------------------------------- words that others choose


def test_texts_in_the_place_of_words(receiver: Receiver) -> None:
    """A hostile endpoint may answer with anything: with ``none`` only words are words."""
    record(receiver, "none")
    with operation("chat", "talk") as op:
        op.finish_reasons = ["canary said", "stop"]
        op.response_id, op.response_model = "canary said", "canary said"
        op.params = dict.fromkeys(("description", "call_id", "reasoning_level"), "canary said")
        op.params["encoding_formats"] = ["canary said"]
        op.details = {"service_tier": "canary said", "system_fingerprint": "canary said"}
        op.verdict = Verdict("flag", reason="canary said", category="canary said")
        op.output_type = "canary said"
        op.output = [{"role": "assistant", "parts": [], "finish_reason": "canary said"}]
    assert not leaked(receiver, "none")
    told = attributes_of(receiver)
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ["[withheld]", "stop"]
    assert names.GEN_AI_TOOL_DESCRIPTION not in told


def test_secrets_in_the_place_of_words(receiver: Receiver) -> None:
    """Whatever is set, and wherever it is told: in spans, their names, and in metrics."""
    record(receiver, "redacted")
    with operation("chat", f"talk {secret('name')}") as op:
        for field in ("model", "response_model", "response_id", "provider", "host", "output_type"):
            setattr(op, field, secret(field))
        op.finish_reasons, op.tier = [secret("finish")], secret("tier")
        op.params = {
            "stop": [secret("stop")],
            **{key: secret(key) for key in ("previous_response", "conversation", "call_id")},
        }
        op.details = {"system_fingerprint": secret("print"), "policy_id": secret("policy")}
        op.verdict = Verdict("flag", reason=secret("reason"), category=secret("category"))
        part = {"type": secret("type"), "id": secret("id"), "name": secret("name"), "a": secret()}
        op.output = [{"role": secret("role"), "parts": [part], "finish_reason": secret("finish")}]
        op.input = [{"role": "user", "parts": [{"content": {secret("key"): [{secret(): 1}]}}]}]
    with operation("store") as op:
        op.action, op.name = secret("action"), secret("collection")
    assert not leaked(receiver)


@pytest.mark.parametrize("field", ["response_id", "tier"])
def test_a_secret_alone_in_an_id(receiver: Receiver, field: str) -> None:
    record(receiver, "redacted")
    with operation("chat", "talk") as op:
        setattr(op, field, secret())
    assert not leaked(receiver)


def test_ids_of_providers_are_not_looked_through() -> None:
    gate = AttributeFilter(preset("redacted"))
    for plain in ("chatcmpl-AbC123", "resp_0a1b", "550e8400-e29b-41d4-a716-446655440000"):
        found = {names.GEN_AI_RESPONSE_ID: plain, names.GEN_AI_REQUEST_MODEL: "m"}
        assert gate.filter(found) is found


def test_what_scopes_prompts_and_tools_are_called(receiver: Receiver) -> None:
    record(receiver, "redacted")
    facts = {"tags": [secret("tag")], "metadata": {secret("key"): secret("value")}}
    with scope(session_id=secret("session"), user_id=secret("user"), **facts):
        prompt(secret("prompt"), f"hello {{x}} {secret()}", version=secret("v")).render(x=secret())
        with operation("chat", "talk"):
            tool(lambda given: {secret("key"): given}, name=secret("tool"))(
                {secret("key"): secret()}
            )
    assert not leaked(receiver)


@pytest.mark.parametrize("kind", ["metadata", "messages"])
def test_nothing_of_a_class_that_is_withheld(kind: str) -> None:
    """Also where it is the only thing there is to withhold, under a name of somebody's choice."""
    gate = AttributeFilter(ContentPolicy(**{kind: "none"}))  # type: ignore[arg-type]
    prefix = {"metadata": names.GENAI_OTEL_METADATA, "messages": names.GEN_AI_PROMPT_VARIABLE}[kind]
    assert gate.filter({f"{prefix}.city": "Paris", "n": 1}) == {"n": 1}


def test_errors_within_errors(receiver: Receiver) -> None:
    """Groups, notes and causes: with ``none`` nothing of them, masked no secret of them."""

    @step
    def fails() -> None:
        inner = ValueError(canary("inner"))
        inner.add_note(canary("note"))
        raise ExceptionGroup(canary("group"), [inner]) from RuntimeError(canary("cause"))

    for content in ("none", "redacted"):
        record(receiver, content)
        with ignoring(ExceptionGroup):
            fails()
        assert not leaked(receiver, content)
        receiver.received.clear()


def test_a_secret_in_pieces(receiver: Receiver) -> None:
    @step
    def pieces() -> Iterator[str]:
        whole = secret()
        yield from (whole[:10], whole[10:20], whole[20:])

    record(receiver, "redacted")
    list(pieces())
    assert attributes_of(receiver)[names.GENAI_OTEL_OUTPUT] == '"[OPENAI_KEY]"'


@pytest.mark.parametrize(
    "planted", ["ann@mail.example.com", "4111 1111 1111 1111", "+44 20 7946 0958", secret()]
)
def test_no_half_of_a_secret_where_a_text_is_cut(planted: str) -> None:
    """Before it is masked what is much too long is cut, and half of it would not be known."""
    for at in range(1, len(planted)):
        text = f"{'word ' * 100}to {planted} and more"
        kept = cut(text, text.index(planted) + at)
        assert planted[:3] not in kept
        assert kept.endswith(("word", "to"))


def test_baggage_is_not_recorded(receiver: Receiver) -> None:
    record(receiver, "full")
    token = otel_context.attach(baggage.set_baggage("key", secret()))
    step(lambda: None)()
    otel_context.detach(token)
    assert not leaked(receiver)


def test_a_function_that_raises_is_not_quoted(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(text: str) -> str:
        raise ValueError(f"cannot take {text}")

    record(receiver, ContentPolicy(redactor=raises, deadline=60))
    step(lambda text: text)(canary())
    assert not leaked(receiver, "none")
    assert caplog.records
    assert not [r for r in caplog.records if WORD in f"{r.getMessage()} {r.args} {r.exc_text}"]
    assert WORD not in str(genai_otel.status())


# -------------------------------------------------------------------------- stricter destinations


def test_metrics_of_a_stricter_destination(receiver: Receiver) -> None:
    """What is recorded in full is masked on its way to one that may have less."""
    with Receiver() as other:
        strict = Destination("otlp", endpoint=receiver.url, content="redacted")
        loose = Destination("otlp", endpoint=other.url)
        genai_otel.instrument(destinations=[strict, loose], content="full")
        with operation("chat", "talk") as op:
            op.model, op.response_model, op.usage.input = secret("model"), secret("model"), 3
        assert not leaked(receiver)
        assert receiver.metrics == other.metrics != set()
        assert SECRET in str([got.message for got in other.received if got.signal == "metrics"])


@pytest.mark.unconventional("told by hand", "[name]", "[missing] gen_ai.provider.name")
def test_a_store_is_sent_by_a_stricter_policy(receiver: Receiver, tmp_path: Path) -> None:
    """What was stored in full leaves it as the one who sends it may tell."""
    store = tmp_path / "store"
    genai_otel.instrument(destinations=Destination("local", directory=str(store)), content="full")
    with operation("chat", f"talk {secret()}") as op, ignoring(ValueError):
        op.input, op.response_id = canary("input"), secret()  # type: ignore[assignment]
        trace.get_current_span().add_event("event", {"text": secret()})
        raise ValueError(canary("error"))
    assert genai_otel.flush()
    for content in ("none", "redacted"):
        to = ["--to", "otlp", "--endpoint", receiver.url, "--content", content]
        assert main(["send", str(store), *to]) == 0
        assert not leaked(receiver, content)
        receiver.received.clear()


# -------------------------------------------------------------------------------------- resources

FOUND = {
    "service.name": "shop",
    "cloud.region": "eu-west-1",
    "k8s.pod.name": "shop-1",
    "k8s.pod.annotation.note": "x",
    "process.pid": 7,
    "process.command_line": "python --token=x",
    "process.owner": "ann",
    "host.name": "anns-laptop",
    "os.description": "Linux",
    "team": "search",
}


def test_resources_are_told_by_a_list() -> None:
    kept = ["service.name", "cloud.region", "k8s.pod.name", "process.pid"]
    assert list(exportable(FOUND)) == kept
    assert set(exportable(FOUND, declared=["team"])) == {*kept, "team"}
    assert set(exportable(FOUND, extra=["host.name", "os.*"])) == {
        *kept,
        "host.name",
        "os.description",
    }


def test_our_own_resource_tells_no_command_line(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever detectors are asked for; what the application says of itself is told, and masked."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,os,host,otel")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"team=search,token={secret()}")
    settings = Settings(service_name="shop", environment="staging")
    record(receiver, "redacted", settings=settings)
    with operation("chat", "talk"):
        pass
    assert not leaked(receiver)
    found = resource_of(receiver)
    assert (found["service.name"], found["team"]) == ("shop", "search")
    assert found["deployment.environment.name"] == "staging"
    assert found["process.pid"]
    assert not _machine(found)


def test_the_resource_of_a_host_is_told_by_the_same_list(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own exporters have all of it; our destinations what the list has."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,os,host,otel")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=search")
    base = Resource.create({"service.name": "shop", "floor": 3, "process.command_line": canary()})
    monkeypatch.setenv("GENAI_OTEL_RESOURCE_ATTRIBUTES", "floor")
    provider = TracerProvider(resource=get_aggregated_resources([], base))
    assert _machine(dict(provider.resource.attributes))
    to = Destination("otlp", endpoint=receiver.url, filter=lambda _: True)
    genai_otel.instrument(destinations=to, tracer_provider=provider)
    with operation("chat", "talk"):
        provider.get_tracer("theirs").start_span("GET").end()
    assert not leaked(receiver, "none")
    found = resource_of(receiver)
    assert (found["service.name"], found["team"], found["floor"]) == ("shop", "search", 3)
    assert not _machine(found)


def _machine(found: dict[str, Any]) -> list[str]:
    """What tells of the machine, the user and the command."""
    told = ("process.pid", "process.runtime.")
    return [
        n for n in found if n.startswith(("process.", "os.", "host.")) and not n.startswith(told)
    ]
