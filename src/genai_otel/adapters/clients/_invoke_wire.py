"""What Bedrock's InvokeModel carries: a body in the model's own words, told apart by its shape.

An ARN says nothing of the model behind it, so the shape decides, and the model's name only where
shapes are alike. Read from docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from genai_otel.instrumentation.adapter import Accumulator
from genai_otel.instrumentation.fields import (
    Json,
    get_dict,
    get_dicts,
    get_first_dict,
    get_int,
    get_str,
    parse_json,
    pick,
)
from genai_otel.record import Kind, TextBuffer, text
from genai_otel.record.usage import BEDROCK_BODIES, BEDROCK_CONVERSE, read_usage

from . import _anthropic_wire as anthropic
from . import _charges as charges
from . import _cohere_v1 as cohere
from . import _converse_wire as converse
from . import _invoke_texts as texts
from . import _openai_wire as openai
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from genai_otel.record import Operation

_LARGEST = 8 * 1024 * 1024
_METRICS = "amazon-bedrock-invocationMetrics"
_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "topP": "top_p",
    "p": "top_p",
    "top_k": "top_k",
    "k": "top_k",
    "max_tokens": "max_tokens",
    "max_gen_len": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "maxTokenCount": "max_tokens",
    "maxTokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
    "stop_sequences": "stop",
    "stopSequences": "stop",
    "num_generations": "choices",
    "numResults": "choices",
}


def body(params: Json) -> Json:
    """The request's body decoded: bytes, text, or a buffer, of which nothing is read.

    What the client will send of a buffer begins where it stands. A file is left to the client.
    """
    given = params.get("body")
    if type(given) is BytesIO and not given.closed:
        given = given.getvalue()[given.tell() :]
    return _decoded(given)


def _decoded(given: Any) -> Json:
    if type(given) not in (bytes, bytearray, str) or len(given) > _LARGEST:
        return {}
    found = parse_json(given if type(given) is str else given.decode(errors="replace"))
    return found if type(found) is dict else {}


def kind(params: Json) -> Kind:
    """What sort of call this is, from the model's name, then from what it is given."""
    model = (get_str(params, "modelId") or "").lower()
    for word, found in _BY_NAME.items():
        if word in model:
            return found
    asked = body(params)
    found = next((found for key, found in _BY_KEY.items() if key in asked), Kind.COMPLETION)
    if found is Kind.GENERATION and (get_str(asked, "taskType") or "").endswith("_EMBEDDING"):
        return Kind.EMBEDDINGS
    if found is Kind.COMPLETION and "inputText" in asked and "textGenerationConfig" not in asked:
        # Titan's, of text or of vectors; by a name that says neither, nearly always the latter.
        return Kind.EMBEDDINGS
    return found


# Keys that only one kind of body has: the ARN of an inference profile names no model.
_BY_KEY = {
    "taskType": Kind.GENERATION,
    "text_prompts": Kind.GENERATION,
    "messages": Kind.CHAT,
    "message": Kind.CHAT,
    "prompt": Kind.COMPLETION,
    "texts": Kind.EMBEDDINGS,  # Cohere, and images in "images", anything in "inputs"
    "input_type": Kind.EMBEDDINGS,
    "inputImage": Kind.EMBEDDINGS,  # Titan
    "embeddingConfig": Kind.EMBEDDINGS,
    "inputType": Kind.EMBEDDINGS,  # Marengo
    "query": Kind.RERANK,
}

_BY_NAME = {
    "titan-text": Kind.COMPLETION,
    "embed": Kind.EMBEDDINGS,
    "rerank": Kind.RERANK,
    "image": Kind.GENERATION,
    "canvas": Kind.GENERATION,
    "stability.": Kind.GENERATION,
}


# ------------------------------------------------------------------------------- the request


def read_request(params: Json, op: Operation) -> None:
    charges.guarded(params, op)
    asked = body(params)
    config = get_dict(asked, "textGenerationConfig") or get_dict(asked, "inferenceConfig")
    op.params = {**pick(asked, _PARAMS), **pick(config, _PARAMS)}


def read_content(params: Json, op: Operation) -> None:
    asked = body(params)
    if op.kind in (Kind.EMBEDDINGS, Kind.RERANK):
        op.query = get_str(asked, "query")
        op.arguments = _inputs(asked)
    elif "anthropic_version" in asked:
        anthropic.read_content(asked, op)
    elif "inferenceConfig" in asked or "schemaVersion" in asked:
        converse.read_content(asked, op)
    elif "messages" in asked:
        openai.read_chat_content(asked, op)
    else:
        _read_plain_content(asked, op)


def _inputs(asked: Json) -> Any:
    """What is to be embedded or ranked."""
    nova = get_dict(asked, "singleEmbeddingParams") or get_dict(asked, "segmentedEmbeddingParams")
    words = get_str(get_dict(nova, "text"), "value")
    if words is not None:
        return words
    keys = ("inputText", "texts", "inputs", "documents")
    return next((asked[key] for key in keys if key in asked), None)


def _read_plain_content(asked: Json, op: Operation) -> None:
    """One prompt, or Cohere's message with the turns before it."""
    if "message" in asked:
        cohere.read_v1_content(asked, op)
        return
    words = get_str(asked, "prompt") or get_str(asked, "inputText")
    op.input = [] if words is None else [{"role": "user", "parts": [text(words)]}]


# --------------------------------------------------------------------------------- the reply


def read_response(reply: Any, op: Operation) -> None:
    """A body as bytes, or decoded already."""
    found = reply if type(reply) is dict else _decoded(reply)
    read = next((read for key, read in _SHAPES.items() if key in found), None)
    if read is not None:
        read(found, op)
    metrics = get_dict(found, _METRICS)
    read_usage(metrics, op.usage, BEDROCK_CONVERSE)
    took = get_int(metrics, "invocationLatency")
    if took is not None:
        op.timing.server = took / 1000


def _read_choices(found: Json, op: Operation) -> None:
    """Jamba and Mistral as OpenAI has them; DeepSeek's completions end for a ``stop_reason``."""
    choice = get_first_dict(found, "choices")
    if "message" in choice or "finish_reason" in choice:
        openai.read_chat_response(found, op)
    else:
        texts.set_output(texts.each(found, "text", "stop_reason", "choices"), op)


def _read_embeddings(found: Json, op: Operation) -> None:
    """Never the vectors: their length only."""
    read_usage(found, op.usage, BEDROCK_BODIES)
    vector, several = found.get("embedding"), found.get("embeddings")
    if type(several) is dict:  # Cohere, by the type of their numbers
        several = next(iter(several.values()), None)
    if vector is None and type(several) is list and several:
        vector = several[0]
    if type(vector) is dict:  # Nova, by what was embedded
        vector = vector.get("embedding")
    if type(vector) is list:
        op.dimensions = len(vector)


def _read_ranking(found: Json, op: Operation) -> None:
    op.documents = [
        {"id": str(get_int(result, "index")), "score": score}
        for result in get_dicts(found, "results")
        if type(score := result.get("relevance_score")) is float
    ]


def _read_results(found: Json, op: Operation) -> None:
    (_read_ranking if op.kind is Kind.RERANK else texts.titan)(found, op)


# A key that only one shape of response has, most specific first -> the function that reads it.
_SHAPES: dict[str, Callable[[Json, Operation], None]] = {
    "completion": texts.claude_text,
    **dict.fromkeys(("stopReason", "output", "metrics"), converse.read_response),
    **dict.fromkeys(("stop_sequence", "content", "role"), anthropic.read_response),
    "results": _read_results,
    **dict.fromkeys(("outputText", "completionReason"), texts.titan_chunk),
    **dict.fromkeys(("generation", "prompt_token_count", "generation_token_count"), texts.llama),
    "outputs": texts.mistral,
    "completions": texts.jurassic,
    "choices": _read_choices,
    **dict.fromkeys(("embedding", "embeddings", "inputTextTokenCount"), _read_embeddings),
    **dict.fromkeys(("generations", "generation_id", "text"), texts.cohere),
}


# -------------------------------------------------------------------------------------- streams


class Chunks(Accumulator):
    """Folds chunks, each a JSON in bytes, by the shape of the first that tells one."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._fold: Any = None
        self._metrics: Json = {}

    def add(self, event: Any) -> bool:
        found = _decoded(get_dict(event, "chunk").get("bytes"))
        metrics = found.pop(_METRICS, None)
        if type(metrics) is dict:
            self._metrics = {_METRICS: metrics}
        if self._fold is None and (fold := _accumulator_for(found)) is not None:
            self._fold = fold(self._op)
        return bool(self._fold is not None and self._fold.add(found))

    def finish(self) -> None:
        if self._fold is not None:
            self._fold.finish()
        read_response(self._metrics, self._op)


def _accumulator_for(found: Json) -> Any:
    """What folds chunks of this shape; nothing where this one tells none."""
    if "completion" in found:
        return _TextChunks
    if "event_type" in found:
        return cohere.V1Events
    if "type" in found:
        return anthropic.Events
    if any(key.startswith(("message", "content")) and key != "message" for key in found):
        return converse.Events
    if not {"delta", "finish_reason"}.isdisjoint(get_first_dict(found, "choices")):
        return ChatChunks
    return _TextChunks if any(type(found.get(key)) in (str, list) for key in _SHAPES) else None


class _TextChunks(Accumulator):
    """Models whose chunks are whole replies with a piece of the text of each choice."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._texts: dict[int, TextBuffer] = {}
        self._reasons: dict[int, str | None] = {}
        self._last: Json = {}

    def add(self, found: Json) -> bool:
        self._last.update((key, value) for key, value in found.items() if value is not None)
        added = [self._piece(index, piece) for index, piece in _chunk_pieces(found)]
        return any(added)

    def _piece(self, index: int, piece: Json) -> bool:
        words = next((words for key in _WORDS if (words := get_str(piece, key))), None)
        if index not in self._texts:
            self._texts[index] = TextBuffer(self._op)
        self._texts[index].add(words or "")
        reasons = (reason for key in _REASONS if (reason := get_str(piece, key)))
        self._reasons[index] = next(reasons, self._reasons.get(index))
        return bool(words)

    def finish(self) -> None:
        read_response(self._last, self._op)
        said = [
            (pieces.text() or None, self._reasons.get(index))
            for index, pieces in sorted(self._texts.items())
        ]
        if any(words or reason for words, reason in said):
            texts.set_output(said, self._op)


_WORDS = ("generation", "outputText", "text", "completion")
_REASONS = ("stop_reason", "finish_reason", "completionReason")
_LISTS = ("outputs", "generations", "choices")


def _chunk_pieces(found: Json) -> list[tuple[int, Json]]:
    """The pieces of the choices that a chunk has: of one, or of each in a list."""
    whole = "text" in found or "is_finished" in found
    key = next((key for key in _LISTS if type(found.get(key)) is list and not whole), "")
    pieces = get_dicts(found, key) if key else [found]
    return [(_choice_index(piece, place), piece) for place, piece in enumerate(pieces)]


def _choice_index(piece: Json, place: int) -> int:
    index = get_int(piece, "index")
    return place if index is None else index
