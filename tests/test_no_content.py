"""With content off, nothing that was said leaves the process: in no span, metric or log record."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

import openai
import pytest

import genai_otel
from genai_otel import (
    Verdict,
    agent,
    guardrail,
    operation,
    retriever,
    scope,
    step,
    suppress,
    tool,
    workflow,
)
from genai_otel.testing import Capture
from tests.provider import Reply, Scenario, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.provider import Provider

WORD = "canary"
_numbers = itertools.count()


def canary(where: str = "") -> str:
    """A word that can only come from where it was planted."""
    return f"{WORD}-{where}-{next(_numbers)}"


@pytest.fixture
def capture(caplog: pytest.LogCaptureFixture) -> Iterator[Capture]:
    """Telemetry of a process that records no content, and every log record."""
    caplog.set_level(logging.DEBUG, "genai_otel")
    caplog.set_level(logging.DEBUG, "opentelemetry")
    capture = Capture()
    genai_otel.shutdown()
    genai_otel.instrument(
        destinations=capture.exporter, content="none", meter_provider=capture.meter_provider
    )
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def leaks(capture: Capture, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Everything that left the process and holds a canary."""
    left = [span.to_json() for span in capture.spans]
    left += [span.name + (span.status.description or "") for span in capture.spans]
    data = capture.reader.get_metrics_data()
    left.append(data.to_json() if data else "")
    formatter = logging.Formatter("%(message)s %(args)s")
    ours = [r for r in caplog.records if r.name.startswith(("genai_otel", "opentelemetry"))]
    left += [formatter.format(record) for record in ours]
    left.append(json.dumps([str(genai_otel.status()), repr(genai_otel.current())]))
    assert capture.spans
    return [text for text in left if WORD in text]


# ------------------------------------------------------------------------------------- by hand


class Fail(Exception):
    def __str__(self) -> str:
        return canary("str")


def _raises(text: str) -> None:
    local = canary("local")
    raise Fail(text, local)


def _fails(decorator: Any) -> None:
    with pytest.raises(Fail):
        decorator(_raises)(canary("argument"))


def _generates(decorator: Any) -> None:
    @decorator
    def pieces(text: str) -> Iterator[str]:
        yield text
        yield canary("item")

    list(pieces(canary("argument")))


def _generates_later(decorator: Any) -> None:
    @decorator
    async def pieces(text: str) -> AsyncIterator[str]:
        yield canary("item")
        raise Fail(text)

    async def read() -> None:
        with pytest.raises(Fail):
            [piece async for piece in pieces(canary("argument"))]

    asyncio.run(read())


def _returns(decorator: Any) -> None:
    decorator(lambda *a, **k: {"a": [canary("result")]})(canary("first"), more=canary("named"))


@pytest.mark.parametrize("decorator", [workflow, agent, step, tool, retriever, guardrail])
@pytest.mark.parametrize("act", [_returns, _fails, _generates, _generates_later])
def test_decorators(
    capture: Capture,
    caplog: pytest.LogCaptureFixture,
    decorator: Any,
    act: Callable[[Any], None],
) -> None:
    act(decorator)
    assert not leaks(capture, caplog)


def test_filled_by_hand(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    with operation("chat") as op:
        op.system = op.input = op.output = canary("message")  # type: ignore[assignment]
        op.tools, op.arguments, op.result = [{"name": canary()}], [canary()], canary("result")
        op.query, op.documents = canary("query"), [{"id": "1", "content": canary()}]
        op.params = {"unknown": canary(), "temperature": canary(), canary(): 1}
        op.details = {"unknown": canary()}
        op.verdict = Verdict("deny", 1, reason=canary("reason"))
    assert not leaks(capture, caplog)


def test_verdicts_and_documents(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    guardrail(lambda text: Verdict("deny", reason=canary("reason")))(canary("text"))
    retriever(lambda query: [{"id": 1, "content": canary("document")}])(canary("query"))
    assert not leaks(capture, caplog)


def test_suppressed_and_scoped(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    with suppress(), scope(user_id=canary("user")):
        step(lambda text: text)(canary("text"))
    step(lambda text: text)(canary("text"))
    assert not leaks(capture, caplog)


def test_errors_of_our_own(
    capture: Capture, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where we fail over a value, neither log nor status quotes it."""

    def breaks(*given: Any) -> None:
        raise ValueError(f"cannot take {given} {canary()}")

    monkeypatch.setattr("genai_otel.engine.safety.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel.engine.safety.FAULTS.counts", {})
    monkeypatch.setattr("genai_otel.recorder.recorder.outcome", breaks)
    monkeypatch.setattr("genai_otel.api.decorators._result", breaks)
    step(lambda text: canary("result"))(canary("argument"))
    assert genai_otel.status().faults
    assert not leaks(capture, caplog)


# -------------------------------------------------------------------------------------- models


SECRETIVE = Scenario(
    replies=(
        Reply(
            text=canary("text"),
            reasoning=canary("reasoning"),
            refusal=canary("refusal"),
            calls=(ToolCall("call_1", "look", json.dumps({"a": canary("arguments")})),),
        ),
    ),
    usage=Usage(12, 8),
)


def ask(model: str) -> dict[str, Any]:
    """A request with a canary in every place that text can go."""
    parts = [
        {"type": "text", "text": canary("part")},
        {"type": "image_url", "image_url": {"url": f"https://x.example/?key={canary('sig')}"}},
        {"type": "input_audio", "input_audio": {"data": canary("data"), "format": "wav"}},
    ]
    function = {"name": "look", "description": canary("tool"), "parameters": {"x": canary()}}
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": canary("system")},
            {"role": "user", "content": parts, "name": canary("name")},
            {"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": canary()}}]},
            {"role": "tool", "tool_call_id": "1", "content": canary("tool result")},
        ],
        "tools": [{"type": "function", "function": function}],
        "user": canary("user"), "metadata": {"a": canary("metadata")},
        "prediction": {"type": "content", "content": canary("prediction")},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": canary("schema"), "schema": {"description": canary()}}},
        "extra_headers": {"x-secret": canary("header")},
        "extra_query": {"key": canary("query")}, "extra_body": {"more": canary("body")},
    }  # fmt: skip


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    provider.add("secretive", SECRETIVE)
    with openai.OpenAI(
        api_key=canary("key"),
        organization=canary("organization"),
        base_url=provider.base_url,
        max_retries=0,
        default_headers={"x-default": canary("header")},
    ) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["secretive", "err400-echo", "err401", "error-200", "cut"])
def test_chats(
    capture: Capture,
    caplog: pytest.LogCaptureFixture,
    client: openai.OpenAI,
    model: str,
    stream: bool,
) -> None:
    try:
        reply = client.chat.completions.create(stream=stream, **ask(model))
        list(reply)
    except Exception:  # noqa: BLE001 - older clients let errors of httpx through
        assert model != "secretive"
    assert not leaks(capture, caplog)


def test_everything_else(
    capture: Capture, caplog: pytest.LogCaptureFixture, client: openai.OpenAI
) -> None:
    client.responses.create(model="secretive", instructions=canary(), input=canary("input"))
    list(client.responses.create(model="secretive", input=canary("input"), stream=True))
    client.completions.create(model="secretive", prompt=canary("prompt"))
    client.embeddings.create(model="ok", input=[canary("input")])
    client.moderations.create(model="ok", input=canary("input"))
    client.images.generate(model="ok", prompt=canary("prompt"))
    client.audio.speech.create(model="ok", voice="alloy", input=canary("input"))
    file = (canary("file"), io.BytesIO(canary().encode()))
    client.audio.transcriptions.create(model="secretive", file=file, prompt=canary("prompt"))
    client.chat.completions.with_raw_response.create(**ask("secretive")).parse()
    with client.chat.completions.stream(model="secretive", messages=ask("")["messages"]) as left:
        next(iter(left))
    assert len(capture.spans) == 10
    assert not leaks(capture, caplog)


def test_the_canaries_would_be_found(client: openai.OpenAI) -> None:
    """With content on, the very same search finds them: it is no empty test."""
    capture = Capture()
    genai_otel.shutdown()
    genai_otel.instrument(destinations=capture.exporter, content="full")
    client.chat.completions.create(**ask("secretive"))
    step(lambda text: text)(canary("argument"))
    chat, own = (span.to_json() for span in capture.spans)
    for where in ("system", "part", "tool", "text", "reasoning", "refusal", "arguments"):
        assert f"{WORD}-{where}-" in chat
    for where in ("key", "header", "organization", "query", "body", "sig"):
        assert f"{WORD}-{where}-" not in chat, "credentials, headers and addresses never leave"
    assert f"{WORD}-argument-" in own
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
