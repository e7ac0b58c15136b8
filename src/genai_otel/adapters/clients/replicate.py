"""Replicate: ``run`` and ``stream``, of a client or of the module, whose functions are a client's.

A model is anything there: of its input the prompt is told, of its output the text. Nothing counts
tokens.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import Json, as_dict, get_dict, get_str, host_and_port, pick
from genai_otel.instrumentation.patchers.function import patch_function
from genai_otel.record import Kind, text

from ._message_builder import MessageBuilder, assistant_message

if TYPE_CHECKING:
    from genai_otel.record import Operation

_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "seed": "seed",
}


def _origin(given: Json, op: Operation) -> None:
    op.provider = "replicate"
    url = getattr(given["self"], "_base_url", None) or "https://api.replicate.com"
    op.host, op.port = host_and_port(str(url))


def _read_model(given: Json) -> str | None:
    """The model's name; a version, which is a hash, is no part of it."""
    ref = get_str(given, "ref")
    return None if ref is None else ref.partition(":")[0]


def _read_request(given: Json, op: Operation) -> None:
    op.params = pick(get_dict(given, "input"), _PARAMS)


def _read_content(given: Json, op: Operation) -> None:
    asked = get_dict(given, "input")
    told, prompt = get_str(asked, "system_prompt"), get_str(asked, "prompt")
    if told:
        op.system = [text(told)]
    if prompt is not None:
        op.input = [{"role": "user", "parts": [text(prompt)]}]


def _read_response(reply: Any, op: Operation) -> None:
    """Text, or its pieces; files and numbers are not told."""
    pieces = reply if type(reply) is list else [reply]
    words = "".join(piece for piece in pieces if type(piece) is str)
    if words and op.capture:
        op.output = [assistant_message([text(words)], None)]


class _Chunks(Accumulator):
    """TextBuffer of text, as ``run`` gives them, or events that hold them, as ``stream`` does."""

    def __init__(self, op: Operation) -> None:
        super().__init__(op)
        self._message = MessageBuilder(op)

    def add(self, chunk: Any) -> bool:
        if type(chunk) is str:
            return self._message.add_text(chunk)
        event = as_dict(chunk)
        kind = getattr(event.get("event"), "value", None)  # of an enumeration
        return self._message.add_text(get_str(event, "data")) if kind == "output" else False

    def finish(self) -> None:
        if self._op.capture:
            self._op.output = [assistant_message(self._message.parts(), None)]


_RUN = Extractor(
    Kind.GENERATION, _read_request, _read_response, _read_content, _Chunks, read_model=_read_model
)
_call = partial(patch_function, extractor=_RUN, origin=_origin, captured=True)

ADAPTER = declare(
    "replicate",
    patches=(
        _call("replicate.client:Client.run", stream=False),
        _call("replicate.client:Client.async_run", stream=False),
        _call("replicate.client:Client.stream", stream=True, lazy=True),
        _call("replicate.client:Client.async_stream", stream=True, lazy=True),
    ),
)
