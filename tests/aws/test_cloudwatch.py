"""X-Ray and CloudWatch from end to end: real calls, signed requests, AWS's documented limits."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

import genai_otel
from genai_otel import Destination
from genai_otel.export.dialects import aws as dialect
from genai_otel.export.otlp import encoder
from genai_otel.tracing.xray import HEADER
from tests.aws.server import EVENT_BYTES, Aws, Key
from tests.receiver import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider import Provider

pytest.importorskip("botocore")
openai = pytest.importorskip("openai")

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws({KEY: Key(SECRET)}) as server:
        yield server
        genai_otel.shutdown()


def send(aws: Aws, preset: str, **more: Any) -> None:
    options = {"region": "eu-west-1", **more.pop("options", {})}
    to = Destination(preset, endpoint=aws.url, options=options, content="full", **more)
    genai_otel.instrument(destinations=to, service_name="shop")


def chat(provider: Provider, model: str = "ok", text: str = "Hello") -> None:
    with (
        openai.OpenAI(base_url=provider.base_url, api_key="test") as client,
        genai_otel.scope(session_id="s-1"),
    ):
        messages = [{"role": "user", "content": text}]
        client.chat.completions.create(model=model, messages=messages)


def test_cloudwatch_gets_spans_without_content_events_with_it_and_metrics(
    aws: Aws, provider: Provider
) -> None:
    send(aws, "cloudwatch", options={"log_group": "/shop/genai"})
    chat(provider)
    assert genai_otel.shutdown(20)
    assert aws.refused == []
    (span,) = aws.spans()
    told = attributes(span)
    assert not [name for name in told if "messages" in name]
    assert (told["session.id"], told["gen_ai.usage.input_tokens"]) == ("s-1", 12)
    (event,) = aws.events()
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    assert event.event_name == "genai_otel"
    assert attributes(event) == {"event.name": "genai_otel", "session.id": "s-1"}
    assert "Hello" in str(event.body)
    groups = [got.headers["x-aws-log-group"] for got in aws.got if got.path == "/v1/logs"]
    assert set(groups) == {"/shop/genai"}
    assert "/v1/metrics" in {got.path for got in aws.got}
    (resource,) = {
        json.dumps(attributes(group.resource), sort_keys=True)
        for got in aws.got
        if got.path == "/v1/traces"
        for group in got.message.resource_spans
    }
    assert json.loads(resource)["aws.service.type"] == "gen_ai_agent"


def counted() -> tuple[int, int, dict[str, int]]:
    (told,) = genai_otel.status().destinations
    return told.queued, told.exported, dict(told.dropped)


def test_a_span_and_its_log_event_are_one(aws: Aws, provider: Provider) -> None:
    send(aws, "cloudwatch")
    for _ in range(3):
        chat(provider)
    assert genai_otel.flush(20)
    assert counted() == (0, 3, {})


def test_log_events_that_are_refused_are_told_apart(aws: Aws, provider: Provider) -> None:
    """No such log group, say: the spans are there, and flush says that something is not."""
    aws.without = {"/v1/logs"}
    send(aws, "cloudwatch")
    chat(provider)
    assert not genai_otel.flush(20)
    assert counted() == (0, 1, {"log_records": 1})


def test_where_only_log_events_are_wanted_they_are_what_counts(
    aws: Aws, provider: Provider
) -> None:
    send(aws, "cloudwatch", signals=["logs"])
    chat(provider)
    assert genai_otel.flush(20)
    assert counted() == (0, 1, {})
    assert len(aws.events()) == 1


def test_xray_gets_traces_alone_and_never_content(aws: Aws, provider: Provider) -> None:
    send(aws, "xray")
    chat(provider, text="a word that is nowhere")
    assert genai_otel.shutdown(20)
    assert {got.path for got in aws.got} == {"/v1/traces"}
    assert "nowhere" not in str(aws.got)


def test_what_is_long_stays_below_the_limits(aws: Aws, provider: Provider) -> None:
    send(aws, "cloudwatch")
    chat(provider, "large", "x" * 1_500_000)
    for _ in range(30):
        chat(provider, "large", "y" * 60_000)
    assert genai_otel.shutdown(30)
    assert aws.refused == []
    assert len(aws.spans()) == len(aws.events()) == 31


def test_a_conversation_of_very_many_turns() -> None:
    """Short texts take more in protobuf than in JSON: the event stays below its limit, too."""
    turns = [{"role": "user", "parts": [{"type": "text", "content": ""}]}] * 60_000
    facts = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(turns)}
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    one = ReadableSpan("chat", context, resource=Resource({}), attributes=facts, end_time=2)
    (event,) = dialect.log_records(one)
    assert 500_000 < len(encoder.log_record(event)) < EVENT_BYTES
    assert "left out" in str(event.body)


def test_wrong_keys_deliver_nothing_and_say_so(
    aws: Aws, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    send(aws, "xray")
    chat(provider)
    assert not genai_otel.flush(2)
    assert aws.got == []
    assert {refusal.kind for refusal in aws.refused} == {"InvalidSignatureException"}


def test_without_credentials_the_status_says_what_is_missing(
    aws: Aws, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    send(aws, "xray")
    chat(provider)
    assert not genai_otel.flush(5)
    (destination,) = genai_otel.status().destinations
    assert "no AWS credentials: set AWS_PROFILE" in (destination.last_error or "")


def test_ids_and_header_in_xrays_form_are_options(aws: Aws, provider: Provider) -> None:
    before = propagate.get_global_textmap()
    send(aws, "xray", options={"ids": "xray", "propagation": "xray"})
    assert HEADER in propagate.get_global_textmap().fields
    chat(provider)
    assert genai_otel.shutdown(20)
    (span,) = aws.spans()
    assert abs(int.from_bytes(span.trace_id[:4]) - time.time()) < 60
    assert propagate.get_global_textmap() is before


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown ids 'zipkin': expected one of w3c, xray"):
        genai_otel.instrument(
            destinations=Destination("xray", options={"region": "eu-west-1", "ids": "zipkin"})
        )
