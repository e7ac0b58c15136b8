"""Planted words and secrets: under ``none`` no word leaves, under ``redacted`` no secret does.

What leaves is read where it arrives: the bytes of traces and metrics at a receiver of OTLP, the
files of a local store, and every log record of ours. Each library of the catalogue is asked, as
``tests.canary_rows`` has it.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from contextlib import suppress as ignoring
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest

import genai_otel
from genai_otel import (
    Destination,
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
from genai_otel.adapters.catalogue import NAMES
from genai_otel.privacy.attribute_classes import FIXED
from genai_otel.testing import Capture
from tests.canary_rows import (
    SECRET,
    SECRETIVE,
    WITHOUT,
    WORD,
    Addressed,
    canary,
    has_way,
    planted,
    secret,
)
from tests.canary_rows import ask as asks
from tests.conformance.facts import PROMPT
from tests.conformance.libraries import installed
from tests.provider import Reply
from tests.receiver import Receiver, attributes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.provider import Provider

MODES = ("none", "redacted")
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")  # Google's


class Left:
    """What has left this process."""

    def __init__(
        self, mode: str, receiver: Receiver, store: Path, logs: pytest.LogCaptureFixture
    ) -> None:
        self._mode, self._receiver, self._store, self._logs = mode, receiver, store, logs

    def leaks(self) -> list[Any]:
        """All of it that holds what must not leave."""
        assert genai_otel.flush()
        assert self._receiver.spans
        formatter = logging.Formatter("%(message)s %(args)s")
        told = [got.body for got in self._receiver.received]
        told += [file.read_bytes() for file in self._store.iterdir()]
        told += [
            formatter.format(record).encode()
            for record in self._logs.records
            if record.name.startswith(("genai_otel", "opentelemetry"))
        ]
        told.append(f"{genai_otel.status()} {genai_otel.current()}".encode())
        looked_for = (WORD, PROMPT, "Be brief") if self._mode == "none" else (SECRET,)
        return [text for text in told if any(word.encode() in text for word in looked_for)]

    @property
    def attributes(self) -> list[dict[str, Any]]:
        assert genai_otel.flush()
        return [attributes(span) for span in self._receiver.spans.values()]

    @property
    def spans(self) -> int:
        assert genai_otel.flush()
        return len(self._receiver.spans)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(params=MODES)
def left(
    request: pytest.FixtureRequest,
    receiver: Receiver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Left]:
    """Telemetry of a process with that policy, as it arrives, and every log record."""
    caplog.set_level(logging.DEBUG, "genai_otel")
    caplog.set_level(logging.DEBUG, "opentelemetry")
    receiver.received.clear()
    receiver.taken.clear()
    genai_otel.shutdown()
    genai_otel.instrument(
        destinations=[
            Destination("otlp", endpoint=receiver.url),
            Destination("local", directory=str(tmp_path / "store")),
        ],
        content=request.param,
    )
    yield Left(request.param, receiver, tmp_path / "store", caplog)
    genai_otel.shutdown()


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
    left: Left,
    decorator: Any,
    act: Callable[[Any], None],
) -> None:
    act(decorator)
    assert not left.leaks()


def test_filled_by_hand(left: Left) -> None:
    with operation("chat") as op:
        op.provider = "openai"
        op.system = op.input = op.output = canary("message")  # type: ignore[assignment]
        op.tools, op.arguments, op.result = [{"name": canary()}], [canary()], canary("result")
        op.query, op.documents = canary("query"), [{"id": "1", "content": canary()}]
        op.params = {"unknown": canary(), "temperature": canary(), canary(): 1}
        op.details = {"unknown": canary()}
        op.verdict = Verdict("deny", 1, reason=canary("reason"))
    assert not left.leaks()


def test_verdicts_and_documents(left: Left) -> None:
    guardrail(lambda text: Verdict("deny", reason=canary("reason")))(canary("text"))
    retriever(lambda query: [{"id": 1, "content": canary("document")}])(canary("query"))
    assert not left.leaks()


def test_suppressed_and_scoped(left: Left) -> None:
    with suppress(), scope(user_id=canary("user")):
        step(lambda text: text)(canary("text"))
    step(lambda text: text)(canary("text"))
    assert not left.leaks()


def test_errors_of_our_own(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we fail over a value, neither log nor status quotes it."""

    def breaks(*given: Any) -> None:
        raise ValueError(f"cannot take {given} {canary()}")

    monkeypatch.setattr("genai_otel._support.errors.FAULTS.strict", False)
    monkeypatch.setattr("genai_otel._support.errors.FAULTS.counts", {})
    monkeypatch.setattr("genai_otel.recorder.recorder.outcome", breaks)
    monkeypatch.setattr("genai_otel.api.decorators._result", breaks)
    step(lambda text: canary("result"))(canary("argument"))
    assert genai_otel.status().internal_errors
    assert not left.leaks()


# -------------------------------------------------------------------------------------- models


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
    left: Left,
    client: openai.OpenAI,
    model: str,
    stream: bool,
) -> None:
    try:
        reply = client.chat.completions.create(stream=stream, **ask(model))
        list(reply)
    except Exception:  # noqa: BLE001 - older clients let errors of httpx through
        assert model != "secretive"
    assert not left.leaks()


def test_everything_else(left: Left, client: openai.OpenAI) -> None:
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
    with client.chat.completions.stream(model="secretive", messages=ask("")["messages"]) as early:
        next(iter(early))
    assert left.spans == 10
    assert not left.leaks()


def test_every_library_has_canaries() -> None:
    """Or a reason, which goes when they come."""
    ways = {name for name in NAMES if has_way(name)}
    assert ways | set(WITHOUT) == set(NAMES)
    assert not ways & set(WITHOUT)


def _there(name: str) -> str:
    if name in WITHOUT:
        pytest.skip(WITHOUT[name])
    if not installed(name):
        pytest.skip("not installed")
    return name


@pytest.mark.slow
@pytest.mark.unconventional("answers and requests are odd on purpose")
@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue(left: Left, provider: Provider, name: str) -> None:
    """Every library, by every way to ask it that is known, when all goes well and when not."""
    provider.add("secretive", SECRETIVE)
    asks(_there(name), provider)
    assert left.spans > 2
    assert not provider.requests or any(WORD.encode() in each.raw for each in provider.requests)
    assert not left.leaks()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_is_never_told(receiver: Receiver, provider: Provider, name: str) -> None:
    """Headers, queries, what no list has, who logs in where: with ``full`` no more than else."""
    provider.add("secretive", SECRETIVE)
    receiver.received.clear()
    receiver.taken.clear()
    genai_otel.shutdown()
    genai_otel.instrument(destinations=Destination("otlp", endpoint=receiver.url), content="full")
    asks(_there(name), Addressed(provider), ("secretive",))  # type: ignore[arg-type]
    assert genai_otel.flush()
    told = {key for span in receiver.spans.values() for key in attributes(span)}
    genai_otel.shutdown()
    assert told
    assert not [key for key in told - FIXED if not key.startswith("genai_otel.metadata.")]
    sent = b"".join(got.body for got in receiver.received)
    for where in ("header", "key", "query", "unlisted", "password"):
        if where != "query" or name not in _QUERIED:
            assert f"{WORD}-{where}".encode() not in sent


_QUERIED = ("voyageai",)
"""Those whose query is content: that of a search."""


def test_what_an_error_is_known_by_is_kept(left: Left, client: openai.OpenAI) -> None:
    """Its type, the provider's code, the status: whatever the policy, and none of its text."""
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**ask("err400-echo"))
    assert not left.leaks()
    (told,) = left.attributes
    assert told["error.type"].endswith("BadRequestError")
    assert told["http.response.status_code"] == 400
    assert told.get("genai_otel.error.request_id") == raised.value.request_id
    assert told.get("genai_otel.error.code") in (raised.value.code, raised.value.type)


def test_answers_that_cannot_be_parsed(left: Left, provider: Provider) -> None:
    """The error of whoever parses quotes what was said."""

    class Verse(pydantic.BaseModel):
        lines: int

    text = json.dumps({"lines": canary("line")})
    provider.add("verse", replace(SECRETIVE, replies=(Reply(text=text),)))
    with openai.OpenAI(api_key=canary("key"), base_url=provider.base_url) as client:
        ask: Any = {"model": "verse", "messages": planted([{"role": "user", "content": "Go."}])}
        with pytest.raises(pydantic.ValidationError, match=WORD):
            step(client.chat.completions.parse)(response_format=Verse, **ask)
        with pytest.raises(pydantic.ValidationError, match=WORD):
            client.responses.parse(model="verse", input=canary("input"), text_format=Verse)
    assert left.spans == 3
    assert not left.leaks()


def test_guardrails_that_fail(left: Left) -> None:
    """One that raises quotes what it judged; one that denies tells why."""

    def raises(text: str) -> Verdict:
        raise ValueError(f"cannot judge {text}")

    with pytest.raises(ValueError, match=WORD), scope(metadata={"k": secret()}):
        guardrail(raises)(canary("judged"))
    with operation("guardrail", f"word list of {secret()}") as op:
        op.input, op.output = canary("judged"), canary("rewritten")  # type: ignore[assignment]
        op.verdict = Verdict("modify", 0.5, reason=canary("reason"), category=secret())
    assert left.spans == 2
    assert not left.leaks()


def test_attempts(left: Left, provider: Provider) -> None:
    """What is retried is told once, and not by what it was refused with."""
    with (
        openai.OpenAI(api_key=canary("key"), base_url=provider.base_url, max_retries=2) as client,
        ignoring(openai.APIError),
    ):
        client.chat.completions.create(**ask("err429"))
    assert not left.leaks()


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
    assert SECRET in chat
    assert f"{WORD}-argument-" in own
    genai_otel.shutdown()
    capture.meter_provider.shutdown()
