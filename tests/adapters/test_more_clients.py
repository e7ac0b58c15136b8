"""Voyage, Replicate, Azure's embeddings, and Transformers with a model made up in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.answers import serving
from tests.closing import closing

if TYPE_CHECKING:
    from genai_otel.testing import Capture
    from tests.provider import Provider


def facts(capture: Capture, name: str) -> dict[str, Any]:
    return dict(capture.span(name).attributes or {})


# ------------------------------------------------------------------------------------- Voyage

VOYAGE = {
    "/v1/embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "embedding": [0.5, 0.25], "index": 0}],
        "model": "voyage-3",
        "usage": {"total_tokens": 3},
    },
    "/v1/rerank": {
        "object": "list",
        "data": [{"relevance_score": 0.75, "index": 1}, {"relevance_score": 0.5, "index": 0}],
        "model": "rerank-2",
        "usage": {"total_tokens": 9},
    },
}


@pytest.mark.parametrize("colour", ["Client", "AsyncClient"])
async def test_voyage(genai_otel_capture: Capture, colour: str) -> None:
    voyageai = pytest.importorskip("voyageai")
    with serving(dict(VOYAGE)) as root:
        client = getattr(voyageai, colour)(api_key="k", base_url=f"{root}/v1")
        embedded = client.embed(["Hello"], model="voyage-3")
        found = client.rerank("Which?", ["a", "b"], model="rerank-2", top_k=2)
        if colour == "AsyncClient":
            embedded, found = await embedded, await found
    assert embedded.embeddings == [[0.5, 0.25]]
    told = facts(genai_otel_capture, "embeddings voyage-3")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 3
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 2
    assert "0.25" not in str(told)
    told = facts(genai_otel_capture, "rerank rerank-2")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 9
    documents = json.loads(told[names.GEN_AI_RETRIEVAL_DOCUMENTS])
    assert documents == [{"id": "1", "score": 0.75}, {"id": "0", "score": 0.5}]
    assert told[names.GEN_AI_RETRIEVAL_QUERY_TEXT] == "Which?"


@pytest.mark.parametrize("colour", ["Client", "AsyncClient"])
@pytest.mark.parametrize("ask", ["embed", "rerank"])
async def test_what_voyage_cannot_use_was_paid_for(
    genai_otel_capture: Capture, colour: str, ask: str
) -> None:
    voyageai = pytest.importorskip("voyageai")
    odd = {path: {**body, "data": [{"index": 0}]} for path, body in VOYAGE.items()}
    given: dict[str, Any] = {"embed": (["Hello"],), "rerank": ("Which?", ["a", "b"])}

    async def call(client: Any) -> None:
        made = getattr(client, ask)(*given[ask], model="m")
        if colour == "AsyncClient":
            await made

    with serving(odd) as root:
        client = getattr(voyageai, colour)(api_key="k", base_url=f"{root}/v1")
        with pytest.raises((AttributeError, KeyError)) as raised:
            await call(client)
    (span,) = genai_otel_capture.spans
    told = dict(span.attributes or {})
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == (3 if ask == "embed" else 9)
    assert told[names.ERROR_TYPE] == type(raised.value).__name__


# ---------------------------------------------------------------------------------- Replicate

PREDICTION = {
    "id": "p1",
    "model": "meta/llama",
    "version": "v",
    "status": "succeeded",
    "input": {},
    "output": ["Hel", "lo."],
    "logs": "",
    "created_at": "2026-01-01T00:00:00Z",
    "urls": {"get": "ROOT/v1/predictions/p1", "cancel": "ROOT/c", "stream": "ROOT/stream"},
}
REPLICATE = {
    "/v1/models/meta/llama/predictions": PREDICTION,
    "/stream": b"".join(
        b"event: %s\nid: %d\ndata: %s\n\n" % (kind, at, data)
        for at, (kind, data) in enumerate(
            ((b"output", b"Hel"), (b"output", b"lo."), (b"done", b"{}"))
        )
    ),
}
SAID = [
    {
        "role": "assistant",
        "parts": [{"type": "text", "content": "Hello."}],
        "finish_reason": "unknown",
    }
]
WHAT = {"prompt": "Greet me.", "max_tokens": 9}


@pytest.mark.parametrize("way", ["run", "async_run", "stream", "async_stream"])
async def test_replicate(genai_otel_capture: Capture, way: str) -> None:
    replicate = pytest.importorskip("replicate")
    with serving(dict(REPLICATE)) as root:
        client = replicate.Client(api_token="k", base_url=root)
        closing(client._client)
        found = getattr(client, way)("meta/llama", input=WHAT)
        if way == "async_stream":
            found = [str(event) async for event in await found]
        else:
            found = await found if way == "async_run" else list(found)
        await client._async_client.aclose()
    assert "".join(map(str, found)).startswith("Hello.")
    told = facts(genai_otel_capture, "generate_content meta/llama")
    assert told[names.GEN_AI_PROVIDER_NAME] == "replicate"
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 9
    assert json.loads(told[names.GEN_AI_OUTPUT_MESSAGES]) == SAID
    assert "Greet me." in told[names.GEN_AI_INPUT_MESSAGES]
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in told


# -------------------------------------------------------------------------------------- Azure


def test_azures_embeddings(genai_otel_capture: Capture, provider: Provider) -> None:
    pytest.importorskip("azure.ai.inference")
    from azure.ai.inference import EmbeddingsClient
    from azure.core.credentials import AzureKeyCredential

    with EmbeddingsClient(endpoint=provider.root, credential=AzureKeyCredential("k")) as client:
        client.embed(model="ok", input=["Hello"])
    told = facts(genai_otel_capture, "embeddings ok")
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == 1536
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 12


# ------------------------------------------------------------------------------- Transformers


@pytest.fixture(scope="module")
def pipe() -> Any:
    """A text generation pipeline over a tiny model of random weights and four words."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2, "[UNK]": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[UNK]", eos_token="[UNK]"
    )
    config = transformers.GPT2Config(
        vocab_size=4, n_positions=64, n_embd=8, n_layer=1, n_head=1, eos_token_id=None
    )
    model = transformers.GPT2LMHeadModel(config)
    model.config._name_or_path = "tiny"
    return transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)


@pytest.mark.filterwarnings("ignore")  # of the library, about a model of four words
def test_a_pipeline_and_the_generation_in_it_are_one_call(
    genai_otel_capture: Capture, pipe: Any
) -> None:
    ((found,), *_) = [pipe("a b c", max_new_tokens=5, do_sample=False)]
    told = facts(genai_otel_capture, "text_completion tiny")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 3
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 5
    assert told[names.GEN_AI_REQUEST_MAX_TOKENS] == 5
    said = json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"]
    assert found["generated_text"] == f"a b c{said}"


@pytest.mark.filterwarnings("ignore")  # as above
def test_generate_by_itself(genai_otel_capture: Capture, pipe: Any) -> None:
    import torch

    pipe.model.generate(torch.tensor([[0, 1]]), max_new_tokens=3, do_sample=False)
    told = facts(genai_otel_capture, "text_completion tiny")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 2
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 3
    genai_otel_capture.clear()
    pipe.model.generate(torch.tensor([[0, 1], [1, 2]]), max_new_tokens=3, do_sample=False)
    told = facts(genai_otel_capture, "text_completion tiny")
    assert names.GEN_AI_USAGE_INPUT_TOKENS not in told
