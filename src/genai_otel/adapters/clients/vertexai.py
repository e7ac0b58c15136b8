"""Classic Vertex AI, ``vertexai.generative_models`` and text embeddings of google-cloud-aiplatform.

Its objects hold protocol buffers, which have the shapes of Google Gen AI under other spellings.
Read from cloud.google.com/vertex-ai/generative-ai/docs/reference/python/latest. Google has replaced
it by google-genai; it is still there and in use.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_int,
    get_str,
    proto_to_dict,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.instrumentation.unreturned import local_in_error
from genai_otel.record import Kind

from . import google_genai as gemini
from ._gemini_parts import camel

if TYPE_CHECKING:
    from genai_otel.record import Operation

_GIVEN = ("generation_config", "tools", "system_instruction")


def _origin(given: Json, op: Operation) -> None:
    op.provider = "gcp.vertex_ai"
    op.region = get_str(as_dict(given["self"]), "_location")


def _body(given: Json) -> Json:
    """What will be sent, as Google Gen AI has it; what the call leaves out, the model has."""
    own = as_dict(given["self"])
    name = get_str(own, "_model_name") or ""
    asked = {key: given.get(key) or own.get(f"_{key}") for key in _GIVEN}
    tools, system = asked["tools"], asked["system_instruction"]
    return {
        "model": name.rpartition("/")[2] or None,
        "contents": _contents(given.get("contents")),
        "generationConfig": _as_json(asked["generation_config"]),
        "systemInstruction": {"parts": _parts(system)} if system else {},
        "tools": [_as_json(tool) for tool in tools] if type(tools) is list else [],
    }


def _as_json(value: Any) -> Any:
    """A dict as it is; of the client's objects the message that each of them wraps."""
    if type(value) is dict:
        return _camel(value)
    wrapped = [item for key, item in as_dict(value).items() if key.startswith("_raw_")]
    return _camel(proto_to_dict(wrapped[0]._pb)) if wrapped else {}  # noqa: SLF001 - nowhere else


def _camel(value: Any) -> Any:
    """Names as JSON has them; what a function is called with, or answers, has names of its own."""
    if type(value) is list:
        return [_camel(each) for each in value]
    if type(value) is not dict:
        return value
    return {camel(key): each if key in _OWN else _camel(each) for key, each in value.items()}


_OWN = frozenset({"args", "response", "parameters"})


def _contents(contents: Any) -> list[Json]:
    """Whole turns; or the parts of one, as the client takes them, too."""
    given = contents if type(contents) is list else [contents]
    turns = [_as_json(each) for each in given]
    if all("parts" in turn for turn in turns):
        return turns
    return [{"role": "user", "parts": _parts(contents)}]


def _parts(contents: Any) -> list[Json]:
    given = contents if type(contents) is list else [contents]
    return [{"text": each} if type(each) is str else _as_json(each) for each in given]


def _reply(response: Any) -> Json:
    reply: Json = _as_json(response)
    return reply


def _read_response(response: Any, op: Operation) -> None:
    gemini.read_response(_reply(response), op)


class _Chunks(gemini.Chunks):
    def add(self, chunk: Any) -> bool:
        return super().add(_reply(chunk))


# -------------------------------------------------------------------------------- embeddings


def _read_embedding_model(given: Json) -> str | None:
    return get_str(as_dict(given["self"]), "_model_id")


def _read_embedding_request(given: Json, op: Operation) -> None:
    op.params = {"dimensions": get_int(given, "output_dimensionality")}


def _read_texts(given: Json, op: Operation) -> None:
    asked = given.get("texts")
    if type(asked) is list:
        told = [each if type(each) is str else get_str(as_dict(each), "text") for each in asked]
        op.arguments = [each for each in told if each is not None]


def _read_embeddings(reply: Any, op: Operation) -> None:
    found = [as_dict(each) for each in reply]
    vector = found[0].get("values") if found else None
    op.dimensions = len(vector) if type(vector) is list else None
    counts = [get_int(get_dict(each, "statistics"), "token_count") for each in found]
    told = [count for count in counts if count is not None]
    op.usage.input = sum(told) if told else None


def _response_from_error(error: BaseException) -> Any:
    """What the client was about to make its objects of, where there was no vector in it."""
    functions = ("get_embeddings", "get_embeddings_async")
    found = (local_in_error(error, name, "prediction_response") for name in functions)
    response = next((each for each in found if each is not None), None)
    predictions = getattr(response, "predictions", None)
    if type(predictions) is not list:
        return None
    return [get_dict(as_dict(each), "embeddings") for each in predictions]


_CHAT = Extractor(
    Kind.CHAT, gemini.read_request, _read_response, gemini.read_content, _Chunks, gemini.read_model
)
_EMBED = Extractor(
    Kind.EMBEDDINGS,
    _read_embedding_request,
    _read_embeddings,
    _read_texts,
    read_model=_read_embedding_model,
    response_from_error=_response_from_error,
)
_MODEL = "vertexai.generative_models._generative_models:_GenerativeModel"
_VECTORS = "vertexai.language_models._language_models:TextEmbeddingModel"
_generate = partial(patch_function, extractor=_CHAT, origin=_origin, body=_body)

ADAPTER = declare(
    "vertexai",
    patches=(
        _generate(f"{_MODEL}._generate_content"),
        _generate(f"{_MODEL}._generate_content_async"),
        _generate(f"{_MODEL}._generate_content_streaming"),
        _generate(f"{_MODEL}._generate_content_streaming_async", stream=True),
        patch_function(f"{_VECTORS}.get_embeddings", _EMBED, origin=_origin, optional=True),
        patch_function(f"{_VECTORS}.get_embeddings_async", _EMBED, origin=_origin, optional=True),
    ),
)
