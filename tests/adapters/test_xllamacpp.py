"""xllamacpp in this process, with the small model that the demo uses: no server, no fixture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from scripts import local_model

if TYPE_CHECKING:
    from genai_otel.testing import Capture

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(local_model.why_not() is not None, reason=str(local_model.why_not())),
]
ASK = [{"role": "user", "content": "Say hi."}]


@pytest.fixture(scope="module")
def server() -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(local_model.weights())
    params.n_ctx, params.n_parallel = 512, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return xllamacpp.Server(params)


def test_chat(genai_otel_capture: Capture, server: Any) -> None:
    body = {"model": "smollm2", "messages": ASK, "max_tokens": 4, "temperature": 0}
    reply = server.handle_chat_completions(body)
    told = dict(genai_otel_capture.span("chat smollm2").attributes or {})
    assert told[names.GEN_AI_PROVIDER_NAME] == "llama_cpp"
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 4
    assert told[names.GEN_AI_RESPONSE_ID] == reply["id"]
    assert told[names.GEN_AI_RESPONSE_MODEL] == local_model.weights().name
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == reply["usage"]["prompt_tokens"]
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 4
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("length",)
    (said,) = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])
    assert said["parts"][0]["content"] == reply["choices"][0]["message"]["content"]
    assert str(local_model.weights().parent) not in str(told)


@pytest.mark.parametrize("form", ["dict", "text"])
def test_what_answers_into_a_callback(genai_otel_capture: Capture, server: Any, form: str) -> None:
    pieces: list[Any] = []
    body = {"model": "smollm2", "messages": ASK, "max_tokens": 4, "stream": True}
    given = body if form == "dict" else json.dumps(body)
    server.handle_chat_completions(given, lambda piece: bool(pieces.append(piece)))
    assert pieces, "it answered, in as many pieces as it liked"
    told = dict(genai_otel_capture.span("chat smollm2").attributes or {})
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 4
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in told


def test_completion_and_embeddings(genai_otel_capture: Capture, server: Any) -> None:
    server.handle_completions({"model": "smollm2", "prompt": "Once", "max_tokens": 2})
    vectors = server.handle_embeddings({"model": "smollm2", "input": "Hello"})
    told = dict(genai_otel_capture.span("text_completion smollm2").attributes or {})
    assert "Once" in told[names.GEN_AI_INPUT_MESSAGES]
    told = dict(genai_otel_capture.span("embeddings smollm2").attributes or {})
    vector = vectors["data"][0]["embedding"]
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == len(vector)
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] > 0
