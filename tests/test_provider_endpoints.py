"""The loopback provider's other endpoints, asked by the real client."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.provider import SCENARIOS, ToolCall, Usage, truth
from tests.provider.fixtures import NEVER_DONE
from tests.provider.openai_clients import client_of
from tests.provider.openai_wire.media import PNG, SOUND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.provider import Provider, Truth

WITH_REPLY = [n for n, row in SCENARIOS.items() if not row.failure and n not in NEVER_DONE]
WHOLE = [n for n in WITH_REPLY if SCENARIOS[n].strict and SCENARIOS[n].ending == "done"]
FILE = ("sound.wav", b"RIFF....WAVE")


@pytest.fixture(scope="module")  # making a client costs more than asking it
def client(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server) as client:
        yield client


@pytest.fixture(scope="module")
def lenient(provider_server: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider_server, _strict_response_validation=False) as client:
        yield client


# -------------------------------------------------------------------------------------- responses


def usage_of(usage: Any) -> Usage | None:
    if usage is None:
        return None
    sent = usage.input_tokens_details.model_dump()
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        sent["cached_tokens"],
        sent["cache_write_tokens"],
        usage.output_tokens_details.reasoning_tokens,
    )


def parts_of(response: Any, kind: str) -> list[Any]:
    items = [item for item in response.output if item.type == "message"]
    return [part for item in items for part in item.content if part.type == kind]


def assert_response(response: Any, known: Truth) -> None:
    assert (response.id, response.model) == (known.response_id, known.response_model)
    assert response.status == known.response_status
    incomplete = response.incomplete_details
    assert (incomplete.reason if incomplete else None) == known.incomplete_reason
    assert response.output_text == known.text
    assert "".join(part.refusal for part in parts_of(response, "refusal")) == known.refusal
    summaries = [item.summary[0].text for item in response.output if item.type == "reasoning"]
    assert "".join(summaries) == known.reasoning
    calls = [item for item in response.output if item.type == "function_call"]
    told = tuple(ToolCall(call.call_id, call.name, call.arguments) for call in calls)
    assert told == known.tool_calls
    assert usage_of(response.usage) == known.usage


@pytest.mark.parametrize("name", WHOLE)
def test_whole_response(client: openai.OpenAI, name: str) -> None:
    response = client.responses.create(model=name, input="Good morning?")
    assert_response(response, truth(name, "responses", prompt="Good morning?"))


def joined(events: list[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == f"response.{kind}.delta")


@pytest.mark.parametrize("name", WHOLE)
def test_streamed_response(client: openai.OpenAI, name: str) -> None:
    known = truth(name, "responses", stream=True, prompt="Good morning?")
    events: list[Any] = list(
        client.responses.create(model=name, input="Good morning?", stream=True)
    )
    assert len(events) == known.chunks
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert joined(events, "output_text") == known.text
    assert joined(events, "reasoning_summary_text") == known.reasoning
    assert joined(events, "refusal") == known.refusal
    arguments = "".join(call.arguments for call in known.tool_calls)
    assert joined(events, "function_call_arguments") == arguments
    assert events[-1].type == f"response.{known.response_status}"
    assert_response(events[-1].response, known)
    tokens = [e.type.endswith(".delta") or is_opening_call(e) for e in events]
    assert (tokens.index(True) if any(tokens) else None) == known.first_token


def is_opening_call(event: Any) -> bool:
    kind = event.item.type if event.type == "response.output_item.added" else ""
    return bool(kind == "function_call")


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in {"length", "filtered"}])
def test_response_helper_accumulates_the_truth(client: openai.OpenAI, name: str) -> None:
    with client.responses.stream(model=name, input="Good morning?") as stream:
        assert_response(
            stream.get_final_response(), truth(name, "responses", prompt="Good morning?")
        )


async def test_async_response(provider: Provider) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=provider.base_url) as client:
        whole = await client.responses.create(model="refusal", input="hi")
        assert_response(whole, truth("refusal", "responses"))
        async with client.responses.stream(model="reasoning", input="hi") as stream:
            assert_response(await stream.get_final_response(), truth("reasoning", "responses"))


def test_response_with_tools(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    response = client.responses.create(model="tools", input="Weather?", tools=[tool])
    assert response.tools[0].type == "function"
    done: Any = [{"type": "function_call_output", "call_id": "call_time", "output": "noon"}]
    reply = client.responses.create(model="tools", input=done)
    assert reply.output_text == truth("tools", "responses", tools_done=True).text


def test_failed_response(client: openai.OpenAI) -> None:
    response = client.responses.create(model="failed", input="hi")
    known = truth("failed", "responses")
    assert (response.status, response.output) == (known.response_status, [])
    assert response.error
    assert (response.error.code, response.error.message) == (known.error_code, known.error_message)
    events: list[Any] = list(client.responses.create(model="failed", input="hi", stream=True))
    known = truth("failed", "responses", stream=True)
    assert (len(events), joined(events, "output_text")) == (known.chunks, known.text)
    assert (events[-1].type, known.response_status) == ("response.failed", "failed")


def test_error_event_of_responses_is_handed_out(client: openai.OpenAI) -> None:
    events: list[Any] = list(client.responses.create(model="error-event", input="x", stream=True))
    known = truth("error-event", "responses", stream=True)
    assert (len(events), joined(events, "output_text")) == (known.chunks, known.text)
    assert (events[-1].type, events[-1].code) == ("error", known.error_code)


def test_cut_response(client: openai.OpenAI) -> None:
    known, events = truth("cut", "responses", stream=True), list[Any]()
    with pytest.raises(Exception, match=r"Connection error|peer closed"):
        events.extend(client.responses.create(model="cut", input="hi", stream=True))
    assert known.response_status is None
    assert known.text == "Grüße from the"


def test_odd_responses(lenient: openai.OpenAI) -> None:
    assert lenient.responses.create(model="null-choices", input="hi").output is None
    message: Any = lenient.responses.create(model="null-message", input="hi").output[0]
    assert message.content is None
    future = lenient.responses.create(model="future", input="hi")
    assert {item.type for item in future.output} == {"message", "hologram_call"}
    events = list(lenient.responses.create(model="null-delta", input="hi", stream=True))
    assert None in [getattr(event, "delta", "") for event in events]


# ------------------------------------------------------------------- completions and embeddings


@pytest.mark.parametrize("name", WHOLE)
def test_completions(client: openai.OpenAI, lenient: openai.OpenAI, name: str) -> None:
    known = truth(name, "completions", prompt="Good morning?")
    reply = client.completions.create(model=name, prompt="Good morning?")
    assert tuple(choice.text for choice in reply.choices) == known.texts
    assert tuple(choice.finish_reason for choice in reply.choices) == known.finish_reasons
    # Strict validation refuses OpenAI's own streams here: it wants a finish reason in each chunk.
    known = truth(name, "completions", stream=True, include_usage=True, prompt="Good morning?")
    chunks = list(
        lenient.completions.create(
            model=name,
            prompt="Good morning?",
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len(chunks) == known.chunks
    told = [c.text for chunk in chunks for c in chunk.choices if c.index == 0]
    assert "".join(told) == known.text
    usage = chunks[-1].usage
    assert (usage.completion_tokens if usage else None) == (
        known.usage.output if known.usage else None
    )


def test_embeddings(client: openai.OpenAI, lenient: openai.OpenAI, provider: Provider) -> None:
    known = truth("ok", "embeddings")
    one = client.embeddings.create(model="ok", input="a red fox", encoding_format="float")
    assert (len(one.data), len(one.data[0].embedding)) == (1, 1536)
    assert known.usage
    assert (one.usage.prompt_tokens, one.model) == (known.usage.input, known.response_model)
    # The client asks for base64 unless told otherwise; strict validation refuses what it gets.
    many = lenient.embeddings.create(model="ok", input=["a red fox", "blue whales"], dimensions=64)
    assert provider.requests[-1].json["encoding_format"] == "base64"
    assert [len(row.embedding) for row in many.data] == [64, 64]
    tokens = client.embeddings.create(
        model="ok", input=[[1, 2], [3, 4], [5]], encoding_format="float"
    )
    assert len(tokens.data) == 3


def test_embeddings_rank_by_shared_words(lenient: openai.OpenAI) -> None:
    texts = ["how do foxes sleep", "foxes sleep in dens", "whales sing songs"]
    rows = [row.embedding for row in lenient.embeddings.create(model="replay-x", input=texts).data]
    near, far = (sum(a * b for a, b in zip(rows[0], row, strict=True)) for row in rows[1:])
    assert near > far


# ------------------------------------------------------------------------------- images and audio


def test_images(client: openai.OpenAI, provider: Provider) -> None:
    known = truth("ok", "images").usage
    assert known
    made = client.images.generate(model="ok", prompt="a dot", n=2)
    assert made.data
    assert made.usage
    assert [base64.b64decode(image.b64_json or "") for image in made.data] == [PNG, PNG]
    assert (made.usage.input_tokens, made.usage.output_tokens) == (known.input, known.output)
    edited = client.images.edit(model="ok", prompt="a dot", image=("dot.png", PNG, "image/png"))
    assert edited.data
    assert provider.requests[-1].form == {"model": "ok", "prompt": "a dot", "image": "dot.png"}


def test_image_stream(client: openai.OpenAI) -> None:
    stream: Any = client.images.generate(model="ok", prompt="a dot", stream=True)
    events = list(stream)
    assert len(events) == truth("ok", "images", stream=True).chunks
    assert events[-1].type == "image_generation.completed"
    assert events[-1].usage.total_tokens == 20


def test_speech(client: openai.OpenAI) -> None:
    speak = client.audio.speech.with_streaming_response.create
    with speak(model="ok", voice="alloy", input="hello") as response:
        assert response.read() == SOUND
    with speak(model="ok", voice="alloy", input="hello", stream_format="sse") as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert len(lines) == truth("ok", "speech", stream=True).chunks
    assert json.loads(lines[-1][6:])["usage"]["output_tokens"] == 8


def test_transcriptions(client: openai.OpenAI, provider: Provider) -> None:
    known = truth("ok", "transcriptions")
    plain: Any = client.audio.transcriptions.create(model="ok", file=FILE)
    assert plain.text == known.text
    assert known.usage
    assert plain.usage.output_tokens == known.usage.output
    assert provider.requests[0].form["file"] == "sound.wav"
    verbose: Any = client.audio.transcriptions.create(
        model="ok", file=FILE, response_format="verbose_json"
    )
    assert (verbose.segments[0].text, verbose.usage.seconds) == (known.text, 1)
    text: Any = client.audio.transcriptions.create(model="ok", file=FILE, response_format="text")
    assert text.strip() == known.text


def test_transcription_stream(client: openai.OpenAI) -> None:
    events: list[Any] = list(client.audio.transcriptions.create(model="ok", file=FILE, stream=True))
    known = truth("ok", "transcriptions", stream=True)
    assert len(events) == known.chunks
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == known.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # in openai 3
def test_translations(client: openai.OpenAI) -> None:
    reply: Any = client.audio.translations.create(model="ok", file=FILE)
    assert reply.text == truth("ok", "translations").text


# ------------------------------------------------------------------------------------ moderations


def test_moderations(client: openai.OpenAI) -> None:
    several = client.moderations.create(input=["one", "two"])
    assert [result.flagged for result in several.results] == [False, False]
    assert several.model == "omni-moderation-latest-2026-11-01"
    flagged = client.moderations.create(model="filtered", input="an ugly thing").results[0]
    assert (flagged.flagged, flagged.categories.violence) == (True, True)
    assert flagged.category_scores.violence > 0.9


@pytest.fixture
async def aclient(provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=provider.base_url) as client:
        yield client


async def test_async_others(aclient: openai.AsyncOpenAI) -> None:
    assert (await aclient.embeddings.create(model="ok", input="hi")).data
    assert (await aclient.moderations.create(input="hi")).results
    assert (await aclient.images.generate(model="ok", prompt="x")).data
    assert (await aclient.completions.create(model="ok", prompt="x")).choices
    spoken = await aclient.audio.speech.create(model="ok", voice="alloy", input="hello")
    assert spoken.content == SOUND
