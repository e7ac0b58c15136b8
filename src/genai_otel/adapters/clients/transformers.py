"""Transformers in this process: text generation pipelines, and ``generate`` of any model.

Nothing there counts tokens, but ``generate`` takes and gives the very ids that the tokenizer made:
their number is the truth. Of a batch it is not, since that is padded: then it stays unknown. Inside
a pipeline ``generate`` is the same call and tells the pipeline's its counts.
Read from huggingface.co/docs/transformers: "Pipelines", "Generation".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.fields import Json, as_dict, get_dicts, get_str, pick
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Kind, Message, text

from ._message_builder import assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Operation

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_new_tokens": "max_tokens",
    "num_return_sequences": "choices",
}


def _origin(_given: Json, op: Operation) -> None:
    op.provider = "huggingface"


def _name(model: Any) -> str | None:
    return get_str(as_dict(model.config), "_name_or_path") or None


def _read_request(given: Json, op: Operation) -> None:
    op.params = pick(given, _PARAMS)


# ---------------------------------------------------------------------------------- pipelines


def _read_content(given: Json, op: Operation) -> None:
    """One prompt, several, or one conversation."""
    asked = given.get("text_inputs")
    if type(asked) is list and asked and type(asked[0]) is dict:
        op.input = [_message(message) for message in get_dicts(given, "text_inputs")]
    else:
        several = asked if type(asked) is list else [asked]
        op.input = [_text_message("user", words) for words in several if type(words) is str]


def _message(message: Json) -> Message:
    return _text_message(get_str(message, "role") or "user", get_str(message, "content") or "")


def _text_message(role: str, words: str) -> Message:
    return {"role": role, "parts": [text(words)]}


def _read_generated(prompt: Any, reply: Any, op: Operation) -> None:
    """What was generated: a pipeline repeats the prompt before it unless it is told not to."""
    if op.capture:
        results = [as_dict(each) for each in reply] if type(reply) is list else []
        texts = [_new(prompt, result.get("generated_text")) for result in results]
        op.output = [assistant_message([text(words)], None) for words in texts if words is not None]


def _new(prompt: Any, whole: Any) -> str | None:
    if type(whole) is list and whole:
        return get_str(as_dict(whole[-1]), "content")
    if type(whole) is not str:
        return None
    return whole.removeprefix(prompt) if type(prompt) is str else whole


def _pipeline(given: Json) -> Extractor:
    read = partial(_read_generated, given.get("text_inputs"))
    return Extractor(
        Kind.COMPLETION,
        _read_request,
        read,
        _read_content,
        read_model=lambda asked: _name(asked["self"].model),
    )


# ----------------------------------------------------------------------------------- generate


def _generate(given: Json) -> Extractor:
    ids = given.get("inputs", given.get("input_ids"))
    asked = _length(ids)
    repeats = not getattr(given["self"].config, "is_encoder_decoder", False)
    read = partial(_count, asked, asked if repeats else 0)
    return Extractor(
        Kind.COMPLETION, _read_request, read, read_model=lambda given: _name(given["self"])
    )


def _length(ids: Any) -> int | None:
    """How many ids one sequence has; of several that is not known."""
    shape = getattr(ids, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != 1:  # noqa: PLR2004 - sequences, ids
        return None
    return int(shape[1])


def _count(asked: int | None, repeated: int | None, reply: Any, op: Operation) -> None:
    whole = _length(getattr(reply, "sequences", reply))
    if asked is not None and whole is not None and repeated is not None:
        op.usage.input, op.usage.output = asked, whole - repeated


_call = partial(patch_function, origin=_origin, stream=False)

ADAPTER = declare(
    "transformers",
    patches=(
        _call("transformers.pipelines.text_generation:TextGenerationPipeline.__call__", _pipeline),
        _call("transformers.generation.utils:GenerationMixin.generate", _generate),
    ),
)
