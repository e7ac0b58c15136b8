"""Hugging Face's client: what the table of all clients does not ask."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from genai_otel import _semconv as names
from tests.adapters.kin import facts
from tests.adapters.test_more_clients import serving
from tests.conformance.visits import now
from tests.provider.huggingface_wire import DIMENSIONS

if TYPE_CHECKING:
    from genai_otel.testing import Capture
    from tests.provider import Provider

huggingface_hub = pytest.importorskip("huggingface_hub")

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


def test_as_openais_client_is_asked(genai_otel_capture: Capture, provider: Provider) -> None:
    client = huggingface_hub.InferenceClient(base_url=provider.base_url, token="k")
    with client:
        create = client.chat.completions.create
        create(model="ok", messages=ASK)
        list(create(model="ok", messages=ASK, stream=True))
    first, second = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert first[names.GEN_AI_REQUEST_MODEL] == second[names.GEN_AI_REQUEST_MODEL] == "ok"
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS in first
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in second, "nobody asked for it"


def test_the_clients_own_model(genai_otel_capture: Capture, provider: Provider) -> None:
    """An address is no model's name, so there is none."""
    with huggingface_hub.InferenceClient(model=f"{provider.root}/hf/ok", token="k") as client:
        assert client.text_generation("Hello").startswith("Gr")
        words = "".join(client.text_generation("Hello", stream=True))
    whole, stream = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    assert names.GEN_AI_REQUEST_MODEL not in whole
    assert words in json.loads(stream[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"]
    assert names.GEN_AI_USAGE_OUTPUT_TOKENS not in whole, "text alone has no counts"


@pytest.mark.parametrize("given", ["one text", ["one", "two"]])
def test_embeddings(genai_otel_capture: Capture, provider: Provider, given: Any) -> None:
    pytest.importorskip("numpy")
    address = f"{provider.root}/hf/embed/ok"
    with huggingface_hub.InferenceClient(model=address, token="k") as client:
        assert client.feature_extraction(given).shape[-1] == DIMENSIONS
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OPERATION_NAME] == "embeddings"
    assert told[names.GEN_AI_EMBEDDINGS_DIMENSION_COUNT] == DIMENSIONS
    assert json.loads(told[names.GENAI_OTEL_INPUT]) == given


MEDIA = {
    "/image": b"\x89PNG\r\n\x1a\n....",
    "/speech": b"RIFF....WAVE",
    "/transcript": {"text": "Hello to you."},
}


@pytest.mark.filterwarnings("ignore:Use 'content=")  # its asynchronous client's own
@pytest.mark.parametrize("later", [False, True])
async def test_speech_and_transcripts(genai_otel_capture: Capture, later: bool) -> None:
    kind = huggingface_hub.AsyncInferenceClient if later else huggingface_hub.InferenceClient
    with serving(dict(MEDIA)) as root:
        client = kind(token="k")
        said = await now(client.text_to_speech("Hello.", model=f"{root}/speech"))
        heard = await now(client.automatic_speech_recognition(b"RIFF", model=f"{root}/transcript"))
        await now(client.close())
    assert (said, heard.text) == (MEDIA["/speech"], "Hello to you.")
    spoke, listened = (dict(span.attributes or {}) for span in genai_otel_capture.spans)
    for told, made in ((spoke, "speech"), (listened, "text")):
        assert told[names.GEN_AI_OPERATION_NAME] == "generate_content"
        assert told[names.GEN_AI_PROVIDER_NAME] == "huggingface"
        assert told[names.GEN_AI_OUTPUT_TYPE] == made
    assert "Hello." in spoke[names.GEN_AI_INPUT_MESSAGES]
    assert "Hello to you." in listened[names.GEN_AI_OUTPUT_MESSAGES]


def test_an_image_that_cannot_be_read(genai_otel_capture: Capture) -> None:
    """What was asked for is told, whether or not PIL is there, and likes what came."""
    with (
        serving(dict(MEDIA)) as root,
        huggingface_hub.InferenceClient(token="k") as client,
        suppress(Exception),
    ):
        client.text_to_image("A dot.", model=f"{root}/image")
    told = facts(genai_otel_capture)
    assert told[names.GEN_AI_OUTPUT_TYPE] == "image"
    assert "A dot." in told[names.GEN_AI_INPUT_MESSAGES]
