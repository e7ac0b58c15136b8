"""A reply over which the client then raised has been paid for: the span says what it cost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anthropic
import groq
import ollama
import openai
import pydantic
import pytest
from opentelemetry.trace import StatusCode

import genai_otel
from genai_otel import Budget, BudgetExceeded
from genai_otel._support.background import finish
from genai_otel.testing import Capture
from tests.provider.answer import Answer

try:
    from mistralai.client import Mistral
except ImportError:  # 1.x
    from mistralai import Mistral

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider import Provider

ASK: list[Any] = [{"role": "user", "content": "Where is Rome?"}]
PRICES = {"models": {"*": {"input": 1.0, "output": 2.0}}}
SAID = "Rome is in Italy."
USAGE = {"prompt_tokens": 1_700, "completion_tokens": 100, "total_tokens": 1_800}


class City(pydantic.BaseModel):
    name: str


def chat_body(**choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": SAID}
    whole = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [whole], "usage": USAGE,
    }  # fmt: skip


def called(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"id": "t1", "type": "function", "function": function}]}


RESPONSE = {
    "id": "r1", "object": "response", "created_at": 1, "model": "gpt-4o-mini",
    "status": "completed", "parallel_tool_calls": True, "tools": [], "tool_choice": "auto",
    "output": [{
        "id": "m1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": SAID, "annotations": []}],
    }],
    "usage": {
        "input_tokens": 1_700, "output_tokens": 100, "total_tokens": 1_800,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}  # fmt: skip
MESSAGE = {
    "id": "m1", "type": "message", "role": "assistant", "model": "claude-test",
    "content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 1_700, "output_tokens": 100},
}  # fmt: skip
EMBEDDED = {
    "object": "list", "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 1_800, "total_tokens": 1_800},
}  # fmt: skip


@pytest.fixture(autouse=True)
def capture() -> Iterator[Capture]:
    capture = Capture()
    instrument(capture)
    finish()  # the table of prices is read
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def instrument(capture: Capture, **more: Any) -> None:
    genai_otel.instrument(
        destinations=capture.exporter,
        content="full",
        meter_provider=capture.meter_provider,
        prices=PRICES,
        **more,
    )


def serve(monkeypatch: pytest.MonkeyPatch, provider: Provider, body: Any, **head: str) -> None:
    """Answers every request with this."""
    raw = body if type(body) is bytes else json.dumps(body).encode()
    answer = Answer(headers={"content-type": "application/json", **head}, body=raw)
    monkeypatch.setattr(provider, "answer", lambda _: replace(answer))


# --------------------------------------------------------------------- the ways to refuse one


def parse(**more: Any) -> Callable[[Any], Any]:
    options = {"model": "gpt-4o-mini", "messages": ASK, "response_format": City, **more}
    return lambda client: client.chat.completions.parse(**options)


def create(client: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=ASK)


def respond(client: Any) -> Any:
    return client.responses.parse(model="gpt-4o-mini", input="Where?", text_format=City)


def embed(client: Any) -> Any:
    return client.embeddings.create(model="text-embedding-3-small", input="Where?")


TOOL = {"type": "function", "function": {
    "name": "find", "strict": True,
    "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
}}  # fmt: skip

OPENAI: dict[str, tuple[Any, Callable[[Any], Any], type[Exception]]] = {
    "no json": (chat_body(), parse(), pydantic.ValidationError),
    "too long": (chat_body(finish_reason="length"), parse(), openai.LengthFinishReasonError),
    "filtered": (
        chat_body(finish_reason="content_filter"), parse(), openai.ContentFilterFinishReasonError
    ),
    "tool arguments": (
        chat_body(message={"role": "assistant", "content": SAID, **called("find", "{")}),
        parse(tools=[TOOL], response_format=openai.omit),
        ValueError,
    ),
    "responses": (RESPONSE, respond, pydantic.ValidationError),
    "no vectors": ({**EMBEDDED, "data": []}, embed, ValueError),
    "null for vectors": ({**EMBEDDED, "data": None}, embed, ValueError),
    "damaged vectors": (
        {**EMBEDDED, "data": [{"object": "embedding", "index": 0, "embedding": "AAA"}]},
        embed,
        ValueError,
    ),
}  # fmt: skip
COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])


def fails(
    ask: Callable[[Any], Any], clients: tuple[Any, Any], colour: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _ask(ask, clients[0]) if colour == "sync" else asyncio.run(_ask_async(ask, clients[1]))


def _ask(ask: Callable[[Any], Any], client: Any) -> None:
    with client:
        ask(client)


async def _ask_async(ask: Callable[[Any], Any], client: Any) -> None:
    async with client:
        await ask(client)


def openais(provider: Provider, **more: Any) -> tuple[Any, Any]:
    options: Any = {"api_key": "sk", "base_url": provider.base_url, "max_retries": 0, **more}
    return openai.OpenAI(**options), openai.AsyncOpenAI(**options)


def assert_paid(span: Any, *, said: bool = True) -> None:
    facts = span.attributes
    counts = [facts.get(f"gen_ai.usage.{side}_tokens") for side in ("input", "output")]
    assert sum(count or 0 for count in counts) == 1_800
    assert facts["gen_ai.usage.cost"] > 0
    assert not facts.get("genai_otel.usage.estimated")
    assert facts["error.type"]
    assert not span.status.is_ok
    assert not said or SAID in facts["gen_ai.output.messages"]


@COLOURS
@pytest.mark.parametrize("case", OPENAI)
def test_openai(
    provider: Provider, capture: Capture, monkeypatch: Any, case: str, colour: str
) -> None:
    body, ask, error = OPENAI[case]
    serve(monkeypatch, provider, body)
    fails(ask, openais(provider), colour, error)
    assert_paid(capture.span(), said="vectors" not in case)


@COLOURS
def test_a_client_that_validates_everything(
    provider: Provider, capture: Capture, monkeypatch: Any, colour: str
) -> None:
    serve(monkeypatch, provider, {**chat_body(), "created": "yesterday"})
    clients = openais(provider, _strict_response_validation=True)
    fails(create, clients, colour, openai.APIResponseValidationError)
    assert_paid(capture.span())


@COLOURS
def test_anthropic(provider: Provider, capture: Capture, monkeypatch: Any, colour: str) -> None:
    serve(monkeypatch, provider, MESSAGE)
    options: Any = {"api_key": "sk", "base_url": provider.root, "max_retries": 0}
    clients = (anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options))

    def ask(client: Any) -> Any:
        return client.messages.parse(
            model="claude-test", max_tokens=9, messages=ASK, output_format=City
        )

    fails(ask, clients, colour, pydantic.ValidationError)
    assert_paid(capture.span())


@COLOURS
def test_other_clients_of_that_family(
    provider: Provider, capture: Capture, monkeypatch: Any, colour: str
) -> None:
    serve(monkeypatch, provider, {**chat_body(), "model": "llama-3.3-70b-versatile", "created": ""})
    options: Any = {"api_key": "sk", "base_url": f"{provider.root}/groq", "max_retries": 0}
    options["_strict_response_validation"] = True
    clients = (groq.Groq(**options), groq.AsyncGroq(**options))
    fails(create, clients, colour, groq.APIResponseValidationError)
    facts = capture.span().attributes
    assert facts["gen_ai.usage.input_tokens"] == 1_700


@COLOURS
def test_mistral(provider: Provider, capture: Capture, monkeypatch: Any, colour: str) -> None:
    body = {**chat_body(), "model": "mistral-small-latest", "created": "yesterday"}
    serve(monkeypatch, provider, body)
    client = Mistral(api_key="k", server_url=f"{provider.root}/mistral")

    def ask(client: Any) -> Any:
        call = client.chat.complete if colour == "sync" else client.chat.complete_async
        return call(model="mistral-small-latest", messages=ASK)

    fails(ask, (client, client), colour, Exception)
    assert_paid(capture.span())


@COLOURS
def test_ollama(provider: Provider, capture: Capture, monkeypatch: Any, colour: str) -> None:
    serve(monkeypatch, provider, {
        "model": "llama3", "message": {"role": "assistant", "content": SAID}, "done": "perhaps",
        "done_reason": "stop", "prompt_eval_count": 1_700, "eval_count": 100,
    })  # fmt: skip
    clients = (ollama.Client(provider.root), ollama.AsyncClient(provider.root))
    options: Any = {"model": "llama3", "messages": ASK}
    fails(lambda client: client.chat(**options), clients, colour, pydantic.ValidationError)
    facts = capture.span().attributes
    assert facts["gen_ai.usage.input_tokens"] == 1_700
    assert facts["gen_ai.usage.output_tokens"] == 100
    assert SAID in facts["gen_ai.output.messages"]


def test_a_refusal_by_the_provider_is_no_reply(
    provider: Provider, capture: Capture, monkeypatch: Any
) -> None:
    """Whatever its body looks like."""
    answer = Answer(429, {"content-type": "application/json"}, json.dumps(chat_body()).encode())
    monkeypatch.setattr(provider, "answer", lambda _: replace(answer))
    fails(create, openais(provider), "sync", openai.RateLimitError)
    facts = capture.span().attributes
    assert "gen_ai.usage.input_tokens" not in facts
    assert "gen_ai.output.messages" not in facts


def test_a_hard_budget_holds(provider: Provider, capture: Capture, monkeypatch: Any) -> None:
    """Three calls of 1,800 tokens spend 5,000: the fourth is not made."""
    genai_otel.shutdown()
    instrument(capture, budgets=[Budget(limit=5_000, unit="tokens", hard=True)])
    serve(monkeypatch, provider, chat_body())
    for _ in range(3):
        fails(parse(max_tokens=10), openais(provider), "sync", pydantic.ValidationError)
    fails(parse(max_tokens=10), openais(provider), "sync", BudgetExceeded)


# ------------------------------------------------------------- what the helpers of streams refuse


def streamed(events: list[Any], *, named: bool = True) -> bytes:
    lines = (f"event: {e['type']}\n" if named else "" for e in events)
    data = (f"data: {json.dumps(event)}\n\n" for event in events)
    return "".join(line + words for line, words in zip(lines, data, strict=True)).encode()


def piece(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini",
        "choices": [choice],
    }  # fmt: skip


CHAT_STREAM = "chat.completions.stream"


def stopped(reason: str) -> dict[str, Any]:
    last = piece()
    last["choices"][0]["finish_reason"] = reason
    return last


def answered(*last: dict[str, Any]) -> bytes:
    return streamed([piece(role="assistant", content=SAID), *last], named=False)


COUNTED = {**piece(), "choices": [], "usage": USAGE}
RESPONDED = [
    {"type": "response.created", "sequence_number": 0, "response": {
        **RESPONSE, "status": "in_progress", "output": [], "usage": None,
    }},
    {"type": "response.completed", "sequence_number": 1, "response": RESPONSE},
]  # fmt: skip
TOLD = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}},
    {"type": "content_block_stop", "index": 0},
]
HELPED: dict[str, tuple[bytes, str, str, bool]] = {
    "halfway": (answered(piece(content="}")) + b"data: [DONE]\n\n", CHAT_STREAM,
                "ValueError", False),
    "too long": (answered(COUNTED, stopped("length")), CHAT_STREAM,
                 "LengthFinishReasonError", True),
    "too long, uncounted": (answered(stopped("length"), COUNTED), CHAT_STREAM,
                            "LengthFinishReasonError", False),
    "filtered": (answered(COUNTED, stopped("content_filter")), CHAT_STREAM,
                 "ContentFilterFinishReasonError", True),
    "responses": (streamed(RESPONDED), "responses.stream", "ValidationError", True),
    "messages": (streamed(TOLD), "messages.stream", "ValidationError", True),
}  # fmt: skip
"""What comes; which helper reads it, what that raises, and whether it knew the usage by then."""


def helper_of(name: str, clients: tuple[Any, Any], colour: str) -> Any:
    client = clients[colour == "async"]
    if name == "messages.stream":
        return client, client.messages.stream(
            model="claude-test", max_tokens=9, messages=ASK, output_format=City
        )
    if name == "responses.stream":
        return client, client.responses.stream(
            model="gpt-4o-mini", input="Where?", text_format=City
        )
    return client, client.chat.completions.stream(
        model="gpt-4o-mini", messages=ASK, response_format=City
    )


def read_through(client: Any, helper: Any) -> None:
    with client, helper as events:
        for _ in events:
            pass


async def read_through_async(client: Any, helper: Any) -> None:
    async with client, helper as events:
        async for _ in events:
            pass


def clients_for(name: str, provider: Provider) -> tuple[Any, Any]:
    if not name.startswith("messages"):
        return openais(provider)
    options: Any = {"api_key": "sk", "base_url": provider.root, "max_retries": 0}
    return anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)


@COLOURS
@pytest.mark.parametrize("case", HELPED)
def test_what_a_stream_helper_raises_is_the_calls_error(
    provider: Provider, capture: Capture, monkeypatch: Any, case: str, colour: str
) -> None:
    """What had come is there; what was not read by then nobody knows."""
    body, name, error, counted = HELPED[case]
    serve(monkeypatch, provider, body, **{"content-type": "text/event-stream"})
    client, helper = helper_of(name, clients_for(name, provider), colour)

    def read() -> None:
        if colour == "sync":
            read_through(client, helper)
        else:
            asyncio.run(read_through_async(client, helper))

    with pytest.raises(Exception) as raised:
        read()
    assert type(raised.value).__name__ == error
    span = capture.span()
    facts = span.attributes or {}
    assert str(facts["error.type"]).endswith(error)
    assert span.status.status_code is StatusCode.ERROR
    assert SAID in facts["gen_ai.output.messages"]
    assert facts.get("gen_ai.usage.input_tokens") == (1_700 if counted else None)


def test_what_the_reader_of_a_stream_raises_is_not(
    provider: Provider, capture: Capture, monkeypatch: Any
) -> None:
    body = answered(piece(content="."), piece(content="."))
    serve(monkeypatch, provider, body, **{"content-type": "text/event-stream"})
    client = openais(provider)[0]
    stream = client.chat.completions.stream(model="gpt-4o-mini", messages=ASK)

    def fail() -> None:
        with client, stream as events:
            for _ in events:
                raise LookupError

    with pytest.raises(LookupError):
        fail()
    span = capture.span()
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["genai_otel.response.completed"] is False


# ----------------------------------------------------------------- what no content type announces


@COLOURS
@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "text/html; charset=utf-8", "application/x-any", ""]
)
def test_a_raw_response_is_read_whatever_it_says_it_is(
    provider: Provider, capture: Capture, monkeypatch: Any, kind: str, colour: str
) -> None:
    """``with_raw_response``, as LangChain calls; gateways name other types than the provider."""
    serve(monkeypatch, provider, chat_body(), **{"content-type": kind})
    sync, later = openais(provider)
    options: Any = {"model": "gpt-4o-mini", "messages": ASK}

    async def ask() -> Any:
        async with later:
            return (await later.chat.completions.with_raw_response.create(**options)).parse()

    if colour == "sync":
        with sync:
            reply = sync.chat.completions.with_raw_response.create(**options).parse()
    else:
        reply = asyncio.run(ask())
    assert reply.choices[0].message.content == SAID
    facts = capture.span().attributes
    assert facts["gen_ai.usage.input_tokens"] == 1_700
    assert SAID in facts["gen_ai.output.messages"]


def test_bytes_that_are_no_text_stay_unread(
    provider: Provider, capture: Capture, monkeypatch: Any
) -> None:
    sound = bytes(range(256))
    serve(monkeypatch, provider, sound, **{"content-type": "application/octet-stream"})
    with openais(provider)[0] as client:
        raw = client.audio.speech.with_raw_response.create(model="tts-1", voice="echo", input="Hi")
    assert raw.content == sound
    assert capture.span().status.is_ok
