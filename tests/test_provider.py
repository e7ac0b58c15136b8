"""The loopback provider, asked by the real client: every scenario is what its truth says."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.provider import SCENARIOS, truth
from tests.provider.fixtures import NEVER_DONE
from tests.provider.openai_clients import (
    calls_of,
    client_of,
    drained,
    has_token,
    joined,
    joined_calls,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.provider import Provider, Truth

ASK: list[Any] = [{"role": "user", "content": "Good morning?"}]
TOOL_RESULT: list[Any] = [*ASK, {"role": "tool", "tool_call_id": "call_time", "content": "noon"}]

WITH_REPLY = [n for n, row in SCENARIOS.items() if not row.failure and n not in NEVER_DONE]
STRICT = [name for name in WITH_REPLY if SCENARIOS[name].strict]
WHOLE = [name for name in STRICT if SCENARIOS[name].ending == "done"]
FINAL = [name for name in WHOLE if name not in {"length", "filtered"}]  # the helpers refuse these


@pytest.fixture(scope="module")  # making a client costs more than asking it
def client(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server) as client:
        yield client


@pytest.fixture(scope="module")
def lenient(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server, _strict_response_validation=False) as client:
        yield client


@pytest.fixture
async def aclient(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        api_key="sk-loopback",
        base_url=provider.base_url,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


# ------------------------------------------------------------------------------- chat completions


def assert_message(message: Any, known: Truth) -> None:
    assert (message.content or "") == known.text
    assert (message.refusal or "") == known.refusal
    reasoning = getattr(message, "reasoning_content", "") or getattr(message, "reasoning", "")
    assert reasoning == known.reasoning
    assert calls_of(message.tool_calls) == known.tool_calls


@pytest.mark.parametrize("name", WHOLE)
def test_whole_chat(client: openai.OpenAI, name: str) -> None:
    known = truth(name, prompt="Good morning?")
    reply = client.chat.completions.create(model=name, messages=ASK)
    assert_message(reply.choices[0].message, known)
    assert tuple(c.message.content or "" for c in reply.choices) == known.texts
    assert tuple(c.finish_reason for c in reply.choices) == known.finish_reasons
    assert (reply.id, reply.model) == (known.response_id, known.response_model)
    assert usage_of(reply.usage) == known.usage


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_streamed_chat(client: openai.OpenAI, name: str, include_usage: bool) -> None:
    known = truth(
        name, stream=True, include_usage=include_usage, prompt="Good morning?"
    )  # fmt: skip
    more: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = client.chat.completions.create(model=name, messages=ASK, stream=True, **more)
    chunks = list(stream)
    assert len(chunks) == known.chunks
    assert next((at for at, c in enumerate(chunks) if has_token(c)), None) == known.first_token
    texts = tuple(joined(chunks, "content", at) for at in range(len(known.texts)))
    assert texts == known.texts
    reasoning = joined(chunks, "reasoning_content") or joined(chunks, "reasoning")
    assert reasoning == known.reasoning
    assert joined(chunks, "refusal") == known.refusal
    assert joined_calls(chunks) == known.tool_calls
    reasons = [(c.index, c.finish_reason) for k in chunks for c in k.choices if c.finish_reason]
    assert tuple(reason for _, reason in sorted(reasons)) == known.finish_reasons
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage_of(usages[-1] if usages else None) == known.usage
    assert {(c.id, c.model) for c in chunks} == {(known.response_id, known.response_model)}


@pytest.mark.parametrize("name", [name for name in FINAL if name != "tools-shuffled"])
def test_chat_helper_accumulates_the_truth(client: openai.OpenAI, name: str) -> None:
    known = truth(name, prompt="Good morning?")
    with client.chat.completions.stream(model=name, messages=ASK) as stream:
        final = stream.get_final_completion()
    assert_message(final.choices[0].message, known)
    assert tuple(c.finish_reason for c in final.choices) == known.finish_reasons


def test_chat_helper_cannot_open_calls_in_reverse(client: openai.OpenAI) -> None:
    with (
        client.chat.completions.stream(model="tools-shuffled", messages=ASK) as stream,
        pytest.raises(IndexError),
    ):
        stream.until_done()


def test_usage_in_every_chunk_grows(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="usage-every-chunk", messages=ASK, stream=True)
    counts = [chunk.usage.completion_tokens for chunk in stream if chunk.usage]
    assert counts == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8][: len(counts)]
    assert counts[-1] == SCENARIOS["usage-every-chunk"].usage.output


def test_tools_are_called_once(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="tools", messages=TOOL_RESULT)
    assert reply.choices[0].message.content == truth("tools", tools_done=True).text


async def test_async_chat(aclient: openai.AsyncOpenAI) -> None:
    whole = await aclient.chat.completions.create(model="reasoning", messages=ASK)
    assert_message(whole.choices[0].message, truth("reasoning"))
    stream = await aclient.chat.completions.create(model="tools", messages=ASK, stream=True)
    assert joined_calls([chunk async for chunk in stream]) == truth("tools").tool_calls
    async with aclient.chat.completions.stream(model="ok", messages=ASK) as helper:
        final = await helper.get_final_completion()
    assert final.choices[0].message.content == truth("ok").text


def test_parse(client: openai.OpenAI) -> None:
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str
        celsius: int

    expected = Weather(**json.loads(truth("json").text))
    chat = client.chat.completions.parse(model="json", messages=ASK, response_format=Weather)
    assert chat.choices[0].message.parsed == expected
    response = client.responses.parse(model="json", input="hi", text_format=Weather)
    assert response.output_parsed == expected
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="length", messages=ASK, response_format=Weather)


# --------------------------------------------------------------------------------------- oddities


def test_odd_replies_reach_a_lenient_client(lenient: openai.OpenAI) -> None:
    def ask(name: str) -> Any:
        return lenient.chat.completions.create(model=name, messages=ASK)

    assert ask("null-choices").choices is None
    assert ask("null-message").choices[0].message is None
    assert ask("null-usage").usage is None
    assert "usage" not in ask("nousage").model_fields_set
    assert ask("future").choices[0].finish_reason == "paused"
    assert ask("future").choices[0].message.tool_calls[0].type == "quantum"
    assert ask("error-200").error["code"] == truth("error-200").error_code
    assert ask("azure").model == truth("azure").response_model == "gpt-4o-mini-2024-07-18"
    assert "\ud83d" in ask("surrogates").choices[0].message.content
    filters = ask("filtered").choices[0].content_filter_results
    assert filters["violence"] == {"filtered": True, "severity": "high"}


@pytest.mark.parametrize("name", [name for name in WITH_REPLY if not SCENARIOS[name].strict])
def test_odd_streams_reach_a_lenient_client(lenient: openai.OpenAI, name: str) -> None:
    known = truth(name, stream=True)
    chunks = list(lenient.chat.completions.create(model=name, messages=ASK, stream=True))
    assert len(chunks) == known.chunks
    good = [c for c in chunks if c.choices and c.choices[0].delta is not None]
    assert joined(good, "content") == known.text


def test_azure_opens_with_the_prompt_filter(lenient: openai.OpenAI) -> None:
    first, *_ = lenient.chat.completions.create(model="azure", messages=ASK, stream=True)
    assert (first.id, first.model, first.choices) == ("", "", [])
    assert first.model_dump()["prompt_filter_results"]


# --------------------------------------------------------------------------------------- failures

REFUSALS = {
    400: openai.BadRequestError, 401: openai.AuthenticationError,
    403: openai.PermissionDeniedError, 404: openai.NotFoundError, 429: openai.RateLimitError,
    500: openai.InternalServerError, 502: openai.InternalServerError,
}  # fmt: skip
REFUSED = [name for name in SCENARIOS if truth(name, retried=False).http_status in REFUSALS]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_refusals(client: openai.OpenAI, provider: Provider, name: str, stream: bool) -> None:
    known = truth(name, prompt="Good morning?", key="sk-loopback", retried=False)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=name, messages=ASK, stream=stream)
    assert known.http_status == caught.value.status_code
    assert (known.error_message or "") in caught.value.response.text
    assert type(caught.value) is REFUSALS[caught.value.status_code]
    assert (caught.value.code, caught.value.type or "") == (
        known.error_code,
        known.error_type or "",
    )
    assert provider.usage_log[0].status == known.http_status
    assert provider.usage_log[0].output_tokens is None


@pytest.mark.parametrize("endpoint", ["chat", "responses", "embeddings"])
def test_refusals_may_quote(client: openai.OpenAI, endpoint: str) -> None:
    calls: dict[str, Any] = {
        "chat": lambda: client.chat.completions.create(model="err400-echo", messages=ASK),
        "responses": lambda: client.responses.create(model="err400-echo", input="Good morning?"),
        "embeddings": lambda: client.embeddings.create(model="err400-echo", input="Good morning?"),
    }
    with pytest.raises(openai.BadRequestError, match=r"Good morning\?"):
        calls[endpoint]()
    with pytest.raises(openai.AuthenticationError, match="sk-loopback"):
        client.chat.completions.create(model="err401", messages=ASK)


@pytest.mark.parametrize("name", ["retry-429", "retry-500"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_second_attempt_succeeds(provider: Provider, name: str, stream: bool) -> None:
    with client_of(provider, max_retries=2) as client:
        for _ in range(2):
            reply: Any = client.chat.completions.create(model=name, messages=ASK, stream=stream)
            assert joined(list(reply), "content") if stream else reply.choices
    statuses = [request.status for request in provider.requests]
    assert statuses == [truth(name, retried=False).http_status, 200] * 2


def test_a_client_which_does_not_count_may_retry_too(provider: Provider) -> None:
    def ask() -> int:
        url, body = provider.base_url + "/embeddings", b'{"model": "retry-500", "input": "hi"}'
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body)) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert [ask(), ask(), ask(), ask()] == [500, 200, 500, 200]


@pytest.mark.parametrize(
    "name", ["cut", "cut-after-0", "cut-after-1", "cut-after-6", "cut-after-99"]
)
def test_cut_streams(client: openai.OpenAI, provider: Provider, name: str) -> None:
    known = truth(name, stream=True)
    stream = client.chat.completions.create(model=name, messages=ASK, stream=True)
    chunks, error = drained(stream)
    assert type(error).__name__ in {"APIConnectionError", "RemoteProtocolError"}
    assert (len(chunks), joined(chunks, "content")) == (known.chunks, known.text)
    assert not known.completed
    assert provider.requests[0].wait()
    assert not provider.requests[0].completed
    assert not provider.requests[0].disconnected
    assert not provider.usage_log[0].completed


@pytest.mark.parametrize("name", ["error-event", "error-after-0", "error-after-5"])
def test_error_in_a_stream(client: openai.OpenAI, name: str) -> None:
    known = truth(name, stream=True)
    stream = client.chat.completions.create(model=name, messages=ASK, stream=True)
    chunks, error = drained(stream)
    assert (len(chunks), joined(chunks, "content")) == (known.chunks, known.text)
    assert isinstance(error, openai.APIError)
    assert (error.code, error.type) == (known.error_code, known.error_type)


@pytest.mark.parametrize("name", ["cut", "cut-headers"])
def test_no_reply(client: openai.OpenAI, name: str) -> None:
    assert not truth(name).completed
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=name, messages=ASK)


def test_hang_ends_when_the_client_leaves(client: openai.OpenAI, provider: Provider) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="hang", messages=ASK, timeout=0.2)
    (request,) = provider.requests
    assert request.wait()
    assert request.disconnected
