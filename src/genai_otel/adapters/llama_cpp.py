"""llama-cpp-python: a model in this process, in the words of OpenAI's API.

Read from llama-cpp-python.readthedocs.io/en/latest/api-reference. Its streams are generators.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.engine.adapter import Adapter, Reader
from genai_otel.engine.families.function import function
from genai_otel.engine.read import Json, fields, first, integer, mapping, string
from genai_otel.record import Kind, text

from . import _openai_wire as wire

if TYPE_CHECKING:
    from genai_otel.record import Operation


def origin(_given: Json, op: Operation) -> None:
    op.provider = "llama_cpp"


def _model(given: Json) -> str | None:
    """The model asked for, else the file's name."""
    asked = string(given, "model")
    return file_name(getattr(given["self"], "model_path", None) if asked is None else asked)


def file_name(path: object) -> str | None:
    """The last part of a path: the folders are nobody's business."""
    return path.replace("\\", "/").rpartition("/")[2] if type(path) is str else None


def prompt(given: Json, op: Operation) -> None:
    prompt = string(given, "prompt")
    if prompt is not None:
        op.input = [{"role": "user", "parts": [text(prompt)]}]


def texts(given: Json, op: Operation) -> None:
    asked = given.get("input")
    if type(asked) is str or (type(asked) is list and all(type(each) is str for each in asked)):
        op.arguments = asked


def vectors(reply: Any, op: Operation) -> None:
    reply = fields(reply)
    wire.answer(reply, op)
    op.usage.input = integer(mapping(reply, "usage"), "prompt_tokens")
    vector = first(reply, "data").get("embedding")
    if type(vector) is list and vector and type(vector[0]) is float:  # not one for each token
        op.dimensions = len(vector)


_reader = partial(Reader, model=_model)
_call = partial(function, origin=origin)

ADAPTER = Adapter(
    name="llama_cpp",
    distribution="llama-cpp-python",
    oldest="0.2",
    untested="1",
    patches=(
        _call(
            "llama_cpp.llama:Llama.create_chat_completion",
            _reader(Kind.CHAT, wire.ask_chat, wire.answer_chat, wire.chat_content, wire.ChatChunks),
        ),
        _call(
            "llama_cpp.llama:Llama.create_completion",
            _reader(Kind.COMPLETION, wire.ask, wire.answer_chat, prompt, wire.ChatChunks),
        ),
        _call(
            "llama_cpp.llama:Llama.create_embedding",
            _reader(Kind.EMBEDDINGS, wire.ask, vectors, texts),
        ),
    ),
)
