"""The ledger, by real payloads: what each provider counts, in its own spelling, and what it means.

Payloads are those of the providers' references, which `record/usage.py` names; counts are chosen so
that no two parts are alike.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_otel.adapters.clients._openai_usage import count
from genai_otel.record import Kind, Operation, Usage
from genai_otel.record import usage as rules
from genai_otel.record.usage import COUNTS, MOST, Rule, read_usage

CHAT: dict[str, Any] = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 17,
        "rejected_prediction_tokens": 23,
    },
}

# (rule, the payload as it comes, what is known of it, the pieces that a bill is made of)
GOLDEN: dict[str, tuple[Rule, dict[str, Any], dict[str, Any], dict[str, int]]] = {
    "openai chat: cached, written, reasoning, predictions": (
        rules.OPENAI_CHAT,
        CHAT,
        {"input": 2006, "cache_read": 1920, "cache_write": 64, "output": 300, "reasoning": 192,
         "accepted_predictions": 17, "rejected_predictions": 23, "audio_input": 0,
         "audio_output": 0},
        {"cache_read": 1920, "cache_write": 64, "fresh_input": 22, "reasoning": 192,
         "text_output": 108},
    ),
    "openai chat: litellm tells how long anthropic keeps what was written": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 10800, "completion_tokens": 100, "total_tokens": 10900,
         "prompt_tokens_details": {
             "cached_tokens": 10000, "cache_write_tokens": 300, "text_tokens": 500,
             "cache_creation_tokens": 300,
             "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100,
                                              "ephemeral_1h_input_tokens": 200}}},
        {"input": 10800, "cache_read": 10000, "cache_write": 100, "cache_write_1h": 200,
         "output": 100},
        {"cache_read": 10000, "cache_write": 100, "cache_write_1h": 200, "fresh_input": 500,
         "text_output": 100},
    ),
    "openai chat: audio in and out, some of it cached nobody says how much": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160,
         "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 50},
         "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 0}},
        {"input": 100, "cache_read": 30, "audio_input": 50, "output": 60, "audio_output": 40,
         "reasoning": 0},
        {"cache_read": 30, "audio_input": 50, "fresh_input": 20, "audio_output": 40,
         "text_output": 20},
    ),
    "openai chat: an older server, without details": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20,
         "prompt_tokens_details": None},
        {"input": 12, "output": 8},
        {"fresh_input": 12, "text_output": 8},
    ),
    "openai embeddings": (
        rules.OPENAI_CHAT, {"prompt_tokens": 8, "total_tokens": 8}, {"input": 8},
        {"fresh_input": 8},
    ),
    "openai responses: cached, reasoning": (
        rules.OPENAI_RESPONSES,
        {"input_tokens": 75, "output_tokens": 1186, "total_tokens": 1261,
         "input_tokens_details": {"cached_tokens": 32, "cache_write_tokens": 8},
         "output_tokens_details": {"reasoning_tokens": 1024}},
        {"input": 75, "cache_read": 32, "cache_write": 8, "output": 1186, "reasoning": 1024},
        {"cache_read": 32, "cache_write": 8, "fresh_input": 35, "reasoning": 1024,
         "text_output": 162},
    ),
    "openai images: text and image in": (
        rules.OPENAI_RESPONSES,
        {"input_tokens": 350, "output_tokens": 4160, "total_tokens": 4510,
         "input_tokens_details": {"text_tokens": 27, "image_tokens": 323},
         "output_tokens_details": {"text_tokens": 0, "image_tokens": 4160}},
        {"input": 350, "image_input": 323, "output": 4160, "image_output": 4160},
        {"image_input": 323, "fresh_input": 27, "image_output": 4160},
    ),
    "openai realtime: audio, text and audio cached": (
        rules.OPENAI_RESPONSES,
        {"input_tokens": 127, "output_tokens": 148, "total_tokens": 275,
         "input_token_details": {"cached_tokens": 64, "text_tokens": 47, "audio_tokens": 80,
                                 "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 64}},
         "output_token_details": {"text_tokens": 30, "audio_tokens": 118}},
        {"input": 127, "cache_read": 64, "audio_input": 80, "cached_audio": 64, "output": 148,
         "audio_output": 118},
        {"cache_read": 64, "audio_input": 16, "fresh_input": 47, "audio_output": 118,
         "text_output": 30},
    ),
    "openai transcription, by tokens": (
        rules.OPENAI_RESPONSES,
        {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
         "input_token_details": {"text_tokens": 4, "audio_tokens": 10}},
        {"input": 14, "audio_input": 10, "output": 45},
        {"audio_input": 10, "fresh_input": 4, "text_output": 45},
    ),
    "openai transcription, by its length": (
        rules.OPENAI_RESPONSES, {"type": "duration", "seconds": 9.5}, {"seconds": 9.5}, {},
    ),
    "xai counts reasoning beside the output, and its sum shows it": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
         "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0,
                                   "cached_tokens": 6},
         "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0}},
        {"input": 32, "cache_read": 6, "audio_input": 0, "image_input": 0, "output": 103,
         "reasoning": 94, "audio_output": 0},
        {"cache_read": 6, "fresh_input": 26, "reasoning": 94, "text_output": 9},
    ),
    "anthropic: read, both writes, server tools": (
        rules.ANTHROPIC,
        {"input_tokens": 21, "cache_read_input_tokens": 5000, "cache_creation_input_tokens": 3100,
         "cache_creation": {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 1100},
         "output_tokens": 700, "output_tokens_details": {"thinking_tokens": 512},
         "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
         "service_tier": "standard"},
        {"input": 8121, "cache_read": 5000, "cache_write": 2000, "cache_write_1h": 1100,
         "output": 700, "reasoning": 512, "web_searches": 3, "web_fetches": 1},
        {"cache_read": 5000, "cache_write": 2000, "cache_write_1h": 1100, "fresh_input": 21,
         "reasoning": 512, "text_output": 188},
    ),
    "anthropic: written, without how long": (
        rules.ANTHROPIC,
        {"input_tokens": 21, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 188086,
         "output_tokens": 393},
        {"input": 188107, "cache_read": 0, "cache_write": 188086, "output": 393},
        {"cache_write": 188086, "fresh_input": 21, "text_output": 393},
    ),
    "bedrock converse: read and both writes": (
        rules.BEDROCK_CONVERSE,
        {"inputTokens": 10, "outputTokens": 200, "totalTokens": 1310, "cacheReadInputTokens": 700,
         "cacheWriteInputTokens": 400,
         "cacheDetails": [{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 100}]},
        {"input": 1110, "cache_read": 700, "cache_write": 100, "cache_write_1h": 300,
         "output": 200},
        {"cache_read": 700, "cache_write": 100, "cache_write_1h": 300, "fresh_input": 10,
         "text_output": 200},
    ),
    "bedrock invoke, the metrics of a stream's last chunk": (
        rules.BEDROCK_CONVERSE,
        {"inputTokenCount": 10, "outputTokenCount": 20, "cacheReadInputTokenCount": 4,
         "cacheWriteInputTokenCount": 3, "invocationLatency": 1020, "firstByteLatency": 329},
        {"input": 17, "cache_read": 4, "cache_write": 3, "output": 20},
        {"cache_read": 4, "cache_write": 3, "fresh_input": 10, "text_output": 20},
    ),
    "gemini: thoughts, cached, tool-use prompt, modalities": (
        rules.GEMINI,
        {"promptTokenCount": 1000, "cachedContentTokenCount": 400, "toolUsePromptTokenCount": 50,
         "candidatesTokenCount": 80, "thoughtsTokenCount": 300, "totalTokenCount": 1430,
         "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 700},
                                 {"modality": "AUDIO", "tokenCount": 200},
                                 {"modality": "IMAGE", "tokenCount": 100}],
         "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 350},
                                {"modality": "AUDIO", "tokenCount": 50}]},
        {"input": 1050, "cache_read": 400, "tool_use_input": 50, "audio_input": 200,
         "image_input": 100, "cached_audio": 50, "output": 380, "reasoning": 300},
        {"cache_read": 400, "audio_input": 150, "image_input": 100, "fresh_input": 400,
         "reasoning": 300, "text_output": 80},
    ),
    "gemini: video": (
        rules.GEMINI,
        {"promptTokenCount": 1000, "candidatesTokenCount": 80,
         "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100},
                                 {"modality": "VIDEO", "tokenCount": 900}]},
        {"input": 1000, "video_input": 900, "output": 80},
        {"video_input": 900, "fresh_input": 100, "text_output": 80},
    ),
    "gemini, as the python client spells it, nothing but thoughts": (
        rules.GEMINI,
        {"prompt_token_count": 10, "candidates_token_count": None, "thoughts_token_count": 25},
        {"input": 10, "output": 25, "reasoning": 25},
        {"fresh_input": 10, "reasoning": 25},
    ),
    "deepseek: hit and miss": (
        rules.DEEPSEEK,
        {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
         "prompt_cache_hit_tokens": 640, "prompt_cache_miss_tokens": 360,
         "completion_tokens_details": {"reasoning_tokens": 30}},
        {"input": 1000, "cache_read": 640, "output": 50, "reasoning": 30},
        {"cache_read": 640, "fresh_input": 360, "reasoning": 30, "text_output": 20},
    ),
    "cohere: billed is the total, and what the model saw stands beside it": (
        rules.COHERE,
        {"billed_units": {"input_tokens": 5.0, "output_tokens": 418.0},
         "tokens": {"input_tokens": 71.0, "output_tokens": 420.0}, "cached_tokens": 0.0},
        {"input": 5, "output": 418, "processed_input": 71, "processed_output": 420,
         "cache_read": 0},
        {"fresh_input": 5, "text_output": 418},
    ),
    "cohere rerank": (
        rules.COHERE, {"billed_units": {"search_units": 2.0}}, {"search_units": 2}, {},
    ),
    "mistral: cached, audio": (
        rules.MISTRAL,
        {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460,
         "num_cached_tokens": 128, "prompt_audio_seconds": 12, "service_tier": "standard"},
        {"input": 400, "cache_read": 128, "output": 60, "seconds": 12},
        {"cache_read": 128, "fresh_input": 272, "text_output": 60},
    ),
    "mistral: ocr": (
        rules.MISTRAL, {"pages_processed": 3, "doc_size_bytes": 9000}, {"pages": 3}, {},
    ),
    "groq, whole": (
        rules.GROQ,
        {"queue_time": 0.037, "prompt_tokens": 18, "prompt_time": 0.0007,
         "completion_tokens": 556, "completion_time": 0.463, "total_tokens": 574,
         "prompt_tokens_details": {"cached_tokens": 6}},
        {"input": 18, "cache_read": 6, "output": 556},
        {"cache_read": 6, "fresh_input": 12, "text_output": 556},
    ),
    "groq, the last chunk": (
        rules.GROQ,
        {"x_groq": {"id": "req_1", "usage": {"prompt_tokens": 18, "completion_tokens": 5}}},
        {"input": 18, "output": 5},
        {"fresh_input": 18, "text_output": 5},
    ),
    "moonshot": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 19, "completion_tokens": 21, "cached_tokens": 10},
        {"input": 19, "cache_read": 10, "output": 21},
        {"cache_read": 10, "fresh_input": 9, "text_output": 21},
    ),
    "perplexity": (
        rules.OPENAI_CHAT,
        {"prompt_tokens": 8, "completion_tokens": 439, "num_search_queries": 2},
        {"input": 8, "output": 439, "web_searches": 2},
        {"fresh_input": 8, "text_output": 439},
    ),
    "ollama": (
        rules.OLLAMA,
        {"prompt_eval_count": 26, "eval_count": 259, "eval_duration": 4232710000},
        {"input": 26, "output": 259},
        {"fresh_input": 26, "text_output": 259},
    ),
}  # fmt: skip


def known(usage: Usage) -> dict[str, Any]:
    return {name: value for name, value in vars(usage).items() if value is not None}


@pytest.mark.parametrize("case", GOLDEN)
def test_what_a_payload_means(case: str) -> None:
    rule, payload, told, pieces = GOLDEN[case]
    usage = read_usage(payload, Usage(), rule)

    assert known(usage) == told
    assert usage.buckets() == pieces
    assert read_usage(payload, usage, rule).buckets() == pieces, "read twice is read once"


def objects(payload: Any) -> Any:
    """The same as a client decodes it: objects with fields."""
    if isinstance(payload, dict):
        return SimpleNamespace(**{key: objects(value) for key, value in payload.items()})
    return [objects(each) for each in payload] if isinstance(payload, list) else payload


@pytest.mark.parametrize("case", GOLDEN)
def test_objects_of_a_client_say_the_same(case: str) -> None:
    rule, payload, told, _ = GOLDEN[case]

    assert known(read_usage(vars(objects(payload)), Usage(), rule)) == told


# ---------------------------------------------------------------------------- piece by piece


def read_all(rule: Rule, *payloads: dict[str, Any]) -> Usage:
    usage = Usage()
    for payload in payloads:
        read_usage(payload, usage, rule)
    return usage


def test_running_totals_of_a_stream_replace_and_never_add() -> None:
    every_chunk = [{"prompt_tokens": 12, "completion_tokens": n} for n in (1, 5, 8)]
    usage = read_all(rules.OPENAI_CHAT, *every_chunk)
    assert (usage.input, usage.output) == (12, 8)

    gemini = [{"promptTokenCount": 9, "candidatesTokenCount": n} for n in (3, 7)]
    usage = read_all(rules.GEMINI, *gemini, {"promptTokenCount": 9, "thoughtsTokenCount": 4})
    assert (usage.input, usage.output, usage.reasoning) == (9, 11, 4)


def test_anthropics_start_and_deltas_are_one_count() -> None:
    start = {"input_tokens": 21, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 90,
             "cache_creation": {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 0},
             "output_tokens": 1}  # fmt: skip
    usage = read_all(rules.ANTHROPIC, start, {"output_tokens": 10}, {"output_tokens": 44})
    assert (usage.input, usage.output) == (611, 44)

    again = {"input_tokens": 25, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 90,
             "output_tokens": 60, "server_tool_use": {"web_search_requests": 1}}  # fmt: skip
    usage = read_all(rules.ANTHROPIC, start, again)
    assert (usage.input, usage.output, usage.web_searches) == (615, 60, 1)
    assert usage.buckets()["cache_write"] == 90


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3000}}, {"input": 2006, "output": 300}),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, {"input": 2006, "output": 300}),
        ({"prompt_tokens_details": {"cached_tokens": "9"}}, {"input": 2006, "output": 300}),
        ({"prompt_tokens_details": "none"}, {"input": 2006, "output": 300}),
        ({"prompt_tokens": "2006"}, {"output": 300}),
        ({"prompt_tokens": -5}, {"output": 300}),
        ({"prompt_tokens": True}, {"output": 300}),
        ({"prompt_tokens": 0.5}, {"output": 300}),
        ({"prompt_tokens": float("nan")}, {"output": 300}),
        ({"prompt_tokens": MOST * 2}, {"output": 300}),
        ({"completion_tokens": None}, {"input": 2006}),
        ({"completion_tokens_details": {"reasoning_tokens": 301}}, {"input": 2006, "output": 300}),
    ],
)
def test_a_contradiction_loses_only_the_bad_part(bad: dict[str, Any], told: dict[str, int]) -> None:
    plain = {"prompt_tokens": 2006, "completion_tokens": 300}

    assert known(read_usage({**plain, **bad}, Usage(), rules.OPENAI_CHAT)) == told


def test_of_two_parts_that_are_too_much_together_the_first_is_believed() -> None:
    details = {"cached_tokens": 8, "cache_write_tokens": 8}
    payload = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": details}
    usage = read_usage(payload, Usage(), rules.OPENAI_CHAT)

    assert (usage.input, usage.cache_read, usage.cache_write) == (10, 8, None)


def test_times_that_groq_tells() -> None:
    op = Operation(Kind.CHAT)
    count(GOLDEN["groq, whole"][1], op)

    assert op.timing.queued == 0.037
    assert op.timing.server == pytest.approx(0.4637)
    count({"queue_time": -1, "prompt_tokens": 3}, op)
    assert op.timing.queued is None


# -------------------------------------------------------------------------------- properties

COUNT = st.one_of(st.integers(0, 5000), st.sampled_from([None, -1, "7", 2.0, 0.5, True, 2**60]))


@given(st.dictionaries(st.sampled_from([*COUNTS, "seconds"]), COUNT))
def test_pieces_always_add_up_to_the_totals(counts: dict[str, Any]) -> None:
    usage = Usage()
    vars(usage).update(counts)
    pieces = usage.buckets()
    usage.normalize()

    ends = ("text_output", "reasoning", "audio_output", "image_output", "video_output")
    made = sum(size for name, size in pieces.items() if name in ends)
    assert made == (usage.output or 0)
    assert sum(pieces.values()) - made == (usage.input or 0)
    assert all(size > 0 for size in pieces.values())


RULES = [each for each in vars(rules).values() if isinstance(each, Rule)]


def payload_of(shape: rules.Shape) -> st.SearchStrategy[dict[str, Any]]:
    """Any payload of that shape: every field there or not, right or wrong."""
    return st.fixed_dictionaries({}, optional={key: value_of(target) for key, target in shape})


def value_of(target: Any) -> st.SearchStrategy[Any]:
    if isinstance(target, str):
        return COUNT
    if isinstance(target, rules.Labelled):
        label = st.sampled_from([*target.names, "OTHER", 3])
        entry = st.fixed_dictionaries({target.label_key: label, target.count_key: COUNT})
        return st.lists(entry, max_size=3) | st.none()
    return payload_of(target) | st.sampled_from([None, "x", 3])


@pytest.mark.parametrize("rule", RULES)
@given(data=st.data())
def test_whatever_a_provider_says_the_pieces_add_up(rule: Rule, data: st.DataObject) -> None:
    usage = Usage()
    for payload in data.draw(st.lists(payload_of(rule.shape), max_size=3)):
        read_usage(payload, usage, rule)
    pieces = usage.buckets()

    assert sum(pieces.values()) == (usage.input or 0) + (usage.output or 0)
    assert all(value >= 0 for value in known(usage).values())
