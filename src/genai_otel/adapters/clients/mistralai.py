"""Mistral: chat, agents, conversations, responses, code completion, embeddings, moderation, OCR.

1.x, and 2.x and newer.

The API is much like OpenAI's, and read with the same functions: docs.mistral.ai/api.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Accumulator, Extractor
from genai_otel.instrumentation.fields import (
    Json,
    as_dict,
    get_dict,
    get_first_dict,
    get_int,
    get_str,
    host_and_port,
)
from genai_otel.instrumentation.patchers.function import patch_function, patch_stream_class
from genai_otel.record import Kind, text
from genai_otel.record.usage import MISTRAL, read_usage

from . import _openai_wire as wire
from ._mistral_conversations import OCR, RESPONSE, choose_conversation, event_from_error
from ._openai_chunks import ChatChunks

if TYPE_CHECKING:
    from genai_otel.instrumentation.adapter import Patch
    from genai_otel.record import Operation

_CLOUDS = {"mistralai.azure": "azure.ai.inference", "mistralai_azure": "azure.ai.inference",
           "mistralai.gcp": "gcp.vertex_ai", "mistralai_gcp": "gcp.vertex_ai"}  # fmt: skip


def _origin(given: Json, op: Operation) -> None:
    client = given["self"]
    module = type(client).__module__
    found = (name for start, name in _CLOUDS.items() if module.startswith(start))
    op.provider = next(found, "mistral_ai")
    url = get_str(given, "server_url") or client.sdk_configuration.get_server_details()[0]
    op.host, op.port = host_and_port(url)
    if op.kind is Kind.AGENT:
        op.details = {**(op.details or {}), "agent_id": get_str(given, "agent_id") or ""}


def _read_response(reply: Any, op: Operation) -> None:
    wire.read_chat_response(reply, op)
    read_usage(get_dict(as_dict(reply), "usage"), op.usage, MISTRAL)


class _Events(ChatChunks):
    """The chunks lie in events."""

    add_fast = Accumulator.add_fast  # what a chunk lacks is there as an object that says so

    def add(self, event: Any) -> bool:
        chunk = get_dict(as_dict(event), "data")
        read_usage(get_dict(chunk, "usage"), self._op.usage, MISTRAL)
        return super().add(chunk)


def _read_fim_content(given: Json, op: Operation) -> None:
    words = [get_str(given, name) or "" for name in ("prompt", "suffix")]
    op.input = [{"role": "user", "parts": [text(each) for each in words if each]}]


def _read_inputs(given: Json, op: Operation) -> None:
    inputs = given.get("inputs")
    if type(inputs) is str or (type(inputs) is list and all(type(i) is str for i in inputs)):
        op.arguments = inputs


def _read_embeddings(reply: Any, op: Operation) -> None:
    reply = as_dict(reply)
    wire.read_response(reply, op)
    op.usage.input = get_int(get_dict(reply, "usage"), "prompt_tokens")
    vector = get_first_dict(reply, "data").get("embedding")
    op.dimensions = len(vector) if type(vector) is list else None


_extractor = partial(Extractor, read_model=wire.read_model, chunk_from_error=event_from_error)
_CHAT = _extractor(
    Kind.CHAT, wire.read_chat_request, _read_response, wire.read_chat_content, _Events
)
_FIM = _extractor(Kind.COMPLETION, wire.read_request, _read_response, _read_fim_content, _Events)
_EMBED = _extractor(Kind.EMBEDDINGS, wire.read_request, _read_embeddings, _read_inputs)
_MODERATE = _extractor(
    Kind.GUARDRAIL,
    wire.read_request,
    wire.read_moderation_response,
    _read_inputs,
    name="moderation",
)


def _methods(place: str, extractor: Any, *names: str, later: bool = False) -> list[Patch]:
    """Return sync and async patches; ``later``: not every version has these, or has them there."""
    return [
        patch_function(f"{place}.{name}{suffix}", extractor, origin=_origin, inner="generator",
                 stream=None if name == "create" else name.endswith("stream"), optional=later)
        for name in names
        for suffix in ("", "_async")
    ]  # fmt: skip


def _package(package: str) -> list[Patch]:
    """The patches of one spelling of the package, of which there are three a version."""
    return [
        *_methods(f"{package}.chat:Chat", _CHAT, "complete", "stream"),
        *_methods(f"{package}.agents:Agents", _CHAT, "complete", "stream"),
        *_methods(f"{package}.fim:Fim", _FIM, "complete", "stream"),
        *_methods(f"{package}.embeddings:Embeddings", _EMBED, "create"),
        *_methods(f"{package}.classifiers:Classifiers", _MODERATE, "moderate", "moderate_chat"),
        *_methods(
            f"{package}.conversations:Conversations", choose_conversation, *_TALKS, later=True
        ),
        *_methods(f"{package}.responses:Responses", RESPONSE, "create", later=True),
        *_methods(f"{package}.ocr:Ocr", OCR, "process", later=True),
        *patch_stream_class(f"{package}.utils.eventstreaming:EventStream", steps=False),
        *patch_stream_class(f"{package}.utils.eventstreaming:EventStreamAsync", steps=False),
    ]


_TALKS = ("start", "append", "restart", "start_stream", "append_stream", "restart_stream")
_PACKAGES = (
    "mistralai.client", "mistralai.azure.client", "mistralai.gcp.client",
    "mistralai", "mistralai_azure", "mistralai_gcp",
)  # fmt: skip

ADAPTER = declare(
    "mistralai",
    patches=tuple(patch for package in _PACKAGES for patch in _package(package)),
)
