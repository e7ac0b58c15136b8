"""Streams of servers that nearly speak a provider's API: their counts, their calls and their words.

Each is the stream of a public report: of counts that end with zeros or with less than before, of
usage in a choice (Moonshot), of calls that all have the number 0 and no id (Gemini's endpoint for
OpenAI's clients), of responses that end without their output.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

import genai_otel
from genai_otel.testing import Capture
from tests.provider.answer import Answer, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider import Provider

Json = dict[str, Any]
ASK: list[Any] = [{"role": "user", "content": "Hello?"}]
USED = {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40}
ZEROS = dict.fromkeys(USED, 0)
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
STYLES = pytest.mark.parametrize("style", ["sync", "async"])


@pytest.fixture(params=["full", "none"])
def capture(request: pytest.FixtureRequest) -> Iterator[Capture]:
    capture = Capture()
    genai_otel.instrument(
        destinations=capture.exporter,
        content=request.param,
        meter_provider=capture.meter_provider,
        prices={"models": {"*": {"input": 1.0, "output": 2.0}}},
    )
    yield capture
    genai_otel.shutdown()
    capture.meter_provider.shutdown()


def serve(monkeypatch: pytest.MonkeyPatch, provider: Provider, events: list[Json]) -> None:
    """Answers every request with these."""
    parts = [Part(_frame(event)) for event in events]
    head = {"content-type": "text/event-stream"}
    monkeypatch.setattr(provider, "answer", lambda _: Answer(headers=head, parts=iter(parts)))


def _frame(event: Json) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def told(capture: Capture) -> Json:
    return dict(capture.span().attributes or {})


def counts(capture: Capture) -> dict[str, int]:
    """The tokens, by their names in the conventions."""
    found = {
        name.removeprefix("gen_ai.usage.").removesuffix("_tokens"): value
        for name, value in told(capture).items()
        if name.startswith("gen_ai.usage.") and name.endswith("_tokens")
    }
    return {name: value for name, value in found.items() if value}


def parts(capture: Capture) -> list[Json] | None:
    """What the first choice said; ``None`` where content is not recorded."""
    said = told(capture).get("gen_ai.output.messages")
    return None if said is None else json.loads(said)[0]["parts"]


# --------------------------------------------------------------------------- chat completions


def chunk(
    delta: Json,
    usage: Json | None = None,
    reason: str | None = None,
    usage_of_choice: Json | None = None,
) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "usage": usage_of_choice}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "nearly"}
    return {**head, "choices": [choice], **({} if usage is None else {"usage": usage})}


def call(name: str, arguments: str, **more: Any) -> Json:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


CHATS: dict[str, tuple[list[Json], dict[str, int]]] = {
    "usage in the last choice": (
        [
            *(chunk({"content": word}) for word in "abc"),
            chunk({}, reason="stop", usage_of_choice=USED),
        ],
        {"input": 19, "output": 21},
    ),
    "zeros at the end": (
        [
            chunk({"content": "a"}, {**USED, "completion_tokens": 1, "total_tokens": 20}),
            chunk({"content": "bc"}, USED),
            chunk({}, ZEROS, "stop"),
        ],
        {"input": 19, "output": 21},
    ),
    "details that are gone at the end": (
        [
            chunk({"content": "a"}, {**USED, "prompt_tokens_details": {"cached_tokens": 7}}),
            chunk({"content": "b"}, {**USED, "prompt_tokens_details": {"cached_tokens": 0}}),
            chunk({"content": "c"}, {**USED, "prompt_tokens_details": None}, "stop"),
        ],
        {"input": 19, "output": 21, "cache_read.input": 7},
    ),
    "reasoning beside the totals": (
        [chunk({"content": "abc"}), chunk({}, {**USED, "reasoning_tokens": 12}, "stop")],
        {"input": 19, "output": 21, "reasoning.output": 12},
    ),
}  # fmt: skip


@STYLES
@pytest.mark.parametrize("case", CHATS)
def test_chat_counts(
    provider: Provider, capture: Capture, monkeypatch: Any, case: str, style: str
) -> None:
    events, expected = CHATS[case]
    serve(monkeypatch, provider, events)
    read_chat(provider, style)
    assert counts(capture) == expected
    assert parts(capture) in (None, [{"type": "text", "content": "abc"}])


CALLS: dict[str, list[Json]] = {
    "no ids": [call("f", '{"a":1}', index=0), call("f", '{"a":2}', index=0),
               call("g", '{"b":3}', index=0)],
    "empty ids": [call("f", '{"a":1}', index=0, id=""), call("f", '{"a":2}', index=0, id=""),
                  call("g", '{"b":3}', index=0, id="")],
    "neither numbers nor ids": [call("f", '{"a":1}'), call("f", '{"a":2}'), call("g", '{"b":3}')],
    "ids, number 0, in pieces": [
        call("f", '{"a"', index=0, id="1"), call("", ":1}", index=0),
        call("f", '{"a"', index=0, id="2"), call("", ":2}", index=0),
        call("g", '{"b"', index=0, id="3"), call("", ":3}", index=0),
    ],
    "the name in each piece": [
        call("f", '{"a"', index=0), call("f", ":1}", index=0),
        call("f", '{"a"', index=1), call("f", ":2}", index=1),
        call("g", '{"b"', index=2), call("g", ":3}", index=2),
    ],
}  # fmt: skip


@STYLES
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("case", CALLS)
def test_chat_calls(
    provider: Provider, capture: Capture, monkeypatch: Any, case: str, style: str, *, together: bool
) -> None:
    deltas = [CALLS[case]] if together else [[each] for each in CALLS[case]]
    chunks = [chunk({"tool_calls": each}) for each in deltas]
    serve(monkeypatch, provider, [*chunks, chunk({}, USED, "tool_calls")])
    read_chat(provider, style)
    said = parts(capture)
    calls = None if said is None else [(each["name"], each["arguments"]) for each in said]
    assert calls in (None, [("f", {"a": 1}), ("f", {"a": 2}), ("g", {"b": 3})])


@STYLES
def test_one_call_of_two_objects(
    provider: Provider, capture: Capture, monkeypatch: Any, style: str
) -> None:
    """Without a further name it is one call, whatever its arguments are."""
    calls = [call("f", '{"a":1}', index=0, id="1"), call("", '{"a":2}', index=0)]
    chunks = [chunk({"tool_calls": [each]}) for each in calls]
    serve(monkeypatch, provider, [*chunks, chunk({}, USED, "tool_calls")])
    read_chat(provider, style)
    said = parts(capture)
    assert said is None or [each["arguments"] for each in said] == ['{"a":1}{"a":2}']


def read_chat(provider: Provider, style: str) -> None:
    options: Json = {"model": "nearly", "messages": ASK, "stream": True}
    _read_openai(provider, style, lambda client: client.chat.completions.create(**options))


def _read_openai(provider: Provider, style: str, ask: Callable[[Any], Any]) -> None:
    options: Json = {"api_key": "k", "base_url": provider.base_url, "max_retries": 0}
    if style == "sync":
        with openai.OpenAI(**options) as client, ask(client) as stream:
            for _ in stream:
                pass
    else:
        asyncio.run(_read(openai.AsyncOpenAI(**options), ask))


async def _read(client: Any, ask: Callable[[Any], Any]) -> None:
    async with client, await ask(client) as stream:
        async for _ in stream:
            pass


GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai/"
SUMS: dict[str, tuple[str, Json, dict[str, int]]] = {
    "thoughts in the sum only": (
        GOOGLE,
        {**USED, "total_tokens": 145},
        {"input": 19, "output": 126, "reasoning.output": 105},
    ),
    "none": (GOOGLE, USED, {"input": 19, "output": 21}),
    "nothing but thoughts": (
        GOOGLE,
        {**USED, "completion_tokens": 0, "total_tokens": 30},
        {"input": 19, "output": 11, "reasoning.output": 11},
    ),
    "of another server": (
        "https://other.test/v1",
        {**USED, "total_tokens": 145},
        {"input": 19, "output": 21},
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", SUMS)
def test_google_sum(capture: Capture, case: str, *, stream: bool) -> None:
    url, usage, expected = SUMS[case]
    if stream:
        frames = [chunk({"content": "abc"}), chunk({}, usage, "stop")]
        content, kind = b"".join(map(_frame, frames)), "text/event-stream"
    else:
        message = {"role": "assistant", "content": "abc"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "nearly"}
        body = {**whole, "choices": [choice], "usage": usage}
        content, kind = json.dumps(body).encode(), "application/json"
    answers = httpx.MockTransport(
        lambda _: httpx.Response(200, content=content, headers={"content-type": kind})
    )
    options: Json = {"model": "nearly", "messages": ASK, "stream": stream}
    http = httpx.Client(transport=answers)
    with openai.OpenAI(api_key="k", base_url=url, http_client=http) as client:
        reply: Any = client.chat.completions.create(**options)
        if stream:
            assert list(reply)
    assert counts(capture) == expected


# ---------------------------------------------------------------------------------- responses


FUNCTION = {"id": "1", "type": "function_call", "call_id": "c1", "name": "f", "status": "completed"}
CALLED = {**FUNCTION, "arguments": '{"a":1}'}
SEARCH = {
    "id": "2", "type": "web_search_call", "status": "completed",
    "action": {"type": "search", "query": "q"},
}  # fmt: skip
WORDS = {
    "id": "3", "type": "message", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "abc", "annotations": []}],
}  # fmt: skip


def responding(*items: Json) -> list[Json]:
    """The events of a response whose end leaves out what it made."""
    head = {
        "id": "r", "object": "response", "created_at": 1, "model": "nearly", "output": [],
        "parallel_tool_calls": True, "tools": [], "tool_choice": "auto",
    }  # fmt: skip
    usage = {"input_tokens": 19, "output_tokens": 21, "total_tokens": 40}
    events = [
        {"type": "response.created", "response": {**head, "status": "in_progress"}},
        *(
            {"type": "response.output_item.done", "output_index": at, "item": item}
            for at, item in enumerate(items)
        ),
        {
            "type": "response.completed",
            "response": {**head, "status": "completed", "usage": usage},
        },
    ]
    return [{**event, "sequence_number": at} for at, event in enumerate(events)]


def read_response(provider: Provider, style: str) -> None:
    options: Json = {"model": "nearly", "input": "Hello?", "stream": True}
    _read_openai(provider, style, lambda client: client.responses.create(**options))


@STYLES
def test_response_without_its_calls(
    provider: Provider, capture: Capture, monkeypatch: Any, style: str
) -> None:
    serve(monkeypatch, provider, responding(CALLED))
    read_response(provider, style)
    facts, said = told(capture), parts(capture)
    assert facts["gen_ai.response.finish_reasons"] == ("tool_calls",)
    assert counts(capture) == {"input": 19, "output": 21}
    assert said is None or [each["arguments"] for each in said] == [{"a": 1}]


@STYLES
def test_response_without_its_searches(
    provider: Provider, capture: Capture, monkeypatch: Any, style: str
) -> None:
    """They are billed, so that the tokens alone are not what the call cost."""
    serve(monkeypatch, provider, responding(SEARCH, WORDS))
    read_response(provider, style)
    facts, said = told(capture), parts(capture)
    assert facts["gen_ai.response.finish_reasons"] == ("stop",)
    assert facts["genai_otel.usage.web_searches"] == 1
    assert "gen_ai.usage.cost" not in facts
    assert said is None or [each["type"] for each in said] == ["text", "server_tool_call"]
    assert said is None or said[0]["content"] == "abc"


# ---------------------------------------------------------------------------------- Anthropic


def speaking(begun: Json, ended: Json) -> list[Json]:
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "nearly", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": begun,
    }  # fmt: skip
    block = {"type": "text", "text": ""}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "abc"},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ended},
        {"type": "message_stop"},
    ]


MESSAGES: dict[str, tuple[Json, Json, dict[str, int]]] = {
    "zeros at the end": (
        {"input_tokens": 15, "cache_read_input_tokens": 100, "output_tokens": 1},
        {
            "input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "output_tokens": 8,
        },
        {"input": 115, "cache_read.input": 100, "output": 8},
    ),
    "zeros at the beginning": (
        {"input_tokens": 0, "output_tokens": 0},
        {"input_tokens": 22, "cache_creation_input_tokens": 11, "output_tokens": 5},
        {"input": 33, "cache_creation.input": 11, "output": 5},
    ),
    "all of it cached after all": (
        {"input_tokens": 100, "output_tokens": 0},
        {"input_tokens": 0, "cache_read_input_tokens": 100, "output_tokens": 5},
        {"input": 100, "cache_read.input": 100, "output": 5},
    ),
}


@STYLES
@pytest.mark.parametrize("case", MESSAGES)
def test_anthropic(
    provider: Provider, capture: Capture, monkeypatch: Any, case: str, style: str
) -> None:
    begun, ended, expected = MESSAGES[case]
    serve(monkeypatch, provider, speaking(begun, ended))
    options: Json = {"model": "nearly", "max_tokens": 9, "messages": ASK, "stream": True}
    given: Json = {"api_key": "k", "base_url": provider.root, "max_retries": 0}
    if style == "sync":
        with anthropic.Anthropic(**given) as client, client.messages.create(**options) as stream:
            assert list(stream)
    else:
        asyncio.run(
            _read(anthropic.AsyncAnthropic(**given), lambda c: c.messages.create(**options))
        )
    assert counts(capture) == expected


# ------------------------------------------------------------------------------------- Gemini


@STYLES
def test_gemini_counts_less_at_the_end(
    provider: Provider, capture: Capture, monkeypatch: Any, style: str
) -> None:
    whole = {
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 3,
        "thoughtsTokenCount": 20, "totalTokenCount": 123,
    }  # fmt: skip
    less = {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 125}
    serve(monkeypatch, provider, [_candidate("ab", whole), _candidate("c", less)])
    with genai.Client(
        api_key="k", http_options=types.HttpOptions(base_url=provider.root)
    ) as client:
        if style == "sync":
            assert list(client.models.generate_content_stream(model="nearly", contents="Hello?"))
        else:
            asyncio.run(_read_gemini(client))
    expected = {"input": 100, "cache_read.input": 60, "output": 25, "reasoning.output": 20}
    assert counts(capture) == expected
    assert parts(capture) in (None, [{"type": "text", "content": "abc"}])


def _candidate(words: str, usage: Json) -> Json:
    content = {"role": "model", "parts": [{"text": words}]}
    candidate = {"index": 0, "content": content, "finishReason": "STOP"}
    return {"candidates": [candidate], "modelVersion": "nearly", "usageMetadata": usage}


async def _read_gemini(client: genai.Client) -> None:
    async with client.aio as asking:
        async for _ in await asking.models.generate_content_stream(
            model="nearly", contents="Hello?"
        ):
            pass
