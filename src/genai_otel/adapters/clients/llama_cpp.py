"""llama-cpp-python: a model in this process, in the words of OpenAI's API.

Read from llama-cpp-python.readthedocs.io/en/latest/api-reference. Its streams are generators.
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
    get_first_dict,
    get_int,
    get_str,
)
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Kind, text

from . import _openai_wire as wire
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.record import Operation


def origin(_given: Json, op: Operation) -> None:
    op.provider = "llama_cpp"


def _read_model(given: Json) -> str | None:
    """The model asked for, else the file's name."""
    asked = get_str(given, "model")
    return file_name(getattr(given["self"], "model_path", None) if asked is None else asked)


def file_name(path: object) -> str | None:
    """The last part of a path: the folders are nobody's business."""
    return path.replace("\\", "/").rpartition("/")[2] if type(path) is str else None


def read_chat_request(given: Json, op: Operation) -> None:
    wire.read_chat_request(given, op)
    (op.details or {}).pop("api_type", None)  # that is OpenAI's word


def with_model_name(reply: Any) -> Json:
    """A reply, or a piece of one, with the model's file instead of its whole path."""
    found = as_dict(reply)
    return {**found, "model": file_name(found.get("model"))}


def read_response(reply: Any, op: Operation) -> None:
    wire.read_chat_response(with_model_name(reply), op)


class _Chunks(ChatChunks):
    def add(self, chunk: Any) -> bool:
        return super().add(with_model_name(chunk))


def read_prompt(given: Json, op: Operation) -> None:
    prompt = get_str(given, "prompt")
    if prompt is not None:
        op.input = [{"role": "user", "parts": [text(prompt)]}]


def read_texts(given: Json, op: Operation) -> None:
    asked = given.get("input")
    if type(asked) is str or (type(asked) is list and all(type(each) is str for each in asked)):
        op.arguments = asked


def read_embeddings(reply: Any, op: Operation) -> None:
    reply = with_model_name(reply)
    wire.read_response(reply, op)
    op.usage.input = get_int(get_dict(reply, "usage"), "prompt_tokens")
    vector = get_first_dict(reply, "data").get("embedding")
    if type(vector) is list and vector and type(vector[0]) is float:  # not one for each token
        op.dimensions = len(vector)


_extractor = partial(Extractor, read_model=_read_model)
_call = partial(patch_function, origin=origin)

ADAPTER = declare(
    "llama_cpp",
    patches=(
        _call(
            "llama_cpp.llama:Llama.create_chat_completion",
            _extractor(
                Kind.CHAT, read_chat_request, read_response, wire.read_chat_content, _Chunks
            ),
        ),
        _call(
            "llama_cpp.llama:Llama.create_completion",
            _extractor(Kind.COMPLETION, wire.read_request, read_response, read_prompt, _Chunks),
        ),
        _call(
            "llama_cpp.llama:Llama.create_embedding",
            _extractor(Kind.EMBEDDINGS, wire.read_request, read_embeddings, read_texts),
        ),
    ),
)
