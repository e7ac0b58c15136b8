"""LiteLLM: one call is one span, whichever layers saw it."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import genai_otel
from genai_otel import _semconv as names
from genai_otel.instrumentation.open_registry import OPEN
from tests.adapters.kin import facts
from tests.provider import SCENARIOS
from tests.provider.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_otel.testing import Capture
    from tests.provider import Provider

litellm: Any = pytest.importorskip("litellm")

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def way(provider: Provider) -> Iterator[dict[str, Any]]:
    yield {"api_base": provider.base_url, "api_key": "k"}
    gc.collect()
    assert not len(OPEN)


def _told(capture: Capture) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in capture.spans]


def test_imported_by_name_before(genai_otel_capture: Capture, way: dict[str, Any]) -> None:
    from litellm import completion

    genai_otel.uninstrument("litellm")
    assert completion is not litellm.completion
    litellm.completion(model="openai/ok", messages=ASK, **way)
    (told,) = _told(genai_otel_capture)
    assert told[names.GEN_AI_PROVIDER_NAME] == "openai", "the client's own span"
    assert completion.__wrapped__ is not None


@pytest.mark.parametrize("model", ["openai/ok", "anthropic/ok", "ollama_chat/ok"])
def test_providers_with_and_without_a_client_below(
    genai_otel_capture: Capture, provider: Provider, way: dict[str, Any], model: str
) -> None:
    asked = {**way, "api_base": provider.base_url if model.startswith("openai") else provider.root}
    litellm.completion(model=model, messages=ASK, **asked)
    list(litellm.completion(model=model, messages=ASK, stream=True, **asked))
    whole, stream = _told(genai_otel_capture)
    assert len([entry for entry in provider.usage_log if entry.model]) == 2
    name = {"openai": "openai", "anthropic": "anthropic", "ollama_chat": "ollama"}
    for told in (whole, stream):
        assert told[names.GEN_AI_PROVIDER_NAME] == name[model.partition("/")[0]]
        assert told[names.GEN_AI_REQUEST_MODEL] == "ok"
        assert "Gr" in told[names.GEN_AI_OUTPUT_MESSAGES]
    assert whole[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert whole[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 8


def test_a_provider_that_only_the_reply_tells(genai_otel_capture: Capture) -> None:
    litellm.completion(model="gpt-4o", messages=ASK, mock_response="Hello to you.")
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_PROVIDER_NAME] == "openai"
    assert "Hello to you." in told[names.GEN_AI_OUTPUT_MESSAGES]


def test_a_router(genai_otel_capture: Capture, provider: Provider, way: dict[str, Any]) -> None:
    listed = [{"model_name": "group", "litellm_params": {"model": "openai/ok", **way}}]
    router = litellm.Router(model_list=listed)

    async def later() -> None:
        await router.acompletion(model="group", messages=ASK)
        async for _ in await router.acompletion(model="group", messages=ASK, stream=True):
            pass

    router.completion(model="group", messages=ASK)
    list(router.completion(model="group", messages=ASK, stream=True))
    asyncio.run(later())
    told = _told(genai_otel_capture)
    assert len(provider.requests) == len(told) == 4
    assert {each[names.GEN_AI_REQUEST_MODEL] for each in told} == {"ok"}


def test_fallbacks_are_calls_of_their_own(
    genai_otel_capture: Capture, provider: Provider, way: dict[str, Any]
) -> None:
    router = litellm.Router(
        model_list=[
            {"model_name": "first", "litellm_params": {"model": "openai/err500", **way}},
            {"model_name": "second", "litellm_params": {"model": "openai/ok", **way}},
        ],
        fallbacks=[{"first": ["second"]}],
        num_retries=0,
        default_max_parallel_requests=1,
    )
    router.completion(model="first", messages=ASK, max_retries=0)
    *failed, good = _told(genai_otel_capture)
    assert names.ERROR_TYPE not in good
    assert good[names.GEN_AI_REQUEST_MODEL] == "ok"
    assert failed
    assert all(names.ERROR_TYPE in each for each in failed)


@pytest.mark.parametrize("later", [False, True])
def test_other_functions(
    genai_otel_capture: Capture, provider: Provider, way: dict[str, Any], later: bool
) -> None:
    def go(name: str, **asked: Any) -> Any:
        function = getattr(litellm, f"a{name}" if later else name)
        asked = {"model": "openai/ok", **way, **asked}
        return asyncio.run(function(**asked)) if later else function(**asked)

    go("embedding", input=["one", "two"])
    go("text_completion", prompt="Once")
    go("responses", input="Hello")
    embedded, completed, responded = _told(genai_otel_capture)
    assert len(provider.requests) == 3
    assert embedded[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert embedded[names.GEN_AI_USAGE_INPUT_TOKENS] == 12
    assert json.loads(embedded[names.GENAI_OTEL_INPUT]) == ["one", "two"]
    assert completed[names.GEN_AI_OPERATION_NAME] == "text_completion"
    assert "Gr" in completed[names.GEN_AI_OUTPUT_MESSAGES]
    assert responded[names.GEN_AI_OPERATION_NAME] == "chat"
    assert responded[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 8


@pytest.mark.parametrize("later", [False, True])
def test_media_and_moderation(
    genai_otel_capture: Capture, provider: Provider, way: dict[str, Any], later: bool
) -> None:
    def go(name: str, **asked: Any) -> Any:
        function = getattr(litellm, f"a{name}" if later else name)
        asked = {"model": "openai/ok", **way, **asked}
        return asyncio.run(function(**asked)) if later else function(**asked)

    go("image_generation", prompt="A dot")
    go("speech", input="Hello", voice="alloy")
    go("transcription", file=("sound.wav", b"RIFF....WAVE"))
    go("moderation", input="Hello")
    *told, judged = _told(genai_otel_capture)
    assert len(provider.requests) == len(told) + 1 == 4
    assert judged[names.GEN_AI_GUARDRAIL_RESULT_TYPE] == "allow"
    assert [each[names.GEN_AI_OUTPUT_TYPE] for each in told] == ["image", "speech", "text"]
    assert {each[names.GEN_AI_REQUEST_MODEL] for each in told} == {"ok"}
    assert {each[names.GEN_AI_PROVIDER_NAME] for each in told} == {"openai"}


def test_a_stream_of_responses(genai_otel_capture: Capture, way: dict[str, Any]) -> None:
    stream = litellm.responses(model="openai/ok", input="Hello", stream=True, **way)
    kind = type(stream)
    assert kind.__module__.startswith("litellm")
    assert len(list(stream)) > 3
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 8
    assert told[names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN] > 0


def test_its_callbacks_are_left_alone(genai_otel_capture: Capture, way: dict[str, Any]) -> None:
    before = (list(litellm.callbacks), list(litellm.success_callback))
    litellm.completion(model="openai/ok", messages=ASK, **way)
    after = (list(litellm.callbacks), list(litellm.success_callback))
    assert before == after
    assert len(genai_otel_capture.spans) == 1


BATCHES = {
    "batch_completion": lambda way: litellm.batch_completion(
        model="openai/ok", messages=[ASK] * 3, **way
    ),
    "batch_completion_models_all_responses": lambda way: (
        litellm.batch_completion_models_all_responses(
            models=["openai/ok", "openai/ok", "openai/ok"], messages=ASK, **way
        )
    ),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_in_its_own_pool_is_in_its_workflow(
    genai_otel_capture: Capture, way: dict[str, Any], batch: str
) -> None:
    with genai_otel.scope(session_id="s1"), genai_otel.operation("workflow", "all"):
        assert len(BATCHES[batch](way)) == 3
    *calls, around = genai_otel_capture.spans
    assert [call.name for call in calls] == ["chat ok"] * 3
    assert {call.parent.span_id for call in calls if call.parent} == {around.context.span_id}
    assert {(call.attributes or {})["session.id"] for call in calls} == {"s1"}


# ----------------------------------------------------------------------------------- what counted

TOKENS = (names.GEN_AI_USAGE_INPUT_TOKENS, names.GEN_AI_USAGE_OUTPUT_TOKENS)
ASKED = {"stream_options": {"include_usage": True}}


def _counted(capture: Capture) -> tuple[Any, ...]:
    told = facts(capture)
    assert names.GENAI_OTEL_USAGE_ESTIMATED not in told
    return tuple(told.get(name) for name in TOKENS)


@pytest.mark.parametrize("options", [{}, ASKED], ids=["plain", "include_usage"])
@pytest.mark.parametrize("model", ["openai/ok", "anthropic/ok", "ollama_chat/ok"])
def test_a_stream_has_the_count_of_the_provider(
    genai_otel_capture: Capture,
    provider: Provider,
    way: dict[str, Any],
    model: str,
    options: dict[str, Any],
) -> None:
    asked = {**way, "api_base": provider.base_url if model.startswith("openai") else provider.root}
    list(litellm.completion(model=model, messages=ASK, stream=True, **asked, **options))
    unasked = model.startswith("openai") and not options  # the API gives it to who asks
    assert _counted(genai_otel_capture) == ((None, None) if unasked else (12, 8))


@pytest.mark.parametrize("options", [{}, ASKED], ids=["plain", "include_usage"])
@pytest.mark.parametrize("model", ["openai/nousage", "ollama_chat/nousage"])
def test_its_estimates_are_not_told_as_counts(
    genai_otel_capture: Capture,
    provider: Provider,
    way: dict[str, Any],
    model: str,
    options: dict[str, Any],
) -> None:
    asked = {**way, "api_base": provider.base_url if model.startswith("openai") else provider.root}
    chunks = list(litellm.completion(model=model, messages=ASK, stream=True, **asked, **options))
    usage = getattr(chunks[-1], "usage", None) or chunks[-1]._hidden_params.get("usage")
    assert usage.completion_tokens, "it estimates"
    assert _counted(genai_otel_capture) == (None, None)


def test_asynchronous_streams(genai_otel_capture: Capture, way: dict[str, Any]) -> None:
    async def read(model: str) -> None:
        stream = await litellm.acompletion(model=model, messages=ASK, stream=True, **way, **ASKED)
        async for _ in stream:
            pass

    asyncio.run(read("openai/nousage"))
    assert _counted(genai_otel_capture) == (None, None)
    genai_otel_capture.clear()
    asyncio.run(read("openai/ok"))
    assert _counted(genai_otel_capture) == (12, 8)


@pytest.mark.parametrize("options", [{}, ASKED], ids=["plain", "include_usage"])
def test_what_groq_counts_goes_before_its_estimate(
    genai_otel_capture: Capture,
    provider: Provider,
    way: dict[str, Any],
    options: dict[str, Any],
) -> None:
    provider.add("g", replace(SCENARIOS["nousage"], flavour="groq-usage"))
    list(litellm.completion(model="openai/g", messages=ASK, stream=True, **way, **options))
    assert _counted(genai_otel_capture) == (500, 40)


@pytest.mark.parametrize("model", ["openai/nousage", "openai/null-usage"])
def test_a_whole_reply_without_usage(
    genai_otel_capture: Capture, way: dict[str, Any], model: str
) -> None:
    reply = litellm.completion(model=model, messages=ASK, **way)
    assert reply.usage.prompt_tokens == 0, "it fills in zeros"
    assert _counted(genai_otel_capture) == (None, None)


def test_what_it_counts_itself_is_marked() -> None:
    from genai_otel.adapters.clients.litellm import _read_response
    from genai_otel.record import Kind, Operation

    op = Operation(Kind.CHAT)
    reply = litellm.ModelResponse(usage=litellm.Usage(prompt_tokens=9, completion_tokens=3))
    reply._hidden_params["custom_llm_provider"] = "replicate"
    _read_response(reply, op)
    assert (op.usage.input, op.usage.output, op.usage.estimated) == (9, 3, "litellm")


OLLAMA = {
    "model": "m", "done": True, "done_reason": "stop", "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "Hello to you."}, "response": "Hello to you.",
    "embeddings": [[0.1, 0.2]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "counts", "later"),
    [
        ("ollama_chat/m", {}, False),
        ("ollama_chat/m", {"eval_count": 8}, True),
        ("ollama_chat/m", {"prompt_eval_count": 12}, False),
        ("ollama/m", {}, True),
        ("ollama/m", {"eval_count": 8}, False),
    ],
)
def test_what_it_fills_in_for_ollama_is_marked(
    genai_otel_capture: Capture,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    counts: dict[str, int],
    later: bool,
) -> None:
    """An Ollama that answers from its cache of prompts, or an older one, leaves counts out."""
    head = {"content-type": "application/json"}
    answer = Answer(200, head, json.dumps({**OLLAMA, **counts}).encode())
    monkeypatch.setattr(provider, "answer", lambda _: replace(answer))
    asked: dict[str, Any] = {"model": model, "messages": ASK, "api_base": provider.root}
    if later:
        asyncio.run(litellm.acompletion(**asked))
    else:
        litellm.completion(**asked)
    told = facts(genai_otel_capture)
    assert told[names.GENAI_OTEL_USAGE_ESTIMATED] == "litellm"
    assert told[TOKENS[0]] > 0


def test_vectors_that_ollama_has_counted(
    genai_otel_capture: Capture, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"content-type": "application/json"}
    answer = Answer(200, head, json.dumps({**OLLAMA, "prompt_eval_count": 12}).encode())
    monkeypatch.setattr(provider, "answer", lambda _: replace(answer))
    litellm.embedding(model="ollama/m", input=["Hello"], api_base=provider.root)
    told = facts(genai_otel_capture)
    assert names.GENAI_OTEL_USAGE_ESTIMATED not in told
    assert told[TOKENS[0]] == 12


def test_all_that_estimates_is_there() -> None:
    """A function that is gone, or has another name, would be told as the provider's count."""
    from importlib import import_module

    from genai_otel.adapters.clients.litellm import _ESTIMATING

    for target in _ESTIMATING:
        module, _, path = target.partition(":")
        found = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
        assert callable(found)


# Of each what LiteLLM cannot read, and beside it what was paid for.
DAMAGED: dict[str, dict[str, Any]] = {
    "openai/m": {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": None,
        "usage": {"prompt_tokens": 1_700, "completion_tokens": 100, "total_tokens": 1_800},
    },
    "anthropic/m": {
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": 5,
        "stop_reason": "end_turn", "usage": {"input_tokens": 1_700, "output_tokens": 100},
    },
    "ollama_chat/m": {
        "model": "m", "done": True, "message": 7, "prompt_eval_count": 1_700, "eval_count": 100,
    },
    "gemini/m": {
        "candidates": 5,
        "usageMetadata": {
            "promptTokenCount": 1_700, "candidatesTokenCount": 100, "totalTokenCount": 1_800,
        },
    },
}  # fmt: skip
DAMAGED |= dict.fromkeys(("groq/m", "mistral/m"), DAMAGED["openai/m"])


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("model", DAMAGED)
def test_a_reply_that_it_cannot_read_is_counted(
    genai_otel_capture: Capture,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    later: bool,
) -> None:
    head = {"content-type": "application/json"}
    answer = Answer(200, head, json.dumps(DAMAGED[model]).encode())
    monkeypatch.setattr(provider, "answer", lambda _: replace(answer))
    asked: dict[str, Any] = {
        "model": model, "messages": ASK, "api_key": "k", "max_retries": 0,
        "api_base": provider.base_url if model == "openai/m" else provider.root,
    }  # fmt: skip
    with pytest.raises(Exception):  # noqa: B017 - of whatever class
        asyncio.run(litellm.acompletion(**asked)) if later else litellm.completion(**asked)
    told = facts(genai_otel_capture)
    assert tuple(told.get(name) for name in TOKENS) == (1_700, 100)
    assert told[names.ERROR_TYPE]
    assert names.GENAI_OTEL_USAGE_ESTIMATED not in told


@pytest.mark.parametrize(
    ("model", "chosen"),
    [
        ("vertex_ai/gemini-3.5-flash", {"vertex_location": "europe-west2"}),
        ("bedrock/amazon.nova-pro-v1:0", {"aws_region_name": "eu-west-2"}),
        ("amazon.nova-pro-v1:0", {"aws_region_name": "eu-west-2"}),
        ("anthropic/claude-sonnet-4-5", {}),
        ("vertex_ai/gemini-3.5-flash", {}),
    ],
)
def test_the_region_that_was_chosen(
    genai_otel_capture: Capture, model: str, chosen: dict[str, str]
) -> None:
    others = {} if chosen else {"aws_region_name": "eu-west-2"}  # as a router gives to all
    litellm.completion(model=model, messages=ASK, mock_response="Hello.", **chosen, **others)
    told = facts(genai_otel_capture)
    assert told.get(names.GENAI_OTEL_RESPONSE_REGION) == next(iter(chosen.values()), None)
