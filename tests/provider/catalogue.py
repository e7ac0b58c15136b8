"""All endpoints of all wire formats: a further format adds its rows here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.provider import (
    anthropic_wire,
    bedrock_invoke_wire,
    bedrock_wire,
    cohere_wire,
    google_wire,
    huggingface_wire,
    mistral_wire,
    ollama_wire,
    openai_wire,
)

if TYPE_CHECKING:
    import re

    from tests.provider.wire import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *cohere_wire.ENDPOINTS,
    *google_wire.ENDPOINTS,
    *huggingface_wire.ENDPOINTS,
    *mistral_wire.ENDPOINTS,
    *ollama_wire.ENDPOINTS,
    *openai_wire.ENDPOINTS,
    *anthropic_wire.ENDPOINTS,
    *bedrock_wire.ENDPOINTS,
    *bedrock_invoke_wire.ENDPOINTS,
)
BY_NAME: Final = {endpoint.name: endpoint for endpoint in ENDPOINTS}


def find(method: str, path: str) -> tuple[Endpoint, re.Match[str]] | None:
    """Return the endpoint that serves a path, without its query, and how it matched."""
    for endpoint in ENDPOINTS:
        match = endpoint.path.fullmatch(path)
        if match and endpoint.method == method:
            return endpoint, match
    return None
