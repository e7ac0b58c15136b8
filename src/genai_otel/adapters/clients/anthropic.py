"""Anthropic: messages, and the same over Bedrock, Vertex, Foundry and the other clouds.

From 1.0 on the client traces itself; its spans have no content and fewer facts, so in a call that
we record they give way to ours.
"""

from __future__ import annotations

from typing import Any

from genai_otel.adapters.catalogue import declare
from genai_otel.instrumentation.adapter import Extractor
from genai_otel.instrumentation.patchers.stainless import patch_stainless
from genai_otel.record import Kind

from . import _anthropic_wire as wire
from ._hosts import provider_at

# Base classes of cloud clients -> the provider.
_CLIENTS = {
    "BaseBedrockClient": "aws.bedrock",
    "BaseMantleClient": "aws.bedrock",
    "BaseVertexClient": "gcp.vertex_ai",
    "BaseGoogleCloudClient": "gcp.vertex_ai",
    "BaseFoundryClient": "azure.ai.inference",
}


def provider(client: Any, host: str, port: int | None) -> str:
    """Who serves ``client``'s calls: its cloud's, or one of those that speak this API, too."""
    names = (base.__name__ for base in type(client).__mro__)
    cloud = next((_CLIENTS[name] for name in names if name in _CLIENTS), None)
    return cloud or provider_at(host, port, "anthropic")


MESSAGES = Extractor(
    Kind.CHAT,
    wire.read_request,
    wire.read_response,
    wire.read_content,
    wire.Events,
    read_model=wire.read_model,
)

_METHODS = {
    "messages.messages:AsyncMessages": "create parse",
    "beta.messages.messages:AsyncMessages": "create parse",
}
_BLOCKS = (
    "lib.streaming._messages:MessageStreamManager",
    "lib.streaming._messages:AsyncMessageStreamManager",
    "lib.streaming._beta_messages:BetaMessageStreamManager",
    "lib.streaming._beta_messages:BetaAsyncMessageStreamManager",
)
ADAPTER = declare(
    "anthropic",
    patches=patch_stainless(
        "anthropic",
        {"/v1/messages": MESSAGES},
        provider,
        native="_tracer",
        late=True,
        methods=_METHODS,
        blocks=_BLOCKS,
    ),
)
